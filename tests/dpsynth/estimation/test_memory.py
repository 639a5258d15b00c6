"""The memory that a fit is said to take holds, and isn't far above what it takes."""

import itertools
import tracemalloc

import numpy as np
import pytest

from dpsynth.domain import Domain
from dpsynth.estimation import estimate_tree, fit_tree, junction_tree
from dpsynth.estimation.kernel import sweep
from dpsynth.estimation.memory import fit_megabytes
from dpsynth.measurement import Measurement


def every(count, ways):
    return list(itertools.combinations(range(count), ways))


CASES = {
    "one large pair": ([300, 300], [(0, 1)]),
    "a chain of pairs": ([60] * 8, [(i, i + 1) for i in range(7)]),
    "a table much larger than what was measured": ([24] * 4, every(4, 2)),
    "two-code columns, whose offsets are many": ([2] * 14, every(14, 2)),
    "triples, pairs and single columns": ([20] * 5, [(0, 1, 2), (1, 2, 3), (2, 3, 4), *every(3, 2), (0,), (4,)]),
    "wide separators": ([4, 40, 40, 4], [(0, 1, 2), (1, 2, 3)]),
}


def peak_megabytes(domain, measurements):
    """Of a fit, of the same from a warm start, which is what adaptive rounds do, and of the released model's."""
    sweep()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        first = fit_tree(domain, measurements, total=1e4, max_calls=12)
        cold = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.reset_peak()
        fit_tree(domain, measurements, total=1e4, max_calls=12, warm=first)
        warm = tracemalloc.get_traced_memory()[1] - before
        del first
        tracemalloc.reset_peak()
        estimate_tree(domain, measurements, total=1e4, max_calls=12)
        return cold / 1e6, warm / 1e6, (tracemalloc.get_traced_memory()[1] - before) / 1e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("case", CASES)
def test_a_fit_takes_what_is_said(case):
    sizes, columns = CASES[case]
    domain = Domain(names=tuple(f"x{i:02}" for i in range(len(sizes))), sizes=tuple(sizes))
    cliques = [tuple(domain.names[i] for i in q) for q in columns]
    rng = np.random.default_rng(0)
    measured = [
        Measurement(clique=q, values=rng.poisson(20, domain.shape(q)).astype(np.int64), sigma=10.0) for q in cliques
    ]
    said = fit_megabytes(junction_tree(domain, cliques), [*cliques, cliques[0]])
    cold, warm, last = peak_megabytes(domain, measured)
    assert cold <= said
    assert last <= said
    assert warm <= said <= 1.3 * warm
