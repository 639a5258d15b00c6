"""Write a synthetic table: deterministic bytes, a label that says what it is, and never half a file."""

import csv
import datetime
import gzip
import hashlib
import io
import os
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from accountant import faults
from dpsynth.errors import OutputError
from dpsynth.tables.opening import file_format
from dpsynth.tables.structure import Format, Structure
from dpsynth.tables.types import family, value_type

SYNTHETIC = "SYNTHETIC"
"""What a table says of itself where nothing else is to be said."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_ROW_GROUP = 131_072


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A file that was written.

    Attributes:
      path: Where it is.
      sha256: Of its bytes, in hexadecimal.
      bytes: Its size.
      escaped: Whether text that a spreadsheet would run was prefixed with an apostrophe.
    """

    path: Path
    sha256: str
    bytes: int
    escaped: bool


def write_table(
    table: pa.Table,
    path: str | Path,
    *,
    like: Structure | None = None,
    escape_formulas: bool = False,
    label: str = SYNTHETIC,
) -> Written:
    """Write an Arrow table as CSV or Parquet, as the ending of ``path`` says; the same table gives the same bytes.

    Args:
      table: The table; its metadata is replaced by a label.
      path: A file that doesn't exist yet, ending in ``.csv``, ``.csv.gz`` or ``.parquet``.
      like: The structure whose delimiter a CSV file gets.
      escape_formulas: Prefix text that a spreadsheet would run (CSV only) with an apostrophe.
      label: What the metadata of a Parquet file says under ``dpsynth``; CSV has no metadata.

    Raises:
      OutputError: The file exists or can't be written; nothing is left behind.
      TableError: The ending of ``path`` isn't one of these.
    """
    target = Path(path)
    form = file_format(target)
    escaped = escape_formulas and form is Format.CSV
    delimiter = "," if like is None else like.delimiter
    data = _csv(table, delimiter, escaped) if form is Format.CSV else _parquet(table, label)
    if target.suffix == ".gz":
        data = gzip.compress(data, mtime=0)
    write_exclusive(target, data)
    return Written(path=target, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data), escaped=escaped)


def write_exclusive(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Write a file that isn't there yet, all of it or nothing: temporary file, fsync, exclusive link.

    Args:
      path: Where.
      data: What.
      mode: Permissions before the process's umask.

    Raises:
      OutputError: It exists, or the file system refused.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        try:
            with open(temporary, "xb", opener=partial(os.open, mode=mode)) as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            faults.reach("table-written")
            os.link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except FileExistsError:
        raise OutputError(
            f"The file {path.name!r} can't be written.",
            "It exists, and nothing is overwritten.",
            "Choose another name.",
        ) from None
    except OSError as error:
        raise OutputError(
            f"The file {path.name!r} can't be written.",
            f"The system says: {error.strerror or 'input/output error'}; nothing was left behind.",
            "Free space, mend permissions, or choose another folder.",
        ) from None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _parquet(table: pa.Table, label: str) -> bytes:
    sink = io.BytesIO()
    plain = pa.schema([field.remove_metadata() for field in table.schema], metadata={"dpsynth": label})
    pq.write_table(
        table.cast(plain).combine_chunks(), sink, compression="zstd", row_group_size=_ROW_GROUP, store_schema=True
    )
    return sink.getvalue()


def _csv(table: pa.Table, delimiter: str, escaped: bool) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    guard = _guarded if escaped else _unchanged
    writer.writerow(guard(table.column_names))
    columns = [_cells(column, guard) for column in table.columns]
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue().encode()


def _cells(column: pa.ChunkedArray, guard: Callable[[Iterable[Any]], list[Any]]) -> list[Any]:
    group = family(value_type(column.type))
    if column.type in _NARROW:
        return _shortest(column)
    values = column.to_pylist()
    return _FORMATS.get(group, _unchanged)(guard(values) if group == "text" else values)


_NARROW = (pa.float16(), pa.float32())


def _shortest(column: pa.ChunkedArray) -> list[Any]:
    """Numbers of a narrow type with the digits that tell them apart in it: 0.1, not 0.10000000149011612."""
    plain = column.combine_chunks()
    digits = plain.fill_null(0).to_numpy(zero_copy_only=False).astype(str).tolist()
    return [text if known else None for text, known in zip(digits, plain.is_valid().to_pylist(), strict=True)]


def _unchanged(values: Iterable[Any]) -> list[Any]:
    return list(values)


def _guarded(values: Iterable[Any]) -> list[Any]:
    return ["'" + v if isinstance(v, str) and v.startswith(_FORMULA) else v for v in values]


def _truths(values: Iterable[Any]) -> list[Any]:
    return [None if v is None else ("true" if v else "false") for v in values]


def _bytes(values: Iterable[Any]) -> list[Any]:
    return [None if v is None else v.decode(errors="replace") for v in values]


def _times(values: Iterable[Any]) -> list[Any]:
    """Times as ISO text with a space; durations in seconds."""
    return [v.total_seconds() if isinstance(v, datetime.timedelta) else v for v in values]


_FORMATS: dict[str, Callable[[Iterable[Any]], list[Any]]] = {"bool": _truths, "binary": _bytes, "time": _times}
