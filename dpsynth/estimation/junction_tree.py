"""Junction trees: from measured cliques to a tree of maximal cliques with the running-intersection property.

Source: Koller and Friedman 2009, chapter 10; elimination order by minimum weight (ties by domain order).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from dpsynth.domain import Clique, Domain


@dataclass(frozen=True, slots=True, kw_only=True)
class JunctionTree:
    """A rooted tree (or forest, joined by empty separators) of maximal cliques.

    Attributes:
      cliques: Maximal cliques, parents before children; the first is the root.
      parents: Index of each clique's parent; -1 for the root.
      separators: Attributes shared with the parent; empty for the root.
    """

    domain: Domain
    cliques: tuple[Clique, ...]
    parents: tuple[int, ...]
    separators: tuple[Clique, ...]

    @property
    def cells(self) -> int:
        """Cells of all maximal cliques together: what one pass over the model costs."""
        return sum(self.domain.cells(c) for c in self.cliques)

    def home(self, clique: Clique) -> int:
        """Index of the smallest maximal clique that contains ``clique``."""
        wanted = set(clique)
        homes = [i for i, c in enumerate(self.cliques) if wanted <= set(c)]
        return min(homes, key=lambda i: self.domain.cells(self.cliques[i]))


def junction_tree(domain: Domain, cliques: Iterable[Clique]) -> JunctionTree:
    """The junction tree of a triangulation of the graph whose edges are all pairs within a clique.

    Every attribute of the domain is in the tree, measured or not.
    """
    maximal = _maximal(_eliminate(domain, cliques))
    return connect(domain, [domain.clique(c) for c in maximal])


def _eliminate(domain: Domain, cliques: Iterable[Clique]) -> list[frozenset[str]]:
    neighbours: dict[str, set[str]] = {n: set() for n in domain.names}
    for clique in cliques:
        for name in clique:
            neighbours[name] |= set(clique) - {name}
    size = dict(zip(domain.names, domain.sizes, strict=True))
    made = []
    while neighbours:
        name = min(neighbours, key=lambda n: size[n] * math.prod(size[m] for m in neighbours[n]))
        around = neighbours.pop(name)
        made.append(frozenset(around | {name}))
        for other in around:
            neighbours[other] |= around - {other}
            neighbours[other].discard(name)
    return made


def _maximal(sets: list[frozenset[str]]) -> list[frozenset[str]]:
    kept: list[frozenset[str]] = []
    for candidate in sorted(sets, key=len, reverse=True):
        if not any(candidate <= k for k in kept):
            kept.append(candidate)
    return kept


def connect(domain: Domain, cliques: Iterable[Clique]) -> JunctionTree:
    """The junction tree of the maximal cliques of a triangulated graph: Prim's maximum spanning tree on separator size,
    grown from the largest clique."""
    cliques = sorted(cliques, key=lambda c: (-domain.cells(c), c))
    order, parents = [0], [-1]
    best = {i: (len(set(cliques[i]) & set(cliques[0])), 0) for i in range(1, len(cliques))}
    while best:
        chosen = max(best, key=lambda i: (best[i][0], -i))
        parents.append(best.pop(chosen)[1])
        order.append(chosen)
        for i, (shared, _) in best.items():
            now = len(set(cliques[i]) & set(cliques[chosen]))
            if now > shared:
                best[i] = (now, len(order) - 1)
    tree = tuple(cliques[i] for i in order)
    separators = tuple(
        () if p < 0 else domain.clique(set(c) & set(tree[p])) for c, p in zip(tree, parents, strict=True)
    )
    return JunctionTree(domain=domain, cliques=tree, parents=tuple(parents), separators=separators)
