"""Optimisers against torch's own, and schedules."""

import pytest
import torch

from dpsynth.deep.optimise import Adam, Mean, Momentum, cosine


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


def test_a_mean_is_the_mean():
    mean, last = Mean(), {"w": torch.tensor([7.0])}
    assert mean.of(last) == last
    for value in (1, 5, 9):
        mean.show({"w": torch.tensor([float(value)])})
    assert mean.of(last)["w"].item() == pytest.approx(5.0)


@pytest.mark.parametrize("made", [Adam, Momentum])
def test_an_optimiser_goes_on_where_it_stood(made):
    torch.manual_seed(1)
    slopes = [{"w": torch.randn(3)} for _ in range(6)]
    whole, parted = {"w": torch.zeros(3)}, {"w": torch.zeros(3)}
    one, first, second = made(), made(), made()
    for slope in slopes:
        one.step(whole, slope, rate=0.1)
    for slope in slopes[:3]:
        first.step(parted, slope, rate=0.1)
    second.restore({name: value.clone() for name, value in first.arrays().items()})
    for slope in slopes[3:]:
        second.step(parted, slope, rate=0.1)
    torch.testing.assert_close(whole["w"], parted["w"])


def test_a_mean_goes_on_where_it_stood():
    first, second = Mean(), Mean()
    first.show({"w": torch.ones(1)})
    second.restore(first.arrays())
    second.show({"w": torch.full((1,), 3.0)})
    assert second.of({})["w"].item() == pytest.approx(2.0)
