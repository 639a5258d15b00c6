"""SDMetrics' two DCR metrics on coded tables, run in an environment of its own; prints JSON."""

import argparse
import json
from pathlib import Path

import pandas as pd
from sdmetrics.single_table import (  # type: ignore[import-not-found,unused-ignore]
    DCRBaselineProtection,
    DCROverfittingProtection,
)


def main() -> None:
    """Categories as such; a subsample where one is asked for, because the whole table takes very long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("synthetic", type=Path)
    parser.add_argument("--rows", type=int, default=2_000)
    given = parser.parse_args()
    training, holdout, synthetic = (
        pd.read_parquet(p).astype(str)
        for p in (given.folder / "training.parquet", given.folder / "holdout.parquet", given.synthetic)
    )
    columns = {name: {"sdtype": "categorical"} for name in training}
    how = {
        "metadata": {"tables": {"people": {"columns": columns}}},
        "table_name": "people",
        "num_rows_subsample": given.rows,
    }
    overfitting = DCROverfittingProtection.compute_breakdown(training, synthetic, holdout, **how)
    baseline = DCRBaselineProtection.compute_breakdown(training, synthetic, **how)
    said = {"DCROverfittingProtection": overfitting["score"], "DCRBaselineProtection": baseline["score"]}
    print(json.dumps({**said, **overfitting["synthetic_data_percentages"], "rows": given.rows}))


if __name__ == "__main__":
    main()
