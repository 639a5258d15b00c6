"""One DP-SGD step: a Poisson batch of people, each one's gradient clipped, one sum, noise, a public divisor.

  1. take a charged step
  2. every person joins the batch by a coin of their own; a batch may be empty, and its step is taken all the same
  3. each person's gradient is scaled to at most the public bound, and the scaled gradients are summed
  4. normal noise of the plan's noise multiplier times the bound is added, and the sum is rounded to a public grid
  5. the sum is divided by the public expected batch

Source: Abadi et al. 2016 (arXiv:1607.00133), Algorithm 1, with the norms of ``gradients``. What floats can't keep: the
noise is a float64 normal, and a sum's rounding depends on all its terms. ``MARGIN`` lowers the bound for that and for
norms in float32. Between neighbours, in shares of the bound:

* Records' scaled gradients, in float32, are summed in float64, thousands by themselves and then these sums. That rounds
  n people's sum by at most n 2^-53 (HELD + 2 n / HELD), where a centre is subtracted times the root of the columns'
  number: up to 2^25 people in one batch and 1,000 columns below 2^-9, and twice that.
* Products of dense layers are summed in float32 over few records, as ``gradients.slices`` proves, by at most 2^-8 in a
  chunk. Company is dealt by chance: everybody has a place of their own in [0, 1), independent of who else is there,
  and those of one public interval are worked on together. A neighbour has one person more in one interval, and all the
  others' chunks hold the very same records in the very same order. An interval's chunks after its first one, of more
  people than were declared, are summed in float64; so one chunk alone rounds otherwise, by at most 2^-7.
* A record's signals are products of float32 matrices, which may round otherwise in other company, typically by 2^-20
  of the bound (more where a unit of ``vae``'s decoder lies within rounding of zero): those of one interval alone, of
  about ``DEALT`` people, 2^-10 were all of it to point the same way.

Together with 2^-11 for norms that is less than ``MARGIN``. Step 4 leaves no bit below the grid. Sums of weights that
aren't free are left unfinished and never leave: only free weights have noise, and only they are returned.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dpsynth.deep.device import to_array, to_tensor
from dpsynth.deep.gradients import Memo, squared_norms, weighted_gradients
from dpsynth.deep.kernel import add_noise
from dpsynth.deep.layers import Tape
from dpsynth.deep.plan import ChargedSteps, Phase, require_one_row
from dpsynth.noise.base import RandomSource
from dpsynth.noise.coins import row_coins
from dpsynth.noise.normal import draw_normal, draw_uniform
from dpsynth.sources.base import RowSource

MARGIN = 2.0**-6
"""The bound is lowered by this share, for the rounding of signals, norms and sums."""

CHUNK = 1024
"""Records whose signals are held at a time, whatever the batch."""

HELD = 8192
"""People whose gradients are summed by themselves, at most."""

DEALT = 870
"""People of the expected batch in one interval: so few that more than ``CHUNK`` of them hardly ever meet there."""

GRID_BITS = 20
"""A step's sum is a multiple of the power of two next below its noise's deviation over 2^20."""

Parameters = dict[str, Tensor]


class Network(Protocol):
    """A network that the engine can train: each record's objective depends on that record and the parameters alone.

    One that has a number of ``numbers`` above 0 also has so many standard normals of each record's own, on its tape.
    """

    @property
    def masks(self) -> Mapping[str, Tensor]:
        """1 where a weight may differ from zero, by parameter; parameters without a mask are free everywhere."""
        ...

    def objective(self, tape: Tape, codes: Tensor) -> Tensor:
        """A number per record, or their sum, whose gradient is that of the records' loss; nothing else reads it.

        Args:
          tape: Every parameter is used through it, once.
          codes: int64, shape (records, columns).
        """
        ...


class PeopleSource(RowSource, Protocol):
    """Coded rows, and the enforced bound on the rows of one unit."""

    @property
    def max_rows(self) -> int:
        """The enforced bound on rows of one unit."""
        ...


class People:
    """Coded records, one per person, in memory. Private.

    Args:
      source: The records.
      order: Positions of the columns in the order that the network has; the domain's where None.

    Raises:
      ParameterError: A person may have several records: their summed gradient would have to be clipped.
    """

    __slots__ = ("_codes", "_places")

    def __init__(self, source: PeopleSource, *, order: Sequence[int] | None = None) -> None:
        require_one_row(source.max_rows)
        blocks = [codes for codes, _ in source.blocks()]
        columns = len(source.domain.names)
        codes = np.concatenate([np.zeros((columns, 0), dtype=np.uint8), *blocks], axis=1)
        self._codes: NDArray[Any] = np.ascontiguousarray((codes if order is None else codes[list(order)]).T)
        self._places: NDArray[np.float64] | None = None

    def __repr__(self) -> str:
        return "People(private)"

    def batch(
        self, *, sampling_probability: float, random: RandomSource, expected: float = float(DEALT)
    ) -> Iterator[tuple[Tensor, bool]]:
        """A Poisson batch in chunks: every person is in it with this probability, once at most. Private.

        Args:
          sampling_probability: Of each coin.
          random: Source of the coins and, the first time, of everybody's places.
          expected: The public expected batch, which says how many intervals there are.

        Yields:
          Codes, int64, shape (records, columns), and whether they are the first of their interval.

        Privacy:
          None by itself; the step that reads it was charged.
          Checked by: tests/dpsynth/deep/test_sgd.py::test_batches_are_independent_coins_of_every_person,
            tests/dpsynth/deep/test_sgd.py::test_one_person_more_changes_the_company_of_one_interval_alone
        """
        share, places = Fraction(sampling_probability), self._dealt(random)
        chosen = np.flatnonzero(row_coins(len(self._codes), share=share, random=random))
        intervals = max(1, math.ceil(expected / DEALT))
        edges = np.searchsorted(places[chosen], np.arange(1, intervals) / intervals)
        for group in np.split(chosen, edges):
            for start in range(0, len(group), CHUNK):
                yield to_tensor(self._codes[group[start : start + CHUNK]].astype(np.int64)), start == 0

    def _dealt(self, random: RandomSource) -> NDArray[np.float64]:
        """Everybody's place, in ascending order; the first time, people are put into it."""
        if self._places is None:
            places = draw_uniform(len(self._codes), random=random)
            order = np.argsort(places, kind="stable")
            self._codes, self._places = self._codes[order], places[order]
        return self._places


def noisy_gradient(
    network: Any,
    parameters: Mapping[str, Tensor],
    people: People,
    phase: Phase,
    *,
    charged: ChargedSteps,
    random: RandomSource,
    add: Callable[..., None] | None = None,
) -> Parameters:
    """The gradient of one DP-SGD step over a batch of people.

    Args:
      network: What is trained, a :class:`Network` or what ``add`` takes; its ``masks`` say which weights are free.
      parameters: Its parameters, functions of earlier accounted outputs.
      people: The records.
      phase: A phase of the charged plan.
      charged: Of which one step is taken, before any record is looked at.
      random: Source of the batch and of the noise.
      add: What adds clipped gradients of records: :func:`add_clipped` where None, with the same arguments.

    Returns:
      The noisy mean gradient by parameter, float32, divided by the public expected batch.

    Privacy:
      One application of the phase's ``PoissonSampledGaussian``; add-remove of one person, who moves the sum by at most
      ``phase.clip`` in L2, and only where their coin put them into the batch.
      Checked by: tests/dpsynth/deep/test_sgd.py::test_a_neighbour_moves_the_sum_by_at_most_the_bound,
        tests/dpsynth/deep/test_sgd.py::test_the_noise_is_the_plans

    Raises:
      ParameterError: No charged step of the phase is left.
    """
    charged.take(phase)
    layout = tuple((value.shape, network.masks.get(name)) for name, value in parameters.items())
    whole = torch.zeros(sum(shape.numel() for shape, _ in layout), dtype=torch.float64)
    expected = charged.plan.expected_batch(phase)
    batch = people.batch(sampling_probability=phase.sampling_probability, random=random, expected=expected)
    part, held = whole, 0
    for codes, first in batch:
        if held + len(codes) > HELD:
            whole = whole if part is whole else whole.add_(part)
            part, held = torch.zeros_like(whole), 0
        held += len(codes)
        into = _named(part, parameters)
        if add is None:
            own = _drawn(network, len(codes), random)
            _add_clipped(network, parameters, codes, clip=phase.clip, into=into, own=own, exact=not first)
        else:
            add(network, parameters, codes, clip=phase.clip, into=into)
    whole = whole if part is whole else whole.add_(part)
    deviation = charged.plan.noise_of(phase) * phase.clip
    return _named(_noised(whole, layout, deviation, expected, random), parameters)


def _drawn(network: Network, records: int, random: RandomSource) -> Tensor | None:
    """Standard normals of each record's own, shape (records, numbers): two records never share any, in no two chunks.

    Where they did, one person more would pair everybody after them with other numbers, and nothing bounds what that
    moves.
    """
    numbers = int(getattr(network, "numbers", 0))
    if numbers == 0:
        return None
    found = draw_normal(records * numbers, random=random).reshape(records, numbers)
    return to_tensor(found.astype(np.float32))


def add_clipped(
    network: Network,
    parameters: Mapping[str, Tensor],
    codes: Tensor,
    *,
    clip: float,
    into: Mapping[str, Tensor],
    own: Tensor | None = None,
    exact: bool = True,
) -> None:
    """Add each record's gradient, scaled to an L2 norm of at most ``clip``; exact and private, without noise.

    A record whose gradient isn't finite adds nothing.

    Args:
      network: What is trained.
      parameters: Its parameters.
      codes: int64, shape (records, columns).
      clip: The bound.
      into: The sums by parameter, float64, added to in place.
      own: Standard normals of each record's own, as in :class:`layers.Tape`.
      exact: As in :func:`gradients.weighted_gradients`.

    Raises:
      ValueError: A sum isn't float64: one person could move the rounding of all others' by more than the bound.
    """
    _add_clipped(network, parameters, codes, clip=clip, into=into, own=own, exact=exact)
    for name, mask in network.masks.items():
        into[name].mul_(mask)


def _add_clipped(
    network: Network,
    parameters: Mapping[str, Tensor],
    codes: Tensor,
    *,
    clip: float,
    into: Mapping[str, Tensor],
    own: Tensor | None = None,
    exact: bool = True,
) -> None:
    """As :func:`add_clipped`; what is added to weights that aren't free has no meaning."""
    require_float64(into)
    tape = Tape(parameters, own)
    objective = network.objective(tape, codes)
    signals = torch.autograd.grad(objective.sum(), [layer.outputs for layer in tape.layers])
    with torch.no_grad():
        memo: Memo = {}
        square = sum(squared_norms(layer, signal, memo) for layer, signal in zip(tape.layers, signals, strict=True))
        finite = torch.isfinite(square)
    if not bool(finite.all()):
        if bool(finite.any()):
            kept = None if own is None else own[finite]
            _add_clipped(network, parameters, codes[finite], clip=clip, into=into, own=kept, exact=exact)
        return
    with torch.no_grad():
        weights = torch.clamp(clip * (1.0 - MARGIN) / torch.sqrt(square), max=1.0)
        memo = {}
        for layer, signal in zip(tape.layers, signals, strict=True):
            weighted_gradients(layer, signal, weights, into, memo, exact=exact)


def require_float64(sums: Mapping[str, Tensor]) -> None:
    """Refuse sums of gradients in another type; raises ValueError."""
    if any(total.dtype != torch.float64 for total in sums.values()):
        raise ValueError("gradients are summed in float64")


Layout = tuple[tuple[torch.Size, Tensor | None], ...]
"""Shapes of the parameters in their order, and their masks."""


def _named(whole: Tensor, parameters: Mapping[str, Tensor]) -> Parameters:
    """The parts of a vector of all parameters, by name and in their shapes; they share its memory."""
    parts = whole.split([value.numel() for value in parameters.values()])
    return {name: part.view_as(value) for part, (name, value) in zip(parts, parameters.items(), strict=True)}


@lru_cache(maxsize=16)
def _free(layout: Layout) -> NDArray[np.int64]:
    """Runs (from, to) of the weights that may differ from zero in a vector of all parameters; shape (runs, 2)."""
    parts = [np.ones(shape.numel()) if mask is None else to_array(mask).ravel() for shape, mask in layout]
    free = np.concatenate([[False], *(part != 0 for part in parts), [False]])
    return np.flatnonzero(np.diff(free)).reshape(-1, 2)


def _noised(whole: Tensor, layout: Layout, deviation: float, divisor: float, random: RandomSource) -> Tensor:
    """Sum plus noise on every free weight, on the grid, over the divisor; the noise comes to the sum on the CPU."""
    step = 2.0 ** (math.floor(math.log2(deviation)) - GRID_BITS)
    runs, found = _free(layout), np.zeros(len(whole), dtype=np.float32)
    noise = draw_normal(int(np.diff(runs).sum()), random=random)
    add_noise()(to_array(whole), runs, noise, deviation, step, divisor, found)
    return to_tensor(found)
