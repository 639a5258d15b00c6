"""smartnoise-synth on a coded table, run in an environment of its own; writes synthetic codes as Parquet.

``mst`` and ``mst-sample`` are the same fit: the second draws its rows with the sampler's other method.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from snsynth import Synthesizer  # type: ignore[import-not-found,unused-ignore]

METHODS = {"mst": "mst", "mst-sample": "mst", "aim": "aim", "mwem": "mwem"}


def main() -> None:
    """Fit and sample as many rows as the table has."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("domain", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--method", choices=sorted(METHODS), required=True)
    parser.add_argument("--epsilon", type=float, required=True)
    parser.add_argument("--delta", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    given = parser.parse_args()
    names = list(json.loads(given.domain.read_text()))
    real = pd.read_parquet(given.table)[names].astype(int)
    np.random.seed(given.seed)
    budget = {"epsilon": given.epsilon} | ({} if given.method == "mwem" else {"delta": given.delta})
    made = Synthesizer.create(METHODS[given.method], **budget)
    made.fit(real, categorical_columns=names, preprocessor_eps=0.0)
    if given.method == "mst-sample":
        _draw_by_sampling(made)
    pd.DataFrame(made.sample(len(real)), columns=names).astype(int).to_parquet(given.out)


def _draw_by_sampling(made: object) -> None:
    """Let the fitted model draw its rows independently instead of rounding expected counts."""
    model = made.synthesizer  # type: ignore[attr-defined]
    draw = type(model).synthetic_data

    class Sampled:
        def synthetic_data(self, rows: int) -> object:
            return draw(model, rows=rows, method="sample")

    made.synthesizer = Sampled()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
