"""Gradients of modules of your own, each record's by itself, whatever the module's code does.

A module's Python code never sees a record of a person. It is run once, on one record that is made up, and what torch
computed there is written down: a graph of torch's own operations, from parameters and one record to that record's
gradient. That graph is run for each record by itself, many at a time under ``vmap``, whose rules keep records apart.
So code that looks at the size of a batch, keeps something for later, writes into weights or couples records on rare
values has nothing to look at: a record's clipped gradient is a function of the parameters and that record alone, and
its norm is taken of the very numbers that are summed. What draws, decides by values in Python, writes one record into
what others read, or calls what isn't an operation of torch is refused.
"""

import operator
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.func import grad, vmap
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from dpsynth.deep.sgd import MARGIN, Parameters, require_float64

HELD = 2**23
"""Numbers of single gradients that are held at a time."""

TROUBLES = (RuntimeError, NotImplementedError, AttributeError, ValueError, TypeError, IndexError)
"""What torch and opacus raise where a module doesn't run, draws, or decides by the values of codes."""

Gradients = Callable[[Mapping[str, Tensor], Tensor], Parameters]
"""From parameters and codes, shape (records, columns), to every record's gradient by parameter, records first."""


def gradients_alone(
    of_one: Callable[[Parameters, Tensor], Tensor], parameters: Parameters, made_up: Tensor
) -> Gradients:
    """What makes each record's gradient by itself: a graph, written down on one made-up record and tried on all.

    Args:
      of_one: From the trained parameters and one record's codes, int64 of shape (columns,), to its loss, of shape ().
        Run here alone.
      parameters: The trained ones.
      made_up: Records that nobody is; int64, shape (records, columns), at least one.

    Raises:
      ValueError: The graph holds what isn't an operation of torch.
      RuntimeError: It draws, decides by values, or writes a record into what others read; or another of ``TROUBLES``.
    """
    names = tuple(parameters)

    def of_values(values: tuple[Tensor, ...], record: Tensor) -> tuple[Tensor, ...]:
        found = grad(of_one)(dict(zip(names, values, strict=True)), record)
        return tuple(found[name] for name in names)

    graph = make_fx(of_values)(tuple(value.detach().clone() for value in parameters.values()), made_up[0].clone())
    _require_torch(graph)
    each = vmap(graph, in_dims=(None, 0))

    def gradients(chosen: Mapping[str, Tensor], codes: Tensor) -> Parameters:
        return dict(zip(names, each(tuple(chosen[name].detach() for name in names), codes), strict=True))

    before = {name: value.detach().clone() for name, value in parameters.items()}
    gradients(before, made_up)
    if not all(torch.equal(value, parameters[name]) for name, value in before.items()):
        raise ValueError("it writes into its parameters")
    return gradients


def add_alone(
    gradients: Gradients, parameters: Mapping[str, Tensor], codes: Tensor, *, clip: float, into: Mapping[str, Tensor]
) -> None:
    """Add each record's gradient, scaled to an L2 norm of at most ``clip``; as in :func:`sgd.add_clipped`.

    The norm is that of the float64 numbers that are summed, so the bound rests on nothing that the module does.

    Args:
      gradients: Of :func:`gradients_alone`.
      parameters: The trained ones.
      codes: int64, shape (records, columns).
      clip: The bound.
      into: The sums by parameter, float64, added to in place.

    Raises:
      ValueError: A sum isn't float64.
    """
    require_float64(into)
    some = max(1, HELD // sum(value.numel() for value in parameters.values()))
    for part in codes.split(some):
        found = {name: value.double() for name, value in gradients(parameters, part).items()}
        square = torch.stack([value.flatten(1).square().sum(dim=1) for value in found.values()]).sum(dim=0)
        finite = torch.isfinite(square)
        weights = torch.clamp(clip * (1.0 - MARGIN) / torch.sqrt(square[finite]), max=1.0)
        for name, value in found.items():
            into[name].add_(torch.tensordot(weights, value[finite], dims=1))


def _require_torch(graph: GraphModule) -> None:
    """Refuse a graph that calls code of anybody else: it would see what torch's operations keep apart."""
    for node in graph.graph.nodes:
        own = isinstance(node.target, torch._ops.OpOverload) and node.target.namespace in ("aten", "prims")
        if node.op not in ("placeholder", "get_attr", "output") and not own and node.target is not operator.getitem:
            raise ValueError("it calls what isn't an operation of torch")
