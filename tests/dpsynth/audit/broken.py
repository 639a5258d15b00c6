"""Mechanisms that break their promise in ways that have been seen, and a sound one beside them."""

import numpy as np

from dpsynth.domain import Domain
from dpsynth.mechanisms import IndependentConfig, measure_independent
from dpsynth.noise.measure import measure_marginals
from dpsynth.sources import MemorySource
from dpsynth.synthesizers import Synthesizer


class _Silent:
    def charge(self, steps):
        """Nobody hears of it."""


class _Noted:
    """Charges what is claimed, and tells what it was."""

    def __init__(self, spend):
        self.spend, self.steps = spend, []

    def charge(self, steps):
        self.spend.charge(steps)
        self.steps.extend(steps)


def _noised(factor):
    """One-way marginals with the stated noise times ``factor``, charged as stated."""

    def measure(source, config, *, spend, random, **given):
        noted = _Noted(spend)
        stated = measure_independent(source, config, spend=noted, random=random, **given)
        cliques, sigmas = [m.clique for m in stated], [m.sigma for m in stated]
        if factor == 0:
            values = [counts for _, counts in source.counts(cliques)]
        else:
            less = [sigma * factor for sigma in sigmas]
            made = measure_marginals(source, cliques, sigmas=less, spend=_Silent(), random=random, label="less")
            values = [m.values for m in made]
        return [type(m)(clique=m.clique, values=v, sigma=m.sigma) for m, v in zip(stated, values, strict=True)]

    return measure


def _bounds_from_data(source, config, *, spend, random, **given):
    """Sound noise on a domain that ends at the largest code that is there."""
    names = source.domain.names
    codes = np.concatenate([block for block, _ in source.blocks()], axis=1)
    seen = Domain.of({n: int(column.max()) + 1 for n, column in zip(names, codes, strict=True)})
    return measure_independent(MemorySource(seen, codes), config, spend=spend, random=random, **given)


def _uncharged(source, config, *, spend, random, **given):
    return measure_independent(source, config, spend=_Silent(), random=random, **given)


def _overcharged(source, config, *, amount, **given):
    return measure_independent(source, config, amount=2 * amount, **given)


def _made(name, measure):
    return Synthesizer(name=name, config=IndependentConfig(), measure=measure, ways=1, adaptive=False)


NO_NOISE = _made("no noise", _noised(0))
HALF_NOISE = _made("half the noise", _noised(0.5))
BOUNDS_FROM_DATA = _made("bounds from the data", _bounds_from_data)
UNCHARGED = _made("uncharged", _uncharged)
OVERCHARGED = _made("twice its budget", _overcharged)
SOUND = _made("sound", measure_independent)
