"""What is audited: a synthesizer made cheap, and what an attacker who sees all of its output makes of one run.

The attacker knows both tables and sees every measurement: its evidence is the exact log-likelihood ratio of the noisy
marginals at the noise that they state. Which marginals were measured, and their shapes, are kept beside it as words;
what these tell is learned from runs. A trained synthesizer shows its model alone: there the evidence is how likely the
record is under it.
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accountant.adjacency import Adjacency
from accountant.compose import price
from accountant.events import Composed, Event, FixedPlan, Repeat
from accountant.groups import for_group
from accountant.pld import fixed_plan
from accountant.price import AMOUNT_UNIT, Coordinate, Price
from accountant.spend import Side, Step
from dpsynth.audit.worlds import World
from dpsynth.deep.config import ArConfig, ArGanConfig, CriticConfig, GanConfig, TrainedConfig, VaeConfig
from dpsynth.deep.plan import plan_for_amount
from dpsynth.domain import Domain
from dpsynth.measurement import Measurement
from dpsynth.mechanisms import MixtureConfig, MwemConfig
from dpsynth.noise.base import RandomSource
from dpsynth.sources import Codes, MemorySource
from dpsynth.synthesizers import Synthesizer, find_synthesizer

CHEAP: dict[str, Any] = {
    "mwem": MwemConfig(rounds_per_attribute=1),
    "mixture": MixtureConfig(components=16, steps=20),
    "ar": ArConfig(row_steps=6, fewest_rows=1_000, batch=60, hidden=8),
    "ar-gan": ArGanConfig(row_steps=4, fewest_rows=1_000, batch=60, hidden=8, critic=CriticConfig(steps=3, hidden=8)),
    "gan": GanConfig(game_steps=4, fewest_rows=1_000, batch=60, parts=20, critic=CriticConfig(steps=3, hidden=8)),
    "vae": VaeConfig(steps=6, fewest_rows=1_000, batch=60, hidden=8, numbers=4),
}
"""Settings that make a run cheap: fewer rounds, smaller models. What is measured, noised and charged is unchanged."""

TRAINED_DELTA = 1e-9
"""Additive delta of the audited plans of DP-SGD."""

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """What an attacker makes of one run.

    Attributes:
      evidence: Larger where the record is likelier to be there.
      words: What was measured, in order, as words; what they tell is learned.
      charged: What the run's charges come to under the adjacency of its world.
    """

    evidence: float
    words: Words
    charged: Price


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subject:
    """Something that is audited.

    Attributes:
      name: Public name.
      settings: Its settings in words: runs under others aren't runs of this.
      run: One run: ``run(world, records, amount=, random=)``.
    """

    name: str
    settings: str
    run: Callable[..., Transcript]


class Meter:
    """A spend that allows everything and remembers it: an audit of fabricated data has no budget."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def charge(self, steps: Sequence[Step]) -> None:
        """Remember the steps.

        Privacy:
          None by itself: nobody is in fabricated data. What is charged is what the audit holds against the output.
          Checked by: tests/dpsynth/audit/test_mechanism.py::test_a_charge_that_is_missing_is_shown
        """
        self.steps.extend(steps)


def subject(name: str | Synthesizer) -> Subject:
    """A synthesizer as what is audited: by name in its cheap settings, a configured one as it is.

    Raises:
      ParameterError: No synthesizer has this name.
    """
    made = find_synthesizer(name)
    if isinstance(name, str) and name in CHEAP:
        made = replace(made, config=CHEAP[name])
    run = _measured if made.train is None else _trained
    return Subject(name=made.name, settings=repr(made.config), run=functools.partial(run, made))


def _measured(
    synthesizer: Synthesizer, world: World, records: Codes, *, amount: int, random: RandomSource
) -> Transcript:
    meter, source = Meter(), MemorySource(world.domain, records, threads=1)
    measured = synthesizer.measure(
        source, synthesizer.config, amount=amount, coordinate=Coordinate.GDP, spend=meter, random=random
    )
    moved = _Moved(world)
    return Transcript(
        evidence=math.fsum(moved.evidence(one) for one in measured),
        words=tuple(f"{','.join(one.clique)}:{'x'.join(map(str, one.values.shape))}" for one in measured),
        charged=_charged(meter, world.adjacency),
    )


class _Moved:
    """The exact marginals of both tables, and what a noisy one says of them."""

    def __init__(self, world: World) -> None:
        self._world = world

    def evidence(self, measured: Measurement) -> float:
        """Log-likelihood ratio of one measurement; 0 where its shape isn't the domain's, for its words tell that."""
        without, having = _marginals(self._world, measured.clique)
        if measured.values.shape != without.shape:
            return 0.0
        squares = np.square(measured.values - without) - np.square(measured.values - having)
        return float(squares.sum()) / (2.0 * measured.sigma**2)


@functools.lru_cache(maxsize=256)
def _marginals(world: World, clique: tuple[str, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first, second = (
        next(MemorySource(world.domain, codes, threads=1).counts([clique]))[1].astype(np.float64)
        for codes in (world.without, world.having)
    )
    return first, second


def _trained(
    synthesizer: Synthesizer, world: World, records: Codes, *, amount: int, random: RandomSource
) -> Transcript:
    meter, source = Meter(), MemorySource(world.domain, records, threads=1)
    config = planned(synthesizer.config, world.domain, people=world.without.shape[1], amount=amount)
    assert synthesizer.train is not None
    model = synthesizer.train(
        source, config, amount=amount, coordinate=Coordinate.GDP, spend=meter, random=random, sides=(Side.TRAINING,)
    )
    likely = [float(model.marginal((name,))[code]) for name, code in zip(world.domain.names, world.record, strict=True)]
    return Transcript(
        evidence=math.fsum(math.log(max(p, 1e-6)) for p in likely),
        words=(),
        charged=_charged(meter, world.adjacency),
    )


@functools.lru_cache(maxsize=64)
def planned(config: TrainedConfig, domain: Domain, *, people: int, amount: int) -> TrainedConfig:
    """Settings of a trained synthesizer with a plan that an amount pays for; those that hold a plan as they are.

    Args:
      config: Settings with their numbers of steps.
      domain: The public domain.
      people: Declared magnitude.
      amount: Budget, in units of mu^2.

    Raises:
      ParameterError: No noise keeps the steps within the amount.
    """
    if config.noise_multiplier is not None:
        return config
    phases = config.phases(domain, people=people)
    plan = plan_for_amount(phases, people=people, amount=amount, coordinate=Coordinate.GDP, delta=TRAINED_DELTA)
    return replace(config, people=people, noise_multiplier=plan.noise_multiplier, delta=TRAINED_DELTA)


def _charged(meter: Meter, adjacency: Adjacency) -> Price:
    return _priced(tuple(step.event for step in meter.steps), adjacency)


@functools.lru_cache(maxsize=4096)
def _priced(events: tuple[Event, ...], adjacency: Adjacency) -> Price:
    if adjacency is Adjacency.REPLACE_ONE:
        events = tuple(replacing(event) for event in events)
        return price(Composed(events=events, adjacency=adjacency), Coordinate.GDP) if events else Price()
    return price(Composed(events=events), Coordinate.GDP) if events else Price()


@functools.lru_cache(maxsize=1024)
def replacing(event: Event) -> Event:
    """What an event stated for a record that comes or goes is where one takes the place of another.

    Two steps of add-remove: group privacy of two for a single event (twice its mu). A plan of sampled steps is composed
    anew under replace-one, where a batch may hold the old record or the new one.

    Raises:
      UnsupportedEvent: Nothing is known for this kind of event.
    """
    if isinstance(event, FixedPlan):
        return fixed_plan(tuple(_replaced(part) for part in event.events), event.delta)
    return _replaced(for_group(event, 2))


def _replaced(event: Event) -> Event:
    """The same event, said of records that are replaced."""
    if isinstance(event, Repeat):
        return replace(event, event=_replaced(event.event), adjacency=Adjacency.REPLACE_ONE)
    return replace(event, adjacency=Adjacency.REPLACE_ONE)


def mu_of(amount: int) -> float:
    """mu of an amount of mu^2."""
    return math.sqrt(amount / AMOUNT_UNIT)


def amount_of(mu: float) -> int:
    """The amount of mu^2, in units, rounded down."""
    return int(mu * mu * AMOUNT_UNIT)
