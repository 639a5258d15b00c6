"""The mixture and the critic of pairs: exact moments, exact gradients, shares that are kept, and rows as it says."""

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from dpsynth.deep.critic import PairCritic, Pairs
from dpsynth.deep.layers import Tape
from dpsynth.deep.mixture import Mixture
from dpsynth.noise.random import SeededRandom
from tests.dpsynth.deep.references import SIZES, pair_sum

PARTS = 5


@pytest.fixture
def mixture():
    return Mixture.of(SIZES, parts=PARTS)


@pytest.fixture
def logits():
    torch.manual_seed(2)
    return torch.randn(PARTS, sum(SIZES))


def joint(probabilities):
    """The mixture's probability of every record, shape SIZES."""
    parts = [part.split(list(SIZES)) for part in probabilities]
    return sum(torch.einsum("a,b,c->abc", *columns) for columns in parts) / PARTS


def test_each_part_has_probabilities_of_each_column(mixture, logits):
    found = mixture.probabilities(logits)
    expected = torch.cat([torch.softmax(part, dim=1) for part in logits.split(list(SIZES), dim=1)], dim=1)
    torch.testing.assert_close(found, expected)


def test_moments_and_scores_are_those_of_the_joint(mixture, logits):
    pairs, probabilities = Pairs.of(SIZES), mixture.probabilities(logits)
    table = torch.randn(pairs.cells, 1)
    whole = joint(probabilities)
    expected = torch.cat([whole.sum(dim=2).flatten(), whole.sum(dim=1).flatten(), whole.sum(dim=0).flatten()])
    torch.testing.assert_close(pairs.moments(probabilities), expected)
    cells = torch.tensor(list(itertools.product(*map(range, SIZES))))
    scores = torch.stack([pair_sum(table, cell, SIZES) for cell in cells])
    by_parts = (probabilities * (probabilities @ pairs.matrix(table))).sum() / 2 / PARTS
    torch.testing.assert_close(by_parts, (whole.flatten() * scores).sum())


def test_the_mixture_moves_along_the_gradient_of_its_mean_score(mixture, logits):
    pairs = Pairs.of(SIZES)
    matrix = pairs.matrix(torch.randn(pairs.cells, 1))
    free = logits.clone().requires_grad_()
    probabilities = mixture.probabilities(free)
    (probabilities * (probabilities @ matrix) / 2).sum().backward()
    now = mixture.probabilities(logits)
    torch.testing.assert_close(mixture.gradient(now, now @ matrix), free.grad)


def test_a_critic_of_pairs_takes_from_made_rows_what_it_would_give_to_people(mixture, logits):
    """Its exact gradient on made rows is minus that of the loss of people in the mean over the mixture's joint."""
    critic, probabilities = PairCritic.of(SIZES, target_weight=3.0), mixture.probabilities(logits)
    found = critic.initial()
    critic.add_made(found, probabilities)
    cells = torch.tensor(list(itertools.product(*map(range, SIZES))))
    free = {name: value.requires_grad_() for name, value in critic.initial().items()}
    loss = (critic.objective(Tape(free), cells) * joint(probabilities).flatten()).sum()
    for (name, value), slope in zip(found.items(), torch.autograd.grad(loss, list(free.values())), strict=True):
        torch.testing.assert_close(value, -slope, msg=name)
    matrix = critic.matrix({name: torch.ones_like(value) for name, value in found.items()})
    whole = (1 + 2 * 9) ** 0.5
    assert matrix[0, 3].item() == pytest.approx(1 / whole)
    assert matrix[-1, 0].item() == pytest.approx(3 / whole)


def test_shares_of_codes_are_kept(mixture, logits):
    shares = torch.tensor([0.5, 0.3, 0.2, 0.9, 0.1, 0.4, 0.3, 0.2, 0.1])
    torch.testing.assert_close(mixture.summed(shares), torch.ones(sum(SIZES)))
    for _ in range(30):
        logits = mixture.kept(logits, shares)
    torch.testing.assert_close(mixture.probabilities(logits).mean(dim=0), shares, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("rows", [3, 40_000])
def test_rows_are_drawn_as_the_mixture_says(mixture, logits, rows):
    probabilities = mixture.probabilities(logits)
    drawn = mixture.sample(probabilities, rows, random=SeededRandom(3))
    assert drawn.shape == (rows, len(SIZES))
    assert (drawn >= 0).all()
    assert (drawn < np.array(SIZES)).all()
    if rows > PARTS:
        law = joint(probabilities).numpy().ravel().astype(float)
        seen = np.bincount(np.ravel_multi_index(drawn.T, SIZES), minlength=len(law))
        assert chisquare(seen, law / law.sum() * rows).pvalue > 1e-6
