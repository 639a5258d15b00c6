"""Nearest rows on an accelerator against the CPU's: the same distances, and the seconds of each. One JSON line.

Run ``python benchmarks/gate_gpu.py [--device cuda] [--rows 30000 200000]`` from the repository. It needs numpy and
torch, and numba for the compiled scan; without numba the reference is NumPy, on a sample of 2,000 records.
It ends with 1 where a distance differs and with 2 where the device isn't there. The tables are generated.
"""

import argparse
import json
import os
import sys
import time
import types
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
if find_spec("scipy") is None or find_spec("dp_accounting") is None:  # the bare packages, without what they export
    for name in ("accountant", "dpsynth", "dpsynth.attacks"):
        bare = types.ModuleType(name)
        bare.__path__ = [str(ROOT.joinpath(*name.split(".")))]
        sys.modules[name] = bare

from dpsynth import accelerating  # noqa: E402 - found only once the repository is on the path
from dpsynth.attacks.layout import UNIT, Layout  # noqa: E402
from dpsynth.attacks.mixed import _parts  # noqa: E402 - the parts of a table, as the compiled scan has them
from dpsynth.attacks.nearest import in_blocks, in_threads, prepare  # noqa: E402

SIZES = (85, 9, 16, 16, 7, 15, 6, 5, 2, 99, 99, 99, 42, 2)
SCALED = (85, 0, 0, 16, 0, 0, 0, 0, 0, 99, 99, 99, 0, 0)
SAMPLE = 2_000


def tables(rows: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Records and a table of skewed, dependent codes; no record is in the table, as in a scan."""
    rng = np.random.default_rng(rows)
    group = rng.integers(0, 12, 2 * rows)
    codes = np.stack([np.minimum(s - 1, (rng.random(2 * rows) ** 3 * s + group) % s) for s in SIZES]).astype(np.uint8)
    table = codes[:, rows:]
    keys = {row.tobytes() for row in np.ascontiguousarray(table.T)}
    strange = np.array([row.tobytes() not in keys for row in np.ascontiguousarray(codes[:, :rows].T)])
    return codes[:, :rows][:, strange], prepare(table, SIZES).distinct


def compiled(records: NDArray[Any], table: NDArray[Any], mixed: bool) -> NDArray[np.int64]:
    """The distances by the scans that are compiled for the CPU."""
    from dpsynth.attacks.kernel import BLOCK, kernel, mixed_kernel

    skip = np.full(records.shape[1], -1, dtype=np.int64)
    if not mixed:
        best = np.full(records.shape[1], len(SIZES) + 1, dtype=records.dtype)
        scan, rows, blocks = kernel(records.dtype.name), np.ascontiguousarray(records.T), in_blocks(table, BLOCK)
        in_threads(lambda part: scan(rows[part], blocks, skip[part], best[part]), best.size)
        return best.astype(np.int64)
    layout = Layout(sizes=SIZES, ordered=SCALED)
    labels, places = (np.ascontiguousarray(part.T) for part in _parts(records, layout))
    searched = [in_blocks(part, BLOCK) for part in _parts(table, layout)]
    best = np.full(records.shape[1], UNIT * len(SIZES) + 1, dtype=labels.dtype)
    scan, unit = mixed_kernel(labels.dtype.name), labels.dtype.type(UNIT)
    in_threads(lambda part: scan(labels[part], places[part], *searched, skip[part], best[part], unit), best.size)
    return best.astype(np.int64)


def by_numpy(records: NDArray[Any], table: NDArray[Any], mixed: bool) -> NDArray[np.int64]:
    """The distances by their definition."""
    labels, places = _parts(records, Layout(sizes=SIZES, ordered=SCALED)) if mixed else (records, records[:0])
    to_labels, to_places = _parts(table, Layout(sizes=SIZES, ordered=SCALED)) if mixed else (table, table[:0])
    unit, found = UNIT if mixed else 1, np.empty(records.shape[1], dtype=np.int64)
    for i in range(records.shape[1]):
        apart = np.zeros(table.shape[1], dtype=np.int32)
        for value, column in zip(labels[:, i], to_labels, strict=True):
            apart += unit * (column != value)
        for value, column in zip(places[:, i], to_places, strict=True):
            apart += np.minimum(np.abs(column.astype(np.int32) - int(value)), unit)
        found[i] = apart.min()
    return found


def on_device(records: NDArray[Any], table: NDArray[Any], mixed: bool, device: str) -> NDArray[np.int64]:
    """The distances by the accelerator."""
    skip = np.full(records.shape[1], -1, dtype=np.int64)
    if not mixed:
        return accelerating.closest(records, table, skip, most=len(SIZES) + 1, device=device)
    layout = Layout(sizes=SIZES, ordered=SCALED)
    parts = (*_parts(records, layout), *_parts(table, layout))
    return accelerating.closest_mixed(*parts, skip, unit=UNIT, most=UNIT * len(SIZES) + 1, device=device)


def timed(search: Any, *given: Any) -> tuple[NDArray[np.int64], float, float]:
    """What a search finds, its seconds, and its CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = search(*given)
    return found, round(time.perf_counter() - wall, 3), round(time.process_time() - cpu, 3)


def compare(rows: int, device: str) -> dict[str, Any]:
    """Both distances of one pair of tables, by both ways."""
    records, table = tables(rows)
    whole = {"rows": rows, "records": records.shape[1], "table_rows": table.shape[1], "columns": len(SIZES)}
    for mixed in (False, True):
        few = records[:, :64]
        on_device(few, table, mixed, device)  # starts the device, and compiles
        found, seconds, _ = timed(on_device, records, table, mixed, device)
        if find_spec("numba") is not None:
            compiled(few, table, mixed)
            expected, wall, cpu = timed(compiled, records, table, mixed)
            by = "compiled"
        else:
            some = np.linspace(0, records.shape[1] - 1, min(SAMPLE, records.shape[1])).astype(int)
            expected, wall, cpu = timed(by_numpy, records[:, some], table, mixed)
            found, by = found[some], f"NumPy, {some.size} records"
        name = "mixed" if mixed else "hamming"
        whole[name] = {
            "device_seconds": seconds,
            "reference": by,
            "reference_seconds": wall,
            "reference_cpu_seconds": cpu,
            "compared": int(expected.size),
            "different": int((found != expected).sum()),
        }
    return whole


def main() -> int:
    """Compare on both sizes; 0 where all distances are equal."""
    parser = argparse.ArgumentParser(description="Compare the accelerator's nearest rows with the CPU's.")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, or torch for torch on the CPU")
    parser.add_argument("--rows", type=int, nargs="+", default=[30_000, 200_000], help="rows of each pair of tables")
    asked = parser.parse_args()
    device = accelerating.accelerator(asked.device)
    if device is None:
        print(json.dumps({"device": asked.device, "error": "the device isn't there"}))
        return 2
    import torch

    found = [compare(rows, device) for rows in asked.rows]
    named = torch.cuda.get_device_name(device) if device.startswith("cuda") else "CPU"
    machine = {"device": named, "torch": torch.__version__, "cores": os.cpu_count()}
    print(json.dumps({**machine, "numba": find_spec("numba") is not None, "tables": found}))
    return int(any(one[name]["different"] for one in found for name in ("hamming", "mixed")))


if __name__ == "__main__":
    sys.exit(main())
