"""One process, one fit: a coded table, all rows, no gate, test mode; writes synthetic codes as Parquet."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from accountant.adjacency import PrivacyUnit
from accountant.budget import Budget
from accountant.filters import FilterSpend
from accountant.spend import Side
from dpsynth.domain import Domain
from dpsynth.measurement import Measurement
from dpsynth.noise.random import SeededRandom
from dpsynth.noise.seeds import draw_seed
from dpsynth.sampling import generator, sample_codes
from dpsynth.sources import MemorySource
from dpsynth.synthesizers import Synthesizer, find_synthesizer, fit_model


def main() -> None:
    """Fit, sample as many rows as the table has (public in a benchmark only), write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("domain", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--synthesizer", default="mst")
    parser.add_argument("--epsilon", type=float, required=True)
    parser.add_argument("--delta", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--measurements", type=Path, help="where to write the noisy marginals, as npz")
    parser.add_argument("--rows-magnitude", type=int, help="a public magnitude of the table, for auto")
    parser.add_argument("--model-mb", type=int, help="most megabytes that a fit may take")
    given = parser.parse_args()
    domain = Domain.of(json.loads(given.domain.read_text()))
    table = pq.ParquetFile(given.table).read(columns=list(domain.names))
    columns = [np.from_dlpack(c.combine_chunks()) for c in table.columns]  # to_numpy() would import pandas
    codes = np.array(columns).astype(np.uint16)
    budget = Budget(epsilon=given.epsilon, delta=given.delta)
    random = SeededRandom(given.seed)
    fitted = fit_model(
        MemorySource(domain, codes),
        _chosen(given.synthesizer, domain, budget, given.rows_magnitude).asked(model_mb=given.model_mb),
        amount=budget.cap.amount,
        coordinate=budget.coordinate,
        spend=FilterSpend(coordinate=budget.coordinate, caps={Side.TRAINING: budget.cap}),
        random=random,
    )
    if given.measurements:
        _write_measurements(given.measurements, fitted.measurements)
    made = sample_codes(fitted.model, codes.shape[1], rng=generator(draw_seed(random)))
    pq.write_table(pa.table([_column(values) for values in made], names=list(domain.names)), given.out)
    if given.model_mb:
        print(json.dumps({"fit_mb": fitted.report.fit_mb}))
    print(fitted.report.synthesizer)


def _column(values: NDArray[Any]) -> pa.Array:
    """A column of codes; ``pa.array()`` would import pandas."""
    whole = np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(whole.dtype), len(whole), [None, pa.py_buffer(whole)])


def _chosen(name: str, domain: Domain, budget: Budget, magnitude: int | None) -> Synthesizer:
    if name != "auto":
        return find_synthesizer(name)
    from dpsynth.auto import choose_synthesizer

    coordinate, unit = budget.coordinate, PrivacyUnit()
    return choose_synthesizer(
        domain, amount=budget.cap.amount, coordinate=coordinate, unit=unit, rows_magnitude=magnitude
    )


def _write_measurements(path: Path, measured: tuple[Measurement, ...]) -> None:
    values = {f"values_{i}": m.values for i, m in enumerate(measured)}
    cliques = json.dumps([list(m.clique) for m in measured])
    np.savez(path, allow_pickle=False, cliques=cliques, sigmas=np.array([m.sigma for m in measured]), **values)


if __name__ == "__main__":
    main()
