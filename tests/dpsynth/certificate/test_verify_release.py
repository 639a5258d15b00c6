"""A release verifies as published, and fails after any change, whoever signed it."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from accountant import Coordinate, Price, Side, Step, canonical
from accountant.events import DiscreteGaussian
from dpsynth.certificate import Dossier, VerificationFailed, verify_release
from tests.dpsynth.certificate.dossiers import (
    chained,
    key_pair,
    some_dossier,
    some_entries,
    some_steps,
    write_release,
)

PUBLIC = key_pair()[1]
TABLE_NAME = "SYNTHETIC-adult.parquet"
JSON_FILES = ("certificate.json", "ledger.json", "schema.json", "policy.json")
Copy = Callable[[], Path]


def fails(folder: Path, public: bytes = PUBLIC) -> VerificationFailed:
    """The refusal that ``folder`` meets."""
    with pytest.raises(VerificationFailed) as caught:
        verify_release(folder, public)
    return caught.value


def flip(path: Path, offset: int, bits: int) -> None:
    """Flip bits of one byte in place."""
    with path.open("r+b", buffering=0) as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ bits]))


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("coordinate", list(Coordinate))
def test_an_honest_release_verifies(tmp_path: Path, coordinate: Coordinate, adaptive: bool) -> None:
    dossier = some_dossier(coordinate=coordinate, adaptive=adaptive)
    verified = verify_release(write_release(tmp_path / "out", dossier), PUBLIC)
    assert verified.table == TABLE_NAME
    assert replace(verified.dossier, artefacts=()) == dossier
    assert [check.name for check in verified.checks] == [
        "signature",
        "files",
        "declarations",
        "verdict",
        "ledger",
        "privacy",
    ]
    assert any(f"{dossier.claim.epsilon:.6g} is stated" in line for line in verified.lines())


@pytest.mark.parametrize("name", JSON_FILES)
def test_every_flipped_byte_of_every_json_fails(tmp_path: Path, name: str) -> None:
    folder = write_release(tmp_path / "out", some_dossier(some_steps()[:1]))
    path = folder / name
    original = path.read_bytes()
    for offset in range(len(original)):
        flip(path, offset, 1 << (offset % 8))
        fails(folder)
        flip(path, offset, 1 << (offset % 8))
    assert path.read_bytes() == original
    verify_release(folder, PUBLIC)


@pytest.mark.parametrize("name", [TABLE_NAME, "report.html"])
def test_a_flipped_byte_at_a_thousand_offsets_fails(copy: Copy, name: str) -> None:
    folder = copy()
    path = folder / name
    for offset in Random(1).sample(range(path.stat().st_size), 1000):
        flip(path, offset, 0x10)
        fails(folder)
        flip(path, offset, 0x10)
    verify_release(folder, PUBLIC)


@pytest.mark.parametrize("change", [b"", b" ", b"\n", b"{}"])
def test_a_longer_or_shorter_file_fails(copy: Copy, change: bytes) -> None:
    for name in (*JSON_FILES, TABLE_NAME, "report.html"):
        folder = copy()
        original = (folder / name).read_bytes()
        (folder / name).write_bytes(original + change if change else original[:-1])
        fails(folder)


def test_a_wholly_re_signed_folder_fails(tmp_path: Path) -> None:
    forged = write_release(tmp_path / "out", seed=8)
    verify_release(forged, key_pair(8)[1])
    assert "another signing key" in fails(forged).what


def test_a_foreign_signature_under_the_pinned_key_id_fails(copy: Copy, tmp_path: Path) -> None:
    folder, forged = copy(), write_release(tmp_path / "forged", seed=8)
    ours, theirs = ((f / "certificate.json").read_bytes() for f in (folder, forged))
    keyid = b'"keyid":"'
    at, other = ours.index(keyid) + len(keyid), theirs.index(keyid) + len(keyid)
    (folder / "certificate.json").write_bytes(theirs[:other] + ours[at : at + 64] + theirs[other + 64 :])
    assert "signature" in fails(folder).what


def test_an_extra_file_fails(copy: Copy) -> None:
    folder = copy()
    (folder / ".hidden").write_bytes(b"")
    assert "1 extra" in fails(folder).what


@pytest.mark.parametrize("name", [*JSON_FILES, TABLE_NAME, "report.html"])
def test_a_missing_file_fails(copy: Copy, name: str) -> None:
    folder = copy()
    (folder / name).unlink()
    fails(folder)


def test_links_folders_and_pipes_fail(copy: Copy, tmp_path: Path) -> None:
    linked, nested, piped = copy(), copy(), copy()
    (linked / TABLE_NAME).rename(tmp_path / "elsewhere")
    (linked / TABLE_NAME).symlink_to(tmp_path / "elsewhere")
    (nested / "more").mkdir()
    (piped / TABLE_NAME).unlink()
    os.mkfifo(piped / TABLE_NAME)
    for folder in (linked, nested, piped):
        assert "plain file" in fails(folder).what


def test_a_folder_that_is_not_there_fails(tmp_path: Path) -> None:
    fails(tmp_path / "nothing")


@pytest.mark.parametrize("verdict", ["fail", "undecidable", "refuted"])
def test_only_a_pass_has_a_table(tmp_path: Path, verdict: str) -> None:
    dossier = some_dossier(verdict=verdict)
    assert verify_release(write_release(tmp_path / "without", dossier, table=None), PUBLIC).table is None
    assert "table" in fails(write_release(tmp_path / "with", dossier)).what


def test_a_pass_without_a_table_fails(tmp_path: Path) -> None:
    fails(write_release(tmp_path / "out", table=None))


def test_a_verdict_against_its_own_statistic_fails(tmp_path: Path) -> None:
    dossier = some_dossier()
    over = replace(dossier, gate=replace(dossier.gate, noisy_steps=dossier.gate.margin_steps + 1))
    assert "verdict" in fails(write_release(tmp_path / "out", over)).what


def test_a_seeded_run_is_labelled(tmp_path: Path) -> None:
    folder = write_release(tmp_path / "out", replace(some_dossier(), private=False))
    verified = verify_release(folder, PUBLIC)
    assert verified.table == "SYNTHETIC-NOT-PRIVATE-adult.parquet"
    assert any("NOT PRIVATE" in line for line in verified.lines())
    assert b"NOT PRIVATE" in (folder / "report.html").read_bytes()


def _with_claim(**changes: Any) -> Dossier:
    dossier = some_dossier()
    return replace(dossier, claim=replace(dossier.claim, **changes))


def _lower_curve() -> Dossier:
    curve = some_dossier().claim.curve
    return _with_claim(curve=((curve[0][0], curve[0][1] * 0.99), *curve[1:]))


LIES: dict[str, tuple[str, Callable[[], Dossier]]] = {
    "epsilon": ("stated epsilon", lambda: _with_claim(epsilon=some_dossier().claim.epsilon * 0.999)),
    "epsilon NaN": ("stated epsilon", lambda: _with_claim(epsilon=float("nan"))),
    "mu": ("mu or rho", lambda: _with_claim(mu=0.19)),
    "rho": ("mu or rho", lambda: _with_claim(rho=0.019)),
    "no mu": ("mu or rho", lambda: _with_claim(mu=None)),
    "price": ("stated price", lambda: _with_claim(price=Price())),
    "second accountant": ("second accountant", lambda: _with_claim(second_epsilon=0.5)),
    "curve": ("curve", _lower_curve),
    "delta": ("stated epsilon", lambda: _with_claim(delta=1e-7)),
    "adaptive": ("stated price", lambda: _with_claim(adaptive=True)),
    "posterior": ("plain reading", lambda: _with_claim(reading=replace(some_dossier().claim.reading, posterior=0.011))),
    "adjacency": (
        "adjacency",
        lambda: replace(some_dossier(), data=replace(some_dossier().data, adjacency="replace-one")),
    ),
    "unit": ("privacy unit", lambda: replace(some_dossier(), data=replace(some_dossier().data, unit="a household"))),
    "data set": (
        "data set",
        lambda: replace(some_dossier(), data=replace(some_dossier().data, dataset_id="census-2010")),
    ),
    "schema": (
        "schema.json",
        lambda: replace(some_dossier(), data=replace(some_dossier().data, schema_sha256="0" * 64)),
    ),
    "policy": (
        "policy.json",
        lambda: replace(some_dossier(), data=replace(some_dossier().data, policy_sha256="0" * 64)),
    ),
    "plan": ("The plan", lambda: replace(some_dossier(), plan=replace(some_dossier().plan, sha256="0" * 64))),
    "head": ("last entry", lambda: replace(some_dossier(), ledger=replace(some_dossier().ledger, head="0" * 64))),
    "spent before": (
        "spent before",
        lambda: replace(some_dossier(), ledger=replace(some_dossier().ledger, spent_before=Price())),
    ),
    "spent after": (
        "spent after",
        lambda: replace(some_dossier(), ledger=replace(some_dossier().ledger, spent_after=Price(1))),
    ),
    "budget": (
        "whole budget",
        lambda: replace(some_dossier(), ledger=replace(some_dossier().ledger, budget=Price(1, 1))),
    ),
    "release id": ("release id", lambda: replace(some_dossier(), release_id="r-0002")),
    "dropped step": ("charged steps", lambda: replace(some_dossier(), steps=some_dossier().steps[1:])),
}


@pytest.mark.parametrize("lie", LIES)
def test_facts_that_do_not_add_up_fail_though_rightly_signed(tmp_path: Path, lie: str) -> None:
    word, told = LIES[lie]
    refusal = fails(write_release(tmp_path / "out", told(), entries=some_entries(some_steps())))
    assert word in refusal.what


def test_consistently_tampered_and_re_hashed_ledger_entries_fail(copy: Copy) -> None:
    folder = copy()
    quiet = tuple(_louder(step) for step in some_steps())
    (folder / "ledger.json").write_bytes(canonical.dumps(some_entries(quiet)))
    assert "ledger.json" in fails(folder).what


def _louder(step: Step) -> Step:
    event = step.event
    return replace(step, event=replace(event, sigma=event.sigma * 2)) if isinstance(event, DiscreteGaussian) else step


def test_a_ledger_of_other_steps_fails_though_rightly_signed(tmp_path: Path) -> None:
    other = some_entries((*some_steps(), Step(label="one more", event=DiscreteGaussian(sigma=90.0))))
    assert "ledger" in fails(write_release(tmp_path / "out", entries=other)).what


@pytest.mark.parametrize("position", [0, 1, 4, -1])
def test_a_cut_ledger_fails_though_rightly_signed(tmp_path: Path, position: int) -> None:
    entries = some_entries(some_steps())
    del entries[position]
    fails(write_release(tmp_path / "out", entries=entries))


def test_an_underpriced_step_fails_though_rightly_signed(tmp_path: Path) -> None:
    entries = some_entries(some_steps())
    entries[2]["steps"][0]["price"] = {"amount": 1, "delta": 1}
    fails(write_release(tmp_path / "out", entries=chained(entries)))


def test_steps_without_a_paying_side_fail(tmp_path: Path) -> None:
    free = tuple(replace(step, sides=()) if "marginal" in step.label else step for step in some_steps())
    fails(write_release(tmp_path / "out", some_dossier(free)))


def test_the_dearer_side_is_the_price() -> None:
    holdout = Step(label="reference", event=DiscreteGaussian(sigma=3.0), sides=(Side.HOLDOUT,))
    assert some_dossier((*some_steps(), holdout)).claim.epsilon > some_dossier().claim.epsilon


def test_verification_loads_no_engine(honest: Path, tmp_path: Path) -> None:
    (tmp_path / "signing.pub").write_bytes(PUBLIC)
    code = (
        "import sys, pathlib\n"
        "from dpsynth.certificate.verify import verify_release\n"
        f"verify_release(pathlib.Path({str(honest)!r}), pathlib.Path({str(tmp_path / 'signing.pub')!r}).read_bytes())\n"
        "heavy = {'pandas', 'pyarrow', 'numba', 'torch', 'scipy', 'numpy', 'jinja2', 'pydantic', 'sqlite3', 'duckdb'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3], timeout=60)
