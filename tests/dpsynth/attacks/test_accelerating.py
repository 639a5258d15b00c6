"""The accelerator's scans against the compiled ones, on torch's CPU device: one code path, the same whole numbers."""

import subprocess
import sys

import numpy as np
import pytest

from dpsynth import accelerating
from dpsynth.accelerating import VARIABLE, accelerator
from dpsynth.attacks import Layout, leave_one_out, nearness, prepare
from dpsynth.attacks.mixed import mixed_distance, mixed_leave_one_out, prepare_mixed

pytest.importorskip("torch")

SHAPES = [
    ((2, 3, 2), (0, 3, 0), 40, 40),
    ((300, 5, 4, 4), (299, 0, 4, 0), 500, 700),
    ((70_000, 90, 4), (0, 89, 4), 300, 300),
    ((40_000, 40_000), (40_000, 0), 200, 900),
    ((1,), (0,), 5, 5),
    ((4,) * 300, (0, 4) * 150, 30, 40),
    ((7, 7), (7, 7), 6, 0),
    ((7, 7), (7, 7), 0, 6),
    ((7, 7), (7, 7), 3, 1),
]


def everything(sizes, ordered, rows, synthetic_rows):
    """All that the attacks ask of distances, of tables that share some rows."""
    rng, layout = np.random.default_rng(sum(sizes) + rows), Layout(sizes=sizes, ordered=ordered)
    synthetic = np.stack([rng.integers(0, s, synthetic_rows) for s in sizes]).astype(np.uint32)
    records = np.stack([rng.integers(0, s, rows) for s in sizes]).astype(np.uint32)
    records[:, : min(rows, synthetic_rows) // 3] = synthetic[:, : min(rows, synthetic_rows) // 3]
    table = prepare(synthetic, sizes)
    mixed = prepare_mixed(table, layout)
    near, own = nearness(records, table), leave_one_out(table)
    found = (near.distance, near.isolation, own.distance, own.isolation)
    return *found, mixed_distance(records, mixed), mixed_leave_one_out(mixed)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("entries", [2**25, 700])
def test_the_same_distances_as_the_compiled_scans(monkeypatch, shape, entries):
    """In one block and in many, with rows that are skipped at their edges."""
    monkeypatch.delenv(VARIABLE, raising=False)
    compiled = everything(*shape)
    asked = []
    real = accelerating.closest_mixed
    monkeypatch.setattr(accelerating, "closest_mixed", lambda *a, **k: asked.append(k["device"]) or real(*a, **k))
    monkeypatch.setattr(accelerating, "ENTRIES", entries)
    monkeypatch.setattr(accelerating, "ROWS", 4096 if entries > 700 else 64)
    monkeypatch.setenv(VARIABLE, "torch")
    found = everything(*shape)
    for one, other in zip(compiled, found, strict=True):
        assert one.dtype == other.dtype
        assert one.tolist() == other.tolist()
    assert set(asked) <= {"cpu"}
    assert asked or min(shape[2:]) == 0 or shape[0] == (1,)


def test_a_device_is_used_where_it_was_asked_for_and_is_there(monkeypatch):
    import torch

    monkeypatch.delenv(VARIABLE, raising=False)
    assert accelerator() is None
    monkeypatch.setenv(VARIABLE, "torch")
    assert accelerator() == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [accelerator(a) for a in ("cuda", "cuda:0", "cuda:1")] == ["cuda", "cuda:0", "cuda:1"]
    assert [accelerator(a) for a in ("", "cuda:2", "cuda:x", "cuda:-1", "tpu", "cpu")] == [None] * 6
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert accelerator("cuda") is None
    monkeypatch.setattr(accelerating, "find_spec", lambda name: None)
    assert [accelerator(a) for a in ("torch", "cuda")] == [None, None]


def test_nobody_who_did_not_ask_loads_torch():
    code = (
        "import sys, numpy as np\n"
        "from dpsynth.attacks import nearness, prepare\n"
        "rows = np.arange(8, dtype=np.uint8).reshape(2, 4)\n"
        "nearness(rows, prepare(rows[::-1].copy(), (9, 9)))\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, env={"PATH": "/usr/bin"})
    assert done.returncode == 0
