"""The exact neighbour oracle: what the shipped primitives give away, over all tiny data sets, against their charge.

Each test runs shipped functions through shipped sources; only the random source is replaced, by an enumerator. The
second assertion of each keeps the charge honest the other way: a price or a noise that is too large fails as well. A
single shift by 1 attains its GDP price; compositions and longer shifts of a coarse law stay up to 9 % below theirs.
"""

import math

import numpy as np
import pytest

from dpsynth.noise.measure import measure_count, measure_gaussian, measure_laplace, measure_marginals
from dpsynth.noise.selection import select_exponential
from tests.oracles.enumerator import distribution, hockey_stick, laws_and_charge, price_holds
from tests.oracles.neighbours import DATA, PAIRS, PEOPLE_PAIRS, people_source, row_source

A, B, AB = ("a",), ("b",), ("a", "b")


def values(measurements):
    return tuple(int(v) for m in measurements for v in m.values.ravel())


def test_marginals():
    def mechanism(records, spend, random):
        source = row_source(records)
        return values(measure_marginals(source, [A, B], sigmas=[0.8, 0.6], spend=spend, random=random, label="measure"))

    mu, real = price_holds(mechanism, PAIRS, floor=1e-7)
    assert mu > 2.0
    assert 0.93 < real <= 1.0 + 1e-3


def test_a_joint_marginal():
    def mechanism(records, spend, random):
        return values(
            measure_marginals(row_source(records), [AB], sigmas=[0.7], spend=spend, random=random, label="measure")
        )

    _, real = price_holds(mechanism, PAIRS, floor=1e-7)
    assert 0.999 < real <= 1.0 + 1e-3


def test_marginals_of_people_with_two_rows():
    def mechanism(people, spend, random):
        return values(
            measure_marginals(people_source(people), [A], sigmas=[1.5], spend=spend, random=random, label="measure")
        )

    _, real = price_holds(mechanism, PEOPLE_PAIRS, floor=1e-7)
    assert 0.93 < real <= 1.0 + 1e-3


def test_gaussian_vector():
    def mechanism(records, spend, random):
        codes = np.array(records, dtype=np.int64).reshape(-1, 2)
        noisy = measure_gaussian(
            codes.sum(axis=0), sigma=0.9, sensitivity=math.sqrt(2), spend=spend, random=random, label="ones"
        )
        return tuple(noisy.tolist())

    _, real = price_holds(mechanism, PAIRS)
    assert 0.9 < real <= 1.0 + 1e-6


def test_count():
    def mechanism(records, spend, random):
        return measure_count(len(records), sigma=1.3, sensitivity=1, spend=spend, random=random, label="rows")

    _, real = price_holds(mechanism, PAIRS, floor=1e-12)
    assert real == pytest.approx(1.0, abs=1e-6)


def test_count_of_people_with_two_rows():
    def mechanism(people, spend, random):
        rows = sum(len(person) for person in people)
        return measure_count(rows, sigma=2.0, sensitivity=2, spend=spend, random=random, label="rows")

    _, real = price_holds(mechanism, PEOPLE_PAIRS, floor=1e-12)
    assert 0.96 < real <= 1.0 + 1e-6


def laplace_of_one_marginal(records, spend, random):
    ((_, exact),) = row_source(records).counts([A])
    noisy = measure_laplace(exact, scale=0.8, sensitivity=1, spend=spend, random=random, label="measure")
    return tuple(noisy.tolist())


def test_laplace_vector():
    _, real = price_holds(laplace_of_one_marginal, PAIRS)
    assert real == pytest.approx(1.0, abs=1e-5)


def test_laplace_has_the_pure_epsilon_it_was_charged():
    laws, (step,) = laws_and_charge(laplace_of_one_marginal, DATA, floor=1e-9)
    epsilon = step.event.sensitivity / step.event.scale
    deltas = [hockey_stick(laws[p], laws[q], epsilon) for p, q in PAIRS]
    assert max(low for low, _ in deltas) < 1e-12
    assert max(hockey_stick(laws[p], laws[q], 0.95 * epsilon)[0] for p, q in PAIRS) > 0.01


TARGETS = ((3, 0), (0, 2))
"""What a model believes of columns a and b: their L1 errors move by one each, possibly in opposite directions."""


@pytest.mark.parametrize("grid", [1, 1 << 20])
@pytest.mark.parametrize("eta", [0.3, 2.0])
def test_selection(eta, grid):
    def mechanism(records, spend, random):
        counts = [exact.tolist() for _, exact in row_source(records).counts([A, B])]
        scores = [
            grid * sum(abs(x - y) for x, y in zip(exact, target, strict=True))
            for exact, target in zip(counts, TARGETS, strict=True)
        ]
        return select_exponential(scores, sensitivity=grid, eta=eta, spend=spend, random=random, label="select")

    _, real = price_holds(mechanism, PAIRS, floor=0.0)
    assert real == pytest.approx(1.0, abs=1e-6)


def test_selection_is_bounded_range():
    """Log ratios of all outcomes of a pair span at most eta, and some pair uses all of it."""
    eta, spans = 0.7, []

    def law(scores):
        return distribution(
            lambda random: select_exponential(
                scores, sensitivity=2, eta=eta, spend=_Free(), random=random, label="select"
            ),
            floor=0.0,
        ).probabilities

    for first, second in (((0, 4, 5), (2, 2, 5)), ((0, 0, 0), (2, -2, 1)), ((7, 7, 7), (9, 9, 9))):
        p, q = law(first), law(second)
        ratios = [math.log(p[o] / q[o]) for o in p]
        spans.append(max(ratios) - min(ratios))
    assert spans == pytest.approx([eta, eta, 0.0], abs=1e-12)


class _Free:
    def charge(self, steps):
        pass
