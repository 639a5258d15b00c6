"""Read and write tables: CSV, Parquet, pandas, Arrow. Structure is public; records come in blocks, when asked for."""

from dpsynth.tables.memory import restore
from dpsynth.tables.opening import Block, TableHandle, open_table
from dpsynth.tables.structure import Format, Structure
from dpsynth.tables.writing import SYNTHETIC, Written, write_exclusive, write_table

__all__ = [
    "SYNTHETIC", "Block", "Format", "Structure", "TableHandle", "Written", "open_table", "restore", "write_exclusive",
    "write_table",
]
