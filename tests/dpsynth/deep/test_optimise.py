"""Optimisers against torch's own, and schedules."""

import pytest
import torch

from dpsynth.deep.optimise import Adam, Momentum, cosine, moving_mean


def walk(step, other, steps=20):
    """Both optimisers from the same start on the same gradients."""
    torch.manual_seed(0)
    ours = {"w": torch.ones(4, 3)}
    theirs = torch.nn.Parameter(torch.ones(4, 3))
    optimiser = other([theirs])
    for _ in range(steps):
        slope = torch.randn(4, 3)
        theirs.grad = slope.clone()
        optimiser.step()
        step(ours, {"w": slope})
    torch.testing.assert_close(ours["w"], theirs.detach(), rtol=1e-5, atol=1e-6)


def test_adam_is_torchs():
    adam = Adam()
    walk(lambda p, g: adam.step(p, g, rate=0.05), lambda p: torch.optim.Adam(p, lr=0.05))


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_momentum_is_torchs(decay):
    momentum = Momentum(decay=decay)
    walk(
        lambda p, g: momentum.step(p, g, rate=0.05),
        lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=decay),
    )


def test_only_named_parameters_move():
    p = {"a": torch.zeros(1), "b": torch.zeros(1)}
    Momentum().step(p, {"a": torch.ones(1)}, rate=1.0)
    assert (p["a"].item(), p["b"].item()) == (-1.0, 0.0)


def test_a_cosine_falls_from_one_to_nearly_none():
    rates = [cosine(step, 10) for step in range(10)]
    assert rates[0] == 1.0
    assert rates == sorted(rates, reverse=True)
    assert 0.0 < rates[-1] < 0.03


def test_a_moving_mean_is_the_mean():
    mean, values = None, [torch.tensor([float(v)]) for v in (1, 5, 9)]
    for before, value in enumerate(values):
        mean = moving_mean(mean, {"w": value}, before)
    assert mean["w"].item() == pytest.approx(5.0)
