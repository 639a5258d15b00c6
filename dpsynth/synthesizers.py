"""Synthesizers: a mechanism that measures, then estimation. One frozen config each, and the registry."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from accountant.compose import price
from accountant.events import BoundedRange
from accountant.price import Coordinate
from accountant.spend import Side, Spend, Step
from dpsynth.deep.checkpoints import Checkpoints
from dpsynth.deep.config import ArConfig, ArGanConfig, GanConfig, VaeConfig
from dpsynth.deep.planning import train_model
from dpsynth.domain import Clique, Domain
from dpsynth.errors import ParameterError
from dpsynth.estimation import Model, StructuralZeros, TreeModel, estimate_tree
from dpsynth.estimation.feasible import TreeSizes
from dpsynth.estimation.memory import fit_megabytes, most_megabytes
from dpsynth.fit_report import FitReport, report_fit
from dpsynth.measurement import Measurement
from dpsynth.mechanisms import (
    AdaptiveConfig,
    AimConfig,
    IndependentConfig,
    MixtureConfig,
    MstConfig,
    MwemConfig,
    TreeConfig,
    measure_adaptive,
    measure_aim,
    measure_independent,
    measure_mixture,
    measure_mst,
    measure_mwem,
    measure_tree,
)
from dpsynth.mechanisms.mixture import estimate_mixture
from dpsynth.mechanisms.mwem import estimate_mwem
from dpsynth.mechanisms.partial import PartialConfig, estimate_partial, measure_partial
from dpsynth.noise.base import RandomSource
from dpsynth.progress import SilentStage, Stage
from dpsynth.sources.base import MarginalSource
from dpsynth.workload import Workload

LARGEST_MARGINAL_CELLS = 20_000_000
"""Cells of one table that the engine will hold (160 MB as 64-bit counts)."""
ZEROS_CELLS = 3_000_000
"""Cells of the largest model that declared rules may make; what would make it larger is kept in sampling alone."""
LARGEST_TREE_CELLS = 40_000_000
"""Cells of a tree of pairs that are measured, and fitted, together (320 MB as 64-bit counts)."""


def _nothing(*source_and_config: Any, **how: Any) -> list[Measurement]:
    """What a model that is trained measures."""
    return []


def _graphical(domain: Domain, measurements: Sequence[Measurement], config: Any) -> Model:
    """A graphical model, whatever the settings of what measured."""
    return estimate_tree(domain, measurements)


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthesizer:
    """A named way to turn exact marginals into a model.

    Attributes:
      name: Public name, as in ``--synthesizer``.
      config: The mechanism's frozen settings.
      measure: The mechanism: ``measure(source, config, amount=, coordinate=, spend=, random=, sides=)``.
      ways: Attributes in its largest marginal.
      adaptive: Whether later steps depend on earlier outputs.
      why: Why it was chosen, where the engine chose it; from public facts.
      estimate: The estimate of the released model: ``estimate(domain, measurements, config)``.
      train: Where the model is trained on records by a fixed plan instead of estimated from measurements: what trains
        it, with the arguments of ``measure``.
    """

    name: str
    config: Any
    measure: Callable[..., list[Measurement]]
    ways: int
    adaptive: bool
    estimate: Callable[[Domain, Sequence[Measurement], Any], Model] = _graphical
    why: str = ""
    train: Callable[..., Model] | None = None

    def settings(self) -> dict[str, str]:
        """The config as text, for plans and certificates; floats keep every digit."""
        chosen = {"chosen": self.why} if self.why else {}
        return {f.name: repr(getattr(self.config, f.name)) for f in fields(self.config)} | chosen

    def asked(self, **settings: Any) -> "Synthesizer":
        """The same with these of its settings, as far as it has them and they aren't None."""
        known = {name: value for name, value in settings.items() if value is not None and hasattr(self.config, name)}
        return replace(self, config=replace(self.config, **known))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    """A model, what it was estimated from and what was charged for it: all of them functions of accounted outputs.

    Attributes:
      model: The model.
      measurements: What was measured, repeats included.
      report: What was measured, with the error to expect of it, and what each kind of step cost.
    """

    model: Model
    measurements: tuple[Measurement, ...]
    report: FitReport


REGISTRY: dict[str, Synthesizer] = {
    s.name: s
    for s in (
        Synthesizer(
            name="independent", config=IndependentConfig(), measure=measure_independent, ways=1, adaptive=False
        ),
        Synthesizer(name="mst", config=MstConfig(), measure=measure_mst, ways=2, adaptive=True),
        Synthesizer(name="tree", config=TreeConfig(), measure=measure_tree, ways=2, adaptive=True),
        Synthesizer(
            name="mwem", config=MwemConfig(), measure=measure_mwem, ways=2, adaptive=True, estimate=estimate_mwem
        ),
        Synthesizer(
            name="mixture",
            config=MixtureConfig(),
            measure=measure_mixture,
            ways=2,
            adaptive=True,
            estimate=estimate_mixture,
        ),
        Synthesizer(name="aim", config=AimConfig(), measure=measure_aim, ways=2, adaptive=True),
        Synthesizer(name="adaptive", config=AdaptiveConfig(), measure=measure_adaptive, ways=2, adaptive=True),
        *(
            Synthesizer(name=made.name, config=made, measure=_nothing, ways=2, adaptive=False, train=train_model)
            for made in (ArConfig(), ArGanConfig(), GanConfig(), VaeConfig())
        ),
    )
}

MEASURING = tuple(sorted(name for name, made in REGISTRY.items() if made.train is None))
"""Those whose model is estimated from measured marginals; the others are trained."""


def find_synthesizer(name: str | Synthesizer) -> Synthesizer:
    """A synthesizer by name; a :class:`Synthesizer` is returned as it is.

    Raises:
      ParameterError: No synthesizer has this name.
    """
    if isinstance(name, Synthesizer):
        return name
    if name not in REGISTRY:
        raise ParameterError(
            f"There is no synthesizer named {name!r}.",
            f"The names are {', '.join(sorted(REGISTRY))}, auto for the engine's choice, and external for a command of "
            "your own.",
            "Choose one of them.",
        )
    return REGISTRY[name]


def partial_synthesizer(named: Any, public: tuple[str, ...], *, declared: bool) -> Synthesizer:
    """What synthesizes private columns given public ones.

    Args:
      named: What was asked for: nothing (None), or partial synthesis with settings of its own.
      public: The public columns, sorted.
      declared: Whether the whole encoding is declared, so that nothing of it has to be learned.

    Raises:
      ParameterError: Something else was asked for, or the encoding isn't declared.
    """
    if named is None:
        named = Synthesizer(
            name="partial",
            config=PartialConfig(public=public),
            measure=measure_partial,
            ways=2,
            adaptive=True,
            estimate=estimate_partial,
        )
    if not declared or getattr(getattr(named, "config", None), "public", None) != public:
        raise ParameterError(
            "This can't be fitted where a part of each row is public.",
            "Only partial synthesis is priced for that, with the public columns of the privacy unit, and nothing of "
            "its encoding is learned.",
            "Leave the synthesizer out, and declare bins and categories instead of 'encoding' and open columns.",
        )
    return cast(Synthesizer, named)


def check_size(domain: Domain, synthesizer: Synthesizer) -> None:
    """Refuse, before anything is allocated, a domain whose largest table wouldn't fit in memory.

    Raises:
      ParameterError: A marginal that the synthesizer may measure has too many cells.
    """
    largest = sorted(domain.sizes, reverse=True)[: synthesizer.ways]
    cells = 1
    for size in largest:
        cells *= size
    if cells > LARGEST_MARGINAL_CELLS:
        raise ParameterError(
            f"The synthesizer {synthesizer.name} would need a table of {cells:,} cells.",
            f"At most {LARGEST_MARGINAL_CELLS:,} cells fit; the largest columns declare "
            f"{', '.join(f'{s:,}' for s in largest)} codes.",
            "Declare fewer categories or bins for the widest columns.",
        )
    _check_tree(domain, synthesizer)
    _check_megabytes(domain, synthesizer)
    _check_candidates(domain, synthesizer.config)
    limit, codes = getattr(synthesizer.config, "codes", None), sum(domain.sizes)
    if limit is not None and codes > limit:
        raise ParameterError(
            f"The synthesizer {synthesizer.name} would hold all pairs in one table of {codes**2:,} cells.",
            f"At most {limit**2:,} fit its settings; the columns declare {codes:,} codes together.",
            "Use adaptive or tree, omit columns, or declare fewer categories or bins.",
        )


def _check_tree(domain: Domain, synthesizer: Synthesizer) -> None:
    """The tree isn't known beforehand; none has more cells than the one that joins every column to the widest."""
    if not isinstance(synthesizer.config, MstConfig | AdaptiveConfig):
        return
    widest = max(domain.sizes)
    cells = widest * (sum(domain.sizes) - widest)
    if cells > LARGEST_TREE_CELLS:
        raise ParameterError(
            f"The synthesizer {synthesizer.name} may measure {len(domain.names) - 1:,} pairs of {cells:,} cells.",
            f"At most {LARGEST_TREE_CELLS:,} cells of pairs fit together; the widest column declares {widest:,} codes, "
            f"all of them {sum(domain.sizes):,}.",
            "Use tree or independent, omit columns, or declare fewer categories or bins for the widest ones.",
        )


def _check_megabytes(domain: Domain, synthesizer: Synthesizer) -> None:
    """Refuse a limit that what is measured whatever the data says, single columns or a tree of pairs, might pass."""
    limit_mb = getattr(synthesizer.config, "model_mb", None)
    if limit_mb is None:
        return
    columns, widest, alone = len(domain.names), max(domain.sizes), sum(domain.sizes)
    pairs = columns - 1 if isinstance(synthesizer.config, MstConfig | AdaptiveConfig) else 0
    joined = widest * (alone - widest) if pairs else 0
    least = most_megabytes(
        float(max(alone, joined)), 1.0, measured=alone + joined, factors=columns + pairs, attributes=columns
    )
    if least > limit_mb:
        raise ParameterError(
            f"A fit of {synthesizer.name} was to take at most {limit_mb:,} MB.",
            f"What it measures in any case may take {math.ceil(least):,} MB: "
            + (f"a tree of pairs of {joined:,} cells." if pairs else f"{alone:,} codes of single columns."),
            "Raise the limit, or declare fewer categories or bins for the widest columns.",
        )


def _check_candidates(domain: Domain, config: Any) -> None:
    """Refuse what listing the candidates would refuse, before anything is charged."""
    if hasattr(config, "workload"):
        columns = len(domain.names)
        workload = config.workload or Workload(ways=min(getattr(config, "ways", 3), columns))
        widest = max([3, workload.ways, *(len(q) for q, _ in workload.marginals)] if hasattr(config, "ways") else [3])
        workload.check_combinations(domain, range(2, min(widest, columns) + 1))


def fit_model(
    source: MarginalSource,
    synthesizer: Synthesizer,
    *,
    amount: int,
    coordinate: Coordinate,
    spend: Spend,
    random: RandomSource,
    sides: tuple[Side, ...] = (Side.TRAINING,),
    told: Stage | None = None,
    checkpoints: Checkpoints | None = None,
    paid: tuple[Step, ...] = (),
    zeros: Sequence[tuple[Clique, NDArray[np.bool_]]] = (),
) -> Fitted:
    """Measure, then estimate.

    Args:
      source: Exact marginals of the records.
      synthesizer: What to run.
      amount: Budget of the mechanism, in units of the coordinate.
      coordinate: The ledger's coordinate.
      spend: Charged before each draw.
      random: Source of the noise.
      sides: Whose records ``source`` holds.
      told: Told of each round and of the share of ``amount`` that is spent; sees what was charged and nothing else.
      checkpoints: Where a training is written down, so that it can go on.
      paid: What was charged before, where a training goes on.
      zeros: For some cliques which cells can't occur, by declaration; a graphical model holds as many of them as keep
        it within ``ZEROS_CELLS``.

    Returns:
      The model and its measurements.

    Privacy:
      Spends what the mechanism spends, at most ``amount``; estimation is post-processing.
      Checked by: tests/oracles/test_mechanisms.py::test_mst

    Raises:
      BudgetExceeded: A charge was refused.
      ParameterError: The domain is too large for the synthesizer.
    """
    check_size(source.domain, synthesizer)
    stage = told or SilentStage()
    noted = _NotedSpend(spend=spend, amount=amount, coordinate=coordinate, told=stage, steps=list(paid))
    how: dict[str, Any] = {"amount": amount, "coordinate": coordinate, "spend": noted, "random": random, "sides": sides}
    measurements = synthesizer.measure(source, synthesizer.config, **how)
    if synthesizer.train is None:
        noted.tell("estimating the model")
        if zeros and synthesizer.estimate is _graphical:
            held = _affordable(source.domain, measurements, zeros, getattr(synthesizer.config, "model_mb", None))
            model: Model = estimate_tree(source.domain, measurements, zeros=held)
        else:
            model = synthesizer.estimate(source.domain, measurements, synthesizer.config)
    else:
        model = synthesizer.train(
            source, synthesizer.config, told=stage, checkpoints=checkpoints, paid=paid, **how
        )
    report = report_fit(
        source.domain,
        measurements,
        noted.steps,
        rows=model.total,
        coordinate=coordinate,
        synthesizer=synthesizer.name,
        fit_mb=_fit_megabytes(model, measurements, synthesizer),
    )
    return Fitted(model=model, measurements=tuple(measurements), report=report)


def _affordable(
    domain: Domain,
    measurements: Sequence[Measurement],
    zeros: Sequence[tuple[Clique, NDArray[np.bool_]]],
    model_mb: int | None,
) -> list[StructuralZeros]:
    """Structural zeros, those of few cells first, as long as the junction tree and its fit stay small enough."""
    sizes, held = TreeSizes(domain, [m.clique for m in measurements]), []
    for clique, forbidden in sorted(zeros, key=lambda z: (z[1].size, z[0])):
        if forbidden.any() and sizes.within([clique], cells=ZEROS_CELLS, megabytes=model_mb)[0]:
            sizes.add(clique)
            held.append(StructuralZeros(clique=clique, forbidden=forbidden))
    return held


def _fit_megabytes(model: Model, measurements: Sequence[Measurement], synthesizer: Synthesizer) -> float | None:
    """What the model's fit takes; None where it wasn't the solver that fitted it."""
    if synthesizer.estimate is not _graphical or not isinstance(model, TreeModel):
        return None
    return fit_megabytes(model.tree, [m.clique for m in measurements])


@dataclass(slots=True, kw_only=True, eq=False)
class _NotedSpend:
    """A spend that notes what it charged, for the report, and tells of it; a refused charge is none.

    A round is a selection and the measurement that follows it.
    """

    spend: Spend
    amount: int
    coordinate: Coordinate
    told: Stage
    steps: list[Step] = field(default_factory=list)
    spent: int = 0
    rounds: int = 0

    def charge(self, steps: Sequence[Step]) -> None:
        """Charge, then note and tell.

        Privacy:
          Records the events of ``steps`` where they fit; draws nothing.
          Checked by: tests/dpsynth/test_fit_report.py::test_budget_by_step_is_what_was_charged

        Raises:
          BudgetExceeded: The steps don't fit; nothing was recorded, noted or told.
        """
        chosen = len(steps) == 1 and bool(self.steps) and isinstance(self.steps[-1].event, BoundedRange)
        selecting = sum(isinstance(step.event, BoundedRange) for step in steps)
        self.spend.charge(steps)
        self.steps.extend(steps)
        self.rounds += selecting
        self.spent += sum(price(step.event, self.coordinate).amount for step in steps)
        if steps:
            label = steps[-1].label.partition(" (")[0]
            self.tell(f"round {self.rounds}" if selecting or chosen else label)

    def tell(self, note: str) -> None:
        """Tell where the fit is, with the share of its budget that was charged."""
        self.told.tell(note, min(1.0, self.spent / self.amount))
