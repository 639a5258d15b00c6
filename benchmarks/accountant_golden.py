"""The golden table: every row against its published or measured value, and what a query costs."""

import math
import statistics
import sys
from collections.abc import Iterator

from accountant.convert import epsilon_from_mu, epsilon_from_rho, mu_from_budget
from accountant.events import Event
from accountant.price import AMOUNT_UNIT, Coordinate
from benchmarks.accountant_plans import DELTA, DP_SGD, MIXED, WITHIN
from benchmarks.harness import Figure, at_most, holds, run

MUS = ((0.1, 1e-6, "0.0275"), (1.0, 1e-6, "0.237"), (1.0, 1e-9, "0.182"))
"""epsilon, delta, the mu that implies them."""


def golden() -> Iterator[Figure]:
    """Each row within 0.1 % of its value, or equal to it in every digit that is known."""
    from accountant.pld import profile

    for row in DP_SGD:
        yield _row(row.name, profile(row.events).epsilon(DELTA), row.value)
    yield _row("200 Gaussians and 50 selections, PLD with bounded range", profile(MIXED).epsilon(DELTA), "2.321")
    gdp = epsilon_from_mu(_amount(MIXED, Coordinate.GDP) ** 0.5, DELTA)
    yield _row("200 Gaussians and 50 selections, GDP filter", gdp, "2.358")
    rho = _amount(MIXED, Coordinate.ZCDP)
    yield _row("200 Gaussians and 50 selections, zCDP at the best order", epsilon_from_rho(rho, DELTA), "2.437")
    yield _row("200 Gaussians and 50 selections, zCDP by the textbook formula", _textbook(rho), "2.773")
    for epsilon, delta, value in MUS:
        yield _row(f"mu of epsilon {epsilon:g}, delta {delta:g}", mu_from_budget(epsilon, delta), value)


def _amount(events: tuple[Event, ...], coordinate: Coordinate) -> float:
    from accountant.compose import price, total

    return total(price(event, coordinate) for event in events).amount / AMOUNT_UNIT


def _textbook(rho: float) -> float:
    """Bun, Steinke 2016, Proposition 1.3: what the optimised order improves on."""
    return rho + 2.0 * math.sqrt(rho * -math.log(DELTA))


def _row(name: str, found: float, value: str) -> Figure:
    digits = len(value.partition(".")[2])
    same = f"{found:.{digits}f}" == value
    apart = abs(found / float(value) - 1.0)
    return holds(
        f"golden: {name}",
        same or apart <= WITHIN,
        f"{found:.{digits + 2}f}",
        f"{value} within {WITHIN:.1%}, or in every digit",
        value=found,
        apart=apart,
        delta=DELTA,
    )


QUERY = """\
import json, time
from accountant import Coordinate
from benchmarks.accountant_plans import DELTA, DP_SGD, MIXED
began = time.process_time()
from accountant.pld import CERTIFY_GRID, profile
plan = MIXED if {index} == len(DP_SGD) else DP_SGD[{index}].events
epsilon = profile(plan, grid=CERTIFY_GRID).epsilon(DELTA)
print(json.dumps([epsilon, time.process_time() - began]))
"""


def query_time() -> Iterator[Figure]:
    """CPU seconds of one query at the certifying grid in a fresh process, the loading of the accountant included."""
    import json

    names = [*(row.name for row in DP_SGD), "200 Gaussians and 50 selections"]
    for index, name in enumerate(names):
        seconds = []
        for _ in range(3):
            done = run([sys.executable, "-c", QUERY.format(index=index)])
            if done.code != 0:
                raise RuntimeError(done.output[-500:])
            epsilon, cpu = json.loads(done.output.splitlines()[-1])
            seconds.append(cpu)
        what = f"CPU of one query at the certifying grid: {name} (least of 3)"
        yield at_most(what, min(seconds), 1.0, "CPU s", epsilon=epsilon, all=seconds)


def filter_time() -> Iterator[Figure]:
    """One charge of a filter in memory: the price of its event, the check and the bookkeeping."""
    import timeit

    from accountant.events import BoundedRange, DiscreteGaussian
    from accountant.filters import FilterSpend
    from accountant.price import Price
    from accountant.spend import BOTH_SIDES, Step

    wide = dict.fromkeys(BOTH_SIDES, Price(1 << 80, 1 << 80))
    for coordinate in Coordinate:
        for event in (DiscreteGaussian(sigma=30.0), BoundedRange(eta=0.05)):
            spend = FilterSpend(coordinate=coordinate, caps=wide)
            step = [Step(label="a marginal", event=event)]
            timer = timeit.Timer(lambda spend=spend, step=step: spend.charge(step))
            micro = [seconds / 2000 * 1e6 for seconds in timer.repeat(repeat=7, number=2000)]
            what = f"filter check of a {type(event).__name__} in {coordinate} (least of 7)"
            yield at_most(what, min(micro), 50.0, "microseconds", median=statistics.median(micro))


HEAVY = ("scipy.stats", "dp_accounting", "pandas", "torch", "scipy.optimize")


def import_time() -> Iterator[Figure]:
    """What ``import accountant`` adds to a fresh process, alone and with numpy; measured in turns."""
    one = {"OPENBLAS_NUM_THREADS": "1"}
    parts = (
        ("pass", {}),
        ("import accountant", {}),
        ("import numpy, accountant", one),
        ("import numpy, accountant", {}),
    )
    rounds = [[run([sys.executable, "-c", code], environment=e).cpu_seconds for code, e in parts] for _ in range(9)]
    start, alone, single, default = (min(column) for column in zip(*rounds, strict=True))
    least = "without the interpreter's own start (least of 9)"
    yield at_most(f"import accountant, {least}", alone - start, 0.20, "CPU s", interpreter=start)
    yield at_most(f"the same with numpy and one thread of its BLAS, {least}", single - start, 0.20, "CPU s")
    what = f"the same with as many threads as the BLAS starts, {least} (reported: numpy's own)"
    yield at_most(what, default - start, math.inf, "CPU s")
    asked = f"import accountant, sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = run([sys.executable, "-c", asked])
    said = done.output.strip()
    yield holds("import accountant loads no heavy module", said == "[]", said, "none of " + ", ".join(HEAVY))


ROUNDS, SELECTION = 224, 0.10
"""AIM on Adult: 16 rounds a column, a tenth of each round for selection."""


def aim_plan() -> Iterator[Figure]:
    """AIM's plan at epsilon 1: the noise of a measurement against the best zCDP conversion, selections as strong."""
    from accountant.calibrate import discrete_gaussian_sigma
    from accountant.compose import price
    from accountant.convert import rho_from_budget
    from accountant.events import BoundedRange
    from accountant.price import Price

    rho = rho_from_budget(1.0, DELTA) / ROUNDS
    eta = math.sqrt(8.0 * SELECTION * rho)
    before = discrete_gaussian_sigma(amount=Price.of((1.0 - SELECTION) * rho).amount, coordinate=Coordinate.ZCDP)
    once = price(BoundedRange(eta=eta), Coordinate.GDP).amount
    whole = math.floor(mu_from_budget(1.0, DELTA) ** 2 * AMOUNT_UNIT)
    after = discrete_gaussian_sigma(amount=whole // ROUNDS - once, coordinate=Coordinate.GDP)
    what = f"AIM's plan ({ROUNDS} rounds, {SELECTION:.0%} selection), epsilon 1, delta {DELTA:g}: less noise"
    less = 100.0 * (1.0 - after / before)
    yield _less(f"{what} by the adaptive filter (mu^2), selections as strong", less, zcdp=before, sigma=after, eta=eta)
    fixed = _fixed_sigma(eta, before)
    less = 100.0 * (1.0 - fixed / before)
    yield _less(f"{what} as a fixed plan (PLD), selections as strong", less, zcdp=before, sigma=fixed, eta=eta)


def _less(what: str, value: float, **detail: object) -> Figure:
    from benchmarks.harness import at_least

    return at_least(what, value, 4.2, "%", **detail)


def _fixed_sigma(eta: float, start: float) -> float:
    """The smallest sigma, to 1e-4 of ``start``, whose whole plan has epsilon at most 1 by its PLD."""
    from accountant.events import BoundedRange, DiscreteGaussian, Repeat
    from accountant.pld import profile

    good, bad = start, 0.85 * start
    while good - bad > 1e-4 * start:
        middle = (good + bad) / 2.0
        steps = (DiscreteGaussian(sigma=middle), BoundedRange(eta=eta))
        epsilon = profile([Repeat(event=step, count=ROUNDS) for step in steps]).epsilon(DELTA)
        good, bad = (middle, bad) if epsilon <= 1.0 else (good, middle)
    return good
