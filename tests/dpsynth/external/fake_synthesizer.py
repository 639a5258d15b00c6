"""An outside synthesizer for tests: one-way counts of the codes plus discrete noise, sampled independently.

Run as a command: fake_synthesizer.py TRAIN DOMAIN OUT EPSILON ROWS [MODE]; MODE makes it misbehave.
"""

import csv
import json
import os
import random
import sys
import time
from pathlib import Path


def _geometric(scale: float) -> int:
    return int(random.expovariate(1 / scale)) - int(random.expovariate(1 / scale))


def _columns(train: str, domain: dict[str, int]) -> dict[str, list[int]]:
    counts = {name: [0] * size for name, size in domain.items()}
    with Path(train).open(newline="") as stream:
        for row in csv.DictReader(stream):
            for name in domain:
                counts[name][int(row[name])] += 1
    return counts


def _write(out: str, names: list[str], rows: list[list[object]]) -> None:
    with Path(out).open("w", newline="") as stream:
        csv.writer(stream).writerows([names, *rows])


def main() -> None:
    """Read, add noise of scale (columns / epsilon) to every count, sample."""
    train, domain_file, out, epsilon, rows, *mode = sys.argv[1:]
    mode_name = mode[0] if mode else ""
    domain = json.loads(Path(domain_file).read_text())
    names = list(domain)
    if mode_name == "fail":
        print(Path(train).read_text())
        sys.exit(7)
    if mode_name == "sleep":
        time.sleep(60)
    if mode_name == "silent":
        return
    if mode_name == "link":
        Path(out).symlink_to(train)
        return
    if mode_name == "environment":
        print(json.dumps(sorted(os.environ)))
    if mode_name == "wild":
        _write(out, names[::-1], [[-5] * len(names), [10**9] * len(names), ["x"] * len(names), ["9" * 5000], [1.5, ""]])
        return
    if mode_name == "header":
        _write(out, [*names, "extra"], [[0] * (len(names) + 1)])
        return
    scale = len(names) / float(epsilon)
    counts = _columns(train, domain)
    noisy = {name: [max(0, c + _geometric(scale)) for c in counts[name]] for name in names}
    drawn = [random.choices(range(domain[n]), [w + 1e-9 for w in noisy[n]], k=int(rows)) for n in names]
    _write(out, names, [list(row) for row in zip(*drawn, strict=True)])


if __name__ == "__main__":
    main()
