"""Events: what was done to the data, apart from what it costs.

An event is one application of a primitive, as a frozen value of public parameters. Rules (``accountant.rules``) price
one event; ``accountant.compose`` alone multiplies and sums. ``to_json``/``event_from_json`` are exact inverses.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from accountant.adjacency import Adjacency
from accountant.errors import ParameterError, UnsupportedEvent


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise ParameterError(
                f"An event has {name} = {value}.",
                "Scales, sensitivities and counts of an event are finite and above zero.",
                f"Give {name} a positive finite number.",
            )


def _require_whole(draws: int) -> None:
    if type(draws) is not int:
        raise ParameterError(
            f"An event has draws = {draws}.",
            "Each draw has its share of the sampler's slack, and draws are counted in whole numbers.",
            "Give the number of draws as an int.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One application of a randomised primitive to private records. Abstract: use a subclass."""

    adjacency: Adjacency = Adjacency.ADD_REMOVE

    def to_json(self) -> dict[str, Any]:
        """The event as JSON values; floats keep every bit through ``float.hex``."""
        body = {f.name: getattr(self, f.name) for f in fields(self)}
        return {"kind": type(self).__name__} | {k: _encode(v) for k, v in body.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaussian(Event):
    """Continuous Gaussian noise of standard deviation ``noise_multiplier`` times the L2 sensitivity."""

    noise_multiplier: float

    def __post_init__(self) -> None:
        _positive(noise_multiplier=self.noise_multiplier)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscreteGaussian(Event):
    """Discrete Gaussian noise added to an integer vector.

    Attributes:
      sigma: Scale of each draw, in counts (parameter of the discrete Gaussian).
      sensitivity: L2 sensitivity of the integer vector, in counts (any neighbouring shift is an integer vector of at
        most this L2 norm).
      draws: Number of draws, for the sampler's total-variation slack.
    """

    sigma: float
    sensitivity: float = 1.0
    draws: int = 1

    def __post_init__(self) -> None:
        _positive(sigma=self.sigma, sensitivity=self.sensitivity, draws=self.draws)
        _require_whole(self.draws)


@dataclass(frozen=True, slots=True, kw_only=True)
class Laplace(Event):
    """Continuous Laplace noise of scale ``scale`` on a vector of L1 sensitivity ``sensitivity``."""

    scale: float
    sensitivity: float = 1.0

    def __post_init__(self) -> None:
        _positive(scale=self.scale, sensitivity=self.sensitivity)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscreteLaplace(Event):
    """Discrete Laplace noise of scale ``scale`` on an integer vector of L1 sensitivity ``sensitivity``."""

    scale: float
    sensitivity: float = 1.0
    draws: int = 1

    def __post_init__(self) -> None:
        _positive(scale=self.scale, sensitivity=self.sensitivity, draws=self.draws)
        _require_whole(self.draws)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundedRange(Event):
    """One ``eta``-bounded-range selection: the exponential mechanism exp(eta score / (2 sensitivity)).

    Source: Dong, Durfee, Rogers 2020 (arXiv:1909.13830).
    """

    eta: float

    def __post_init__(self) -> None:
        _positive(eta=self.eta)


@dataclass(frozen=True, slots=True, kw_only=True)
class PureDP(Event):
    """Any (epsilon, 0)-differentially private mechanism."""

    epsilon: float

    def __post_init__(self) -> None:
        _positive(epsilon=self.epsilon)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproxDP(Event):
    """A claim of (epsilon, delta) by a tool outside this project; believed, not proved here."""

    epsilon: float
    delta: float

    def __post_init__(self) -> None:
        _positive(epsilon=self.epsilon)
        if not 0.0 <= self.delta < 1.0:
            raise ParameterError(
                f"A claim has delta = {self.delta}.",
                "A delta is at least 0 and below 1.",
                "State the tool's own delta.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PoissonSampledGaussian(Event):
    """One noisy sum over a batch that each unit joins independently with probability ``sampling_probability``.

    Every unit's contribution is clipped to an L2 norm of at most C, and ``noise_multiplier`` is the noise's standard
    deviation over C, under either adjacency. Under add-remove the sum moves by at most C where the unit is in the
    batch; under replace-one a contribution turns into another one, so it moves by up to 2 C: the price is that of this.

    Attributes:
      noise_multiplier: Standard deviation over the norm bound C of ONE unit's contribution.
      sampling_probability: Above 0, at most 1; a public number, never the realised share.
    """

    noise_multiplier: float
    sampling_probability: float

    def __post_init__(self) -> None:
        _positive(noise_multiplier=self.noise_multiplier, sampling_probability=self.sampling_probability)
        if self.sampling_probability > 1.0:
            raise ParameterError(
                f"A batch has the sampling probability {self.sampling_probability}.",
                "A probability is at most 1.",
                "Give the expected batch over the declared number of units.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedSizeSampledGaussian(Event):
    """One noisy sum over ``sample_size`` of ``population_size`` units, drawn without replacement; replace-one only.

    Under add-remove two neighbours have populations of different sizes: a sample of a fixed size then replaces a unit
    by another one, so the theorems that amplify by sampling don't apply, and the population's size would be no public
    fact. ``noise_multiplier`` is the noise's standard deviation over the L2 norm bound C of one unit's contribution;
    replacing a unit moves the sum by up to 2 C, and the price is that of this.

    Attributes:
      noise_multiplier: Standard deviation over C.
      sample_size: Units of the batch.
      population_size: Units of the data, public under replace-one.
    """

    noise_multiplier: float
    sample_size: int
    population_size: int
    adjacency: Adjacency = Adjacency.REPLACE_ONE

    def __post_init__(self) -> None:
        _positive(noise_multiplier=self.noise_multiplier)
        sizes = self.sample_size, self.population_size
        if not (all(type(size) is int for size in sizes) and 1 <= sizes[0] <= sizes[1]):
            raise ParameterError(
                f"A sample of {self.sample_size} from {self.population_size} units was given.",
                "A sample without replacement is of 1 to all units, in whole numbers.",
                "Give another size.",
            )
        if self.adjacency is not Adjacency.REPLACE_ONE:
            raise UnsupportedEvent(
                "A sample of a fixed size was stated under add-remove.",
                "Neighbours of different size have no common sampling law, so no theorem amplifies it.",
                "Sample by independent coins (PoissonSampledGaussian), or state the whole plan under replace-one.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ZCDP(Event):
    """Any ``rho``-zero-concentrated differentially private mechanism."""

    rho: float

    def __post_init__(self) -> None:
        _positive(rho=self.rho)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionSelection(Event):
    """Labels whose noisy count of units reaches a threshold, with or without those counts.

    The noise is a discrete Gaussian; a unit adds 1 to the count of each label it holds.

    Attributes:
      sigma: Scale of the noise, in units.
      threshold: Least noisy count that is released, a public whole number.
      labels_per_unit: Most labels of one unit, enforced by the source.
    """

    sigma: float
    threshold: int
    labels_per_unit: int = 1

    def __post_init__(self) -> None:
        _positive(sigma=self.sigma, threshold=self.threshold, labels_per_unit=self.labels_per_unit)
        if type(self.threshold) is not int or type(self.labels_per_unit) is not int:
            raise ParameterError(
                f"A partition selection has threshold {self.threshold} and {self.labels_per_unit} labels a unit.",
                "Units are counted in whole numbers.",
                "Give integers.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat(Event):
    """``count`` applications of one event."""

    event: Event
    count: int

    def __post_init__(self) -> None:
        _positive(count=self.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed(Event):
    """A sequence of events."""

    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedPlan(Event):
    """A fixed plan entered as a pair that dominates its whole curve: mu-GDP up to an additive delta.

    For plans without a price in a scope's coordinate (sampled Gaussians, say), composed with whatever belongs to them.
    Nothing in the plan may depend on an output. ``accountant.pld.fixed_plan`` finds the pair, and every pricing checks
    it again.

    Attributes:
      events: What is done, in full.
      mu: The curve of mu-GDP plus ``delta`` lies above the plan's own, in both directions, at every epsilon.
      delta: Additive delta; covers the plan's claims and samplers' slack, too.
    """

    events: tuple[Event, ...]
    mu: float
    delta: float

    def __post_init__(self) -> None:
        _positive(mu=self.mu)
        if not 0.0 < self.delta < 1.0:
            raise ParameterError(
                f"A fixed plan has delta = {self.delta}.",
                "Its additive delta is above 0 and below 1.",
                "Give a small share of the scope's delta.",
            )


EVENT_TYPES: dict[str, type[Event]] = {
    t.__name__: t
    for t in (
        Gaussian,
        DiscreteGaussian,
        Laplace,
        DiscreteLaplace,
        BoundedRange,
        PureDP,
        ApproxDP,
        PoissonSampledGaussian,
        FixedSizeSampledGaussian,
        ZCDP,
        PartitionSelection,
        Repeat,
        Composed,
        FixedPlan,
    )
}


def _encode(value: Any) -> Any:
    if isinstance(value, Event):
        return value.to_json()
    if isinstance(value, tuple):
        return [_encode(v) for v in value]
    return value.hex() if isinstance(value, float) else value


def _decode(name: str, value: Any) -> Any:
    if name == "adjacency":
        return Adjacency(value)
    if isinstance(value, Mapping):
        return event_from_json(value)
    if isinstance(value, list):
        return tuple(event_from_json(v) for v in value)
    number = float.fromhex(value) if isinstance(value, str) else value
    if name == "draws" and isinstance(number, float) and number.is_integer():
        return int(number)  # older entries may hold a whole number of draws as a float
    return number


def event_from_json(body: Mapping[str, Any]) -> Event:
    """Rebuild an event from :meth:`Event.to_json`; raises UnsupportedEvent for an unknown type or field."""
    kind = EVENT_TYPES.get(str(body.get("kind")))
    names = {f.name for f in fields(kind)} if kind else set()
    if kind is None or set(body) != names | {"kind"}:
        raise UnsupportedEvent(
            f"An event named {body.get('kind')!r} can't be read.",
            "Its type or its fields are unknown to this version.",
            "Use the version that wrote it, or a newer one.",
        )
    return kind(**{k: _decode(k, v) for k, v in body.items() if k != "kind"})
