"""Cross-checks against independent libraries, each in an environment of its own (``make oracles``).

A library that is missing, refuses or breaks makes its figure fall short: nothing is skipped.
"""

import json
import math
import subprocess
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

from accountant.convert import epsilon_from_mu, epsilon_from_rho
from accountant.events import (
    ZCDP,
    BoundedRange,
    DiscreteGaussian,
    DiscreteLaplace,
    Event,
    Gaussian,
    Laplace,
    PureDP,
    Repeat,
)
from benchmarks.accountant_plans import DELTA, DP_SGD, WITHIN
from benchmarks.harness import ROOT, Figure, holds

PYTHON = ROOT / ".venv-oracles" / "bin" / "python"
SCRIPT = ROOT / "benchmarks" / "oracles" / "answer.py"
SECONDS = 900
EXACT = 1e-9
"""Relative tolerance of a lower bound, which two correct accountants may reach from either side in floats."""
NARROW = 5e-3
"""Relative width of bounds between which an answer needs no other reference."""
TIGHT = frozenset({"dp_accounting_pld", "opacus_prv", "prv_accountant"})
"""Oracles whose upper bound is tight, so that ours must be close to it; the others only bound."""
DRAWS, P_THRESHOLD, LEAST_EXPECTED = 100_000, 1e-6, 25
LAWS = (("gaussian", 2.5), ("gaussian", 10.0), ("laplace", 2.5), ("laplace", 10.0))


def ask(questions: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Answers in the order of the questions, and the versions of who answered.

    Raises:
      RuntimeError: There is no environment, or the script broke.
    """
    require_oracles()
    done = subprocess.run(
        [str(PYTHON), str(SCRIPT)],
        input=json.dumps(list(questions)),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the oracles ended with {done.returncode}: {done.stderr[-500:]}")
    said = json.loads(done.stdout)
    return said["answers"], said["versions"] | {"python": said["python"]}


def require_oracles() -> None:
    """Raise RuntimeError where the oracles' environment isn't there."""
    if not PYTHON.exists():
        raise RuntimeError("there is no .venv-oracles: run `make oracles`")


def composition() -> Iterator[Figure]:
    """Epsilon of fixed plans, against everybody who can price them."""
    require_oracles()
    rows = [(row.name, fixed_epsilon(row.events), row.parts, row.oracles, str(row.adjacency)) for row in DP_SGD]
    rows += [(name, fixed_epsilon(events), parts, oracles, "add-remove") for name, events, parts, oracles in _PLANS]
    yield from _compared(rows)
    apart = [(name, fixed_epsilon(events), parts, oracles, "add-remove") for name, events, parts, oracles in _BOUNDED]
    yield from _compared(apart, bounds_only=True)


def fixed_epsilon(events: Sequence[Event]) -> float:
    """What a fixed plan may state at ``DELTA``: the smallest of all accountants' answers."""
    from accountant.fixed import report_fixed_plan

    return report_fixed_plan(events, delta=DELTA).epsilon


def conversions() -> Iterator[Figure]:
    """The GDP curve and the conversion of zCDP, each as a plain formula."""
    rows = [
        (f"curve of mu {mu:g}", epsilon_from_mu(mu, DELTA), ({"kind": "gaussian", "sigma": 1.0 / mu},), ("autodp",))
        for mu in (0.0275, 0.237, 1.0, 3.0)
    ]
    rows += [
        (
            f"zCDP of rho {rho:g}",
            epsilon_from_rho(rho, DELTA),
            ({"kind": "zcdp", "rho": rho},),
            ("opendp_zcdp", "autodp"),
        )
        for rho in (0.001, 0.02435, 0.5, 2.0)
    ]
    yield from _compared([(n, ours, p, o, "add-remove") for n, ours, p, o in rows], close=TIGHT | {"opendp_zcdp"})


def _repeated(kind: str, event: Event, count: int, **parameters: float) -> tuple[tuple[Event, ...], tuple[Any, ...]]:
    return (Repeat(event=event, count=count),), ({"kind": kind, "count": count, **parameters},)


_NUMERIC = ("dp_accounting_pld", "prv_accountant")
_PLANS: tuple[tuple[str, tuple[Event, ...], tuple[Any, ...], tuple[str, ...]], ...] = (
    (
        "200 Gaussians of sigma 30",
        *_repeated("gaussian", Gaussian(noise_multiplier=30.0), 200, sigma=30.0),
        (*_NUMERIC, "opacus_prv", "opacus_rdp", "autodp", "opendp_zcdp"),
    ),
    ("20 Laplaces of scale 10", *_repeated("laplace", Laplace(scale=10.0), 20, scale=10.0), (*_NUMERIC, "autodp")),
    (
        "20 discrete Laplaces of scale 10",
        *_repeated("discrete-laplace", DiscreteLaplace(scale=10.0), 20, scale=10.0),
        ("dp_accounting_pld",),
    ),
    (
        "20 discrete Gaussians of sigma 10",
        *_repeated("discrete-gaussian", DiscreteGaussian(sigma=10.0), 20, sigma=10.0),
        ("dp_accounting_pld", "opendp_zcdp"),
    ),
    (
        "20 pure mechanisms of epsilon 0.1",
        *_repeated("pure", PureDP(epsilon=0.1), 20, epsilon=0.1),
        ("dp_accounting_pld", "autodp"),
    ),
    (
        "50 exponential mechanisms of parameter 0.05",
        *_repeated("exponential", BoundedRange(eta=0.05), 50, eta=0.05),
        ("bounded_range_optimal", "opendp_zcdp", "autodp"),
    ),
    (
        "10 exponential mechanisms of parameter 1",
        *_repeated("exponential", BoundedRange(eta=1.0), 10, eta=1.0),
        ("bounded_range_optimal", "opendp_zcdp", "autodp"),
    ),
    (
        "100 Gaussians of sigma 20 and 10 Laplaces of scale 10",
        (
            Repeat(event=Gaussian(noise_multiplier=20.0), count=100),
            Repeat(event=Laplace(scale=10.0), count=10),
        ),
        ({"kind": "gaussian", "sigma": 20.0, "count": 100}, {"kind": "laplace", "scale": 10.0, "count": 10}),
        _NUMERIC,
    ),
    (
        "a zCDP mechanism of rho 0.5",
        (ZCDP(rho=0.5),),
        ({"kind": "zcdp", "rho": 0.5},),
        ("opendp_zcdp", "autodp"),
    ),
)
"""Name, our events, the same in the oracles' words, whom to ask."""
_BOUNDED = (
    (
        "20 discrete Gaussians of sigma 1.5",
        *_repeated("discrete-gaussian", DiscreteGaussian(sigma=1.5), 20, sigma=1.5),
        ("dp_accounting_pld", "opendp_zcdp"),
    ),
)
"""Plans that we price a little above the truth: a discrete Gaussian counts as the Gaussian that dominates it."""


def _compared(
    rows: Sequence[tuple[str, float, Sequence[dict[str, Any]], Sequence[str], str]],
    *,
    close: frozenset[str] = TIGHT,
    bounds_only: bool = False,
) -> Iterator[Figure]:
    questions = [
        {"kind": "epsilon", "oracle": oracle, "parts": list(parts), "delta": DELTA, "adjacency": adjacency}
        for _, _, parts, oracles, adjacency in rows
        for oracle in oracles
    ]
    said, versions = ask(questions)
    answers = iter(said)
    for name, ours, _, oracles, _ in rows:
        found = {oracle: next(answers) for oracle in oracles}
        judged = {o: {**a, "upper": None} if bounds_only and o in close else a for o, a in found.items()}
        reasons = {o: objection(ours, a, o in close and not bounds_only) for o, a in judged.items()}
        wrong = [f"{oracle}: {why}" for oracle, why in reasons.items() if why]
        yield holds(
            f"cross-check: {name} ({', '.join(found)})",
            not wrong,
            f"{ours:.6f}" + (f"; {'; '.join(wrong)}" if wrong else f", agreed by {len(found)}"),
            f"between all bounds, and within {WITHIN:.1%} of the tight ones",
            value=ours,
            oracles=found,
            versions=versions,
        )


def objection(ours: float, answer: dict[str, Any], tight: bool) -> str:
    """What an oracle's answer has against our epsilon; empty where it agrees."""
    if "error" in answer:
        return f"no answer ({answer['error']})"
    lower, estimate, upper = (answer[name] for name in ("lower", "estimate", "upper"))
    if lower is None and estimate is None and upper is None:
        return "no answer"
    if lower is not None and ours < lower * (1.0 - EXACT):
        return f"below the lower bound {lower:.6f}"
    if upper is not None and ours > upper * (1.0 + WITHIN):
        return f"above the upper bound {upper:.6f}"
    if lower is not None and upper is not None and upper <= lower * (1.0 + NARROW):
        return ""
    reference = estimate if estimate is not None else upper if tight else None
    if reference is not None and abs(ours / reference - 1.0) > WITHIN:
        return f"{ours / reference - 1.0:+.2%} from {reference:.6f}"
    return ""


def samplers() -> Iterator[Figure]:
    """Our draws against OpenDP's and diffprivlib's: two-sample chi-square, one fixed threshold."""
    libraries = ("opendp", "diffprivlib")
    questions = [
        {"kind": "draws", "library": library, "law": law, "scale": scale, "size": DRAWS, "seed": 1}
        for law, scale in LAWS
        for library in libraries
    ]
    said, versions = ask(questions)
    answers = iter(said)
    for law, scale in LAWS:
        ours = _our_draws(law, scale)
        for library in libraries:
            answer = next(answers)
            p = two_sample(ours, answer["draws"]) if "draws" in answer else 0.0
            yield holds(
                f"discrete {law} of scale {scale:g} against {library}, {DRAWS:,} draws each",
                p >= P_THRESHOLD,
                f"p = {p:.3g}" if "draws" in answer else f"no answer ({answer.get('error')})",
                f"p >= {P_THRESHOLD:g}, two-sample chi-square",
                p=p,
                cpu_seconds=answer["cpu_seconds"],
                versions=versions,
            )


def _our_draws(law: str, scale: float) -> list[int]:
    from dpsynth.noise.gaussian import draw_discrete_gaussian
    from dpsynth.noise.laplace import draw_discrete_laplace
    from dpsynth.noise.random import SystemRandom

    draw = draw_discrete_gaussian if law == "gaussian" else draw_discrete_laplace
    return [int(x) for x in draw(scale, DRAWS, random=SystemRandom())]


def two_sample(one: Sequence[int], other: Sequence[int]) -> float:
    """The p-value of the chi-square test that two samples have one law; rare values share a bin per tail."""
    from collections import Counter

    from scipy.special import gammaincc

    counts = [Counter(one), Counter(other)]
    bins: list[list[float]] = []
    held = [0.0, 0.0]
    for value in range(min(*one, *other), max(*one, *other) + 1):
        held = [h + c[value] for h, c in zip(held, counts, strict=True)]
        if sum(held) >= 2 * LEAST_EXPECTED:
            bins.append(held)
            held = [0.0, 0.0]
    bins[-1] = [b + h for b, h in zip(bins[-1], held, strict=True)]
    share = len(one) / (len(one) + len(other))
    statistic = 0.0
    for a, b in bins:
        expected = (a + b) * share, (a + b) * (1.0 - share)
        statistic += (a - expected[0]) ** 2 / expected[0] + (b - expected[1]) ** 2 / expected[1]
    return float(gammaincc((len(bins) - 1) / 2.0, statistic / 2.0))


def laws() -> Iterator[Figure]:
    """The exact probabilities of our tables against the definition at 60 digits, and against dp-accounting's floats."""
    questions = [
        {"kind": "pmf", "library": library, "law": law, "scale": scale, "cut": _table(law, scale)[1]}
        for law, scale in LAWS
        for library in ("mpmath", "dp_accounting")
    ]
    said, versions = ask(questions)
    answers = iter(said)
    for law, scale in LAWS:
        exact, rough = next(answers), next(answers)
        yield _distance(law, scale, exact, "the definition (mpmath, 60 digits)", -127, versions)
        yield _distance(law, scale, rough, "dp-accounting and SciPy (floats)", -44, versions)


def _table(law: str, scale: float) -> tuple[list[int], int]:
    from dpsynth.noise.gaussian import discrete_gaussian_table, gaussian_cut
    from dpsynth.noise.laplace import discrete_laplace_table, laplace_cut

    if law == "gaussian":
        return discrete_gaussian_table(scale).numerators, gaussian_cut(scale)
    return discrete_laplace_table(scale).numerators, laplace_cut(scale)


def _distance(
    law: str, scale: float, answer: dict[str, Any], whose: str, power: int, versions: dict[str, str]
) -> Figure:
    what, bar = f"law of the discrete {law} of scale {scale:g} against {whose}", f"total variation <= 2^{power}"
    if "pmf" not in answer:
        return holds(what, False, f"no answer ({answer.get('error')})", bar, versions=versions)
    numerators, cut = _table(law, scale)
    theirs = [Fraction(text) for text in answer["pmf"]]
    outside = 1 - theirs[0] - 2 * sum(theirs[1:])
    apart = abs(Fraction(numerators[cut], 1 << 256) - theirs[0])
    apart += sum(
        abs(Fraction(numerators[cut + s * k], 1 << 256) - theirs[k]) for k in range(1, cut + 1) for s in (1, -1)
    )
    distance = float((apart + abs(outside)) / 2)
    met = distance <= 2.0**power
    shown = f"2^{math.log2(distance):.1f}" if distance else "0"
    return holds(what, met, shown, bar, distance=distance, values=2 * cut + 1, versions=versions)
