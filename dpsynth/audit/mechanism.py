"""The mechanism audit: thousands of cheap runs of a synthesizer on a worst case, mu of the output against its price.

What is held against the output is the dearest charge that any run made: those runs are runs of the synthesizer stopped
at that price, too. An audit can refute a claim and never prove one: it sees what its attacker sees.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from accountant.adjacency import WHOLE_UNITS, Adjacency
from accountant.convert import epsilon_from_mu
from accountant.errors import UnsupportedEvent
from accountant.price import DELTA_UNIT, Price
from dpsynth.audit.evidence import Bounds, bounds
from dpsynth.audit.runs import Keeper, Place, RunFile, Unkept
from dpsynth.audit.subjects import Subject, Transcript, amount_of, mu_of, subject
from dpsynth.audit.worlds import World, worst_cases
from dpsynth.errors import ParameterError, Refusal
from dpsynth.noise.base import RandomSource
from dpsynth.noise.random import SeededRandom, SystemRandom
from dpsynth.progress import Progress, SilentProgress, Stage
from dpsynth.synthesizers import Synthesizer

CHUNK = 25
"""Runs of one world that are made, and kept, together."""
FEWEST_RUNS = 20
SHOWN_DELTA = 1e-6
"""Delta at which bounds on mu are told as epsilon."""


class AuditInterrupted(Refusal):
    """An audit was interrupted: nothing is said of the claim."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseReport:
    """One worst case.

    Attributes:
      case: Its name.
      adjacency: How its two tables differ.
      runs: Runs of each of them.
      claimed_mu: mu of the dearest charge, under this adjacency.
      delta: Additive delta of the claim.
      found: What the runs say of mu.
      above: Whether mu is above the claim, at the case's share of the confidence; or a run was charged more than it
        was given.
      why_not: Why the case wasn't run, where it wasn't.
    """

    case: str
    adjacency: Adjacency
    runs: int
    claimed_mu: float
    delta: float
    found: Bounds | None
    above: bool
    why_not: str = ""

    @property
    def epsilon_low(self) -> float:
        """The least epsilon at ``SHOWN_DELTA`` that the runs leave; 0 where they exclude nothing."""
        return 0.0 if self.found is None or self.found.low <= 0 else epsilon_from_mu(self.found.low, SHOWN_DELTA)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """What an audit found; about fabricated data, so public.

    Attributes:
      synthesizer: What was audited.
      settings: Its settings.
      mu: What each run was given, for a record that comes or goes.
      confidence: Probability at least with which nothing sound is found above its claim, over all cases together.
      cases: Case by case.
    """

    synthesizer: str
    settings: str
    mu: float
    confidence: float
    cases: tuple[CaseReport, ...]

    @property
    def above(self) -> bool:
        """Whether some case is above its claim."""
        return any(case.above for case in self.cases)

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON values."""
        body = asdict(self)
        for case, told in zip(self.cases, body["cases"], strict=True):
            told["adjacency"], told["epsilon_low"] = case.adjacency.value, case.epsilon_low
        return {**body, "above": self.above}


def audit_synthesizer(
    synthesizer: str | Synthesizer,
    *,
    mu: float = 1.0,
    runs: int = 1000,
    confidence: float = 0.99,
    adjacencies: tuple[Adjacency, ...] = WHOLE_UNITS,
    seed: int | None = None,
    keep: Path | None = None,
    progress: Progress | None = None,
) -> AuditReport:
    """Run a synthesizer many times on fabricated worst cases, and hold its output against what it was charged.

    Args:
      synthesizer: A shipped one by name, in cheap settings; a configured one as it is.
      mu: What each run is given: mu-GDP for a record that comes or goes.
      runs: Runs of each of the two tables of a case.
      confidence: Probability at least with which a sound synthesizer isn't found above its claim, over all cases.
      adjacencies: Cases to audit.
      seed: A seed makes the audit repeatable; the system's random source is audited by default.
      keep: File that keeps the runs; an audit that was interrupted goes on from it.
      progress: Told of the runs.

    Privacy:
      None: the records are made up here and nobody is in them. The synthesizer runs as shipped, with a spend that
      remembers what it charges.
      Checked by: tests/dpsynth/audit/test_mechanism.py::test_shipped_mechanisms_stay_within_their_claims

    Raises:
      ParameterError: A parameter is out of range, or ``keep`` holds other runs.
      MissingExtra: The synthesizer needs an extra that isn't installed.
      AuditInterrupted: Ctrl-C; what was made so far is in ``keep``.
    """
    if not (0.0 < mu <= 10.0 and runs >= FEWEST_RUNS and 0.5 < confidence < 1.0 and adjacencies):
        raise ParameterError(
            f"An audit of {runs} runs at mu {mu:g} and confidence {confidence:g} can't be made.",
            f"mu lies above 0 and at most at 10, there are at least {FEWEST_RUNS} runs of each table, and the "
            "confidence lies between 1/2 and 1.",
            "Give other numbers.",
        )
    audited, worlds, told = subject(synthesizer), worst_cases(adjacencies), progress or SilentProgress()
    head = {"of": audited.name, "settings": audited.settings, "mu": mu, "seed": seed}
    head["cases"] = [world.name for world in worlds]
    keeper = Unkept() if keep is None else RunFile(keep, head)
    error = (1.0 - confidence) / len(worlds)
    cases = []
    for number, world in enumerate(worlds):
        with told.stage(f"{audited.name}: {world.name}", 2 * runs) as stage:
            made = _Runs(audited, world, number, amount=amount_of(mu), seed=seed, keeper=keeper, stage=stage)
            cases.append(_case(made, runs, error=error, kept=keep is not None))
    return AuditReport(
        synthesizer=audited.name, settings=audited.settings, mu=mu, confidence=confidence, cases=tuple(cases)
    )


class _Runs:
    """The runs of one case."""

    def __init__(
        self,
        audited: Subject,
        world: World,
        number: int,
        *,
        amount: int,
        seed: int | None,
        keeper: Keeper,
        stage: Stage,
    ) -> None:
        self.world, self.amount = world, amount
        self._audited, self._number, self._seed, self._keeper, self._stage = audited, number, seed, keeper, stage
        self._system = SystemRandom()
        self.made: tuple[list[Transcript], ...] = tuple([*keeper.kept((number, side))] for side in (0, 1))

    def until(self, runs: int) -> None:
        """Make runs of both tables in turn until there are so many of each."""
        self._stage.advance(sum(min(runs, len(made)) for made in self.made))
        while (short := min(self.made, key=len)) is not None and len(short) < runs:
            side = next(i for i, made in enumerate(self.made) if made is short)
            first = len(short)
            chunk = [self._one((self._number, side), i) for i in range(first, min(first + CHUNK, runs))]
            self._keeper.keep((self._number, side), chunk)
            short.extend(chunk)
            self._stage.advance(len(chunk))

    def _one(self, place: Place, number: int) -> Transcript:
        records = (self.world.without, self.world.having)[place[1]]
        return self._audited.run(self.world, records, amount=self.amount, random=self._random(place, number))

    def _random(self, place: Place, number: int) -> RandomSource:
        if self._seed is None:
            return self._system
        return SeededRandom((((self._seed * 64 + place[0]) * 2 + place[1]) << 40) + number)


def _case(made: _Runs, runs: int, *, error: float, kept: bool) -> CaseReport:
    try:
        made.until(runs)
    except KeyboardInterrupt:
        raise _interrupted(min(map(len, made.made)), runs, kept=kept) from None
    except UnsupportedEvent as none:
        return _not_run(made.world, none.what)
    used = [transcripts[:runs] for transcripts in made.made]
    dearest = _dearest(used)
    claimed, delta = mu_of(dearest.amount), dearest.delta / DELTA_UNIT
    found = bounds(*used, delta=delta, error=error)
    given = mu_of(made.amount) * (2.0 if made.world.adjacency is Adjacency.REPLACE_ONE else 1.0)
    return CaseReport(
        case=made.world.name,
        adjacency=made.world.adjacency,
        runs=runs,
        claimed_mu=claimed,
        delta=delta,
        found=found,
        above=found.low > claimed or claimed > given * (1.0 + 1e-9),
    )


def _dearest(runs: list[list[Transcript]]) -> Price:
    charges: Iterator[Price] = (run.charged for made in runs for run in made)
    dearest = Price()
    for charge in charges:
        dearest = dearest.larger(charge)
    return dearest


def _not_run(world: World, why: str) -> CaseReport:
    return CaseReport(
        case=world.name, adjacency=world.adjacency, runs=0, claimed_mu=0.0, delta=0.0, found=None, above=False,
        why_not=why,
    )  # fmt: skip


def _interrupted(done: int, runs: int, *, kept: bool) -> AuditInterrupted:
    return AuditInterrupted(
        f"The audit was interrupted after {done:,} of {runs:,} runs of each table of its case.",
        "Too few runs say nothing of the claim; those that were made " + ("are kept." if kept else "are lost."),
        "Give the same command again to go on." if kept else "Give --keep FILE to be able to go on next time.",
    )
