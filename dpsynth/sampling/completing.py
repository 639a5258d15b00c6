"""Completing rows: codes that aren't known, drawn from the model's exact conditional given those of the row that are.

The steps by which a model draws a row form a tree: what a step is given lies within one earlier step. So evidence is
summed towards the first step (sum-product messages), and the unknown codes are drawn from there on. Rows are grouped by
which of their codes are known, and by these codes: each group is worked out once (Koller and Friedman 2009, ch. 10).
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpsynth.estimation.base import Conditional, Model, Table
from dpsynth.estimation.pool import PoolModel
from dpsynth.sampling.sampler import draw_cells

Whole = NDArray[np.int64]
Codes = dict[int, Whole]
Draw = Callable[[Table, Whole, np.random.Generator], Whole]

MOST_CELLS = 2**22
"""Cells of weights that are held at a time."""
MOST_MESSAGE = 2**24
"""Cells of the largest message of a block of groups."""
_LARGEST_JOINT = 2**62


def complete_codes(
    model: Model, codes: NDArray[Any], known: NDArray[np.bool_], *, rng: np.random.Generator, systematic: bool = True
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Draw the unknown codes of rows, given the known ones of the same row.

    Args:
      model: A fitted model.
      codes: Shape (attributes, rows); what stands in an unknown cell isn't read.
      known: Which cells are known, shape (attributes, rows).
      rng: A generator of post-processing randomness.
      systematic: Among rows with equal known codes the unknown ones come in the model's shares, as exactly as whole
        rows can; otherwise rows are independent. Each row alone has the model's conditional law either way.

    Returns:
      Codes of the same shape and type, and which rows the model gives any probability, shape (rows,); the other rows'
      codes are within the domain, and without meaning.

    Privacy:
      None; post-processing.
    """
    out, possible = np.array(codes), np.ones(codes.shape[1], bool)
    draw: Draw = draw_cells if systematic else _draw_apart
    steps = [] if isinstance(model, PoolModel) else _steps_of(model)
    for pattern, rows in _by_pattern(known):
        have = {int(v): out[v, rows].astype(np.int64) for v in np.flatnonzero(pattern)}
        if isinstance(model, PoolModel):
            filled, found = _from_pool(model, have, len(rows), rng)
        else:
            filled, found = _from_steps(steps, have, len(rows), rng, draw)
        possible[rows] = found
        for v in np.flatnonzero(~pattern):
            out[v, rows] = filled[int(v)]
    return out, possible


def _by_pattern(known: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.bool_], Whole]]:
    """Each set of known attributes that occurs, with the rows that have it."""
    if not known.shape[1]:
        return
    packed = np.packbits(known, axis=0)
    _, first, group = np.unique(packed, axis=1, return_index=True, return_inverse=True)
    order = np.argsort(group.reshape(-1), kind="stable")
    ends = np.cumsum(np.bincount(group.reshape(-1), minlength=len(first)))
    for at, rows in zip(first, np.split(order, ends[:-1]), strict=True):
        yield known[:, at], rows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Step:
    """A step of drawing: its conditional probabilities as a flat table, and the place of each variable in it."""

    given: tuple[int, ...]
    new: tuple[int, ...]
    sizes: Mapping[int, int]
    strides: Mapping[int, int]
    table: Table = field(repr=False)
    parent: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Message:
    """What the known codes below a step say of the variables that it is given and that aren't known.

    ``values`` (groups, cells); ``group`` of each distinct row; ``strides`` of those variables in ``cells``.
    """

    values: Table
    group: Whole
    strides: Mapping[int, int]


def _steps_of(model: Model) -> list[_Step]:
    made: list[_Step] = []
    for found in model.conditionals():
        parent = next((i for i, s in enumerate(made) if set(found.given) <= set(s.sizes)), -1) if found.given else -1
        made.append(_step(found, parent))
    return made


def _step(found: Conditional, parent: int) -> _Step:
    variables, shape = (*found.given, *found.new), (*found.given_shape, *found.new_shape)
    whole = found.table.sum(axis=1, keepdims=True)
    shares = np.divide(found.table, whole, out=np.zeros(found.table.shape), where=whole > 0)
    return _Step(
        given=found.given,
        new=found.new,
        sizes=dict(zip(variables, shape, strict=True)),
        strides=_strides(variables, shape),
        table=shares.ravel(),
        parent=parent,
    )


def _strides(variables: Sequence[int], shape: Sequence[int]) -> dict[int, int]:
    return {v: math.prod(shape[i + 1 :]) for i, v in enumerate(variables)}


def _from_steps(
    steps: Sequence[_Step], have: Codes, rows: int, rng: np.random.Generator, draw: Draw
) -> tuple[Codes, NDArray[np.bool_]]:
    """All variables of rows that have the same known ones."""
    group, first = _grouped([(v, int(v.max(initial=0)) + 1) for v in have.values()], rows)
    widest = max(math.prod(s.sizes[v] for v in s.given if v not in have) for s in steps)
    block = max(1, MOST_MESSAGE // widest)
    filled = {v: np.zeros(rows, np.int64) for s in steps for v in s.new} | have
    possible = np.ones(rows, bool)
    order = np.argsort(group, kind="stable")
    ends = np.cumsum(np.bincount(group, minlength=len(first)))
    for begin in range(0, len(first), block):
        end = min(begin + block, len(first))
        members = order[ends[begin - 1] if begin else 0 : ends[end - 1]]
        distinct = {v: codes[first[begin:end]] for v, codes in have.items()}
        messages = _messages(steps, distinct, end - begin)
        part = {v: codes[members] for v, codes in filled.items()}
        possible[members] = _draw_all(steps, part, have, messages, group[members] - begin, rng, draw)
        for v in filled.keys() - have.keys():
            filled[v][members] = part[v]
    return filled, possible


def _messages(steps: Sequence[_Step], known: Codes, distinct: int) -> list[list[_Message]]:
    """For each step what its children tell it, from the last step to the first."""
    told: list[list[_Message]] = [[] for _ in steps]
    for step, heard in zip(reversed(steps), reversed(told), strict=True):
        given = [v for v in step.given if v not in known]
        if not given or not (heard or any(v in known for v in step.new)):
            continue  # what it is given is all known, or nothing below it is
        free = (*given, *(v for v in step.new if v not in known))
        cells = math.prod(step.sizes[v] for v in given)
        parts: list[tuple[Whole, int]] = [(known[v], step.sizes[v]) for v in step.sizes if v in known]
        group, first = _grouped([*parts, *((m.group, len(m.values)) for m in heard)], distinct)
        values = np.empty((len(first), cells))
        for some in _blocks(len(first), math.prod(step.sizes[v] for v in free)):
            weights = _weights(step, free, {v: c[first[some]] for v, c in known.items()}, heard, first[some])
            values[some] = weights.reshape(len(weights), cells, -1).sum(axis=2)
        _scale(values)
        shape = [step.sizes[v] for v in given]
        told[step.parent].append(_Message(values=values, group=group, strides=_strides(given, shape)))
    return told


def _draw_all(
    steps: Sequence[_Step],
    part: Codes,
    have: Mapping[int, Any],
    messages: Sequence[Sequence[_Message]],
    distinct: Whole,
    rng: np.random.Generator,
    draw: Draw,
) -> NDArray[np.bool_]:
    """Fill the unknown variables of ``part`` step by step; whether each row has any probability."""
    possible = np.ones(len(distinct), bool)
    for step, heard in zip(steps, messages, strict=True):
        free = tuple(v for v in step.new if v not in have)
        fixed = [v for v in step.sizes if v not in free]
        parts = [(part[v], step.sizes[v]) for v in fixed]
        group, first = _grouped([*parts, *((m.group[distinct], len(m.values)) for m in heard)], len(distinct))
        order = np.argsort(group, kind="stable")
        ends = np.cumsum(np.bincount(group, minlength=len(first)))
        shape = tuple(step.sizes[v] for v in free)
        for some in _blocks(len(first), math.prod(shape)):
            at = first[some]
            weights = _weights(step, free, {v: part[v][at] for v in fixed}, heard, distinct[at])
            rows = order[ends[some.start - 1] if some.start else 0 : ends[some.stop - 1]]
            own = group[rows] - some.start
            possible[rows] &= weights.sum(axis=1)[own] > 0
            if free:
                for v, codes in zip(free, np.unravel_index(draw(weights, own, rng), shape), strict=True):
                    part[v][rows] = codes
    return possible


def _weights(
    step: _Step, free: Sequence[int], fixed: Codes, heard: Sequence[_Message], distinct: Whole
) -> Table:
    """Shares of the free variables' cells for each of some groups, shape (groups, cells); they needn't sum to 1."""
    sizes = [step.sizes[v] for v in free]
    start = np.zeros(len(distinct), np.int64)
    for v, codes in fixed.items():
        start += codes * step.strides.get(v, 0)
    out: Table = step.table[start[:, None] + _grid(sizes, [step.strides[v] for v in free])]
    for message in heard:
        start = message.group[distinct] * message.values.shape[1]
        for v, codes in fixed.items():
            start += codes * message.strides.get(v, 0)
        out *= message.values.ravel()[start[:, None] + _grid(sizes, [message.strides.get(v, 0) for v in free])]
        _scale(out)
    return out


def _grid(sizes: Sequence[int], strides: Sequence[int]) -> Whole:
    """The place of every cell of some variables, C-order."""
    at = np.zeros(1, np.int64)
    for size, stride in zip(sizes, strides, strict=True):
        at = (at[:, None] + np.arange(size) * stride).ravel()
    return at


def _scale(values: Table) -> None:
    """Bring the largest of each row to 1, so that no product of many underflows."""
    most = values.max(axis=1, keepdims=True)
    np.divide(values, most, out=values, where=most > 0)


def _blocks(groups: int, cells: int) -> Iterator[slice]:
    step = max(1, MOST_CELLS // cells)
    return (slice(begin, min(begin + step, groups)) for begin in range(0, groups, step))


def _grouped(parts: Sequence[tuple[Whole, int]], rows: int) -> tuple[Whole, Whole]:
    """A group for each row, equal where all parts are, and a row of each group; parts with their number of values."""
    joint, size = np.zeros(rows, np.int64), 1
    for values, most in parts:
        if size * most > _LARGEST_JOINT:
            joint = np.unique(joint, return_inverse=True)[1].reshape(-1).astype(np.int64)
            size = int(joint.max(initial=0)) + 1
        joint, size = joint * most + values, size * most
    _, first, group = np.unique(joint, return_index=True, return_inverse=True)
    return group.reshape(-1).astype(np.int64), first.astype(np.int64)


def _draw_apart(weights: Table, group: Whole, rng: np.random.Generator) -> Whole:
    """One cell a row, independently, by its group's shares; never one without any, where the group has some."""
    ends = np.cumsum(weights, axis=1)
    target = rng.random(len(group)) * ends[group, -1]
    low = np.zeros(len(group), np.int64)
    high = (weights.shape[1] - 1 - np.argmax(weights[:, ::-1] > 0, axis=1))[group]
    while (low < high).any():
        middle = (low + high) // 2
        below = (ends[group, middle] <= target) & (low < high)
        low, high = np.where(below, middle + 1, low), np.where(below, high, middle)
    return low


def _from_pool(
    model: PoolModel, have: Codes, rows: int, rng: np.random.Generator
) -> tuple[Codes, NDArray[np.bool_]]:
    """A row of the pool that has the known codes, by weight."""
    pool = len(model.weights)
    sizes = model.domain.sizes
    parts = [(np.concatenate([model.codes[v].astype(np.int64), codes]), sizes[v]) for v, codes in have.items()]
    group, _ = _grouped(parts, pool + rows)
    order = np.argsort(group[:pool], kind="stable")
    ends = np.concatenate([[0.0], np.cumsum(model.weights[order])])
    begin, end = (np.searchsorted(group[:pool][order], group[pool:], side=side) for side in ("left", "right"))
    target = ends[begin] + rng.random(rows) * (ends[end] - ends[begin])
    at = np.clip(np.searchsorted(ends, target, side="right") - 1, begin, np.maximum(begin, end - 1))
    chosen = order[np.minimum(at, pool - 1)]
    return {v: model.codes[v, chosen].astype(np.int64) for v in range(len(sizes))}, end > begin
