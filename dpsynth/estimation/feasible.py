"""How large a junction tree and its fit would become, without building them: compiled elimination."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from dpsynth.domain import Clique, Domain
from dpsynth.estimation.memory import most_megabytes


class TreeSizes:
    """Cells of the junction tree of a growing set of cliques; public arithmetic.

    Uses the elimination order of :func:`dpsynth.estimation.junction_tree.junction_tree`, so both agree (below 2^53
    cells, where products are exact).
    """

    def __init__(self, domain: Domain, cliques: Iterable[Clique]) -> None:
        self._domain, self._measured = domain, set[Clique]()
        self._position = {n: i for i, n in enumerate(domain.names)}
        self._sizes = np.array(domain.sizes, dtype=np.float64)
        self._linked = np.zeros((len(domain.names), len(domain.names)), dtype=np.bool_)
        for clique in cliques:
            self.add(clique)

    def add(self, clique: Clique) -> None:
        """Add a clique to the set."""
        self._measured.add(clique)
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
        return self._eliminated(columns, limit)[0]

    def within(self, cliques: Sequence[Clique], *, cells: float, megabytes: float | None = None) -> NDArray[np.bool_]:
        """For each clique whether, if it were added, the tree stays within ``cells`` and its fit in ``megabytes``.

        The fit's megabytes are those of :func:`dpsynth.estimation.memory.fit_megabytes`, bounded from above.
        """
        found, strided = self._eliminated(self.columns(cliques), cells)
        good = found <= cells
        if megabytes is not None:
            before = sum(self._domain.cells(q) for q in self._measured)
            new = np.array([q not in self._measured for q in cliques], dtype=np.float64)
            own = np.array([self._domain.cells(q) for q in cliques], dtype=np.float64)
            most = most_megabytes(
                found,
                strided,
                measured=before + new * own,
                factors=len(self._measured) + new,
                attributes=len(self._sizes),
            )
            good &= most <= megabytes
        return np.asarray(good)

    def _eliminated(
        self, columns: NDArray[np.int64], limit: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        from dpsynth.estimation.kernel import elimination

        cells, strided = np.empty(len(columns)), np.empty(len(columns))
        elimination()(self._linked, self._sizes, columns, float(limit), cells, strided)
        return cells, strided
