"""A training run under its terms: refusals first, then the charge, then the records, then steps that are told and kept.

What all synthesizers of this room share. A run touches people through nothing but noisy gradients (``sgd``).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from accountant.canonical import sha256_hex
from accountant.spend import Side, Spend, Step
from dpsynth.deep.checkpoints import Checkpoints
from dpsynth.deep.config import TrainedConfig
from dpsynth.deep.device import to_array, to_tensor
from dpsynth.deep.plan import ChargedSteps, Phase, SgdPlan, charge_plan, require_one_row
from dpsynth.deep.sgd import Network, Parameters, People, PeopleSource, noisy_gradient
from dpsynth.domain import Domain
from dpsynth.errors import ParameterError
from dpsynth.estimation.pool import PoolModel
from dpsynth.noise.base import RandomSource
from dpsynth.progress import SilentStage, Stage


class Part(Protocol):
    """Something that steps change, and that can be kept and put back."""

    def arrays(self) -> Mapping[str, Tensor]:
        """Its state by name."""
        ...

    def restore(self, arrays: Mapping[str, Tensor]) -> None:
        """Take a state that :meth:`arrays` gave."""
        ...


Parts = Mapping[str, Part | Parameters]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Terms:
    """On what terms a model is trained; all of them public.

    Attributes:
      plan: A plan of the settings' phases, made for its budget from public facts.
      delta: Additive delta of the plan's event.
      spend: Charged once, with the whole plan, before a record is read.
      random: Source of batches, noise, and what is drawn after it.
      sides: Whose records are trained on.
      told: Told of each step and of the share of the plan that was run; sees nothing else.
      checkpoints: Where the run is written down, so that it can go on; None for nowhere.
      paid: What the ledger has charged this run before, where it goes on.
    """

    plan: SgdPlan
    delta: float
    spend: Spend
    random: RandomSource
    sides: tuple[Side, ...] = (Side.TRAINING,)
    told: Stage | None = None
    checkpoints: Checkpoints | None = None
    paid: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Training:
    """A run that was charged and has its records.

    Attributes:
      domain: The public domain.
      order: Positions of the columns in the order of the networks.
      charged: The steps that were charged.
      people: The records, in that order. Private.
      random: Source of batches, noise, and what is drawn after it.
      stage: Told of each step.
      checkpoints: Where the run is written down; None for nowhere.
      mark: Hash of the plan, the settings and the domain.
    """

    domain: Domain
    order: tuple[int, ...]
    charged: ChargedSteps
    people: People = field(repr=False)
    random: RandomSource
    stage: Stage
    checkpoints: Checkpoints | None
    mark: str

    @property
    def sizes(self) -> tuple[int, ...]:
        """Codes of each column, in the order of the networks."""
        return tuple(self.domain.sizes[i] for i in self.order)

    def steps(self, phase: Phase, parts: Parts) -> Iterator[int]:
        """The steps of a phase that no process has taken, counted from 0, each told as it begins: public facts only.

        Args:
          phase: A phase of the charged plan.
          parts: All that the steps change, by name: put back to what was kept before the first of them, and kept as
            the run goes on.
        """
        self._restore(phase, parts)
        phases = self.charged.plan.phases
        whole = sum(phase.steps for phase in phases)
        for step in range(phase.steps - self.charged.left(phase), phase.steps):
            left = sum(self.charged.left(phase) for phase in phases)
            self.stage.tell(f"{phase.label}, step {step + 1}", 1.0 - left / whole)
            yield step
            self._keep(phase, parts, step + 1)

    def _restore(self, phase: Phase, parts: Parts) -> None:
        found = {} if self.checkpoints is None else self.checkpoints.kept(phase.label, self.mark)
        for name, part in parts.items() if found else ():
            begin = f"{name}/"
            arrays = {n.removeprefix(begin): to_tensor(a) for n, a in found.items() if n.startswith(begin)}
            if isinstance(part, dict):
                part.update(arrays)
            else:
                part.restore(arrays)

    def _keep(self, phase: Phase, parts: Parts, step: int) -> None:
        if self.checkpoints is None or (step < phase.steps and step % self.checkpoints.every):
            return
        arrays = {
            f"{name}/{inner}": to_array(value)
            for name, part in parts.items()
            for inner, value in (part if isinstance(part, dict) else part.arrays()).items()
        }
        self.checkpoints.keep(phase.label, self.mark, step, arrays)

    def gradient(self, network: Network, parameters: Parameters, phase: Phase) -> Parameters:
        """The noisy gradient of people at one step, as in :func:`noisy_gradient`."""
        return noisy_gradient(network, parameters, self.people, phase, charged=self.charged, random=self.random)


def begin_training(source: PeopleSource, config: TrainedConfig, terms: Terms) -> Training:
    """Refuse what can't be run, charge the whole plan, and only then take the records.

    Args:
      source: Coded records, one per person.
      config: Public settings.
      terms: The plan, what it is charged to, and where random bits come from.

    Privacy:
      Spends the ``FixedPlan`` of the terms' plan; add-remove of one person.
      Checked by: tests/dpsynth/deep/test_trained.py::test_the_plan_is_charged_once_before_a_record_is_read

    Raises:
      BudgetExceeded: The charge was refused; nothing was read.
      ParameterError: The plan isn't one of these settings, or a unit may have several rows; nothing was charged.
    """
    plan = terms.plan
    if plan.phases != config.phases(source.domain, people=plan.people):
        raise ParameterError(
            "The plan isn't one of these settings.",
            "Its phases differ from those that the settings give for its number of people.",
            "Make the plan from config.phases().",
        )
    require_one_row(source.max_rows)
    order = config.order(source.domain)
    charged = charge_plan(
        plan,
        delta=terms.delta,
        spend=terms.spend,
        label=f"training of {config.name}",
        sides=terms.sides,
        checkpoints=terms.checkpoints,
        paid=terms.paid,
    )
    people = People(source, order=order)
    return Training(
        domain=source.domain,
        order=order,
        charged=charged,
        people=people,
        random=terms.random,
        stage=terms.told or SilentStage(),
        checkpoints=terms.checkpoints,
        mark=_mark(plan, config, source.domain),
    )


def _mark(plan: SgdPlan, config: TrainedConfig, domain: Domain) -> str:
    columns = [[name, size] for name, size in zip(domain.names, domain.sizes, strict=True)]
    return sha256_hex({"plan": repr(plan), "settings": repr(config), "columns": columns})


def pool_of(training: Training, rows: NDArray[np.int64], weights: NDArray[np.float64]) -> PoolModel:
    """Rows with weights as a model, columns back in the domain's order."""
    codes = np.empty((rows.shape[1], len(rows)), dtype=np.min_scalar_type(max(training.sizes) - 1))
    codes[list(training.order)] = rows.T
    return PoolModel(domain=training.domain, codes=codes, weights=weights, total=training.charged.plan.people)
