"""Modules of your own that take batches, checked against opacus.

The bound doesn't rest on opacus, nor on what the module does with a batch: each record's gradient is made by itself, as
for ``train_module`` (``alone``), by a graph of torch's operations in which no other record is. Coins, bound, sum, noise
and price are this room's. All of it runs in float64: in the module's own float32, one person can change how thousands
of others' gradients round.

Opacus is the second opinion on the module, before anything is charged: on made-up records of the public domain losses
and norms in company, by its ghost clipping, must be those that each record has by itself. That look finds mistakes (a
batch norm, a mean over the batch); it doesn't see every code, and no promise rests on it. Source: Lee, Kifer 2021
(arXiv:2009.03106).
"""

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from dpsynth.deep.alone import TROUBLES, Gradients, add_alone, gradients_alone
from dpsynth.deep.extra import require_opacus
from dpsynth.deep.modules import train_network
from dpsynth.deep.optimise import cosine
from dpsynth.deep.sgd import Parameters, PeopleSource
from dpsynth.deep.training import Terms
from dpsynth.domain import Domain
from dpsynth.errors import ParameterError

Loss = Callable[[Tensor, Tensor], Tensor]
"""From a module's outputs and the codes to a loss per record, shape (records,)."""

MADE_UP = 24
"""Records on which a module is looked at."""

CLOSE = 1e-8
"""Difference of losses and squared norms that float64 explains, as a share of the largest."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GhostNetwork:
    """A module of float64 as a network, and with opacus' hooks. Made by :func:`ghost_network`.

    Attributes:
      gradients: Each record's, by itself: what is summed.
      hooked: The module with hooks, for a look at opacus' norms alone.
      loss: Of outputs and codes.
      masks: None: every weight is free.
    """

    gradients: Gradients = field(repr=False)
    hooked: Any = field(repr=False)
    loss: Loss = field(repr=False)
    masks: Mapping[str, Tensor] = field(default_factory=dict, repr=False)

    @property
    def parameters(self) -> Parameters:
        """The parameters that are trained, by name, float64; they share the module's memory."""
        module = self.hooked._module
        return {name: value.data for name, value in module.named_parameters() if value.requires_grad}

    def add_clipped(
        self, parameters: Mapping[str, Tensor], codes: Tensor, *, clip: float, into: Mapping[str, Tensor]
    ) -> None:
        """Add each record's gradient, scaled to an L2 norm of at most ``clip``; as in :func:`alone.add_alone`."""
        add_alone(self.gradients, parameters, codes, clip=clip, into=into)

    def losses_and_squared_norms(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Each record's loss, and the squared L2 norm of its gradient by opacus; float64, shape (records,). Private."""
        trained = [value for value in self.hooked._module.parameters() if value.requires_grad]
        for value in trained:
            value._norm_sample = None
        codes = codes.contiguous()
        losses = self.loss(self.hooked(codes), codes)
        with _silent():
            losses.sum().backward(retain_graph=True)
        self.hooked.zero_grad()
        return losses, torch.stack([value._norm_sample.square() for value in trained]).sum(dim=0)


@contextmanager
def _silent() -> Iterator[None]:
    """Without torch's warning of every hook on a layer whose inputs, such as codes, have no gradients."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Full backward hook is firing")
        yield


def ghost_network(module: torch.nn.Module, loss: Loss, domain: Domain) -> GhostNetwork:
    """A copy of a module in float64, with opacus' hooks, once it was looked at on made-up records of the domain.

    Args:
      module: Takes codes, int64 of shape (records, columns); it isn't changed.
      loss: Of its outputs and the codes, a number per record.
      domain: Public.

    Raises:
      MissingExtra: opacus isn't installed.
      ParameterError: opacus or this room's own look refuses the module.
    """
    require_opacus()
    from opacus.grad_sample import GradSampleModuleFastGradientClipping
    from opacus.validators import ModuleValidator

    own = copy.deepcopy(module).double().train()
    if next(own.buffers(), None) is not None or ModuleValidator.validate(own, strict=False):
        raise _unfit("it has buffers, or a layer that opacus refuses, such as a batch norm")
    if not any(value.requires_grad for value in own.parameters()):
        raise _unfit("it has no parameter to train")

    def network(plain: torch.nn.Module) -> GhostNetwork:
        hooked = GradSampleModuleFastGradientClipping(copy.deepcopy(plain), loss_reduction="sum")
        of_one, trained = _of_one(plain, loss)
        return GhostNetwork(gradients=gradients_alone(of_one, trained, records), hooked=hooked, loss=loss)

    records = made_up(domain)
    try:
        _look_at(moved(own), loss, records, network)
        return network(own)
    except TROUBLES as error:
        raise _unfit("it doesn't run in float64 on made-up records, in batches and one by one") from error


def _look_at(
    module: torch.nn.Module, loss: Loss, codes: Tensor, made: Callable[[torch.nn.Module], GhostNetwork]
) -> None:
    """Refuse a module that treats records otherwise in company, or whose norms opacus doesn't find."""
    losses, squares = _alone(module, loss, codes)
    network = made(module)
    for order in (torch.arange(MADE_UP), torch.arange(MADE_UP).flip(0)):
        found, norms = network.losses_and_squared_norms(codes[order])
        if found.shape != losses.shape or not _same(found, losses[order]):
            raise _unfit("a record's loss isn't a number of its own: it depends on its company, or on what was before")
        if not _same(norms, squares[order]):
            raise _unfit("opacus doesn't find the norms of its gradients: a parameter is used outside of its layer")


def train_by_opacus(
    module: torch.nn.Module,
    loss: Loss,
    source: PeopleSource,
    terms: Terms,
    *,
    rate: float,
    label: str = "training of a module",
    schedule: Callable[[int, int], float] = cosine,
) -> Parameters:
    """Charge a plan of one phase, and train a module on batches of people by its steps, with Adam.

    Args:
      module: Takes codes, int64 of shape (records, columns), and treats each record by itself; it is run in float64
        and isn't changed.
      loss: Of its outputs and the codes, a number per record, shape (records,).
      source: Coded records, one per person.
      terms: The plan, what it is charged to, and where random bits come from.
      rate: Highest rate.
      label: Public words for the ledger.
      schedule: The rate of a step over the highest, given the step and the number of steps.

    Returns:
      The trained parameters by name, float32, for ``module.load_state_dict``; those that aren't trained as they were.

    Privacy:
      Spends the ``FixedPlan`` of the terms' plan; add-remove of one person. The parameters that the module comes with
      must not be functions of the records. The bound holds for every module that is taken, whatever it does with a
      batch: its code doesn't run on people, and a record's gradient is that of the record by itself.
      Checked by: tests/dpsynth/deep/test_ghost.py::test_the_plan_is_charged_before_a_record_is_read,
        tests/dpsynth/deep/test_ghost.py::test_a_neighbour_moves_the_sum_by_at_most_the_bound,
        tests/dpsynth/deep/test_ghost.py::test_the_bound_holds_whatever_a_module_does_on_rare_codes_or_in_large_batches,
        tests/dpsynth/deep/test_ghost.py::test_coins_and_noise_are_those_of_our_own_engine

    Raises:
      BudgetExceeded: The charge was refused; nothing was read.
      MissingExtra: opacus isn't installed.
      ParameterError: The module was refused, the plan has several phases, or a unit may have several rows; nothing was
        charged.
    """
    network = ghost_network(module, loss, source.domain)
    trained = train_network(
        network,
        network.parameters,
        source,
        terms,
        rate=rate,
        label=label,
        schedule=schedule,
    )
    return {name: trained.get(name, value.data).float() for name, value in module.named_parameters()}


def made_up(domain: Domain) -> Tensor:
    """Records of the domain that nobody is, by a formula; int64, shape (MADE_UP, columns)."""
    rows, columns = torch.arange(MADE_UP)[:, None], torch.arange(len(domain.sizes))
    return (rows * (7 + 2 * columns) + rows.square() // (3 + columns)) % torch.tensor(domain.sizes)


def moved(module: torch.nn.Module) -> torch.nn.Module:
    """A copy whose parameters were moved a little by a formula: where some are zero, others have no gradient."""
    found = copy.deepcopy(module)
    for value in found.parameters():
        value.data.add_(0.1 * torch.sin(1.0 + torch.arange(value.numel(), dtype=torch.float64)).view_as(value))
    return found


def _alone(module: torch.nn.Module, loss: Loss, codes: Tensor) -> tuple[Tensor, Tensor]:
    """Each record's loss and the squared norm of its gradient, by itself; what depends on values of codes can't run."""
    of_one, chosen = _of_one(module, loss)
    losses = vmap(of_one, in_dims=(None, 0))(chosen, codes)
    gradients = vmap(grad(of_one), in_dims=(None, 0))(chosen, codes)
    squares = torch.stack([value.flatten(1).square().sum(dim=1) for value in gradients.values()]).sum(dim=0)
    return losses, squares


def _of_one(module: torch.nn.Module, loss: Loss) -> tuple[Callable[[Parameters, Tensor], Tensor], Parameters]:
    """The loss of one record given the trained parameters, as a batch of its own; and these parameters."""
    parameters = {name: value.detach() for name, value in module.named_parameters()}

    def of_one(chosen: Parameters, record: Tensor) -> Tensor:
        outputs = functional_call(module, parameters | chosen, (record[None],))
        return loss(outputs, record[None]).reshape(())

    return of_one, {name: parameters[name] for name, value in module.named_parameters() if value.requires_grad}


def _same(one: Tensor, other: Tensor) -> bool:
    """Close as seen from the largest, however small that is: a loss may be scaled by any factor."""
    return bool(((one.detach() - other.detach()).abs() <= CLOSE * other.detach().abs().max()).all())


def _unfit(why: str) -> ParameterError:
    return ParameterError(
        "This module can't be trained through opacus.",
        f"As it looks before anything is charged, {why}.",
        "Treat each record by itself, in layers that opacus knows, with inputs of the weights' dtype; or use "
        "train_module(), which takes one record at a time.",
    )
