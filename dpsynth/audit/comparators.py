"""Metrics of other tools, for people who know them: exact, without a bound on what one person moves, so CONFIDENTIAL.

Distances between coded rows are Hamming: columns that differ. None of these may decide or be published: statistics that
run from synthetic to real rows can be moved from 0 to 1 by one person, and an AUC by more than any noise here covers.
"""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from dpsynth.attacks.nearest import Codes, nearness, prepare
from dpsynth.domain import Domain
from dpsynth.sampling import generator

NNDR_ROWS = 1_000
"""Synthetic rows of which the second-nearest real row is found, too."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Comparison:
    """Figures that other tools report. PRIVATE: annex only; its repr shows no number.

    Attributes:
      distance_auc: AUC of the distance to the closest synthetic row, training against holdout; 1/2 is ideal.
      dcr_share: Share of synthetic rows that are closer to training than to as many holdout rows, ties halved; 1/2 is
        ideal.
      nndr_training: Mean over synthetic rows of the distance to the closest training row over that to the second one.
      nndr_holdout: The same for holdout rows.
      identical_share: Share of synthetic rows that are training rows, repeats counted.
      identical_share_holdout: The same for holdout rows.
      domias_auc: AUC of the density under the synthetic table over that under half of the holdout, training against
        the other half.
    """

    distance_auc: float
    dcr_share: float
    nndr_training: float
    nndr_holdout: float
    identical_share: float
    identical_share_holdout: float
    domias_auc: float

    def __repr__(self) -> str:
        return "Comparison(<private>)"

    def confidential_json(self) -> dict[str, float]:
        """Every figure, for the annex."""
        return asdict(self)


def compare(
    training: Codes, holdout: Codes, synthetic: Codes, *, domain: Domain, seed: int | None = None
) -> Comparison:
    """Every figure of other tools on one table. CONFIDENTIAL.

    Args:
      training: Codes of the records that the table was made from, shape (columns, rows), at least 2 rows.
      holdout: Codes of like records that weren't used, at least 4 rows.
      synthetic: Codes of the table, at least 1 row.
      domain: The public domain.
      seed: Of the subsamples.
    """
    rng, table = generator(seed), prepare(synthetic, domain.sizes)
    near = [nearness(side, table).distance.astype(np.float64) for side in (training, holdout)]
    size = min(training.shape[1], holdout.shape[1])
    equal = [side[:, rng.permutation(side.shape[1])[:size]] for side in (training, holdout)]
    to_real = [nearness(synthetic, prepare(side, domain.sizes)).distance for side in equal]
    some = synthetic[:, rng.permutation(synthetic.shape[1])[:NNDR_ROWS]]
    halves = np.array_split(rng.permutation(holdout.shape[1]), 2)
    reference, tested = (holdout[:, half] for half in halves)
    return Comparison(
        distance_auc=auc(-near[0], -near[1]),
        dcr_share=float((to_real[0] < to_real[1]).mean() + (to_real[0] == to_real[1]).mean() / 2.0),
        nndr_training=nndr(some, equal[0]),
        nndr_holdout=nndr(some, equal[1]),
        identical_share=float((to_real[0] == 0).mean()),
        identical_share_holdout=float((to_real[1] == 0).mean()),
        domias_auc=auc(*(domias(side, synthetic, reference, domain=domain) for side in (training, tested))),
    )


def auc(positive: Numbers, negative: Numbers) -> float:
    """The probability that a positive's score exceeds a negative's, ties halved (Mann, Whitney 1947)."""
    order = np.sort(negative)
    below, upto = (np.searchsorted(order, positive, side=side) for side in ("left", "right"))
    return float((below + upto).mean() / 2.0 / max(1, negative.size))


def nndr(rows: Codes, real: Codes) -> float:
    """Mean ratio of the distances to the closest and the second closest real row; 1 where both are 0."""
    ratios = np.empty(rows.shape[1])
    for i in range(rows.shape[1]):
        distance = (real != rows[:, i : i + 1]).sum(axis=0, dtype=np.int16)
        first, second = np.partition(distance, 1)[:2]
        ratios[i] = 1.0 if second == 0 else first / second
    return float(ratios.mean())


def domias(records: Codes, synthetic: Codes, reference: Codes, *, domain: Domain) -> Numbers:
    """Log ratio of densities at each record: under the synthetic table over that under the reference.

    Densities of pairs of neighbouring columns along the domain, each cell counted once more: a chain, with the one-way
    densities of the inner columns taken out. Source: van Breugel et al. 2023 (arXiv:2302.12580), with a density that
    codes allow.
    """
    return _chain(records, synthetic, domain) - _chain(records, reference, domain)


def _chain(records: Codes, table: Codes, domain: Domain) -> Numbers:
    if len(domain.names) == 1:
        return _log_share(records, table, (0,), domain)
    total = np.zeros(records.shape[1])
    for i in range(len(domain.names) - 1):
        total += _log_share(records, table, (i, i + 1), domain)
        if i:
            total -= _log_share(records, table, (i,), domain)
    return total


def _log_share(records: Codes, table: Codes, columns: tuple[int, ...], domain: Domain) -> Numbers:
    shape = tuple(domain.sizes[c] for c in columns)
    cells = int(np.prod(shape))
    at, of = (
        np.ravel_multi_index(tuple(codes[c].astype(np.int64) for c in columns), shape) for codes in (records, table)
    )
    counts = np.bincount(of, minlength=cells) + 1.0
    return np.asarray(np.log(counts[at] / counts.sum()))
