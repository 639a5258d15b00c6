"""How large a junction tree would become, without building it: elimination on bit masks."""

import math
from collections.abc import Iterable

from dpsynth.domain import Clique, Domain


class TreeSizes:
    """Cells of the junction tree of a growing set of cliques; public arithmetic.

    Uses the elimination order of :func:`dpsynth.estimation.junction_tree.junction_tree`, so both agree.
    """

    def __init__(self, domain: Domain, cliques: Iterable[Clique]) -> None:
        self._domain = domain
        self._bit = {n: i for i, n in enumerate(domain.names)}
        self._sizes = domain.sizes
        self._cells: dict[int, int] = {}
        self._neighbours = [0] * len(domain.names)
        for clique in cliques:
            self.add(clique)

    def add(self, clique: Clique) -> None:
        """Add a clique to the set."""
        self._neighbours = self._joined(clique)

    def cells_with(self, clique: Clique) -> int:
        """Cells of all maximal cliques together if ``clique`` were added."""
        return self._eliminated_cells(self._joined(clique))

    def _joined(self, clique: Clique) -> list[int]:
        bits = [self._bit[n] for n in clique]
        mask = sum(1 << b for b in bits)
        joined = list(self._neighbours)
        for b in bits:
            joined[b] |= mask & ~(1 << b)
        return joined


    def _eliminated_cells(self, neighbours: list[int]) -> int:
        weight = [self._product(mask | 1 << v) for v, mask in enumerate(neighbours)]
        left = list(range(len(neighbours)))
        made: list[tuple[int, int]] = []
        while left:
            v = min(left, key=weight.__getitem__)
            mask = neighbours[v]
            made.append((mask | 1 << v, weight[v]))
            left.remove(v)
            around = mask
            while around:
                low = around & -around
                u = low.bit_length() - 1
                around ^= low
                neighbours[u] = (neighbours[u] | mask) & ~low & ~(1 << v)
                weight[u] = self._product(neighbours[u] | low)
        return sum(cells for i, (m, cells) in enumerate(made) if not any(m & n == m for n, _ in made[:i]))

    def _product(self, mask: int) -> int:
        """Cells of the attributes in a mask, remembered."""
        found = self._cells.get(mask)
        if found is None:
            found = math.prod(s for i, s in enumerate(self._sizes) if mask >> i & 1)
            self._cells[mask] = found
        return found
