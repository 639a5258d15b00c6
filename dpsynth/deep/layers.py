"""The layers of our networks: each knows the norm of one record's gradient without making the gradient.

A forward pass writes down, for every layer, its inputs and its outputs (:class:`Tape`). One backward pass to the
outputs alone gives each record's signal g there. A layer's gradient for one record is the outer product of g and its
inputs, so its norm is a product of norms; the gradient of a weighted batch is one matrix product. No gradient of a
single record is ever held.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import torch
from torch import Tensor


def code_starts(sizes: Sequence[int]) -> Tensor:
    """Where each column's codes begin where the codes of all columns stand side by side; int64, shape (columns,)."""
    return torch.tensor([0, *accumulate(sizes)][: len(sizes)], dtype=torch.int64)


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
    """What a forward pass wrote down. Each parameter is used by one layer once: norms of shared ones would not add."""

    __slots__ = ("_parameters", "_used", "layers")

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        self._parameters = parameters
        self._used: set[str] = set()
        self.layers: list[Layer] = []

    def dense(self, inputs: Tensor, weight: str, bias: str | None = None, reach: Reach | None = None) -> Tensor:
        """A dense layer; returns its outputs."""
        outputs = self._begin(inputs @ self._take(weight), bias)
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
        """
        rows, table = codes + starts, self._take(weight)
        found = _summed_rows(table, rows)
        outputs = self._begin(found if centre is None else found - centre.shares @ table, bias)
        self.layers.append(
            Lookup(weight=weight, bias=bias, reach=reach, centre=centre, rows=rows, outputs=outputs)
        )
        return outputs

    def _take(self, name: str) -> Tensor:
        if name in self._used:
            raise ValueError(f"the parameter {name!r} is used twice: norms of its gradients would not add up")
        self._used.add(name)
        return self._parameters[name]

    def _begin(self, outputs: Tensor, bias: str | None) -> Tensor:
        outputs = outputs if bias is None else outputs + self._take(bias)
        return outputs if outputs.requires_grad else outputs.requires_grad_()


Memo = dict[tuple[object, ...], Tensor]
"""What was worked out of a signal that several layers share."""


def squared_norms(layer: Layer, signal: Tensor, memo: Memo | None = None) -> Tensor:
    """Squared L2 norm of each record's gradient of a layer's parameters.

    Args:
      layer: What a forward pass wrote down.
      signal: Gradient of each record's loss at the layer's outputs, shape (records, outputs).
      memo: Where what layers share is kept, while their signals live.

    Returns:
      Shape (records,).
    """
    memo = {} if memo is None else memo
    own = 0.0 if layer.bias is None else 1.0
    square = _once(memo, ("square", *_name(signal)), signal.square)
    if layer.reach is None:
        return square.sum(dim=1) * (_INPUT_NORMS[type(layer)](layer, None) + own)
    outputs = layer.reach.outputs
    by_block = _once(memo, ("blocks", id(outputs), *_name(signal)), lambda: square @ outputs)
    reached = _INPUT_NORMS[type(layer)](layer, layer.reach)
    return (by_block * (reached + own)).sum(dim=1)


def weighted_gradients(
    layer: Layer, signal: Tensor, weights: Tensor, into: Mapping[str, Tensor], memo: Memo | None = None
) -> None:
    """Add the gradients of a batch, each record's times its weight.

    Args:
      layer: What a forward pass wrote down.
      signal: As in :func:`squared_norms`.
      weights: float64, shape (records,).
      into: The sums by parameter, float64, added to in place.
      memo: As in :func:`squared_norms`; for one set of weights.
    """
    memo = {} if memo is None else memo
    scaled = _once(memo, ("scaled", *_name(signal)), lambda: signal * weights[:, None])  # float64, as the weights are
    _ADD_WEIGHTS[type(layer)](layer, scaled, into[layer.weight])
    if layer.bias is not None:
        into[layer.bias].add_(scaled.sum(dim=0))


def _name(signal: Tensor) -> tuple[object, ...]:
    """What tells signals apart that live at the same time."""
    return signal.data_ptr(), signal.shape, signal.stride()


def _once(memo: Memo, key: tuple[object, ...], make: Callable[[], Tensor]) -> Tensor:
    if key not in memo:
        memo[key] = make()
    return memo[key]


def _dense_norms(layer: Dense, reach: Reach | None) -> Tensor:
    square = layer.inputs.square()
    return square.sum(dim=1) if reach is None else square @ reach.inputs @ reach.blocks


def _lookup_norms(layer: Lookup, reach: Reach | None) -> Tensor:
    if layer.centre is not None:
        far = layer.centre.far[layer.rows]
        return far.sum(dim=1) if reach is None else far @ reach.blocks
    columns = float(layer.rows.shape[1])
    return torch.tensor(columns) if reach is None else reach.blocks.sum(dim=0)


def _add_dense(layer: Dense, scaled: Tensor, into: Tensor) -> None:
    into.addmm_(layer.inputs.T.double(), scaled)


def _summed_rows(table: Tensor, rows: Tensor) -> Tensor:
    if table.shape[1] == 1:  # many times faster than bags of single numbers
        return table[:, 0][rows].sum(dim=1, keepdim=True)
    return torch.nn.functional.embedding_bag(rows, table, mode="sum")


def _add_lookup(layer: Lookup, scaled: Tensor, into: Tensor) -> None:
    columns = layer.rows.shape[1]
    if layer.centre is not None:
        into.addr_(layer.centre.shares.double(), scaled.sum(dim=0), alpha=-1.0)
    if into.shape[1] == 1:
        values = scaled.expand(-1, columns).reshape(-1)
        into[:, 0].add_(torch.bincount(layer.rows.reshape(-1), values, minlength=len(into)))
        return
    for column in range(columns):
        into.index_add_(0, layer.rows[:, column], scaled)


_INPUT_NORMS: dict[type, Callable[..., Tensor]] = {Dense: _dense_norms, Lookup: _lookup_norms}
_ADD_WEIGHTS: dict[type, Callable[..., None]] = {Dense: _add_dense, Lookup: _add_lookup}
