"""kill -9 at every named fault point of one release: what each kill left.

Run with ``python benchmarks/line_faults.py``; prints JSON. A violation is a broken promise, which fails the figure.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.faults import kills


def measure(*, synthesizer: str = "mst") -> dict[str, Any]:
    """Record the fault points of a clean release, then kill one release at each of them.

    Returns:
      ``points``: how often each named point is reached in a whole release; ``kills``: how many runs were killed;
      ``killed_at``: the points, in order; ``violations``: every promise that a kill broke, in words.
    """
    with tempfile.TemporaryDirectory() as place, kills.worker() as work:
        folder = Path(place)
        points = kills.clean_run(work, folder / "clean", synthesizer=synthesizer)
        entries = points.count("transaction.before")
        found: list[str] = []
        reached: list[str] = []
        for at in range(len(points)):
            killed = kills.kill(work, folder / str(at), at, synthesizer=synthesizer)
            reached.append(killed.name)
            if killed.reached[-1] != points[at]:
                found.append(f"{killed.name}: the run took another way than the clean one ({points[at]})")
            found += kills.violations(killed, entries=entries)
    return {
        "points": {name: points.count(name) for name in dict.fromkeys(points)},
        "kills": len(reached),
        "killed_at": reached,
        "violations": found,
    }


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
