"""mbi's estimation on measurements that dpsynth made, run in an environment of its own; writes synthetic codes.

The measurements are noisy marginals in an npz file: ``cliques`` is JSON, ``sigmas`` their noise, ``values_i`` counts.
"""

import argparse
import json
from pathlib import Path

import mbi  # type: ignore[import-not-found,unused-ignore]
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from mbi.estimation import MirrorDescent  # type: ignore[import-not-found,unused-ignore]


def main() -> None:
    """Estimate and sample."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("measurements", type=Path)
    parser.add_argument("domain", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    given = parser.parse_args()
    sizes = json.loads(given.domain.read_text())
    domain = mbi.Domain(tuple(sizes), tuple(sizes.values()))
    with np.load(given.measurements, allow_pickle=False) as stored:
        cliques = json.loads(str(stored["cliques"]))
        measured = [
            mbi.LinearMeasurement(stored[f"values_{i}"].ravel().astype(float), tuple(clique), float(sigma))
            for i, (clique, sigma) in enumerate(zip(cliques, stored["sigmas"], strict=True))
        ]
    np.random.seed(given.seed)
    model = MirrorDescent().estimate(domain, measured)
    made = model.synthetic_data(rows=given.rows)
    columns = _columns(made, list(sizes))
    pq.write_table(pa.table(columns), given.out)


def _columns(made: object, names: list[str]) -> dict[str, np.ndarray]:
    data = made.to_dict()  # type: ignore[attr-defined]
    return {name: np.asarray(data[name]).astype(np.int64) for name in names}


if __name__ == "__main__":
    main()
