"""dpmm on a coded table with its declared domain, run in an environment of its own; writes synthetic codes."""

import argparse
import json
from pathlib import Path

import pandas as pd
from dpmm.pipelines import (  # type: ignore[import-not-found,unused-ignore]
    AIMPipeline,
    MSTPipeline,
    PrivBayesPipeline,
)

METHODS = {"mst": MSTPipeline, "privbayes": PrivBayesPipeline, "aim": AIMPipeline}


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
    sizes = json.loads(given.domain.read_text())
    real = pd.read_parquet(given.table)[list(sizes)].astype(int)
    made = METHODS[given.method](epsilon=given.epsilon, delta=given.delta, n_jobs=1, disable_processing=True)
    made.fit(real, domain=sizes, random_state=given.seed)
    made.generate(n_records=len(real))[list(sizes)].astype(int).to_parquet(given.out)


if __name__ == "__main__":
    main()
