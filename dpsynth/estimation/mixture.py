"""A mixture of products: p(x) = sum_k w_k prod_a P_a[k, x_a]. No junction tree, no size to watch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpsynth.domain import Clique, Domain
from dpsynth.estimation.base import Conditional, Table

DENSITY_ROWS = 2_048
"""Rows whose densities are worked out at a time."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MixtureModel:
    """A mixture of product distributions.

    Attributes:
      domain: The public domain.
      weights: Share of each component, shape (components,).
      tables: Each attribute's distribution by component, shape (components, size).
      total: Estimated number of rows, an accounted output.
    """

    domain: Domain
    weights: Table = field(repr=False)
    tables: tuple[Table, ...] = field(repr=False)
    total: float

    def marginal(self, clique: Clique) -> Table:
        """Exact probability table of any clique, shape ``domain.shape(clique)``."""
        clique = self.domain.clique(clique)
        joint = self.weights[:, None]
        parts = [self.tables[self.domain.names.index(n)] for n in clique]
        for part in parts[:-1]:
            joint = (joint[:, :, None] * part[:, None, :]).reshape(len(self.weights), -1)
        whole = joint.T @ parts[-1] if parts else joint.sum(axis=0)
        return np.asarray(whole.reshape(self.domain.shape(clique)))

    def log_density(self, codes: NDArray[Any]) -> Table:
        """Natural log of the model's probability of each coded row; codes of shape (attributes, rows)."""
        with np.errstate(divide="ignore"):
            logs = [np.log(table.T) for table in self.tables]
            weights = np.log(self.weights)
        out = np.empty(codes.shape[1])
        for start in range(0, codes.shape[1], DENSITY_ROWS):
            block = codes[:, start : start + DENSITY_ROWS]
            each = weights + sum(log[column] for log, column in zip(logs, block, strict=True))
            best = each.max(axis=1)
            shift = np.where(np.isfinite(best), best, 0.0)
            with np.errstate(divide="ignore"):
                out[start : start + DENSITY_ROWS] = shift + np.log(np.exp(each - shift[:, None]).sum(axis=1))
        return out

    def conditionals(self) -> Iterator[Conditional]:
        """A hidden component, then each attribute given it."""
        hidden, components = len(self.domain.names), len(self.weights)
        yield Conditional(given=(), given_shape=(), new=(hidden,), new_shape=(components,), table=self.weights[None, :])
        for i, table in enumerate(self.tables):
            yield Conditional(
                given=(hidden,), given_shape=(components,), new=(i,), new_shape=(table.shape[1],), table=table
            )

    def structure(self) -> dict[str, Any]:
        """The number of components."""
        return {"kind": "mixture", "components": len(self.weights)}

    def arrays(self) -> dict[str, Table]:
        """The model's numbers as named arrays, for ``npz``."""
        named = {f"table_{i}": t for i, t in enumerate(self.tables)}
        return named | {"weights": self.weights, "total": np.array(self.total)}

    @classmethod
    def from_parts(cls, domain: Domain, structure: Mapping[str, Any], arrays: Mapping[str, Table]) -> "MixtureModel":
        """Rebuild a model from its :meth:`structure` and :meth:`arrays`."""
        tables = tuple(arrays[f"table_{i}"] for i in range(len(domain.names)))
        return cls(domain=domain, weights=arrays["weights"], tables=tables, total=float(arrays["total"]))
