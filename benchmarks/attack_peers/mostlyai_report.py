"""mostlyai-qa's report on coded tables, run in an environment of its own; prints its metrics of distance as JSON."""

import argparse
import json
import warnings
from pathlib import Path

import pandas as pd
from mostlyai import qa  # type: ignore[import-not-found,unused-ignore]

warnings.simplefilter("ignore")


def main() -> None:
    """Training, holdout and synthetic rows as they are; the report goes beside the synthetic table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("synthetic", type=Path)
    given = parser.parse_args()
    training, holdout, synthetic = (
        pd.read_parquet(p)
        for p in (given.folder / "training.parquet", given.folder / "holdout.parquet", given.synthetic)
    )
    _, metrics = qa.report(
        syn_tgt_data=synthetic,
        trn_tgt_data=training,
        hol_tgt_data=holdout,
        report_path=given.synthetic.with_suffix(".html"),
    )
    print(json.dumps(metrics.distances.model_dump(mode="json")))


if __name__ == "__main__":
    main()
