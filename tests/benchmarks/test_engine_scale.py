"""The figures of scaling and of peers say what lacks."""

import json

from benchmarks import engine_checks, engine_scale
from benchmarks.engine_runs import Fits
from benchmarks.peers.compare import PEERS
from benchmarks.scale import CLEAR, ROWS, SIGNAL, cell_name, cells_of


def cell(rest):
    cost = {"cpu_seconds": rest + 1, "counting_cpu_seconds": 0.5, "rest_cpu_seconds": rest, "peak_mb": 200}
    return {"outcome": "finished", "commit": "abc", **cost}


def figures(cells):
    return {f.what.partition(":")[0]: f for f in engine_scale.scale_figures(cells)}


def test_a_cell_that_lacks_is_short_and_named():
    cells = {cell_name("mst", *c): cell(1.0) for c in cells_of()}
    assert figures(cells)["scaling of mst, epsilon 1"].met
    assert not figures(cells)["scaling of tree, epsilon 1"].met
    del cells[cell_name("mst", 100_000, 50, 16)]
    found = figures(cells)["scaling of mst, epsilon 1"]
    assert not found.met
    assert "not measured: 100,000 rows, 50 columns of 16 codes" in found.measured
    cells[cell_name("mst", 100_000, 50, 16)] = {"outcome": "refused or failed: too large", "commit": "abc"}
    assert "50 columns of 16 codes: refused" in figures(cells)["scaling of mst, epsilon 1"].measured


def test_growth_after_counting_is_computed_from_the_cells():
    cells = {cell_name("mst", *c): cell(1.0) for c in ROWS}
    assert figures(cells)["mst"].met
    assert not figures(cells)["tree"].met
    cells[cell_name("mst", *ROWS[-1])] = cell(1.3)
    assert not figures(cells)["mst"].met


def test_growth_at_one_signal_is_computed_from_its_own_cells():
    first = cell_name("mst", *CLEAR[0], signal=SIGNAL)
    cells = {cell_name("mst", *c): cell(1.0) for c in ROWS} | {first: cell(0.9)}
    told = {f.what: f for f in engine_scale.scale_figures(cells) if "relative noise" in f.what}
    assert [f.met for f in told.values()] == [True, False, False]
    cells[first] = cell(0.7)
    told = {f.what: f for f in engine_scale.scale_figures(cells) if "relative noise" in f.what}
    assert not any(f.met for f in told.values())


def test_a_peer_that_was_not_run_is_short(monkeypatch, tmp_path):
    finished = {"outcome": "finished", "error": 0.2, "cpu_seconds": 100.0, "peak_mb": 1.0, "cpu_limit_seconds": 600}
    stopped = finished | {"outcome": "did not finish: stopped at 600 CPU s", "error": None}
    other = finished | {"outcome": "did not finish: exit code 1, oops", "error": None}
    named = {peer.name: finished for peer in PEERS[:-2]} | {PEERS[-2].name: stopped}
    stored = {"table": "adult_aim", "epsilon": 1.0, "delta": 1e-9, "peers": named}
    ours = Fits(scores=[{"3way_l1": 0.1}], cpu_seconds=[5.0], peak_mb=[1.0], chosen=["adaptive"])
    monkeypatch.setattr(engine_checks, "fits", lambda *_, **__: ours)
    monkeypatch.setattr(engine_checks, "RESULTS", tmp_path)
    (tmp_path / "peers.json").write_text(json.dumps(stored))
    short = [f for f in engine_checks.peers() if not f.met]
    assert [f.measured for f in short if PEERS[-1].name in f.what] == ["not run"]
    assert not any(PEERS[-2].name in f.what for f in short)
    (tmp_path / "peers.json").write_text(json.dumps(stored | {"peers": named | {PEERS[-1].name: other}}))
    assert [f.what for f in engine_checks.peers() if PEERS[-1].name in f.what and not f.met]
