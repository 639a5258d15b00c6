"""A fitted model: a distribution over the coded domain, and nothing else. A function of measurements alone."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpsynth.domain import Clique, Domain
from dpsynth.estimation.base import Conditional
from dpsynth.estimation.junction_tree import JunctionTree, connect
from dpsynth.estimation.oracle import Table, marginal, reduce_to


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TreeModel:
    """A graphical model on a junction tree, calibrated.

    Attributes:
      tree: The junction tree.
      beliefs: Probability tables of its cliques, each summing to 1 and agreeing on separators.
      total: Estimated number of rows, an accounted output.
    """

    tree: JunctionTree
    beliefs: tuple[Table, ...] = field(repr=False)
    total: float

    @property
    def domain(self) -> Domain:
        """The public domain."""
        return self.tree.domain

    def marginal(self, clique: Clique) -> Table:
        """Exact probability table of any clique, shape ``domain.shape(clique)``."""
        wanted = set(clique)
        for belief, home in zip(self.beliefs, self.tree.cliques, strict=True):
            if wanted <= set(home):
                return reduce_to(belief, home, self.domain.clique(clique))
        return marginal(self.tree, self.beliefs, self.domain.clique(clique))

    def conditional(self, clique: Clique, given: Clique) -> Table:
        """Probability of a clique's cells given those of another: exact.

        Args:
          clique: Attributes whose distribution is asked for.
          given: Attributes that are known; none of them in ``clique``.

        Returns:
          Shape ``domain.shape(given) + domain.shape(clique)``; zero where the model gives ``given`` no probability.
        """
        whole = self.domain.clique((*clique, *given))
        table = np.transpose(self.marginal(whole), [whole.index(n) for n in (*given, *clique)])
        below = table.sum(axis=tuple(range(len(given), table.ndim)), keepdims=True)
        return np.asarray(np.divide(table, below, out=np.zeros_like(table), where=below > 0))

    def log_density(self, codes: NDArray[Any]) -> Table:
        """Natural log of the model's probability of each coded row; codes of shape (attributes, rows)."""
        names = self.domain.names
        out = np.zeros(codes.shape[1])
        for belief, clique, separator in zip(self.beliefs, self.tree.cliques, self.tree.separators, strict=True):
            with np.errstate(divide="ignore"):
                out += np.log(belief[tuple(codes[names.index(n)] for n in clique)])
                if separator:
                    below = reduce_to(belief, clique, separator)
                    out -= np.log(below[tuple(codes[names.index(n)] for n in separator)])
        return out

    def conditionals(self) -> Iterator[Conditional]:
        """Each tree clique's new attributes, given its separator."""
        names = self.domain.names
        for belief, clique, separator in zip(self.beliefs, self.tree.cliques, self.tree.separators, strict=True):
            new = tuple(n for n in clique if n not in separator)
            given_shape = self.domain.shape(separator)
            axes = [clique.index(n) for n in (*separator, *new)]
            yield Conditional(
                given=tuple(names.index(n) for n in separator),
                given_shape=given_shape,
                new=tuple(names.index(n) for n in new),
                new_shape=self.domain.shape(new),
                table=np.transpose(belief, axes).reshape(math.prod(given_shape), -1),
            )

    def structure(self) -> dict[str, Any]:
        """The tree's cliques."""
        return {"kind": "tree", "cliques": [list(c) for c in self.tree.cliques]}

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """The model's numbers as named arrays, for ``npz``."""
        return {f"belief_{i}": b for i, b in enumerate(self.beliefs)} | {"total": np.array(self.total)}

    @classmethod
    def from_parts(
        cls, domain: Domain, structure: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float64]]
    ) -> "TreeModel":
        """Rebuild a model from its :meth:`structure` and :meth:`arrays`."""
        cliques = [tuple(c) for c in structure["cliques"]]
        tree = connect(domain, cliques)
        beliefs = {c: arrays[f"belief_{i}"] for i, c in enumerate(cliques)}
        return cls(tree=tree, beliefs=tuple(beliefs[c] for c in tree.cliques), total=float(arrays["total"]))
