"""CSV files: a record is one physical line, decided from that line alone, so that no record can change another.

A line whose quotes don't balance, or whose fields aren't as many as the header's, is no record. So a field with a line
break makes no record of any of its lines, but for one that looks like a record itself.
"""

import gzip
import re
import zlib
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa

from dpsynth.errors import TableError

MAX_LINE = 2**20
"""Bytes of a line that are read; the rest of a longer one is skipped."""
_BOM = b"\xef\xbb\xbf"
_OTHER_DELIMITERS = (",", ";", "\t", "|")
Fields = list[bytes]


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
        line.decode()
    except UnicodeDecodeError:
        raise _bad_header(path, "its first line isn't UTF-8") from None
    fields = _fields(line, delimiter.encode())
    if fields is None:
        raise _bad_header(path, "the quotes in its first line don't balance")
    counts = {other: len(_fields(line, other.encode()) or []) for other in _OTHER_DELIMITERS if other != delimiter}
    other = next((other for other, count in counts.items() if count > 1), None)
    if len(fields) == 1 and other is not None:
        raise TableError(
            f"The header of {path.name!r} has one field with the delimiter {delimiter!r}.",
            f"With {other!r} it has {counts[other]}.",
            f"Give the delimiter {other!r}, or write the file with {delimiter!r}.",
        )
    return tuple(field.decode() for field in fields)


def read_blocks(
    path: Path, header: tuple[str, ...], columns: tuple[str, ...], delimiter: str, rows: int
) -> Iterator[dict[str, pa.Array]]:
    """Blocks of at most ``rows`` records: the bytes of each field of ``columns``.

    Lines that are no records are left out. Raises nothing that a line's content could cause.

    Raises:
      TableError: The file, or its compression, can't be read to the end.
    """
    wanted = [(name, header.index(name)) for name in columns]
    records = (record for record in _records(path, len(header), delimiter) if record is not None)
    while block := list(islice(records, rows)):
        fields = list(zip(*block, strict=True))
        yield {name: pa.array(fields[i], pa.large_binary()) for name, i in wanted}


def lines_left_out(path: Path, width: int, delimiter: str) -> int:
    """CONFIDENTIAL: how many lines are no records, but for empty ones.

    Raises:
      TableError: The file, or its compression, can't be read to the end.
    """
    return sum(record is None for record in _records(path, width, delimiter))


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


def _records(path: Path, width: int, delimiter: str) -> Iterator[Fields | None]:
    """The fields of each line after the first that has a byte; None where it is no record."""
    sep = delimiter.encode()
    try:
        with _opened(path) as stream:
            lines = _lines(stream)
            next(lines, None)
            for line in lines:
                if line:
                    fields = _fields(line, sep)
                    yield fields if fields is not None and len(fields) == width else None
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(path, error) from None


def _fields(line: bytes, sep: bytes) -> Fields | None:
    """The fields of one line, or None where its quotes don't balance; linear in its length."""
    if b'"' not in line:
        return line.split(sep)
    if line.count(b'"') % 2:
        return None
    field, out, at = _pattern(sep), list[bytes](), 0
    while at <= len(line):
        found = field.match(line, at)
        if found is None:
            return None
        quoted, rest = found.groups()
        out.append(rest if quoted is None else quoted.replace(b'""', b'"') + rest)
        at = found.end() + 1
    return out


@lru_cache
def _pattern(sep: bytes) -> re.Pattern[bytes]:
    """One field, in quotes (with what follows them) or without."""
    other = b"[^" + re.escape(sep) + b"]*+"
    return re.compile(b'(?:"((?:[^"]++|"")*+)"|(?!"))(' + other + b")", re.DOTALL)


def _bad_header(path: Path, why: str) -> TableError:
    return TableError(
        f"The header of {path.name!r} can't be read.", f"The reason: {why}.",
        "Write the file as UTF-8 text with one header line.",
    )
