"""Peers on coded Adult at epsilon 1, each in its own environment: error, CPU seconds, memory, or why it didn't finish.

Run with ``python -m benchmarks.peers.compare [--only NAME] [--again]`` after ``make bench-peers`` has made the
environments. Results go to ``benchmarks/results/peers.json`` one by one: what was measured before is kept. After each
peer our ``adaptive`` runs within the same limits, so that both were measured while the machine did the same things.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import RESULTS, ROOT, SHARED, Run, commit, machine, run
from benchmarks.limits import CPU_LIMIT, MEMORY_LIMIT, run_limited, why_unfinished
from benchmarks.line_utility import scorer

TABLE, EPSILON, DELTA, SEED = "adult_aim", 1.0, 1e-9, 0
WALL_LIMIT = 5400
OURS = "adaptive"
"""Our synthesizer that runs beside each peer."""
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
FILE = RESULTS / "peers.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One synthesizer of another project.

    Attributes:
      name: How the table calls it.
      environment: Folder of its environment, made by ``make bench-peers``.
      packages: Packages whose versions are recorded.
      script: The module of this folder that runs it.
      method: The script's method; empty where it has only one.
    """

    name: str
    environment: str
    packages: tuple[str, ...]
    script: str
    method: str = ""

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return ROOT / self.environment / "bin" / "python"


PEERS = (
    Peer(
        name="mbi estimation on our measurements",
        environment=".venv-peer-mbi",
        packages=("mbi", "jax"),
        script="mbi_estimation",
    ),
    *(
        Peer(
            name=f"{project} {label}",
            environment=f".venv-peer-{folder}",
            packages=packages,
            script=script,
            method=method,
        )
        for project, folder, packages, script, label, method in (
            ("dpmm", "dpmm", ("dpmm",), "dpmm_models", "MST", "mst"),
            ("dpmm", "dpmm", ("dpmm",), "dpmm_models", "PrivBayes", "privbayes"),
            ("smartnoise-synth", "smartnoise", ("smartnoise-synth", "mbi", "jax"), "smartnoise", "MST", "mst"),
            (
                "smartnoise-synth",
                "smartnoise",
                ("smartnoise-synth", "mbi", "jax"),
                "smartnoise",
                "MST, method=sample",
                "mst-sample",
            ),
            ("smartnoise-synth", "smartnoise", ("smartnoise-synth", "mbi", "jax"), "smartnoise", "MWEM", "mwem"),
            ("dpmm", "dpmm", ("dpmm",), "dpmm_models", "AIM", "aim"),
            ("smartnoise-synth", "smartnoise", ("smartnoise-synth", "mbi", "jax"), "smartnoise", "AIM", "aim"),
        )
    ),
)


def main() -> int:
    """Run what isn't measured yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="peers whose name holds this")
    parser.add_argument("--again", action="store_true", help="measure anew what was measured before")
    given = parser.parse_args()
    for peer in PEERS:
        if given.only not in peer.name or (peer.name in _stored()["peers"] and not given.again):
            continue
        if not peer.python.exists():
            print(f"{peer.name} | not run: {peer.environment} is absent; run make bench-peers")
            continue
        print(f"{peer.name} | limit {CPU_LIMIT} CPU s", flush=True)
        found = measure(peer)
        _store(peer.name, found)
        print(f"{peer.name} | {found['outcome']} | 3-way L1 {found['error']} | {found['cpu_seconds']:.1f} CPU s | "
              f"{found['peak_mb']:.0f} MB", flush=True)
    return 0


def measure(peer: Peer) -> dict[str, Any]:
    """Run one peer within its limits and score what it made."""
    table, domain = SHARED / "data" / f"{TABLE}.parquet", SHARED / "data" / f"{TABLE}-domain.json"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "made.parquet"
        if peer.method:
            budget = ["--epsilon", str(EPSILON), "--delta", str(DELTA), "--method", peer.method]
            arguments = [str(table), str(domain), str(out), *budget]
        else:
            arguments = [str(our_measurements(table, domain, Path(folder))), str(domain), str(out), "--rows", "48842"]
        script = str(Path(__file__).parent / f"{peer.script}.py")
        done = _run_limited([str(peer.python), script, *arguments, "--seed", str(SEED)], Path(folder))
        found = _told(done, out, table, domain)
    return {
        **found,
        "seed": SEED,
        "cpu_limit_seconds": CPU_LIMIT,
        "memory_limit_gib": MEMORY_LIMIT / 2**30,
        "beside": {OURS: _ours(table, domain)},
        "versions": _versions(peer),
        "commit": commit(),
        "machine": {k: v for k, v in machine().items() if k != "packages"},
    }


def _ours(table: Path, domain: Path) -> dict[str, Any]:
    """Our own fit of the same table and seed, within the same limits and by the same scorer."""
    budget = ["--epsilon", str(EPSILON), "--delta", str(DELTA), "--synthesizer", OURS, "--seed", str(SEED)]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "made.parquet"
        command = [sys.executable, "-m", "benchmarks.fit_coded", str(table), str(domain), str(out), *budget]
        return _told(_run_limited(command, ROOT), out, table, domain)


def _run_limited(command: list[str], folder: Path) -> Run:
    return run_limited(command, cwd=folder, environment=ONE_THREAD, wall_seconds=WALL_LIMIT)


def _told(done: Run, out: Path, table: Path, domain: Path) -> dict[str, Any]:
    finished = done.code == 0 and out.exists()
    return {
        "outcome": "finished" if finished else f"did not finish: {why_unfinished(done)}",
        "error": _score(table, out, domain) if finished else None,
        "cpu_seconds": round(done.cpu_seconds, 2),
        "peak_mb": round(done.peak_mb, 1),
    }


def our_measurements(table: Path, domain: Path, folder: Path) -> Path:
    """What our ``adaptive`` measures on the table, as noisy marginals in an npz file."""
    out = folder / "measurements.npz"
    command = [sys.executable, "-m", "benchmarks.fit_coded", str(table), str(domain), str(folder / "ours.parquet")]
    budget = ["--epsilon", str(EPSILON), "--delta", str(DELTA), "--synthesizer", OURS, "--seed", str(SEED)]
    done = run([*command, *budget, "--measurements", str(out)], environment=ONE_THREAD)
    if done.code != 0:
        raise RuntimeError(done.output[-500:])
    return out


def _score(table: Path, out: Path, domain: Path) -> float:
    marginals, sizes = scorer("marginals"), json.loads(domain.read_text())
    read: Callable[..., Any] = marginals.read
    found = marginals.score(read(table, list(sizes)), read(out, list(sizes)), sizes, ways=(3,))
    return round(float(found["3way_l1"]), 5)


def _versions(peer: Peer) -> dict[str, str]:
    code = "import json, sys; from importlib.metadata import version; "
    code += "print(json.dumps({n: version(n) for n in sys.argv[1:]}))"
    done = subprocess.run([str(peer.python), "-c", code, *peer.packages], capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _stored() -> dict[str, Any]:
    if not FILE.exists():
        return {"table": TABLE, "epsilon": EPSILON, "delta": DELTA, "score": "3way_l1", "peers": {}}
    stored: dict[str, Any] = json.loads(FILE.read_text())
    return stored


def _store(name: str, found: dict[str, Any]) -> None:
    body = _stored()
    body["peers"][name] = found
    FILE.write_text(json.dumps(body, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
