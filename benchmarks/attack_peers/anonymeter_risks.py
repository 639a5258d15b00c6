"""anonymeter's three attacks on coded tables, run in an environment of its own; prints JSON."""

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
from anonymeter.evaluators import (  # type: ignore[import-not-found,unused-ignore]
    InferenceEvaluator,
    LinkabilityEvaluator,
    SinglingOutEvaluator,
)

ATTACKS = 500
warnings.simplefilter("ignore")


def main() -> None:
    """Multivariate singling out, linkability over two halves of the columns, inference of the last column."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("synthetic", type=Path)
    given = parser.parse_args()
    training, holdout, synthetic = (
        pd.read_parquet(p).astype(str)
        for p in (given.folder / "training.parquet", given.folder / "holdout.parquet", given.synthetic)
    )
    names = list(training)
    tables: dict[str, Any] = {"ori": training, "syn": synthetic, "control": holdout, "n_attacks": ATTACKS}
    single = SinglingOutEvaluator(**tables, n_cols=4, seed=0)
    linking = LinkabilityEvaluator(**tables, aux_cols=(names[: len(names) // 2], names[len(names) // 2 :]))
    inferring = InferenceEvaluator(**tables, aux_cols=names[:-1], secret=names[-1])
    single.evaluate(mode="multivariate")
    linking.evaluate(n_jobs=1)
    inferring.evaluate(n_jobs=1)
    attacks = {"singling out": single, "linkability": linking, "inference": inferring}
    print(json.dumps({name: _told(made.risk(confidence_level=0.95)) for name, made in attacks.items()}))


def _told(risk: Any) -> dict[str, float]:
    return {"risk": float(risk.value), "low": float(risk.ci[0]), "high": float(risk.ci[1])}


if __name__ == "__main__":
    main()
