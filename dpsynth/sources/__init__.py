"""How the engine sees records: exact marginals and blocks of coded rows. Private; nothing here spends or draws."""

from dpsynth.sources.base import Codes, MarginalSource, RowSource
from dpsynth.sources.memory import MemorySource
from dpsynth.sources.streaming import StreamingSource, stream_parquet

__all__ = ["Codes", "MarginalSource", "MemorySource", "RowSource", "StreamingSource", "stream_parquet"]
