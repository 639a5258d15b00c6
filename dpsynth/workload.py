"""A workload: which marginals a publisher cares about, and how much. Public facts only."""

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dpsynth.domain import Clique, Domain
from dpsynth.errors import ParameterError

MOST_WAYS = 5
HEAVIEST = 100
TARGET_WEIGHT = 3
MOST_COMBINATIONS = 2_000_000
"""Combinations of columns that are listed to choose from (about 0.5 GB)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Marginals with whole weights: all of so many attributes, heavier with a target, and an explicit list.

    Weights are integers, so that weighted errors of a selection stay on one grid, and its sensitivity is the largest
    weight among the candidates that are offered.

    Attributes:
      ways: All marginals of up to this many attributes, each with weight 1; 0 leaves only the explicit list.
      target: An attribute whose marginals weigh ``target_weight`` instead of 1; None for none.
      target_weight: Their weight.
      marginals: Cliques with a weight of their own; it holds for their subsets, and, where ``ways`` offers them, for
        the cliques that hold them.
    """

    ways: int = 3
    target: str | None = None
    target_weight: int = TARGET_WEIGHT
    marginals: tuple[tuple[Clique, int], ...] = ()

    def __post_init__(self) -> None:
        weights = [self.target_weight, *(w for _, w in self.marginals)]
        whole = all(type(w) is int for w in weights)
        wide = max((len(q) for q, _ in self.marginals), default=self.ways)
        good = 0 <= self.ways <= MOST_WAYS and wide <= MOST_WAYS and whole and all(1 <= w <= HEAVIEST for w in weights)
        empty = self.ways == 0 and not self.marginals
        repeated = len({frozenset(q) for q, _ in self.marginals}) != len(self.marginals)
        double = any(len(set(q)) != len(q) or not q for q, _ in self.marginals)
        if not good or empty or repeated or double or (self.target is not None and self.ways == 0):
            raise ParameterError(
                f"A workload of {self.ways} ways, {len(self.marginals)} listed marginals and weights up to "
                f"{max(weights) if whole else 'something else than a whole number'} can't be used.",
                f"It has up to {MOST_WAYS} ways, or different marginals of 1 to {MOST_WAYS} different columns; "
                f"weights are whole numbers from 1 to {HEAVIEST}, and a target goes with ways.",
                "Mend the workload; 'ways: 3' alone is all three-way marginals.",
            )

    @classmethod
    def of(cls, marginals: Mapping[Iterable[str], int], *, ways: int = 0) -> "Workload":
        """A workload from a mapping of columns to weights, beside all marginals of ``ways`` attributes."""
        return cls(ways=ways, marginals=tuple((tuple(q), w) for q, w in marginals.items()))

    def check(self, domain: Domain) -> None:
        """Refuse a workload that names a column which the domain doesn't have.

        Raises:
          ParameterError: It does.
        """
        named = {self.target} - {None} | {n for q, _ in self.marginals for n in q}
        if not named <= set(domain.names):
            raise ParameterError(
                f"The workload names {len(named - set(domain.names))} column(s) that aren't released.",
                f"The released columns are {', '.join(domain.names[:20])}{', ...' if len(domain.names) > 20 else ''}.",
                "Use names of released columns in the workload's 'target' and 'marginals'.",
            )

    def weight(self, clique: Iterable[str]) -> int:
        """Whole weight of a clique as something to measure; 0 where it is no part of the workload."""
        asked = set(clique)
        offered = 0 < len(asked) <= self.ways
        weight = (self.target_weight if self.target in asked else 1) if offered else 0
        listed = (w for q, w in self.marginals if asked <= set(q) or (offered and set(q) <= asked))
        return max(weight, *listed, 0)

    def queries(self, domain: Domain) -> dict[Clique, int]:
        """The marginals to be answered, with their weights: all of exactly ``ways`` attributes, and the listed ones."""
        ways = min(self.ways, len(domain.names))
        found = {q: self.weight(q) for q in itertools.combinations(domain.names, ways)} if ways else {}
        return found | {domain.clique(q): self.weight(q) for q, _ in self.marginals}

    def attribute_mass(self, domain: Domain) -> dict[str, int]:
        """Weight of all queries that hold an attribute: an overlap of a clique with the workload is a sum of these."""
        d, ways = len(domain.names), min(self.ways, len(domain.names))
        if self.target is None and not self.marginals:
            return dict.fromkeys(domain.names, math.comb(d - 1, ways - 1))
        mass = dict.fromkeys(domain.names, 0)
        for query, weight in self.queries(domain).items():
            for name in query:
                mass[name] += weight
        return mass

    def candidates(self, domain: Domain, *, sizes: Iterable[int], cells_each: int, cells_together: int) -> list[Clique]:
        """Cliques of the workload to choose from, within limits that hold for any number of columns.

        Heavier cliques come first, then those of fewer cells; what no longer fits in ``cells_together`` is left out.

        Args:
          domain: The public domain.
          sizes: Numbers of attributes, the first ones preferred.
          cells_each: Cells of the largest candidate.
          cells_together: Cells of all of them.

        Returns:
          Candidates of each number of attributes in domain order.

        Raises:
          ParameterError: There would be more than ``MOST_COMBINATIONS`` to list.
        """
        sizes = list(sizes)
        self.check_combinations(domain, sizes)
        codes = dict(zip(domain.names, domain.sizes, strict=True))
        left, chosen = cells_together, []
        for k in sizes:
            cells = {q: c for q in self.offered(domain, k) if (c := math.prod(codes[n] for n in q)) <= cells_each}
            kept, near = set(), list(cells)
            for clique in sorted(near, key=lambda q: (-self.weight(q), cells[q], q)):
                if cells[clique] <= left:
                    left -= cells[clique]
                    kept.add(clique)
            chosen += [q for q in near if q in kept]
        return chosen

    def check_combinations(self, domain: Domain, sizes: Iterable[int]) -> None:
        """Refuse a domain with too many combinations of columns to choose from; nothing is listed for it.

        Raises:
          ParameterError: There are more than ``MOST_COMBINATIONS``.
        """
        columns, listed = len(domain.names), [len(q) for q, _ in self.marginals]
        count = sum(
            math.comb(columns, k) if k <= self.ways else sum(math.comb(width, k) for width in listed) for k in sizes
        )
        if count > MOST_COMBINATIONS:
            raise ParameterError(
                f"There would be {count:,} combinations of {columns:,} columns to choose from.",
                f"At most {MOST_COMBINATIONS:,} are listed and scored.",
                "Declare a workload of fewer ways or of listed marginals, omit columns, or use mst.",
            )

    def offered(self, domain: Domain, k: int) -> list[Clique]:
        """Cliques of ``k`` attributes with a weight: what may be measured for the workload's sake."""
        if k <= self.ways:
            return list(itertools.combinations(domain.names, k))
        subsets = (s for q, _ in self.marginals for s in itertools.combinations(domain.clique(q), k))
        return list(dict.fromkeys(subsets))
