"""Per-record norms and weighted gradients, without per-record gradients, against torch.func's vmap(grad)."""

import pytest
import torch
from torch.func import grad, vmap

from dpsynth.deep.gradients import squared_norms
from dpsynth.deep.layers import Tape
from dpsynth.deep.sgd import MARGIN, add_clipped
from tests.dpsynth.deep.references import NETWORKS, own_of, records

TOLERANCE = 1e-5


def made(name):
    """Network, parameters, records, and every record's gradient by vmap(grad) of the loss written again."""
    network, parameters, loss = NETWORKS[name]()
    codes = records(network.sizes, 40)
    each = vmap(grad(loss), in_dims=(None, 0))(parameters, codes)
    masked = {n: g * network.masks[n] if n in network.masks else g for n, g in each.items()}
    return network, parameters, codes, masked


def norms(network, parameters, codes):
    """Norms as the engine finds them."""
    tape = Tape(parameters, own_of(network, len(codes)))
    objective = network.objective(tape, codes)
    signals = torch.autograd.grad(objective.sum(), [layer.outputs for layer in tape.layers])
    return sum(squared_norms(layer, g) for layer, g in zip(tape.layers, signals, strict=True)).sqrt()


@pytest.mark.parametrize("name", NETWORKS)
def test_norms_of_every_layer_are_those_of_vmap(name):
    network, parameters, codes, each = made(name)
    expected = sum(g.flatten(1).square().sum(dim=1) for g in each.values()).sqrt()
    torch.testing.assert_close(norms(network, parameters, codes), expected, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("clip", [0.3, 1e6])
def test_the_clipped_sum_is_that_of_clipped_gradients(name, clip):
    network, parameters, codes, each = made(name)
    sizes = sum(g.flatten(1).square().sum(dim=1) for g in each.values()).sqrt()
    scale = torch.clamp(clip * (1 - MARGIN) / sizes, max=1.0)
    assert bool((scale < 1).any()) == (clip < 1)
    found = {n: torch.zeros_like(v, dtype=torch.float64) for n, v in parameters.items()}
    add_clipped(network, parameters, codes, clip=clip, into=found, own=own_of(network, len(codes)))
    for n, g in each.items():
        expected = torch.einsum("b,b...->...", scale, g)
        torch.testing.assert_close(found[n].float(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_record_has_the_same_norm_in_any_company(name):
    network, parameters, codes, _ = made(name)
    together = norms(network, parameters, codes)
    alone = torch.cat([norms(network, parameters, codes[i : i + 1]) for i in range(len(codes))])
    torch.testing.assert_close(together, alone, rtol=TOLERANCE, atol=TOLERANCE)


def test_a_parameter_is_used_once():
    tape = Tape({"w": torch.ones(2, 2)})
    tape.dense(torch.ones(1, 2), "w")
    with pytest.raises(ValueError, match="used twice"):
        tape.dense(torch.ones(1, 2), "w")
