"""The layers of our networks: a forward pass writes down, for each, its inputs and its outputs (:class:`Tape`).

One backward pass to the outputs alone gives each record's signal there; ``gradients`` makes norms and sums of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dpsynth.deep.kernel import normalise, shift, sum_numbers


def code_starts(sizes: Sequence[int]) -> Tensor:
    """Where each column's codes begin where the codes of all columns stand side by side; int64, shape (columns,)."""
    return torch.tensor([0, *accumulate(sizes)][: len(sizes)], dtype=torch.int64)


def code_columns(sizes: Sequence[int]) -> Tensor:
    """The column of each code where the codes of all columns stand side by side, one-hot; shape (codes, columns)."""
    d = len(sizes)
    return torch.eye(d)[torch.repeat_interleave(torch.arange(d), torch.tensor(list(sizes)))]


LOWEST = -60.0
"""Logits further below a record's largest one count as this far below."""


def column_shares(logits: Tensor, columns: Tensor) -> Tensor:
    """Every column's probabilities, side by side; ``columns`` says which logits are of which column, one-hot."""
    logits = logits.detach()
    if logits.device.type != "cpu":
        powers = (logits - logits.amax(dim=1, keepdim=True)).clamp_(min=LOWEST).exp_()
        return powers.div_((powers @ columns) @ columns.T)
    powers = torch.empty(logits.shape)
    shift()(logits.contiguous().numpy(), LOWEST, powers.numpy())
    normalise()(powers.exp_().numpy(), edges_of_blocks(columns))
    return powers


class _Along(torch.autograd.Function):  # type: ignore[misc,unused-ignore]
    """Nothing but its gradient: a number whose gradient at ``outputs`` is ``slope``."""

    @staticmethod
    def forward(ctx: Any, outputs: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(slope)
        return outputs.new_zeros(())

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (slope,) = ctx.saved_tensors
        return slope if float(grad) == 1.0 else slope * grad, None


def total_along(outputs: Tensor, slope: Tensor) -> Tensor:
    """The objective of a batch whose gradient at a layer's outputs is known; its value has no meaning.

    Args:
      outputs: Shape (records, outputs).
      slope: Gradient of each record's loss there, of the same shape; not changed afterwards.
    """
    found: Tensor = _Along.apply(outputs, slope)
    return found


@lru_cache(maxsize=64)
def edges_of_blocks(blocks: Tensor) -> NDArray[np.int64]:
    """Where blocks that stand side by side begin and end, of their one-hot matrix; shape (blocks + 1,)."""
    table = blocks.cpu().numpy()
    own = table.argmax(axis=1)
    if ((table != 0).sum(axis=1) != 1).any() or (np.diff(own) < 0).any():
        raise ValueError("blocks don't stand side by side in their order")
    return np.searchsorted(own, np.arange(blocks.shape[1] + 1)).astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reach:
    """Which blocks of inputs reach which blocks of outputs; weights between the others are always zero.

    Attributes:
      inputs: Block of each input, one-hot, shape (inputs, input blocks).
      outputs: Block of each output, one-hot, shape (outputs, output blocks).
      blocks: 1 where an input block reaches an output block, shape (input blocks, output blocks).
    """

    inputs: Tensor = field(repr=False)
    outputs: Tensor = field(repr=False)
    blocks: Tensor = field(repr=False)

    def mask(self) -> Tensor:
        """1 for every weight that may differ from zero, shape (inputs, outputs)."""
        return self.inputs @ self.blocks @ self.outputs.T


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dense:
    """outputs = inputs W + b.

    Attributes:
      weight: Name of W, shape (inputs, outputs).
      bias: Name of b; None without.
      reach: Which blocks reach which; None where all do.
      inputs: Shape (records, inputs).
      outputs: Shape (records, outputs).
    """

    weight: str
    bias: str | None
    reach: Reach | None
    inputs: Tensor = field(repr=False)
    outputs: Tensor = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Centre:
    """Public shares that are subtracted from one-hot inputs: then codes that most records have move little.

    Attributes:
      shares: Of each code within its column, shape (rows,).
      far: Squared distance of each code's one-hot vector from its column's shares, shape (rows,).
    """

    shares: Tensor = field(repr=False)
    far: Tensor = field(repr=False)

    @classmethod
    def of(cls, shares: Tensor, columns: Tensor) -> "Centre":
        """The centre at these shares; ``columns`` says which rows are of which column, one-hot."""
        squares = columns @ (columns.T @ shares.square())
        return cls(shares=shares, far=1.0 - 2.0 * shares + squares)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lookup:
    """outputs = the sum of the rows of W that a record's codes name, less the centre's, + b: dense on one-hot inputs.

    Attributes:
      weight: Name of W, shape (rows, outputs); the rows are the columns' codes, one column after the other.
      bias: Name of b; None without.
      reach: Which columns reach which blocks of outputs; None where all do.
      centre: What is subtracted from the one-hot inputs; None for nothing.
      rows: Row of each column's code, shape (records, columns); the columns' rows don't overlap.
      outputs: Shape (records, outputs).
    """

    weight: str
    bias: str | None
    reach: Reach | None
    centre: Centre | None
    rows: Tensor = field(repr=False)
    outputs: Tensor = field(repr=False)


Layer = Dense | Lookup


class Tape:
    """What a forward pass wrote down. Each parameter is used by one layer once: norms of shared ones would not add.

    Args:
      parameters: By name.
      own: Standard normals of each record's own, shape (records, numbers); None where the network asks for none.
    """

    __slots__ = ("_own", "_parameters", "_used", "layers")

    def __init__(self, parameters: Mapping[str, Tensor], own: Tensor | None = None) -> None:
        self._parameters, self._own = parameters, own
        self._used: set[str] = set()
        self.layers: list[Layer] = []

    @property
    def own(self) -> Tensor:
        """Standard normals of each record's own, which nobody else's depend on; raises ValueError where none are."""
        if self._own is None:
            raise ValueError("the network draws numbers for each record, and none were given")
        return self._own

    def dense(self, inputs: Tensor, weight: str, bias: str | None = None, reach: Reach | None = None) -> Tensor:
        """A dense layer; returns its outputs."""
        table = self._take(weight)
        outputs = self._begin(inputs @ table if bias is None else torch.addmm(self._take(bias), inputs, table))
        self.layers.append(Dense(weight=weight, bias=bias, reach=reach, inputs=inputs.detach(), outputs=outputs))
        return outputs

    def lookup(
        self,
        codes: Tensor,
        starts: Tensor,
        weight: str,
        bias: str | None = None,
        reach: Reach | None = None,
        centre: Centre | None = None,
    ) -> Tensor:
        """The sum of the rows that codes name; returns the outputs.

        Args:
          codes: int64, shape (records, columns), each below its column's number of codes.
          starts: First row of each column, shape (columns,).
          weight: Name of the table.
          bias: Name of the bias.
          reach: Which columns reach which blocks of outputs.
          centre: What is subtracted from the one-hot inputs.

        Raises:
          ValueError: A centre without a bias: signals of records at the centre would have no bound.
        """
        if centre is not None and bias is None:
            raise ValueError("a lookup with a centre has a bias")
        rows, table = codes + starts, self._take(weight)
        found = _summed_rows(table, rows)
        added = None if bias is None else self._take(bias)
        if centre is not None:
            middle = centre.shares @ table
            added = -middle if added is None else added - middle
        outputs = self._begin(found if added is None else found.add_(added))
        self.layers.append(
            Lookup(weight=weight, bias=bias, reach=reach, centre=centre, rows=rows, outputs=outputs)
        )
        return outputs

    def _take(self, name: str) -> Tensor:
        if name in self._used:
            raise ValueError(f"the parameter {name!r} is used twice: norms of its gradients would not add up")
        self._used.add(name)
        return self._parameters[name]

    def _begin(self, outputs: Tensor) -> Tensor:
        return outputs if outputs.requires_grad else outputs.requires_grad_()


def _summed_rows(table: Tensor, rows: Tensor) -> Tensor:
    if table.shape[1] == 1 and table.device.type == "cpu" and not table.requires_grad:  # many times faster than bags
        found = torch.empty(len(rows), 1)
        if not sum_numbers()(table[:, 0].contiguous().numpy(), rows.contiguous().numpy(), found[:, 0].numpy()):
            raise IndexError("a code lies outside its column")
        return found
    return torch.nn.functional.embedding_bag(rows, table, mode="sum")
