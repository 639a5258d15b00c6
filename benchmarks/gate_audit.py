"""The figures of the audits: mechanisms against their charges, one-run audits, other tools, tests and mutants."""

import json
import math
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from accountant.budget import Budget
from accountant.filters import FilterSpend
from accountant.spend import Side
from benchmarks.attack_peers.compare import FILE, LEAKS, TOOLS, with_copies
from benchmarks.attack_peers.ours import read
from benchmarks.harness import SHARED, Figure, Section, at_least, at_most, cpu_seconds, holds, run, tests_pass
from dpsynth.attacks.guessing import guess_members
from dpsynth.attacks.improbable import by_chance
from dpsynth.attacks.nearest import prepare
from dpsynth.audit import audit_synthesizer
from dpsynth.audit.canaries import audit_by_canaries
from dpsynth.domain import Domain
from dpsynth.gate.one_run import OneRunBound, audit_split, bound_from_pair, measure_pair
from dpsynth.noise.coins import row_coins
from dpsynth.noise.random import SystemRandom
from dpsynth.sampling import generator, sample_codes
from dpsynth.sources import Codes, MemorySource
from dpsynth.synthesizers import MEASURING, REGISTRY, find_synthesizer, fit_model
from tests.dpsynth.audit import broken

RUNS, TRAINED_RUNS = 1000, 200
SPLITS = 12
EPSILON, DELTA = 1.0, 1e-9
"""Budget of the tables that are audited by their coins: that of every engine figure on coded Adult."""
CASES: tuple[tuple[Fraction, int | None, Mapping[float, float]], ...] = (
    (Fraction(1, 2), None, {0.0: 0.0, 0.002: 1.5, 0.01: 3.0, 0.05: 4.3}),
    (Fraction(4, 5), 30_000, {0.0: 0.0, 0.01: 1.8, 0.05: 3.0}),
)
"""Inclusion probability, people, and by share of the table's rows that are copies the least median of epsilon (0:
exactly that). As in a release, the table has as many rows as there are people, held out or not. The bound is that of an
(epsilon, delta) claim; what a claim in mu has, which the audited mechanism's is, is told beside it."""
PAIR_MU = 0.05
CANARIES = 200
MUTATED = ("audit: ", "exact: ", "one-run: ")


def mechanisms() -> Iterator[Figure]:
    """Every shipped mechanism, add-remove and replace-one, against what it charged."""
    for name in sorted(REGISTRY):
        runs, began = RUNS if name in MEASURING else TRAINED_RUNS, cpu_seconds()
        report = audit_synthesizer(name, runs=runs)
        yield holds(
            f"audit of {name}, {runs} runs of each table, 99 %",
            not report.above,
            "; ".join(
                f"{case.adjacency}: mu in [{case.found.low:.3f}, {case.found.high:.3f}], claimed {case.claimed_mu:.3f}"
                for case in report.cases
                if case.found is not None
            ),
            "not above its claim",
            **report.to_json(),
            cpu_seconds=cpu_seconds() - began,
        )


def faults() -> Iterator[Figure]:
    """Broken mechanisms, and a sound one beside them."""
    for fault in (broken.NO_NOISE, broken.HALF_NOISE, broken.BOUNDS_FROM_DATA):
        report = audit_synthesizer(fault, runs=RUNS)
        least = min(case.found.low / case.claimed_mu for case in report.cases if case.found is not None)
        what = f"audit of a mechanism with {fault.name}: least mu at 99 % over its claim, smaller of both adjacencies"
        yield at_least(what, least, 1.0, "", **report.to_json())


def one_run() -> Iterator[Figure]:
    """The split's coins on exact counts (an annex result), and what a charged noisy pair leaves of it."""
    domain, codes = coded_adult()
    for inclusion, rows, bars in CASES:
        used = codes if rows is None else codes[:, np.random.default_rng(0).permutation(codes.shape[1])[:rows]]
        found: dict[float, list[tuple[OneRunBound, OneRunBound]]] = {share: [] for share in bars}
        for _ in range(SPLITS):
            for share, bounds in split_once(used, domain, inclusion, list(bars)).items():
                found[share].append(bounds)
        for share, bar in bars.items():
            exact, noisy = zip(*found[share], strict=True)
            values = [bound.epsilon_low for bound in exact]
            what = f"one-run audit, p = {float(inclusion):g}, {used.shape[1]:,} rows, {100 * share:g} % of them copies"
            detail: dict[str, Any] = {
                "epsilons": values,
                "mu_low": [bound.mu_low for bound in exact],
                "epsilons_of_a_claim_in_mu": [bound.epsilon_low_gdp for bound in exact],
                "guessed": [bound.guessed for bound in exact],
                "pair_epsilons": [bound.epsilon_low for bound in noisy],
                "pair_mu": PAIR_MU,
                "delta": DELTA,
            }
            median, pair = statistics.median(values), statistics.median(detail["pair_epsilons"])
            in_mu = statistics.median(detail["epsilons_of_a_claim_in_mu"])
            told = (
                f"{what}: median epsilon at 95 % of {SPLITS} splits (of a claim in mu, as mst's is, {in_mu:.3g}; "
                f"from a charged pair at mu {PAIR_MU} a side {pair:.3g})"
            )
            yield (at_least if bar else at_most)(told, median, bar, "", **detail)


def canaries() -> Iterator[Figure]:
    """Fabricated canaries among 30,000 rows: an honest table and one that holds its training rows."""
    domain, codes = coded_adult()
    used = codes[:, np.random.default_rng(0).permutation(codes.shape[1])[:30_000]]
    makers = {"mst": lambda training: fitted_table(training, domain, used.shape[1]), "a copier": lambda given: given}
    for name, make in makers.items():
        found = audit_by_canaries(used, domain, make, delta=DELTA, random=SystemRandom(), canaries=CANARIES)
        what = f"{CANARIES} fabricated canaries among 30,000 rows, {name}: epsilon at 95 %"
        detail = {"guessed": found.guesses.guessed, "correct": found.guesses.correct}
        epsilon = found.bound.epsilon_low
        yield (
            at_most(what, epsilon, EPSILON, "", **detail)
            if name == "mst"
            else at_least(what, epsilon, 3.0, "", **detail)
        )


def coded_adult() -> tuple[Domain, Codes]:
    """Coded Adult and its domain."""
    domain = Domain.of(json.loads((SHARED / "data" / "adult_aim-domain.json").read_text()))
    return domain, read(SHARED / "data" / "adult_aim.parquet", domain)


def fitted_table(training: Codes, domain: Domain, rows: int) -> Codes:
    """So many rows of mst at epsilon 1."""
    budget = Budget(epsilon=EPSILON, delta=DELTA)
    fitted = fit_model(
        MemorySource(domain, training),
        find_synthesizer("mst"),
        amount=budget.cap.amount,
        coordinate=budget.coordinate,
        spend=FilterSpend(coordinate=budget.coordinate, caps={Side.TRAINING: budget.cap}),
        random=SystemRandom(),
    )
    return sample_codes(fitted.model, rows, rng=generator(None))


def split_once(
    codes: Codes, domain: Domain, inclusion: Fraction, shares: Sequence[float]
) -> dict[float, tuple[OneRunBound, OneRunBound]]:
    """One split, one table, and for each share of copies the bounds from exact counts and from a noisy pair."""
    random, rng = SystemRandom(), np.random.default_rng()
    held = row_coins(codes.shape[1], share=1 - inclusion, random=random)
    training, holdout = (MemorySource(domain, codes[:, side]) for side in (~held, held))
    synthetic = fitted_table(codes[:, ~held], domain, codes.shape[1])
    found = {}
    for share in shares:
        of_training = share * codes.shape[1] / np.count_nonzero(~held)
        table = prepare(with_copies(synthetic, codes[:, ~held], of_training, rng), domain.sizes)
        chance = by_chance(table)
        sides = [guess_members(side.blocks(), table, chance) for side in (training, holdout)]
        exact = audit_split(*sides, holdout_share=1 - inclusion, delta=DELTA)
        sigmas = (1.0 / PAIR_MU, 1.0 / PAIR_MU)
        pair = measure_pair(*sides, sigmas=sigmas, spend=_Free(), random=random)
        found[share] = (
            exact,
            bound_from_pair(pair, sigmas=sigmas, units=codes.shape[1], holdout_share=1 - inclusion, delta=DELTA),
        )
    return found


class _Free:
    """Public data: nobody pays."""

    def charge(self, steps: object) -> None:
        """Nothing is kept."""


def side_by_side() -> Iterator[Figure]:
    """What every attack tool says of the same tables, measured by ``make bench-attacks``."""
    known = json.loads(FILE.read_text())["tools"] if FILE.exists() else {}
    for tool in TOOLS:
        tables = known.get(tool.name, {}).get("tables", {})
        told = "; ".join(f"{name}: {json.dumps(tables[name]['says'])}" for name in LEAKS if name in tables)
        cost = max((found["cpu_seconds"] for found in tables.values()), default=math.nan)
        what = f"{tool.name}: what it says of the honest and the leaky tables, {cost:.3g} CPU s a table"
        yield holds(what, set(tables) == set(LEAKS), told or "not run", "run to its end or its limit", tables=tables)


def correctness() -> Iterator[Figure]:
    """The audits' own tests."""
    paths = ("tests/dpsynth/audit", "tests/dpsynth/gate/test_one_run.py", "tests/dpsynth/attacks/test_guessing.py")
    yield tests_pass(
        "audits: exact tests, broken mechanisms, resumption, one-run bounds, canaries, comparators, shadow models",
        (*paths, "tests/dpsynth/attacks/test_exact.py", "tests/dpsynth/cli/test_audit_command.py"),
        timeout_seconds=900,
    )


def mutants() -> Iterator[Figure]:
    """Every named mutant of the audits is noticed."""
    for room in MUTATED:
        done = run([sys.executable, "benchmarks/line_mutants.py", "--only", room], timeout_seconds=1800)
        yield holds(
            f"mutants named {room!r}", done.code == 0, "killed" if done.code == 0 else done.output[-300:], "all killed"
        )


SECTIONS: tuple[Section, ...] = (
    ("audit-faults", faults),
    ("audit-mechanisms", mechanisms),
    ("one-run", one_run),
    ("canaries", canaries),
    ("attack-peers", side_by_side),
    ("audit-correctness", correctness),
    ("audit-mutants", mutants),
)

DECIDES = (
    *("accountant", "dpsynth", "benchmarks/gate_audit.py", "benchmarks/harness.py", "tests/dpsynth/audit/broken.py"),
    *("benchmarks/attack_peers/ours.py", "constraints.txt", "pyproject.toml", ":!dpsynth/cli", ":!dpsynth/report"),
)
TESTED = (*DECIDES, "dpsynth/cli", "tests/dpsynth", "tests/mutants")
COVERS: Mapping[str, Sequence[str]] = {
    **dict.fromkeys(("audit-faults", "audit-mechanisms", "one-run", "canaries"), DECIDES),
    "attack-peers": ("benchmarks/results/attack_peers.json", "benchmarks/attack_peers", "benchmarks/limits.py"),
    **dict.fromkeys(("audit-correctness", "audit-mutants"), TESTED),
}
"""What decides each section."""
