"""A classifier trained on synthetic rows, then tuned on people by DP-SGD: what the rows lost is paid for once more.

  1. ordinary steps on synthetic rows, which are public or were paid for: post-processing
  2. DP-SGD steps on people, a fixed plan that is charged whole before a record is read

The classifier that comes out is a function of accounted outputs. No gate stands before it: like an ungated fit, it is
for the circle that may see one.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accountant.spend import Side, Spend
from dpsynth.deep.classifier import Classifier
from dpsynth.deep.optimise import Adam, cosine
from dpsynth.deep.plan import Phase, SgdPlan, charge_plan, require_one_row
from dpsynth.deep.sgd import Parameters, People, PeopleSource, add_clipped, noisy_gradient
from dpsynth.domain import Domain
from dpsynth.errors import ParameterError
from dpsynth.noise.base import RandomSource

Floats = NDArray[np.float64]
TUNING = "tuning"
"""Label of the phase."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningConfig:
    """Public settings.

    Attributes:
      target: The column that is predicted.
      hidden: Hidden units.
      first_steps: Steps on synthetic rows.
      first_rate: Highest rate of them; it falls along a cosine.
      steps: DP-SGD steps on people.
      rate: Highest rate of them.
      batch: Rows of a batch; for people the expected ones.
      bound: The clip bound over the square root of the number of columns.
    """

    target: str
    hidden: int = 64
    first_steps: int = 600
    first_rate: float = 0.01
    steps: int = 100
    rate: float = 0.002
    batch: int = 1024
    bound: float = 1.0

    def __post_init__(self) -> None:
        counts = (self.hidden, self.first_steps, self.steps, self.batch)
        scales = (self.first_rate, self.rate, self.bound)
        if not (min(counts) >= 1 and min(scales) > 0 and all(map(math.isfinite, scales))):
            raise ParameterError(
                f"The settings of a tuning have the counts {counts} and the scales {scales}.",
                "Counts are at least 1, scales above 0 and finite.",
                "Mend the settings.",
            )

    def phases(self, domain: Domain, *, people: float) -> tuple[Phase, ...]:
        """What is run on people, by public formulas."""
        share, bound = min(1.0, self.batch / people), self.bound * math.sqrt(len(domain.names))
        return (Phase(label=TUNING, steps=self.steps, sampling_probability=share, clip=bound),)

    def order(self, domain: Domain) -> list[int]:
        """Positions of the columns, the target last.

        Raises:
          ParameterError: The target isn't a column, or it is the only one.
        """
        names = domain.names
        if self.target not in names or len(names) < 2:
            raise ParameterError(
                f"The column {self.target!r} can't be predicted.",
                "A target is a released column of the schema, and there is another one to predict it by.",
                "Name one of the columns.",
            )
        last = names.index(self.target)
        return [*(i for i in range(len(names)) if i != last), last]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TunedClassifier:
    """A classifier, a function of accounted outputs; predicts without torch.

    Attributes:
      domain: The public domain.
      target: The column that is predicted.
      arrays: Its weights by name.
    """

    domain: Domain
    target: str
    arrays: Mapping[str, NDArray[np.float32]] = field(repr=False)

    def probabilities(self, codes: NDArray[Any]) -> Floats:
        """Probability of each code of the target.

        Args:
          codes: Coded rows, shape (attributes, rows), in the domain's order; the target's own row isn't read.

        Returns:
          Shape (rows, codes of the target).
        """
        inputs = [i for i, name in enumerate(self.domain.names) if name != self.target]
        starts = np.cumsum([0, *(self.domain.sizes[i] for i in inputs)])
        rows = np.stack([codes[i].astype(np.int64) + start for i, start in zip(inputs, starts[:-1], strict=True)])
        inner = np.maximum(self.arrays["in"][rows].sum(axis=0) + self.arrays["in bias"], 0.0)
        logits = (inner @ self.arrays["out"] + self.arrays["bias"]).astype(np.float64)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        found: Floats = powers / powers.sum(axis=1, keepdims=True)
        return found


def tune_classifier(
    source: PeopleSource,
    synthetic: NDArray[Any],
    config: TuningConfig,
    *,
    plan: SgdPlan,
    delta: float,
    spend: Spend,
    random: RandomSource,
    sides: tuple[Side, ...] = (Side.TRAINING,),
) -> TunedClassifier:
    """Train on synthetic rows, charge the plan, and tune on people.

    Args:
      source: Coded records, one per person.
      synthetic: Coded rows of the same domain, shape (attributes, rows): public, or an accounted output.
      config: Public settings.
      plan: A plan of ``config.phases``, made for its budget from public facts.
      delta: Additive delta of the plan's event.
      spend: Charged once, with the whole plan, before a record is read.
      random: Source of batches and noise.
      sides: Whose records ``source`` holds.

    Privacy:
      Spends the ``FixedPlan`` of ``plan``; add-remove of one person.
      Checked by: tests/dpsynth/deep/test_finetune.py::test_the_plan_is_charged_once_before_a_record_is_read,
        tests/dpsynth/deep/test_finetune.py::test_people_are_seen_through_noisy_gradients_alone

    Raises:
      BudgetExceeded: The charge was refused; nothing was read.
      ParameterError: The plan isn't one of these settings, the synthetic rows aren't of the domain, or a unit may have
        several rows; nothing was charged.
    """
    domain = source.domain
    order = config.order(domain)
    if plan.phases != config.phases(domain, people=plan.people):
        raise ParameterError(
            "The plan isn't one of these settings.",
            "Its phases differ from those that the settings give for its number of people.",
            "Make the plan from config.phases().",
        )
    require_one_row(source.max_rows)
    rows = torch.from_numpy(_checked(synthetic, domain)[order].T.astype(np.int64))
    network = Classifier(sizes=tuple(domain.sizes[i] for i in order), hidden=config.hidden)
    parameters = _train_on(rows, network, config, random=random)
    charged = charge_plan(plan, delta=delta, spend=spend, label="tuning of a classifier", sides=sides)
    people, adam = People(source, order=order), Adam()
    (phase,) = plan.phases
    for step in range(phase.steps):
        gradient = noisy_gradient(network, parameters, people, phase, charged=charged, random=random)
        adam.step(parameters, gradient, rate=config.rate * cosine(step, phase.steps))
    arrays = {name: value.numpy() for name, value in parameters.items()}
    return TunedClassifier(domain=domain, target=config.target, arrays=arrays)


def _train_on(rows: Tensor, network: Classifier, config: TuningConfig, *, random: RandomSource) -> Parameters:
    """Ordinary steps: sums of gradients that nothing clips, over rows in turn."""
    parameters, adam, batch = network.initial(random=random), Adam(), min(config.batch, len(rows))
    for step in range(config.first_steps):
        chosen = rows[torch.arange(step * batch, (step + 1) * batch) % len(rows)]
        sums = {name: torch.zeros_like(value, dtype=torch.float64) for name, value in parameters.items()}
        add_clipped(network, parameters, chosen, clip=_NEVER, into=sums)
        gradient = {name: (total / batch).float() for name, total in sums.items()}
        adam.step(parameters, gradient, rate=config.first_rate * cosine(step, config.first_steps))
    return parameters


_NEVER = 1e12
"""A bound that no gradient reaches."""


def _checked(synthetic: NDArray[Any], domain: Domain) -> NDArray[Any]:
    rows = synthetic.shape[1] if synthetic.ndim == 2 else 0
    fits = rows > 0 and synthetic.shape[0] == len(domain.names) and synthetic.dtype.kind in "iu"
    if not (fits and (synthetic.max(axis=1) < np.array(domain.sizes)).all() and synthetic.min() >= 0):
        raise ParameterError(
            "The synthetic rows can't be trained on.",
            f"They are codes of the domain's {len(domain.names)} columns, of shape (columns, rows); one row at least.",
            "Give the codes of a sample.",
        )
    return synthetic
