"""How large a junction tree would become, without building it: compiled elimination."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from dpsynth.domain import Clique, Domain


class TreeSizes:
    """Cells of the junction tree of a growing set of cliques; public arithmetic.

    Uses the elimination order of :func:`dpsynth.estimation.junction_tree.junction_tree`, so both agree (below 2^53
    cells, where products are exact).
    """

    def __init__(self, domain: Domain, cliques: Iterable[Clique]) -> None:
        self._position = {n: i for i, n in enumerate(domain.names)}
        self._sizes = np.array(domain.sizes, dtype=np.float64)
        self._linked = np.zeros((len(domain.names), len(domain.names)), dtype=np.bool_)
        for clique in cliques:
            self.add(clique)

    def add(self, clique: Clique) -> None:
        """Add a clique to the set."""
        at = [self._position[n] for n in clique]
        self._linked[np.ix_(at, at)] = True
        np.fill_diagonal(self._linked, False)

    def cells_with(self, clique: Clique) -> int:
        """Cells of all maximal cliques together if ``clique`` were added."""
        return int(self.all_cells_with(self.columns([clique]), np.inf)[0])

    def columns(self, cliques: Sequence[Clique]) -> NDArray[np.int64]:
        """Cliques as rows of attributes' positions, padded with -1 in front."""
        ways = max((len(q) for q in cliques), default=1)
        rows = [[-1] * (ways - len(q)) + [self._position[n] for n in q] for q in cliques]
        return np.array(rows, dtype=np.int64).reshape(-1, ways)

    def all_cells_with(self, columns: NDArray[np.int64], limit: float) -> NDArray[np.float64]:
        """For each clique (a row of :meth:`columns`) the cells if it were added; above ``limit``, some number above."""
        from dpsynth.estimation.kernel import elimination

        cells = np.empty(len(columns))
        elimination()(self._linked, self._sizes, columns, float(limit), cells)
        return cells
