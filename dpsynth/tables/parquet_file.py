"""Parquet files: the Arrow schema before the data handle is opened, record batches after it."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dpsynth.errors import TableError
from dpsynth.tables.csv_file import unreadable
from dpsynth.tables.types import family


def read_fields(path: Path) -> pa.Schema:
    """Names and types, without metadata (pandas keeps the row count there).

    Raises:
      TableError: The file can't be read as Parquet.
    """
    try:
        return pq.read_schema(path).remove_metadata()
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from None


def read_blocks(path: Path, columns: tuple[str, ...], rows: int) -> Iterator[dict[str, pa.Array]]:
    """Record batches of ``columns``, of at most ``rows`` records; text comes as dictionary arrays.

    Raises:
      TableError: The file can't be read to the end.
    """
    try:
        fields = pq.read_schema(path)
        text = [name for name in columns if family(fields.field(name).type) == "text"]
        with pq.ParquetFile(path, read_dictionary=text, pre_buffer=False) as file:
            for batch in file.iter_batches(batch_size=rows, columns=list(columns)):
                if batch.num_rows:
                    yield {name: batch.column(name) for name in columns}
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> TableError:
    """An Arrow error's text may hold values, so only the system's own words are passed on."""
    return unreadable(path, error if isinstance(error, OSError) and error.errno else Exception())
