"""Modules of your own under the same plans: any torch module whose output is the loss of one record.

Where a layer isn't one of ours its norms have no closed form here, so each record's gradient is made, a few records at
a time (``alone``): what torch computes of one record is written down on a made-up one, and only that sees people. So
nothing a module does can cross records or remember one, and what it would draw is refused.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor
from torch.func import functional_call

from dpsynth.deep.alone import TROUBLES, Gradients, add_alone, gradients_alone
from dpsynth.deep.optimise import Adam, cosine
from dpsynth.deep.plan import charge_plan, require_one_row
from dpsynth.deep.sgd import Parameters, People, PeopleSource, noisy_gradient
from dpsynth.deep.training import Terms
from dpsynth.errors import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OwnNetwork:
    """A module as a network. Made by :func:`own_network`.

    Attributes:
      gradients: Each record's, by itself.
      masks: None: every weight is free.
    """

    gradients: Gradients = field(repr=False)
    masks: Mapping[str, Tensor] = field(default_factory=dict, repr=False)

    def add_clipped(
        self, parameters: Mapping[str, Tensor], codes: Tensor, *, clip: float, into: Mapping[str, Tensor]
    ) -> None:
        """Add each record's gradient, scaled to an L2 norm of at most ``clip``; as in :func:`sgd.add_clipped`."""
        add_alone(self.gradients, parameters, codes, clip=clip, into=into)


def own_network(module: torch.nn.Module, parameters: Parameters, *, columns: int) -> OwnNetwork:
    """A module as a network, once it was run on a made-up record: zeros, which every domain has.

    Args:
      module: Its output for one record's codes, int64 of shape (columns,), is that record's loss; it isn't changed.
      parameters: All of it, by name.
      columns: Of a record.

    Raises:
      ParameterError: It has buffers, draws, decides by values, or calls what isn't an operation of torch.
    """
    if next(module.buffers(), None) is not None:
        raise _unfit("it has buffers, which would carry something of one record to the next")
    try:
        own = copy.deepcopy(module)

        def of_one(chosen: Parameters, codes: Tensor) -> Tensor:
            found: Tensor = functional_call(own, chosen, (codes,))
            return found

        made_up = torch.zeros((2, columns), dtype=torch.int64)
        return OwnNetwork(gradients=gradients_alone(of_one, parameters, made_up))
    except TROUBLES as error:
        raise _unfit("it doesn't run on a made-up record by torch's operations alone, without chance") from error


def train_module(
    module: torch.nn.Module,
    source: PeopleSource,
    terms: Terms,
    *,
    rate: float,
    label: str = "training of a module",
    schedule: Callable[[int, int], float] = cosine,
) -> Parameters:
    """Charge a plan of one phase, and train a module on people by its steps, with Adam.

    Args:
      module: Its output for one record's codes, int64 of shape (columns,), is that record's loss; it isn't changed.
      source: Coded records, one per person.
      terms: The plan, what it is charged to, and where random bits come from.
      rate: Highest rate.
      label: Public words for the ledger.
      schedule: The rate of a step over the highest, given the step and the number of steps.

    Returns:
      The trained parameters by name, for ``module.load_state_dict``.

    Privacy:
      Spends the ``FixedPlan`` of the terms' plan; add-remove of one person. The bound holds for every module that is
      taken: its code doesn't run on people. The parameters that the module comes with must not be functions of the
      records.
      Checked by: tests/dpsynth/deep/test_modules.py::test_the_plan_is_charged_before_a_record_is_read,
        tests/dpsynth/deep/test_modules.py::test_a_neighbour_moves_the_sum_by_at_most_the_bound,
        tests/dpsynth/deep/test_modules.py::test_what_a_module_keeps_or_writes_changes_nobodys_gradient

    Raises:
      BudgetExceeded: The charge was refused; nothing was read.
      ParameterError: The module was refused, the plan has several phases, or a unit may have several rows; nothing was
        charged.
    """
    parameters = {name: value.detach().float().clone() for name, value in module.named_parameters()}
    network = own_network(module, parameters, columns=len(source.domain.names))
    return train_network(network, parameters, source, terms, rate=rate, label=label, schedule=schedule)


class ClippingNetwork(Protocol):
    """A network that adds its records' clipped gradients itself."""

    @property
    def masks(self) -> Mapping[str, Tensor]:
        """As in :class:`sgd.Network`."""
        ...

    def add_clipped(
        self, parameters: Mapping[str, Tensor], codes: Tensor, *, clip: float, into: Mapping[str, Tensor]
    ) -> None:
        """As in :func:`sgd.add_clipped`."""
        ...


def train_network(
    network: ClippingNetwork,
    parameters: Parameters,
    source: PeopleSource,
    terms: Terms,
    *,
    rate: float,
    label: str,
    schedule: Callable[[int, int], float],
) -> Parameters:
    """Charge a plan of one phase, and train parameters on people by its steps, in place.

    Args:
      network: What clips and sums.
      parameters: Its parameters, no functions of the records.
      source: Coded records, one per person.
      terms: The plan, what it is charged to, and where random bits come from.
      rate: Highest rate.
      label: Public words for the ledger.
      schedule: The rate of a step over the highest.

    Privacy:
      Spends the ``FixedPlan`` of the terms' plan; add-remove of one person.
      Checked by: tests/dpsynth/deep/test_modules.py::test_the_plan_is_charged_before_a_record_is_read

    Raises:
      BudgetExceeded: The charge was refused; nothing was read.
      ParameterError: The plan has several phases, or a unit may have several rows; nothing was charged.
    """
    if len(terms.plan.phases) != 1:
        raise _unfit("the plan has several phases")
    require_one_row(source.max_rows)
    charged = charge_plan(terms.plan, delta=terms.delta, spend=terms.spend, label=label, sides=terms.sides)
    people, (phase,), adam = People(source), terms.plan.phases, Adam()
    add = type(network).add_clipped
    for step in range(phase.steps):
        gradient = noisy_gradient(network, parameters, people, phase, charged=charged, random=terms.random, add=add)
        adam.step(parameters, gradient, rate=rate * schedule(step, phase.steps))
    return parameters


def _unfit(why: str) -> ParameterError:
    return ParameterError(
        "This module can't be trained by this plan.",
        f"A plan of one phase is run on a module without memory, but {why}.",
        "Use layers without buffers (no batch norm) and without dropout, and a plan of one phase.",
    )
