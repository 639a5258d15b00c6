"""Files reach the disk whole or not at all, under plain names, and nothing is written over."""

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

import pytest

from accountant import faults
from dpsynth.certificate import (
    Staging,
    VerificationFailed,
    copy_release,
    open_staging,
    publish,
    stage,
    table_name,
    writer,
)
from dpsynth.certificate.annex import write_annex
from dpsynth.certificate.files import plain_name, sha256_file, write_new
from dpsynth.certificate.writer import unstage
from dpsynth.errors import OutputError

FILES = {"a.json": b"1", "b.json": b"22"}
HOSTILE = ["../x", "/etc/x", "a/b", "..", ".", "", ".hidden", "a\x00b", "é", "a\nb", "-x", "a" * 300, "a\\b", "x y"]


def release(target: Path, before_publishing: Callable[[], object] = lambda: None) -> None:
    """Stage and publish ``FILES``."""
    with open_staging(target) as staging:
        stage(staging, FILES)
        before_publishing()
        publish(staging)


@pytest.fixture
def reached() -> Iterator[list[str]]:
    """Names of the fault points reached, in order."""
    names: list[str] = []
    faults.hook = names.append
    yield names
    faults.hook = None


def test_a_release_appears_whole(tmp_path: Path, reached: list[str]) -> None:
    target = tmp_path / "out"
    with open_staging(target) as staging:
        artefacts = stage(staging, FILES)
        assert not target.exists()
        assert publish(staging) == target
    assert {p.name: p.read_bytes() for p in target.iterdir()} == FILES
    assert [a.name for a in artefacts] == list(FILES)
    assert list(tmp_path.iterdir()) == [target]
    assert reached == [
        "write.before:a.json",
        "write.after:a.json",
        "write.before:b.json",
        "write.after:b.json",
        "rename.before",
        "rename.after",
    ]


@pytest.mark.parametrize("point", ["write.before:a.json", "write.after:b.json", "rename.before"])
def test_an_interruption_leaves_nothing(tmp_path: Path, point: str) -> None:
    def interrupt(name: str) -> None:
        if name == point:
            raise KeyboardInterrupt

    faults.hook = interrupt
    try:
        with pytest.raises(KeyboardInterrupt):
            release(tmp_path / "out")
    finally:
        faults.hook = None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault
@pytest.mark.parametrize("point", ["write.before:b.json", "write.after:b.json", "rename.before", "rename.after"])
def test_a_kill_leaves_no_half_release_and_the_next_writer_cleans_up(tmp_path: Path, point: str) -> None:
    target = tmp_path / "out"
    child = os.fork()
    if child == 0:
        faults.hook = lambda name: os.kill(os.getpid(), 9) if name == point else None
        release(target)
        os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == 9
    if point == "rename.after":
        assert {p.name: p.read_bytes() for p in target.iterdir()} == FILES
        return
    assert not target.exists()
    with open_staging(target) as staging:
        assert list(staging.folder.iterdir()) == []
        stage(staging, FILES)
        publish(staging)
    assert list(tmp_path.iterdir()) == [target]


def test_the_staging_folder_is_closed_to_others(tmp_path: Path) -> None:
    with open_staging(tmp_path / "out") as staging:
        assert stat.S_IMODE(staging.folder.parent.stat().st_mode) == 0o700


def test_two_writers_of_one_target(tmp_path: Path) -> None:
    with open_staging(tmp_path / "out") as first:
        stage(first, FILES)
        with pytest.raises(OutputError, match="another run"), open_staging(tmp_path / "out"):
            pass
        publish(first)
    assert {p.name for p in (tmp_path / "out").iterdir()} == set(FILES)


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_an_output_that_exists_is_refused(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "out"
    make = {
        "folder": target.mkdir,
        "file": target.touch,
        "dangling link": lambda: target.symlink_to(tmp_path / "nowhere"),
    }
    make[kind]()
    with pytest.raises(OutputError, match="exists already"), open_staging(target):
        pass


def test_an_output_that_appears_meanwhile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="exists already"):
        release(tmp_path / "out", before_publishing=(tmp_path / "out").mkdir)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    assert not plain_name(name)
    with pytest.raises(OutputError, match="file name"), open_staging(tmp_path / "out") as staging:
        stage(staging, {name: b"x"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [*HOSTILE, "données", "😀", '<b>"', "adult"])
def test_every_table_gets_a_plain_labelled_name(name: str) -> None:
    assert plain_name(table_name(name, "parquet"))
    assert table_name(name, ".csv").startswith("SYNTHETIC-")
    assert table_name(name, "csv", private=False).startswith("SYNTHETIC-NOT-PRIVATE-")


def test_a_file_is_never_written_over(tmp_path: Path) -> None:
    write_new(tmp_path, "a", b"1")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("a", "link"):
        with pytest.raises(OutputError):
            write_new(tmp_path, name, b"2")
    assert (tmp_path / "a").read_bytes() == b"1"
    assert not (tmp_path / "elsewhere").exists()


def test_a_full_disk_is_a_refusal_and_leaves_nothing(tmp_path: Path) -> None:
    def full(handle: BinaryIO) -> None:
        handle.write(b"half a table")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OutputError, match="disk is full") as caught, open_staging(tmp_path / "out") as staging:
        stage(staging, {"a.json": b"1", "table": full})
    assert str(tmp_path) not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_really_full_device_is_a_refusal(tmp_path: Path) -> None:
    def into_full(handle: BinaryIO) -> None:
        os.dup2(os.open("/dev/full", os.O_WRONLY), handle.fileno())
        handle.write(b"x" * 100_000)

    with pytest.raises(OutputError, match="disk is full"):
        write_new(tmp_path, "a", into_full)


def test_a_missing_parent_is_a_refusal(tmp_path: Path) -> None:
    with pytest.raises(OutputError), open_staging(tmp_path / "no" / "out"):
        pass


def test_a_staged_table_can_be_destroyed(tmp_path: Path) -> None:
    with open_staging(tmp_path / "out") as staging:
        stage(staging, FILES)
        unstage(staging, "a.json")
        publish(staging)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["b.json"]


def test_a_stored_release_is_copied_bit_for_bit(honest: Path, tmp_path: Path) -> None:
    copied = copy_release(honest, tmp_path / "again", hashes(honest))
    assert {p.name: p.read_bytes() for p in copied.iterdir()} == {p.name: p.read_bytes() for p in honest.iterdir()}


def hashes(folder: Path) -> dict[str, str]:
    """What a ledger would have recorded of a folder."""
    return {path.name: sha256_file(path) for path in folder.iterdir()}


def test_a_stored_file_that_changes_while_it_is_copied_is_not_published(
    honest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After any earlier look at it, and before the copy's own: what is compared is what was staged."""
    stored = Path(shutil.copytree(honest, tmp_path / "stored"))
    recorded = hashes(stored)

    def late(target: Path) -> AbstractContextManager[Staging]:
        (stored / "report.html").write_bytes(b"x")
        return open_staging(target)

    monkeypatch.setattr(writer, "open_staging", late)
    with pytest.raises(VerificationFailed, match="aren't the ones"):
        copy_release(stored, tmp_path / "again", recorded)
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("damage", ["extra", "missing", "link", "gone"])
def test_a_stored_folder_of_other_files_is_not_published(honest: Path, tmp_path: Path, damage: str) -> None:
    stored = Path(shutil.copytree(honest, tmp_path / "stored"))
    recorded = hashes(stored)
    changes = {
        "extra": lambda: (stored / "extra.txt").write_text("x"),
        "missing": lambda: (stored / "report.html").unlink(),
        "link": lambda: (
            (stored / "report.html").unlink(),
            (stored / "report.html").symlink_to(honest / "report.html"),
        ),
        "gone": lambda: shutil.rmtree(stored),
    }
    changes[damage]()
    with pytest.raises(VerificationFailed):
        copy_release(stored, tmp_path / "again", recorded)
    assert not (tmp_path / "again").exists()


def test_the_annex_is_closed_and_says_what_it_is(tmp_path: Path) -> None:
    folder = write_annex(tmp_path / "annex", release_id="r", commitment_key=b"k" * 32, records={"copied": 12})
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {p.name: stat.S_IMODE(p.stat().st_mode) for p in folder.iterdir()} == {
        "CONFIDENTIAL.txt": 0o600,
        "annex.json": 0o600,
    }
    assert '"copied": 12' in (folder / "annex.json").read_text()
    with pytest.raises(OutputError):
        write_annex(folder, release_id="r", commitment_key=b"k" * 32, records={})


def test_the_annex_never_lies_in_a_release(honest: Path) -> None:
    with pytest.raises(OutputError, match="inside a release"):
        write_annex(honest / "annex", release_id="r", commitment_key=b"k" * 32, records={})
