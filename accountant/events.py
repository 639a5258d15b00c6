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


EVENT_TYPES: dict[str, type[Event]] = {
    t.__name__: t
    for t in (Gaussian, DiscreteGaussian, Laplace, DiscreteLaplace, BoundedRange, PureDP, ApproxDP, Repeat, Composed)
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
    return float.fromhex(value) if isinstance(value, str) else value


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
