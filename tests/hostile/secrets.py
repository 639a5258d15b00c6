"""Marked secrets, and a search for them in everything that leaves: text, exceptions, reprs and files of every kind."""

import base64
import io
import json
import logging
import re
import traceback
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from dpsynth.progress import SilentStage


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """What must not appear anywhere.

    Attributes:
      tokens: Texts that occur in records only.
      count: A number that is the count of records.
    """

    tokens: tuple[str, ...]
    count: int | None = None

    def within(self, text: str) -> list[str]:
        """The secrets that a text holds; the count only where it is a number of its own, not a part of a hash."""
        found = [token for token in self.tokens if token.lower() in text.lower()]
        if self.count is not None:
            written = re.escape(f"{self.count:,}")
            if re.search(rf"(?<![0-9A-Za-z.+/])({self.count}|{written})(?![0-9A-Za-z+/=])", text):
                found.append(str(self.count))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Everything that a run let out while it ran, by where it was heard."""

    texts: list[tuple[str, str]] = field(default_factory=list)

    def add(self, where: str, text: object) -> None:
        """Keep a text."""
        self.texts.append((where, str(text)))

    def add_repr(self, *things: object) -> None:
        """Keep what Python shows of things."""
        for thing in things:
            self.add(f"repr of {type(thing).__name__}", f"{thing!r} {thing!s}")

    def add_exception(self, error: BaseException) -> None:
        """Keep an exception's whole trace, its chain, its arguments and attributes."""
        self.add("traceback", "".join(traceback.format_exception(error)))
        chain: BaseException | None = error
        while chain is not None:
            self.add("exception", f"{chain.args!r} {getattr(chain, '__dict__', {})!r} {chain!r}")
            chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)

    def stage(self, name: str, total: int | None = None) -> Any:
        """Be a Progress that keeps what it is told."""
        from contextlib import nullcontext

        self.add("progress", f"{name} {total}")
        return nullcontext(_HeardStage(self))

    def leaks(self, secrets: Secrets) -> list[str]:
        """Where a secret was heard."""
        return [f"{where}: {text[:300]}" for where, text in self.texts if secrets.within(text)]


class _HeardStage(SilentStage):
    """A stage whose notes and shares are kept."""

    def __init__(self, heard: Heard) -> None:
        self._heard = heard

    def tell(self, note: str, share: float) -> None:
        """Keep what is told."""
        self._heard.add("round", f"{note} {share}")


@contextmanager
def listening() -> Iterator[Heard]:
    """Hear every log record of every library."""
    heard = Heard()

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.add("log", record.getMessage())

    ear, root = Ear(), logging.getLogger()
    level = root.level
    root.addHandler(ear)
    root.setLevel(logging.DEBUG)
    try:
        yield heard
    finally:
        root.setLevel(level)
        root.removeHandler(ear)


def files_leak(folders: Iterable[Path], secrets: Secrets, *, but: Iterable[str] = ()) -> list[str]:
    """Files below ``folders`` that hold a secret, in their names, bytes, or what their format decodes to."""
    found = []
    for folder in folders:
        for path in folder.rglob("*"):
            if not path.is_file() or any(part in but for part in path.parts):
                continue
            if secrets.within(path.name) or any(secrets.within(text) for text in _texts(path)):
                found.append(path.name)
    return found


def _texts(path: Path) -> Iterator[str]:
    raw = path.read_bytes()
    yield raw.decode("latin-1")
    yield raw.decode("utf-8", errors="replace")
    if path.name == "certificate.json":
        yield base64.b64decode(json.loads(raw)["payload"]).decode()
    if path.suffix == ".parquet":
        yield f"{pq.read_metadata(path).metadata} {pq.read_schema(path)}"
        yield from _cells(pq.read_table(path))
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as bundle:
            for name in bundle.namelist():
                yield name + bundle.read(name).decode("latin-1")
            with np.load(io.BytesIO(bundle.read("arrays.npz"))) as arrays:
                yield from (f"{name} {arrays[name].tolist()}" for name in arrays)


def _cells(table: Any) -> Iterator[str]:
    """Distinct values; not how often they occur, nor how many there are."""
    for column in table.columns:
        yield " ".join(str(value) for value in column.unique().to_pylist())
