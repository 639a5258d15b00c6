"""CSV files: one physical line is one record, parsed on its own, so that no record can change another."""

import csv
import gzip
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa

from dpsynth.errors import TableError

MAX_LINE = 2**20
"""Bytes of a line that are read; the rest of a longer one is skipped."""
_BOM = b"\xef\xbb\xbf"
_OTHER_DELIMITERS = (",", ";", "\t", "|")


def read_header(path: Path, delimiter: str) -> tuple[str, ...]:
    """The names in the first line.

    Raises:
      TableError: The file can't be read, or its first line isn't UTF-8 text in the delimiter asked for.
    """
    try:
        with _opened(path) as stream:
            line = stream.readline(MAX_LINE)
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(path, error) from None
    line = line.removeprefix(_BOM).rstrip(b"\r\n")
    if len(line) >= MAX_LINE - 2 or b"\r" in line:
        raise _bad_header(path, "its first line has no end within 1 MiB, or ends in a lone carriage return")
    if not line or b"\0" in line or line[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise _bad_header(path, "its first line is empty or not UTF-8 (UTF-16, perhaps)")
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise _bad_header(path, "its first line isn't UTF-8") from None
    fields = _fields(text, delimiter)
    other = next((d for d in _OTHER_DELIMITERS if d != delimiter and len(_fields(text, d)) > 1), None)
    if len(fields) == 1 and other is not None:
        raise TableError(
            f"The header of {path.name!r} has one field with the delimiter {delimiter!r}.",
            f"With {other!r} it has {len(_fields(text, other))}.",
            f"Give the delimiter {other!r}, or write the file with {delimiter!r}.",
        )
    return tuple(fields)


def read_blocks(
    path: Path, header: tuple[str, ...], columns: tuple[str, ...], delimiter: str, rows: int
) -> Iterator[dict[str, pa.Array]]:
    """Blocks of at most ``rows`` records: the bytes of each field of ``columns``, null where a line is too short.

    A line without any byte is no record. Raises nothing that a record's content could cause.

    Raises:
      TableError: The file, or its compression, can't be read to the end.
    """
    wanted = [(name, header.index(name)) for name in columns]
    try:
        with _opened(path) as stream:
            lines = _lines(stream)
            next(lines, None)
            records = (line for line in lines if line)
            while block := list(islice(records, rows)):
                yield _columns(block, wanted, len(header), delimiter)
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(path, error) from None


def unreadable(path: Path, error: Exception) -> TableError:
    """The file system's refusal, without a word of the file's content."""
    why = getattr(error, "strerror", None) or "it isn't complete, or not in the format that its name says"
    return TableError(
        f"The table {path.name!r} can't be read.",
        f"The reason: {why}.",
        "Check the path, the permissions and the file.",
    )


def _opened(path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    return path.open("rb")


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    while line := stream.readline(MAX_LINE):
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = stream.readline(MAX_LINE)
        yield line.rstrip(b"\r\n")


def _columns(
    lines: list[bytes], wanted: list[tuple[str, int]], width: int, delimiter: str
) -> dict[str, pa.Array]:
    sep = delimiter.encode()
    records = [_record(line, delimiter) if b'"' in line else line.split(sep) for line in lines]
    missing: list[bytes | None] = [None] * width
    even = [record if len(record) == width else (record + missing)[:width] for record in records]
    columns = list(zip(*even, strict=True))
    return {name: pa.array(columns[i], pa.large_binary()) for name, i in wanted}


def _record(line: bytes, delimiter: str) -> list[bytes | None]:
    text = line.decode(errors="surrogateescape")
    return [field.encode(errors="surrogateescape") for field in _fields(text, delimiter)]


def _fields(text: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([text], delimiter=delimiter), [])
    except csv.Error:
        return text.split(delimiter)


def _bad_header(path: Path, why: str) -> TableError:
    return TableError(
        f"The header of {path.name!r} can't be read.", f"The reason: {why}.",
        "Write the file as UTF-8 text with one header line.",
    )
