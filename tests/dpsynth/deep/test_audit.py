"""An audit of real steps: the best attack on one canary never beats the curve that the accountant priced.

The canary alone moves its own weight, by the whole bound where its coin put it into the batch. The attack knows all
else: plan, noise, and the other people, and takes the likelihood ratio of what the steps returned. For every threshold
TPR - e^epsilon FPR is at most delta(epsilon); what is measured may pass that by the error of its rates alone.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch

from accountant.pld import profile
from dpsynth.deep import ChargedSteps, Phase, SgdPlan
from dpsynth.deep.plan import plan_event
from dpsynth.deep.sgd import noisy_gradient
from dpsynth.noise.random import SeededRandom
from tests.dpsynth.deep.references import people

RUNS = 400
EPSILONS = (0.0, 0.5, 1.0, 2.0)
ERROR = 4.0
"""Standard errors that a measured rate may be off."""


@dataclass
class Meter:
    """One weight for each code; a record's gradient is 1 at its own, whatever the weights are."""

    masks = {}  # noqa: RUF012

    def objective(self, tape, codes):
        return tape.lookup(codes, torch.zeros(1, dtype=torch.int64), "w")[:, 0]


def evidence(rows, phase, noise, random):
    """Log-likelihood ratio, with against without the canary, of what the steps of one run returned."""
    plan = SgdPlan(phases=(phase,), noise_multiplier=noise, people=10)
    charged = ChargedSteps(plan, priced(plan))
    total = 0.0
    for _ in range(phase.steps):
        found = noisy_gradient(Meter(), {"w": torch.zeros(2, 1)}, rows, phase, charged=charged, random=random)
        moved = found["w"][1, 0].item() * plan.expected_batch(phase) / phase.clip
        q = phase.sampling_probability
        total += math.log(1.0 - q + q * math.exp((moved - 0.5) / noise**2))
    return total


@cache
def priced(plan):
    """The plan's event, worked out once."""
    return plan_event(plan, delta=1e-9)


@pytest.mark.parametrize(("share", "noise", "steps"), [(0.5, 1.0, 4), (1.0, 2.0, 3)])
def test_no_attack_beats_the_priced_curve_and_the_best_one_comes_near(share, noise, steps):
    phase = Phase(label="audit", steps=steps, sampling_probability=share, clip=0.7)
    random = SeededRandom(17)
    without, with_canary = (people(np.array([[0]] * 9 + more), sizes=(2,)) for more in ([], [[1]]))
    absent, present = (
        np.array([evidence(rows, phase, noise, random) for _ in range(RUNS)]) for rows in (without, with_canary)
    )
    thresholds = np.quantile(np.concatenate([absent, present]), np.linspace(0.02, 0.98, 40))
    curve = profile(SgdPlan(phases=(phase,), noise_multiplier=noise, people=10).events())
    for epsilon in EPSILONS:
        gained, errors = [], []
        for threshold in thresholds:
            true, false = (present > threshold).mean(), (absent > threshold).mean()
            gained.append(true - math.exp(epsilon) * false)
            errors.append(math.sqrt(true * (1 - true) + math.exp(2 * epsilon) * false * (1 - false) + 0.01))
        over = np.array(gained) - ERROR * np.array(errors) / math.sqrt(RUNS)
        assert over.max() <= curve.delta(epsilon)
    advantage = max((present > threshold).mean() - (absent > threshold).mean() for threshold in thresholds)
    assert advantage >= curve.delta(0.0) - ERROR * math.sqrt(0.5 / RUNS)
