"""Outputs that can't be written, and a disk that fills up at any moment: nothing half-written, the ledger right."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from accountant.ledger import Ledger, State
from accountant.ledger.sqlite import SqliteStore
from accountant.price import Price
from dpsynth.certificate.verify import verify_release
from dpsynth.cli import main
from dpsynth.errors import OutputError
from dpsynth.fitting import fit
from dpsynth.line import publish_staged
from tests.dpsynth import lines
from tests.hostile.stand import Stand, rows, text


@pytest.fixture
def table(stand: Stand) -> Path:
    return stand.file("t.csv", text(rows()))


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
@pytest.mark.parametrize("which", ["out", "annex"])
def test_what_exists_is_never_written_over(stand: Stand, table: Path, kind: str, which: str) -> None:
    place = getattr(stand, which)
    {"folder": place.mkdir, "file": place.touch, "dangling link": lambda: place.symlink_to("nowhere")}[kind]()
    ended = stand.release(table)
    place.rmdir() if kind == "folder" else place.unlink()
    stand.refused(ended, "exists already")
    assert not stand.verified().releases


def test_an_annex_that_exists_is_refused_uncharged_under_a_key_too(stand: Stand, table: Path) -> None:
    stand.annex.mkdir()
    ended = stand.release(table, **{"idempotency-key": "march"})
    stand.annex.rmdir()
    stand.refused(ended, "exists already")
    stand.released(stand.release(table, **{"idempotency-key": "march"}))


@pytest.mark.parametrize("place", ["no/such/folder", "t.csv/inside", "ledger/releases/mine/deeper"])
def test_a_place_that_is_none_is_refused(stand: Stand, table: Path, place: str) -> None:
    stand.refused(stand.release(table, out=stand.folder / place))
    assert not stand.verified().releases


class FullDisk:
    """Every flush to the disk fails from the ``after``-th on: what a full disk does to a durable writer."""

    def __init__(self, after: int | None = None) -> None:
        self.after, self.flushes, self._fsync = after, 0, os.fsync

    def __call__(self, descriptor: int) -> None:
        self.flushes += 1
        if self.after is not None and self.flushes >= self.after:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._fsync(descriptor)

    def fills(self, patch: pytest.MonkeyPatch) -> None:
        """Be the disk of every flush: of whole files and of data alone."""
        patch.setattr(os, "fsync", self)
        patch.setattr(os, "fdatasync", self)


def _flushes(stand: Stand, table: Path, patched: Any) -> int:
    """How often a whole run flushes, measured on a copy."""
    copy = stand.folder / "copy"
    copy.mkdir()
    shutil.copytree(stand.ledger, copy / "ledger")
    disk = FullDisk()
    with patched.context() as patch:
        disk.fills(patch)
        assert stand.release(table, ledger=copy / "ledger", out=copy / "out").code in (main.DONE, main.GATED)
    shutil.rmtree(copy)
    return disk.flushes


@pytest.mark.parametrize("tenth", range(10))
def test_a_disk_that_fills_up_leaves_nothing_half_written(
    stand: Stand, table: Path, monkeypatch: pytest.MonkeyPatch, tenth: int
) -> None:
    whole = _flushes(stand, table, monkeypatch)
    assert whole > 20
    after = 1 + tenth * (whole - 1) // 9
    with monkeypatch.context() as patch:
        FullDisk(after).fills(patch)
        ended = stand.release(table)
    _whole_or_nothing(stand, ended)


def _whole_or_nothing(stand: Stand, ended: Any) -> None:
    """Refused in three sentences that say what is charged; each folder absent or a whole, verified release."""
    assert ended.code == main.REFUSED, ended.said
    assert len(ended.said) == 3, ended.said
    stand._clean()
    key = (stand.ledger / "keys/signing.pub").read_bytes()
    for folder in (stand.out, *(stand.ledger / "releases").iterdir()):
        if folder.exists():
            verify_release(folder, key)
    found = stand.verified()
    for run in found.releases:
        due = {State.RESERVED: run.price, State.TOUCHED: run.price, State.COMMITTED: run.charged}
        assert found.spent + found.reserved == due.get(run.state, run.charged)
        told = run.release_id in ended.words
        assert told == (run.charged != Price() and run.state is not State.RESERVED), ended.words
        if run.state is State.RESERVED:
            with Ledger.open(stand.ledger) as book:
                assert book.release_stale(run.release_id) == run.price
    shutil.rmtree(stand.out, ignore_errors=True)
    shutil.rmtree(stand.annex, ignore_errors=True)
    stand.released(stand.release(stand.folder / "t.csv", epsilon=1.0))


@pytest.mark.parametrize("pages", [0, 1])
def test_a_database_that_can_not_grow_is_refused(
    stand: Stand, table: Path, monkeypatch: pytest.MonkeyPatch, pages: int
) -> None:
    """SQLite's own full disk, some pages after the ledger's first."""
    connect = SqliteStore._connect

    def small(store: SqliteStore) -> Any:
        connection = connect(store)
        have = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {have + pages}")
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(SqliteStore, "_connect", small)
        ended = stand.release(table)
    assert "disk is full" in ended.words
    _whole_or_nothing(stand, ended)


def test_a_release_that_could_not_be_published_is_stored_and_told(
    stand: Stand, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("dpsynth.publishing.copy_release", _full)
        ended = stand.release(table, **{"idempotency-key": "march"})
    assert ended.code == main.REFUSED
    assert "complete, charged and stored" in ended.words
    (run,) = stand.verified().releases
    assert run.state is State.COMMITTED
    stored = stand.ledger / "releases" / run.release_id
    assert str(stored) in ended.words
    stand.released(stand.release(table, **{"idempotency-key": "march"}))
    (stored / "policy.json").write_text("{}")
    shutil.rmtree(stand.out)
    ended = stand.run("publish", stored, "-o", stand.out)
    assert ended.code == main.REFUSED
    assert "aren't the ones" in ended.words


def _full(*_: object) -> Path:
    raise OutputError("The output couldn't be written: the disk is full.", "It is.", "Free some space.")


def test_a_run_that_never_ended_can_not_be_published(stand: Stand, table: Path) -> None:
    stand.released(stand.release(table))
    (run,) = stand.verified().releases
    plan_of = {"dataset": "wards", "unit": lines.schema().table.unit, "idempotency_key": None}
    with Ledger.open(stand.ledger) as book:
        open_run = book.reserve(**plan_of, plan={}, caps={})
    shutil.copytree(stand.ledger / "releases" / run.release_id, stand.ledger / "releases" / open_run.release_id)
    with pytest.raises(OutputError, match="not committed"):
        publish_staged(stand.ledger / "releases" / open_run.release_id, stand.folder / "again")
    assert not (stand.folder / "again").exists()


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_fit_on_a_full_disk_is_refused(stand: Stand, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    from accountant.errors import Refusal

    with monkeypatch.context() as patch:
        FullDisk(after).fills(patch)
        with pytest.raises(Refusal):
            fit(lines.table(50), lines.schema(), epsilon=2, delta=1e-6, ledger=stand.ledger, synthesizer="independent")
    found = stand.verified()
    for run in found.releases:
        assert run.steps == () or found.spent == (run.charged if run.state is State.COMMITTED else run.price)


@pytest.mark.parametrize("kilobytes", [40, 120, 200])
def test_a_file_system_that_is_really_full(tmp_path: Path, capsys: pytest.CaptureFixture[str], kilobytes: int) -> None:
    """A small file system of its own, in a mount namespace of its own; where the machine allows one."""
    stand = Stand(tmp_path, capsys)
    stand.file("t.csv", text(rows()))
    options = {"schema": stand.schema, "epsilon": 2, "delta": 1e-6, "synthesizer": "independent"}
    argv = [f"--{name}={value}" for name, value in options.items()]
    script = (
        f"set -e; mkdir small; mount -t tmpfs -o size=2m tmpfs small; cp -r ledger small/ledger; "
        f"used=$(df --output=used -k small | tail -1); mount -o remount,size=$((used + {kilobytes}))k small; "
        f"set +e; '{sys.executable}' -m dpsynth release t.csv {' '.join(argv)} --ledger=small/ledger --out=small/out; "
        "code=$?; mount -o remount,size=8m small; cp -r small/. copied; exit $code"
    )
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "bash", "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )
    if not (tmp_path / "copied").exists():
        pytest.skip("this machine doesn't let a test mount a file system")
    said = [line for line in done.stderr.splitlines() if not line.startswith("done: ")]
    assert done.returncode == main.REFUSED, done.stderr
    assert len(said) == 3
    shutil.rmtree(stand.ledger)
    (tmp_path / "copied/ledger").rename(stand.ledger)
    found = stand.verified()
    for run in found.releases:
        assert run.steps == () or found.spent + found.reserved == run.charged
        assert run.state is State.COMMITTED or run.charged in (Price(), run.price)
    left = {p.name for p in (tmp_path / "copied").iterdir()}
    assert left <= {"out", "out.CONFIDENTIAL-annex"}
    if "out" in left:
        verify_release(tmp_path / "copied/out", (stand.ledger / "keys/signing.pub").read_bytes())
