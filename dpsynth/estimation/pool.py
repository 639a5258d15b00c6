"""A pool of rows with weights: the model of whatever can draw rows and tell them apart, but has no table of its own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpsynth.domain import Clique, Domain
from dpsynth.errors import ParameterError
from dpsynth.estimation.base import Conditional, Table


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PoolModel:
    """Rows of the pool, each drawn with a probability in proportion to its weight.

    Attributes:
      domain: The public domain.
      codes: Rows that were made, a function of accounted outputs; shape (attributes, pool rows).
      weights: Above 0, shape (pool rows,).
      total: Estimated number of rows of the data, public or an accounted output.
    """

    domain: Domain
    codes: NDArray[Any] = field(repr=False)
    weights: Table = field(repr=False)
    total: float

    def __post_init__(self) -> None:
        rows = len(self.weights)
        if self.codes.shape != (len(self.domain.names), rows) or rows < 1 or not (self.weights > 0).all():
            raise ParameterError(
                f"A pool of {rows:,} rows can't be drawn from.",
                "Every row has a code for each attribute and a weight above zero, and there is one at least.",
                "Make the pool again.",
            )

    @property
    def shares(self) -> Table:
        """Probability of each row of the pool."""
        return np.asarray(self.weights / self.weights.sum())

    def part(self, begin: float, end: float) -> "PoolModel":
        """The rows from one share of the pool to another: parts that don't overlap are made independently.

        Args:
          begin: Share of the rows before the part, from 0.
          end: Share of the rows before its end, at most 1.
        """
        rows = slice(round(begin * len(self.weights)), max(1, round(end * len(self.weights))))
        return PoolModel(
            domain=self.domain, codes=self.codes[:, rows], weights=self.weights[rows], total=self.total
        )

    def given(self, codes: Mapping[str, int]) -> "PoolModel":
        """The rows that have these codes, by attribute: the pool under that condition.

        Raises:
          ParameterError: No row has them.
        """
        rows = np.ones(len(self.weights), dtype=bool)
        for name, code in codes.items():
            rows &= self.codes[self.domain.names.index(name)] == code
        if not rows.any():
            raise ParameterError(
                f"No row of the pool has what is given for {', '.join(codes)}.",
                f"The model is a pool of {len(self.weights):,} rows, and none is made for a condition.",
                "Give less.",
            )
        total = self.total * float(self.shares[rows].sum())
        return PoolModel(domain=self.domain, codes=self.codes[:, rows], weights=self.weights[rows], total=total)

    def marginal(self, clique: Clique) -> Table:
        """Exact probability table of any clique, shape ``domain.shape(clique)``."""
        clique = self.domain.clique(clique)
        shape = self.domain.shape(clique)
        joint = np.zeros(len(self.weights), dtype=np.int64)
        for name, size in zip(clique, shape, strict=True):
            joint = joint * size + self.codes[self.domain.names.index(name)]
        found = np.bincount(joint, self.shares, minlength=int(np.prod(shape)))
        return np.asarray(found.reshape(shape))

    def log_density(self, codes: NDArray[Any]) -> Table:
        """Natural log of the probability of each coded row, minus infinity for rows outside the pool."""
        rows: dict[bytes, float] = {}
        own = np.ascontiguousarray(self.codes.T.astype(np.int64))
        for row, share in zip(own, self.shares.tolist(), strict=True):
            rows[row.tobytes()] = rows.get(row.tobytes(), 0.0) + share
        asked = np.ascontiguousarray(codes.T.astype(np.int64))
        with np.errstate(divide="ignore"):
            found: Table = np.log(np.array([rows.get(row.tobytes(), 0.0) for row in asked]))
        return found

    def conditionals(self) -> Iterator[Conditional]:
        """A hidden row of the pool, then each attribute of it: exact, and large where the pool is."""
        hidden, rows = len(self.domain.names), len(self.weights)
        yield Conditional(given=(), given_shape=(), new=(hidden,), new_shape=(rows,), table=self.shares[None, :])
        for i, size in enumerate(self.domain.sizes):
            table = np.zeros((rows, size))
            table[np.arange(rows), self.codes[i]] = 1.0
            yield Conditional(given=(hidden,), given_shape=(rows,), new=(i,), new_shape=(size,), table=table)

    def structure(self) -> dict[str, Any]:
        """The number of rows."""
        return {"kind": "pool", "rows": len(self.weights)}

    def arrays(self) -> dict[str, Table]:
        """The model's numbers as named arrays, for ``npz``."""
        return {"codes": self.codes, "weights": self.weights, "total": np.array(self.total)}

    @classmethod
    def from_parts(cls, domain: Domain, structure: Mapping[str, Any], arrays: Mapping[str, Table]) -> "PoolModel":
        """Rebuild a model from its :meth:`structure` and :meth:`arrays`."""
        return cls(domain=domain, codes=arrays["codes"], weights=arrays["weights"], total=float(arrays["total"]))
