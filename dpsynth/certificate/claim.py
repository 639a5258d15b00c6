"""From charged steps to the privacy statement; the release states it, and the verifier works it out again."""

import math
from collections.abc import Sequence

from accountant.compose import larger_side, totals
from accountant.errors import ParameterError, UnsupportedEvent
from accountant.price import AMOUNT_UNIT, Coordinate, Price
from accountant.report import epsilon_of, plain_reading
from accountant.spend import Step
from dpsynth.certificate.dossier import Claim

CURVE = (1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-12)
"""The deltas of a certificate's curve."""

_OTHER = {Coordinate.GDP: Coordinate.ZCDP, Coordinate.ZCDP: Coordinate.GDP}
_SECOND = {
    (Coordinate.GDP, False): "zCDP of the same events, converted at the best order (Canonne, Kamath, Steinke 2020)",
    (Coordinate.GDP, True): "zCDP as the cap implies it, converted at the best order (Canonne, Kamath, Steinke 2020)",
    (Coordinate.ZCDP, False): "GDP of the same events, converted exactly (Dong, Roth, Su 2022)",
    (Coordinate.ZCDP, True): "none: a cap on ρ implies no μ",
}
_NOTIONS = {
    Coordinate.GDP: "Gaussian differential privacy, stated as (ε, δ)",
    Coordinate.ZCDP: "zero-concentrated differential privacy, stated as (ε, δ)",
}
_THEOREMS = {
    (Coordinate.GDP, False): "Dong, Roth, Su 2022: the μ of a fixed sequence add in squares",
    (Coordinate.GDP, True): "Smith, Thakurta 2022: a cap on the sum of μ² holds for fully adaptive parameters",
    (Coordinate.ZCDP, False): "Bun, Steinke 2016: the ρ of a fixed sequence add up",
    (Coordinate.ZCDP, True): "Feldman, Zrnic 2021: a cap on the sum of ρ holds for fully adaptive parameters",
}


def state_claim(
    steps: Sequence[Step],
    *,
    coordinate: Coordinate,
    delta: float,
    cap: Price,
    adaptive: bool,
    accountant: str,
    delta_guidance: str,
) -> Claim:
    """The privacy statement of ``steps``.

    Args:
      steps: Everything that was charged.
      coordinate: Of the ledger's scope.
      delta: At which epsilon is stated.
      cap: What was reserved; an adaptive run is priced at it, whatever it spent.
      adaptive: Whether parameters depended on earlier outputs.
      accountant: Name and version.
      delta_guidance: Delta against one over the noisy number of people, in words.

    Raises:
      ParameterError: No epsilon can be stated at ``delta``.
      UnsupportedEvent: A step has no price in ``coordinate``.
    """
    main = release_price(steps, coordinate=coordinate, cap=cap, adaptive=adaptive)
    second = second_price(steps, coordinate=coordinate, cap=cap, adaptive=adaptive)
    by = {coordinate: main, _OTHER[coordinate]: second}
    epsilon = release_epsilon(steps, coordinate=coordinate, delta=delta, cap=cap, adaptive=adaptive)
    return Claim(
        notion=_NOTIONS[coordinate],
        epsilon=epsilon,
        delta=delta,
        price=main,
        mu=_root(by[Coordinate.GDP]),
        rho=_plain(by[Coordinate.ZCDP]),
        curve=_curve(steps, coordinate=coordinate, cap=cap, adaptive=adaptive),
        second_epsilon=_epsilon_or_none(second, delta, _OTHER[coordinate]),
        second_accountant=_SECOND[coordinate, adaptive],
        theorem=_THEOREMS[coordinate, adaptive],
        adaptive=adaptive,
        accountant=accountant,
        delta_guidance=delta_guidance,
        reading=plain_reading(epsilon=epsilon, delta=delta),
    )


def release_price(steps: Sequence[Step], *, coordinate: Coordinate, cap: Price, adaptive: bool) -> Price:
    """What a release costs: the dearer side of a fixed plan, the committed cap of an adaptive run."""
    return cap if adaptive else larger_side(totals(steps, coordinate))


def second_price(steps: Sequence[Step], *, coordinate: Coordinate, cap: Price, adaptive: bool) -> Price | None:
    """The same release in the other coordinate, or None where there is no such number.

    An adaptive run under a GDP cap of mu is (mu^2 / 2)-zCDP, because mu-GDP implies it (Dong, Roth, Su 2022, Corollary
    B.6); a zCDP cap implies no mu.
    """
    if adaptive:
        return Price((cap.amount + 1) // 2, cap.delta) if coordinate is Coordinate.GDP else None
    try:
        return larger_side(totals(steps, _OTHER[coordinate]))
    except UnsupportedEvent:
        return None


def release_epsilon(
    steps: Sequence[Step], *, coordinate: Coordinate, delta: float, cap: Price, adaptive: bool
) -> float:
    """Epsilon at ``delta``: the smaller of what the two coordinates say.

    Raises:
      ParameterError: No epsilon can be stated at ``delta``.
    """
    main = epsilon_of(release_price(steps, coordinate=coordinate, cap=cap, adaptive=adaptive), delta, coordinate)
    other = second_price(steps, coordinate=coordinate, cap=cap, adaptive=adaptive)
    second = _epsilon_or_none(other, delta, _OTHER[coordinate])
    return main if second is None else min(main, second)


def _curve(
    steps: Sequence[Step], *, coordinate: Coordinate, cap: Price, adaptive: bool
) -> tuple[tuple[float, float], ...]:
    points = []
    for delta in CURVE:
        try:
            epsilon = release_epsilon(steps, coordinate=coordinate, delta=delta, cap=cap, adaptive=adaptive)
        except ParameterError:
            continue
        points.append((delta, epsilon))
    return tuple(points)


def _epsilon_or_none(price: Price | None, delta: float, coordinate: Coordinate) -> float | None:
    try:
        return None if price is None else epsilon_of(price, delta, coordinate)
    except ParameterError:
        return None


def _root(price: Price | None) -> float | None:
    return None if price is None else math.sqrt(price.amount / AMOUNT_UNIT)


def _plain(price: Price | None) -> float | None:
    return None if price is None else price.amount / AMOUNT_UNIT
