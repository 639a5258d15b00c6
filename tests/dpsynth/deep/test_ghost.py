"""Modules through opacus: norms and sums are ours, the bound holds, coins and noise are the engine's."""

import copy
import itertools
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from accountant.errors import BudgetExceeded
from dpsynth.deep import extra
from dpsynth.deep.alone import gradients_alone
from dpsynth.deep.ghost import _of_one, ghost_network, made_up, train_by_opacus
from dpsynth.deep.gradients import squared_norms
from dpsynth.deep.layers import Tape
from dpsynth.deep.modules import train_module
from dpsynth.deep.plan import plan_event
from dpsynth.deep.sgd import add_clipped
from dpsynth.domain import Domain
from dpsynth.errors import MissingExtra, ParameterError
from dpsynth.sources import MemorySource
from tests.contracts.test_imports import loaded
from tests.dpsynth.deep.references import SIZES, Noted, autoregressive, classifier, last_alone, one_hot, records
from tests.dpsynth.deep.test_modules import DELTA, Dense, plan, source, terms

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def domain(sizes=SIZES):
    return Domain.of({f"c{j}": size for j, size in enumerate(sizes)})


def hot(codes, sizes, like):
    """Codes of records side by side, of the dtype of ``like``."""
    parts = [codes[:, j, None] == torch.arange(size) for j, size in enumerate(sizes)]
    return torch.cat(parts, dim=1).to(like.dtype)


class Batched(nn.Module):
    """Logits of the last code given the others: two dense layers, on batches."""

    def __init__(self, sizes=SIZES, hidden=5):
        super().__init__()
        self.sizes = sizes
        self.first, self.second = nn.Linear(sum(sizes[:-1]), hidden), nn.Linear(hidden, sizes[-1])

    def forward(self, codes):
        inputs = hot(codes[:, :-1], self.sizes[:-1], self.first.weight)
        return self.second(torch.relu(self.first(inputs)))


def entropy(logits, codes):
    return nn.functional.cross_entropy(logits, codes[:, -1], reduction="none")


class Masked(nn.Module):
    """A dense layer whose masked weights are zero, which opacus doesn't know."""

    def __init__(self, weight, mask, bias=None):
        super().__init__()
        self.weight, self._mask = nn.Parameter(weight.clone()), mask
        self.bias = None if bias is None else nn.Parameter(bias.clone())

    def forward(self, inputs):
        found = inputs @ (self.weight * self._mask.to(self.weight.dtype))
        return found if self.bias is None else found + self.bias


class Rows(nn.Module):
    """The masked autoregressive network on batches, with the parameters of ours; its outputs are logits."""

    def __init__(self, network, p):
        super().__init__()
        self.sizes = network.sizes
        self.inner = Masked(p["in"], network.masks["in"], p["in bias"])
        self.outer = Masked(p["out"], network.masks["out"])
        self.skip = Masked(p["skip"], network.masks["skip"], p["bias"])

    def forward(self, codes):
        inputs = hot(codes, self.sizes, self.inner.weight)
        return self.outer(torch.relu(self.inner(inputs))) + self.skip(inputs)


def likelihood(logits, codes, weights=(1.0, 1.0, 1.0)):
    parts = zip(logits.split(list(SIZES), dim=1), codes.T, weights, strict=True)
    return sum(w * nn.functional.cross_entropy(part, code, reduction="none") for part, code, w in parts)


def two_layers():
    """Our classifier, and the same as a module."""
    ours, p, _ = classifier()
    module = Batched()
    own = {"first.weight": p["in"].T, "first.bias": p["in bias"], "second.weight": p["out"].T, "second.bias": p["bias"]}
    module.load_state_dict(own)
    names = {"first.weight": "in", "first.bias": "in bias", "second.weight": "out", "second.bias": "bias"}
    return ours, p, ghost_network(module, entropy, domain()), names


OF_ROWS = {
    "inner.weight": "in", "inner.bias": "in bias", "outer.weight": "out", "skip.weight": "skip", "skip.bias": "bias"
}


def masked_rows():
    """Our autoregressive network, and the same as a module with layers that opacus has no formula for."""
    ours, p, _ = autoregressive()
    return ours, p, ghost_network(Rows(ours, p), likelihood, domain()), OF_ROWS


def last_of_rows():
    """The same of the last column alone: other biases have no gradient."""
    ours, p, _ = last_alone()

    def loss(logits, codes):
        return likelihood(logits, codes, (0.0, 0.0, 1.0))

    return ours, p, ghost_network(Rows(ours, p), loss, domain()), OF_ROWS


def norms_of_ours(network, p, codes):
    tape = Tape(p)
    objective = network.objective(tape, codes)
    signals = torch.autograd.grad(objective.sum(), [layer.outputs for layer in tape.layers])
    return sum(squared_norms(layer, signal) for layer, signal in zip(tape.layers, signals, strict=True)).sqrt()


def sums(network, codes, clip):
    found = {name: torch.zeros_like(value) for name, value in network.parameters.items()}
    network.add_clipped(network.parameters, codes, clip=clip, into=found)
    return found


@pytest.mark.parametrize("made", [two_layers, masked_rows, last_of_rows])
def test_norms_in_closed_form_are_those_of_opacus(made):
    ours, p, ghost, _ = made()
    codes = records(SIZES, 300)
    _, square = ghost.losses_and_squared_norms(codes)
    torch.testing.assert_close(norms_of_ours(ours, p, codes).double(), square.sqrt(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("clip", [0.3, 1e6])
@pytest.mark.parametrize("made", [two_layers, masked_rows, last_of_rows])
def test_clipped_sums_of_our_layers_are_those_through_opacus(made, clip):
    ours, p, ghost, names = made()
    codes = records(SIZES, 300)
    expected = {name: torch.zeros_like(value, dtype=torch.float64) for name, value in p.items()}
    add_clipped(ours, p, codes, clip=clip, into=expected)
    for name, value in sums(ghost, codes, clip).items():
        other = expected[names[name]]
        torch.testing.assert_close(value.mT if name.startswith(("first.w", "second.w")) else value, other, **CLOSE)


@pytest.mark.parametrize("clip", [0.1, 50.0])
def test_a_neighbour_moves_the_sum_by_at_most_the_bound(clip):
    torch.manual_seed(1)
    module = Batched(sizes=(2, 2))
    module.load_state_dict({name: 5.0 * torch.randn_like(value) for name, value in module.state_dict().items()})
    network = ghost_network(module, entropy, domain((2, 2)))

    def whole(data):
        found = sums(network, torch.tensor(data).reshape(-1, 2), clip)
        return torch.cat([value.flatten() for value in found.values()])

    cells = list(itertools.product(range(2), range(2)))
    for data in itertools.combinations_with_replacement(cells, 2):
        before = whole(list(data))
        assert max((whole([*data, one]) - before).norm().item() for one in cells) <= clip


def test_one_person_does_not_change_how_thousands_of_others_round():
    """Their sum moves by that person's own gradient, to a share of the bound that only float64 keeps."""
    network = ghost_network(Batched(), entropy, domain())
    codes, clip = records(SIZES, 1000).repeat(4, 1), 0.7
    others, one = sums(network, codes[1:], clip), sums(network, codes[:1], clip)
    for name, value in sums(network, codes, clip).items():
        assert value.dtype == torch.float64
        assert (value - others[name] - one[name]).abs().max() <= 1e-9 * clip
    with pytest.raises(ValueError, match="float64"):
        network.add_clipped(
            network.parameters, codes, clip=clip, into={n: v.float() for n, v in network.parameters.items()}
        )


def test_coins_and_noise_are_those_of_our_own_engine():
    """Through opacus and record by record the same people join, the same noise is added, the same comes out."""
    module = Dense()
    batched = Batched()
    batched.load_state_dict(module.state_dict())
    before, state = {name: value.clone() for name, value in batched.state_dict().items()}, torch.get_rng_state()
    spend = Noted()
    found = train_by_opacus(batched, entropy, source(), terms(spend), rate=0.1)
    expected = train_module(module, source(), terms(Noted()), rate=0.1)
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], **CLOSE)
        assert not torch.equal(value, before[name])
        assert torch.equal(batched.state_dict()[name], before[name])
    assert torch.equal(torch.get_rng_state(), state)
    assert [step.event for step in spend.steps] == [plan_event(plan(), delta=DELTA)]
    batched.load_state_dict(found)


def test_empty_batches_are_steps_too():
    empty = MemorySource(domain(), np.zeros((3, 0), dtype=np.uint8))
    found = train_by_opacus(Batched(), entropy, empty, terms(Noted()), rate=0.1)
    expected = train_module(Dense(), empty, terms(Noted()), rate=0.1)
    assert found.keys() == expected.keys()
    assert all(bool(torch.isfinite(value).all()) for value in found.values())


def test_the_plan_is_charged_before_a_record_is_read():
    @dataclass
    class Refusing:
        domain: Domain
        max_rows: int = 1

        def blocks(self, rows=1):
            raise AssertionError("a record was read")

    with pytest.raises(BudgetExceeded):
        train_by_opacus(Batched(), entropy, Refusing(domain()), terms(Noted(refuses=True)), rate=0.1)
    spend = Noted()
    with pytest.raises(ParameterError, match="units of up to 2 rows"):
        train_by_opacus(Batched(), entropy, Refusing(domain(), max_rows=2), terms(spend), rate=0.1)
    assert not spend.steps


class Normed(Batched):
    """With a layer that joins records."""

    def __init__(self, norm):
        super().__init__()
        self.norm = norm

    def forward(self, codes):
        inputs = hot(codes[:, :-1], self.sizes[:-1], self.first.weight)
        return self.second(torch.relu(self.norm(self.first(inputs))))


class Dropping(Batched):
    """With chance of its own."""

    def forward(self, codes):
        return nn.functional.dropout(super().forward(codes), 0.5)


class Centring(Batched):
    """Subtracts what the others have in the mean."""

    def forward(self, codes):
        logits = super().forward(codes)
        return logits - logits.mean(dim=0)


class Deciding(Batched):
    """Decides by a record's values which way it goes."""

    def forward(self, codes):
        return super().forward(codes) * (2.0 if int(codes.max()) > 1 else 1.0)


class Around(Batched):
    """Uses a layer's weights outside of it, where opacus doesn't see them, behind a weight that starts at zero."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(SIZES[-1], SIZES[-1])
        nn.init.zeros_(self.last.weight)

    def forward(self, codes):
        inner = torch.relu(self.first(hot(codes[:, :-1], self.sizes[:-1], self.first.weight)))
        return self.last(self.second(inner) + torch.tanh(inner) @ self.second.weight.T)


class Keeping(Batched):
    """Keeps something of one batch for the next, outside of buffers."""

    calls = 0

    def forward(self, codes):
        self.calls += 1
        return super().forward(codes) * (1.0 + 0.1 * self.calls)


class Wide(nn.Module):
    """A loss of a column of 100 codes, which made-up records don't all hit, and what a subclass does with it."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table, self.last = nn.Embedding(100, 4), nn.Linear(4, 4)

    def forward(self, codes):
        return self.odd(self.last(self.table(codes[:, 0])), codes)

    def odd(self, found, codes):
        return found


class RareUse(Wide):
    """Uses a layer's weights a second time for one code alone."""

    def odd(self, found, codes):
        return torch.where(codes[:, :1] == 99, found + 30.0 * found @ self.last.weight, found)


class RareCompany(Wide):
    """Joins records where one of them has a rare code."""

    def odd(self, found, codes):
        rare = (codes[:, :1] == 99).to(found.dtype)
        return torch.where((rare > 0).any(), found + (rare * found).sum(dim=0), found)


class LargeBatches(Wide):
    """Writes records into its weights, in batches larger than those that were looked at."""

    def odd(self, found, codes):
        if codes.shape[0] > 64:
            self.table.weight.data[codes[:, 0]] *= 0.5
        return found


class LargeCompany(Wide):
    """Joins records in large batches."""

    def odd(self, found, codes):
        return found - found.mean(dim=0) if len(codes) > 64 else found


def squared(outputs, codes):
    return (outputs - 1.0).square().sum(dim=1)


@pytest.mark.parametrize("made", [RareUse, RareCompany, LargeBatches, LargeCompany])
def test_the_bound_holds_whatever_a_module_does_on_rare_codes_or_in_large_batches(made):
    """Taken or not: each part keeps the bound, and the sum is that of the parts, none of which changes in company."""
    network, clip = ghost_network(made(), squared, domain((100, 2))), 1.0
    codes = torch.stack([torch.arange(100), torch.arange(100) % 2], dim=1)
    before = {name: value.clone() for name, value in network.parameters.items()}
    parts = [sums(network, codes[i : i + 1], clip) for i in range(100)]
    whole = sums(network, codes, clip)
    assert max(float(sum(value.square().sum() for value in part.values())) for part in parts) <= clip**2
    for name, value in whole.items():
        torch.testing.assert_close(value, sum(part[name] for part in parts), rtol=1e-9, atol=1e-9)
        assert torch.equal(network.parameters[name], before[name])


class Frozen(Batched):
    """Trains nothing."""

    def __init__(self):
        super().__init__()
        self.requires_grad_(False)


@pytest.mark.parametrize(
    ("module", "loss", "why"),
    [
        (Normed(nn.BatchNorm1d(5)), entropy, "buffers"),
        (Normed(nn.BatchNorm1d(5, track_running_stats=False)), entropy, "buffers, or a layer that opacus refuses"),
        (Dropping(), entropy, "doesn't run"),
        (Centring(), entropy, "depends on its company"),
        (Deciding(), entropy, "doesn't run"),
        (Keeping(), entropy, "on what was before"),
        (Around(), entropy, "norms of its gradients"),
        (Frozen(), entropy, "no parameter to train"),
        (Centring(), lambda logits, codes: 1e-9 * entropy(logits, codes), "depends on its company"),
        (Around(), lambda logits, codes: 1e-9 * entropy(logits, codes), "norms of its gradients"),
        (Batched(), lambda logits, codes: entropy(logits, codes).mean(), "isn't a number of its own"),
        (Batched(), lambda logits, codes: entropy(logits, codes) / len(codes), "isn't a number of its own"),
        (Batched(), lambda logits, codes: entropy(logits, codes).roll(1), "isn't a number of its own"),
        (Batched(sizes=(3, 2, 2, 4)), entropy, "doesn't run"),
    ],
)
def test_what_joins_records_draws_decides_or_remembers_is_refused_uncharged(module, loss, why):
    spend = Noted()
    with pytest.raises(ParameterError, match=why) as refused:
        train_by_opacus(module, loss, source(), terms(spend), rate=0.1)
    assert not spend.steps
    assert all(part.endswith(".") for part in (refused.value.what, refused.value.why, refused.value.next_step))


def test_known_layers_are_taken():
    """Embeddings and layer norms, which opacus has formulas for, and frozen layers, which stay as they were."""

    class Embedded(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.norm = nn.Embedding(max(SIZES), 6), nn.LayerNorm(6)
            self.last = nn.Linear(6, SIZES[-1])
            self.last.bias.requires_grad_(False)

        def forward(self, codes):
            return self.last(torch.relu(self.norm(self.table(codes[:, :-1].contiguous()).sum(dim=1))))

    module = Embedded()
    found = train_by_opacus(module, entropy, source(), terms(Noted()), rate=0.1)
    assert torch.equal(found["last.bias"], module.last.bias)
    assert not torch.equal(found["table.weight"], module.table.weight)
    module.load_state_dict(found)


def test_a_gradient_that_is_not_finite_adds_nothing():
    """A record whose loss overflows is left out; the others' sum is what it is without it."""
    module = Batched()

    def loss(logits, codes):
        huge = torch.where(codes[:, 0] == 2, 1e38, 1.0).double().pow(8)
        return entropy(logits, codes) * huge * huge

    network = ghost_network(module, entropy, domain())
    codes = records(SIZES, 50)
    each = gradients_alone(_of_one(copy.deepcopy(module).double(), loss)[0], network.parameters, codes)
    whole = type(network)(gradients=each, hooked=network.hooked, loss=loss)
    found, expected = sums(whole, codes, 1.0), sums(network, codes[codes[:, 0] != 2], 1.0)
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-9, atol=1e-9)
    assert not any(bool(value.any()) for value in sums(whole, codes[codes[:, 0] == 2], 1.0).values())


def test_made_up_records_are_of_the_domain_and_no_two_columns_run_alike():
    found = made_up(domain((3, 2, 4, 2, 90)))
    assert bool((found >= 0).all())
    assert bool((found < torch.tensor([3, 2, 4, 2, 90])).all())
    assert not torch.equal(found[:, 1], found[:, 3])
    assert all(len(found[:, j].unique()) == size for j, size in ((0, 3), (1, 2), (2, 4)))
    assert one_hot(found[0, :3], SIZES).sum() == 3


def test_without_opacus_the_refusal_gives_the_install_line(monkeypatch):
    monkeypatch.setattr(extra, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'dpsynth\[opacus\]'") as refused:
        train_by_opacus(Batched(), entropy, source(), terms(Noted()), rate=0.1)
    assert all(part.endswith(".") for part in (refused.value.what, refused.value.why, refused.value.next_step))


def test_only_a_training_through_it_loads_opacus():
    assert "opacus" not in loaded("import dpsynth, dpsynth.deep, dpsynth.deep.ghost, dpsynth.deep.planning")
