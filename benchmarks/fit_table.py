"""One process, one fit of a raw table by the public function: all rows, no gate, test mode; writes synthetic rows."""

import argparse
import tempfile
from pathlib import Path

import pyarrow.parquet as pq

from accountant.budget import Budget
from accountant.ledger import Ledger
from dpsynth.fitting import fit
from dpsynth.schema import load_schema


def main() -> None:
    """Fit, sample as many rows as the model says, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("schema", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--synthesizer", default="auto")
    parser.add_argument("--epsilon", type=float, required=True)
    parser.add_argument("--delta", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    given = parser.parse_args()
    declared = load_schema(given.schema)
    budget = Budget(epsilon=given.epsilon, delta=given.delta)
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger.create(
            Path(folder) / "ledger", dataset=declared.dataset, budget=budget, unit=declared.table.unit
        )
        model = fit(
            given.table,
            declared,
            epsilon=given.epsilon,
            delta=given.delta,
            ledger=ledger,
            synthesizer=given.synthesizer,
            test_seed=given.seed,
        )
    pq.write_table(model.sample(seed=given.seed), given.out)
    print(model.report.synthesizer)


if __name__ == "__main__":
    main()
