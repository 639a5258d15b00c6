"""Modules of one's own: one record at a time, clipped, charged first, and the same sums as our own layers give."""

import itertools

import numpy as np
import pytest
import torch

from accountant.errors import BudgetExceeded
from dpsynth.deep import Phase, SgdPlan
from dpsynth.deep.modules import own_network, train_module
from dpsynth.deep.plan import plan_event
from dpsynth.deep.sgd import add_clipped
from dpsynth.deep.training import Terms
from dpsynth.domain import Domain
from dpsynth.errors import ParameterError
from dpsynth.noise.random import SeededRandom
from dpsynth.sources import MemorySource
from tests.dpsynth.deep.references import SIZES, Noted, classifier, one_hot, records

DELTA = 1e-9
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


class Dense(torch.nn.Module):
    """The loss of a record's last code given the others: two dense layers."""

    def __init__(self, sizes=SIZES, hidden=5):
        super().__init__()
        self.sizes = sizes
        self.first = torch.nn.Linear(sum(sizes[:-1]), hidden)
        self.second = torch.nn.Linear(hidden, sizes[-1])

    def forward(self, codes):
        logits = self.second(torch.relu(self.first(one_hot(codes[:-1], self.sizes[:-1]))))
        return -(torch.log_softmax(logits, 0) * (torch.arange(self.sizes[-1]) == codes[-1])).sum()


class Remembering(Dense):
    """The same with a batch norm."""

    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(5)


def network_of(module, parameters, columns=3):
    return own_network(module, parameters, columns=columns)


def clipped(network, parameters, codes, clip):
    """The clipped sum by parameter."""
    found = {name: torch.zeros_like(value, dtype=torch.float64) for name, value in parameters.items()}
    network.add_clipped(parameters, codes, clip=clip, into=found)
    return found


def plan(steps=3, people=60, noise=4.0):
    phase = Phase(label="own", steps=steps, sampling_probability=0.5, clip=1.0)
    return SgdPlan(phases=(phase,), noise_multiplier=noise, people=people)


def terms(spend, made=None):
    return Terms(plan=made or plan(), delta=DELTA, spend=spend, random=SeededRandom(3))


def source(rows=60):
    domain = Domain.of({f"c{j}": size for j, size in enumerate(SIZES)})
    return MemorySource(domain, records(SIZES, rows).numpy().T.astype(np.uint8))


@pytest.mark.parametrize("clip", [0.2, 1e6])
def test_sums_are_those_of_our_own_layers(clip):
    ours, p, _ = classifier()
    codes = records(SIZES, 40)
    expected = {name: torch.zeros_like(value, dtype=torch.float64) for name, value in p.items()}
    add_clipped(ours, p, codes, clip=clip, into=expected)
    own = {"first.weight": p["in"].T, "first.bias": p["in bias"], "second.weight": p["out"].T, "second.bias": p["bias"]}
    found = clipped(network_of(Dense(), own), own, codes, clip)
    pairs = (("first.weight", "in"), ("first.bias", "in bias"), ("second.weight", "out"), ("second.bias", "bias"))
    for name, other in pairs:
        torch.testing.assert_close(found[name].mT if found[name].ndim > 1 else found[name], expected[other], **CLOSE)


@pytest.mark.parametrize("clip", [0.1, 50.0])
def test_a_neighbour_moves_the_sum_by_at_most_the_bound(clip):
    torch.manual_seed(1)
    module = Dense(sizes=(2, 2))
    parameters = {name: 5.0 * torch.randn_like(value) for name, value in module.named_parameters()}
    network = network_of(module, parameters, columns=2)

    def whole(data):
        found = clipped(network, parameters, torch.tensor(data).reshape(-1, 2), clip)
        return torch.cat([value.flatten() for value in found.values()])

    cells = list(itertools.product(range(2), range(2)))
    for data in itertools.combinations_with_replacement(cells, 2):
        before = whole(list(data))
        assert max((whole([*data, one]) - before).norm().item() for one in cells) <= clip


def test_the_plan_is_charged_before_a_record_is_read():
    class Refusing:
        max_rows, domain = 1, Domain.of({"a": 3, "b": 2, "c": 4})

        def blocks(self, rows=1):
            raise AssertionError("a record was read")

    with pytest.raises(BudgetExceeded):
        train_module(Dense(), Refusing(), terms(Noted(refuses=True)), rate=0.1)


def test_a_module_is_trained_by_the_charged_steps_and_stays_as_it_was():
    spend, module = Noted(), Dense()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    found = train_module(module, source(), terms(spend), rate=0.1)
    (step,) = spend.steps
    assert step.event == plan_event(plan(), delta=DELTA)
    assert found.keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert not any(torch.equal(found[name], before[name]) for name in before)
    module.load_state_dict(found)


def test_what_remembers_records_is_refused_uncharged():
    spend = Noted()
    two = SgdPlan(phases=(*plan().phases, Phase(label="b", steps=1, sampling_probability=0.5, clip=1.0)),
                  noise_multiplier=4.0, people=60)
    for module, made in ((Remembering(), plan()), (Dense(), two)):
        with pytest.raises(ParameterError, match="can't be trained"):
            train_module(module, source(), terms(spend, made), rate=0.1)
    assert not spend.steps


def test_a_gradient_that_is_not_finite_adds_nothing():
    module = Dense()
    parameters = {name: torch.full_like(value, 1e30) for name, value in module.named_parameters()}
    found = clipped(network_of(module, parameters), parameters, records(SIZES, 5), 1.0)
    assert all(bool(torch.isfinite(value).all()) for value in found.values())


class Stashing(Dense):
    """Keeps a batch for the next one."""

    last = None

    def forward(self, codes):
        loss = super().forward(codes)
        found = loss if self.last is None else loss * self.last.to(loss.dtype).mean()
        self.last = codes
        return found


class Drawing(Dense):
    """With chance of its own."""

    def forward(self, codes):
        return super().forward(codes) * torch.rand(())


class Deciding(Dense):
    """Decides by a record's values which way it goes."""

    def forward(self, codes):
        return super().forward(codes) * (2.0 if int(codes.max()) > 1 else 1.0)


class Writing(Dense):
    """Writes records into what others read."""

    def __init__(self):
        super().__init__()
        self.seen = [torch.zeros(3)]

    def forward(self, codes):
        self.seen[0].add_(codes)
        return super().forward(codes) * self.seen[0].sum()


@torch.library.custom_op("dpsynth_tests::kept", mutates_args=())
def _kept(codes: torch.Tensor) -> torch.Tensor:
    return codes.clone()


class Calling(Dense):
    """Calls what could do anything."""

    def forward(self, codes):
        return super().forward(_kept(codes))


def test_what_a_module_keeps_or_writes_changes_nobodys_gradient():
    module = Stashing()
    parameters = {name: value.detach().clone() for name, value in module.named_parameters()}
    network, codes = network_of(module, parameters), records(SIZES, 40)
    first = clipped(network, parameters, codes, 0.5)
    clipped(network, parameters, torch.zeros_like(codes), 0.5)
    again = clipped(network, parameters, codes, 0.5)
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert module.last is None


@pytest.mark.parametrize("made", [Drawing, Deciding, Writing, Calling])
def test_what_draws_decides_writes_or_calls_other_code_is_refused_uncharged(made):
    spend = Noted()
    with pytest.raises(ParameterError, match="doesn't run on a made-up record"):
        train_module(made(), source(), terms(spend), rate=0.1)
    assert not spend.steps
