"""Singling-out, linkability and inference risk, in the sense that anonymeter gave them: exact, so CONFIDENTIAL.

Each attack guesses about training records with the synthetic table at hand, and the same attack about holdout records
is its control: what can be told of people who weren't there isn't told by the table. A risk is how much of what the
control leaves is gained: (attack - control) / (1 - control), with exact bounds of both rates.

Source: Giomi et al. 2023 (arXiv:2211.10459), section 3; attacks of our own on coded rows.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpsynth.attacks.exact import clopper_pearson
from dpsynth.attacks.nearest import Codes
from dpsynth.domain import Domain
from dpsynth.sampling import generator

ATTACKS = 500
"""Guesses of each attack, and of its control."""
NEIGHBOURS = 1
"""Closest synthetic rows that linkability looks at on each side."""
PREDICATE_COLUMNS = 4
"""Columns of a predicate that singles out."""
CONFIDENCE = 0.95

Guesses = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Risk:
    """One risk. PRIVATE: annex only; its repr shows no number.

    Attributes:
      attack: Share of right guesses about training records.
      control: The same about holdout records.
      risk: (attack - control) / (1 - control), at least 0.
      low: A lower bound of it, from exact bounds of both rates.
      high: An upper bound.
    """

    attack: float
    control: float
    risk: float
    low: float
    high: float

    def __repr__(self) -> str:
        return "Risk(<private>)"

    def confidential_json(self) -> dict[str, float]:
        """Every figure, for the annex."""
        return asdict(self)


def risk(attack: Guesses, control: Guesses, *, confidence: float = CONFIDENCE) -> Risk:
    """A risk from right and wrong guesses; each bound fails with probability at most 1 - ``confidence``."""
    error = (1.0 - confidence) / 2.0
    rates = [float(side.mean()) if side.size else 0.0 for side in (attack, control)]
    ends = [clopper_pearson(int(side.sum()), side.size, error=error) for side in (attack, control)]
    return Risk(
        attack=rates[0],
        control=rates[1],
        risk=_gained(rates[0], rates[1]),
        low=_gained(ends[0][0], ends[1][1]),
        high=_gained(ends[0][1], ends[1][0]),
    )


def all_risks(
    training: Codes, holdout: Codes, synthetic: Codes, *, domain: Domain, secret: str, seed: int | None = None
) -> dict[str, Risk]:
    """The three risks by name. CONFIDENTIAL.

    Args:
      training: Codes of the records that the table was made from, shape (columns, rows).
      holdout: Codes of like records that weren't used.
      synthetic: Codes of the table.
      domain: The public domain.
      secret: The column that inference guesses.
      seed: Of the choices of records and columns.
    """
    rng = generator(seed)
    sides: dict[str, Any] = {"training": training, "holdout": holdout}
    some = {name: side[:, rng.permutation(side.shape[1])[:ATTACKS]] for name, side in sides.items()}
    predicates = singling_predicates(synthetic, seed=seed)
    column = domain.names.index(secret)
    return {
        "singling out": risk(*(single_out(side, predicates) for side in sides.values())),
        "linkability": risk(*(linked(side, synthetic) for side in some.values())),
        "inference": risk(*(inferred(side, synthetic, column) for side in some.values())),
    }


Predicate = tuple[NDArray[np.int64], NDArray[Any]]
"""Positions of columns, and the value that each has."""


def singling_predicates(synthetic: Codes, *, seed: int | None = None) -> list[Predicate]:
    """Conjunctions of values of a few random columns that hold for one synthetic row, at most ``ATTACKS`` of them."""
    rng, (columns, rows) = generator(seed), synthetic.shape
    found: list[Predicate] = []
    for _ in range(4 * ATTACKS if rows else 0):
        chosen = np.sort(rng.permutation(columns)[: min(columns, PREDICATE_COLUMNS)])
        values = synthetic[chosen, int(rng.integers(rows))]
        if _holding(synthetic, (chosen, values)) == 1:
            found.append((chosen, values))
        if len(found) == ATTACKS:
            break
    return found


def single_out(records: Codes, predicates: list[Predicate]) -> Guesses:
    """Which predicates hold for exactly one record."""
    return np.array([_holding(records, one) == 1 for one in predicates], dtype=np.bool_)


def linked(records: Codes, synthetic: Codes) -> Guesses:
    """For which records the closest synthetic rows by the first half of the columns and by the others share one."""
    half = max(1, len(records) // 2)
    found = np.zeros(records.shape[1], dtype=np.bool_)
    for i in range(records.shape[1]):
        parts = [_distances(records[c, i], synthetic[c]) for c in (slice(0, half), slice(half, None))]
        found[i] = bool(set(_closest(parts[0])) & set(_closest(parts[1])))
    return found


def inferred(records: Codes, synthetic: Codes, column: int) -> Guesses:
    """For which records the closest synthetic row by all other columns has their value of ``column``."""
    others = np.array([c for c in range(len(records)) if c != column], dtype=np.int64)
    found = np.zeros(records.shape[1], dtype=np.bool_)
    for i in range(records.shape[1]):
        nearest = int(np.argmin(_distances(records[others, i], synthetic[others])))
        found[i] = synthetic[column, nearest] == records[column, i]
    return found


def _holding(table: Codes, predicate: Predicate) -> int:
    columns, values = predicate
    holds = table[columns[0]] == values[0]
    for column, value in zip(columns[1:], values[1:], strict=True):
        holds &= table[column] == value
    return int(np.count_nonzero(holds))


def _distances(row: Any, table: Codes) -> NDArray[np.int64]:
    return np.asarray((table != row[:, None]).sum(axis=0, dtype=np.int64))


def _closest(distances: NDArray[np.int64]) -> list[int]:
    return [int(i) for i in np.argsort(distances, kind="stable")[:NEIGHBOURS]]


def _gained(attack: float, control: float) -> float:
    return max(0.0, (attack - control) / (1.0 - control)) if control < 1.0 else 0.0
