"""Proportions that somebody asks for: how many rows of which values, whatever the model's own proportions are."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpsynth.encode import Encoder
from dpsynth.errors import ParameterError
from dpsynth.estimation import Model
from dpsynth.samples.completing import PartlyKnown
from dpsynth.sampling.sampler import draw_cells, smallest_dtype
from dpsynth.schema import Categorical

Target = Mapping[Any, Mapping[Any, float]]
"""Shares by value of one column, ``{"income": {"high": 0.5}}``, or by values of a few, ``{("sex", "income"): {("f",
"high"): 0.25}}``. What they leave of 1 goes to all other values, in the model's proportions."""

MOST_CELLS = 1_000_000
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Allotment:
    """Which cell of some columns each row gets.

    Attributes:
      columns: The columns, in domain order.
      cells: Named cells, as they were given: values, target share, the model's share, rows.
      fine: By column the code of each row: unmerged ones of labels, of numbers the model's; int64, shape (rows,).
    """

    columns: tuple[str, ...]
    cells: tuple[tuple[tuple[Any, ...], float, float, int], ...]
    fine: Mapping[str, NDArray[np.int64]] = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """Columns, and for each named cell its target and the model's own share, as canonical JSON values."""
        told = [
            {
                "values": [None if v is None else str(v) for v in values],
                "target share": repr(wanted),
                "model's share": repr(own),
                "rows": rows,
            }
            for values, wanted, own, rows in self.cells
        ]
        return {"columns": list(self.columns), "cells": told}


def read_target(written: Any) -> Target:
    """A target as it is written in YAML: ``{income: {high: 0.5}}``, or ``columns`` with ``shares``, a list of rows with
    the columns' values and the share at the end.

    Raises:
      ParameterError: It is written otherwise.
    """
    if isinstance(written, Mapping) and set(written) == {"columns", "shares"}:
        columns, rows = written["columns"], written["shares"]
        lists = isinstance(columns, list) and isinstance(rows, list) and all(isinstance(r, list) for r in rows)
        if lists and all(len(r) == len(columns) + 1 for r in rows):
            shares = {tuple(r[:-1]): r[-1] for r in rows}
            if len(shares) == len(rows):
                return {tuple(columns): shares}
    elif isinstance(written, Mapping) and all(isinstance(shares, Mapping) for shares in written.values()):
        return written
    raise _unfit("It isn't written as shares by value of one column, or as 'columns' with a list of 'shares'.")


def allot_rows(
    model: Model, target: Target, rows: int, *, encoder: Encoder, coder: Any, rng: np.random.Generator
) -> Allotment:
    """Which cell each row gets: the target's shares of all rows, as exactly as whole rows can, in random order.

    Args:
      model: The fitted model; other values than the named ones come in its proportions.
      target: The shares.
      rows: Number of rows.
      encoder: The encoding of the model's codes.
      coder: Gives the unmerged code of a value by column and value, and refuses what isn't declared.
      rng: A generator of post-processing randomness.

    Raises:
      ParameterError: A column isn't released, a value isn't declared or has no probability, or the shares are no
        shares.

    Privacy:
      None; post-processing.
    """
    columns, shares = _read(target, encoder)
    own = _own_shares(model, columns, encoder)
    cells = [tuple(_code(name, value, encoder, coder) for name, value in zip(columns, values, strict=True))
             for values in shares]
    if len(set(cells)) < len(cells):
        raise _unfit("Two of the values that shares were given for are in one bin of the encoding.")
    wanted = _wanted(own, cells, list(shares.values()))
    drawn = draw_cells(wanted.reshape(1, -1), np.zeros(rows, np.int64), rng)
    counts = np.bincount(drawn, minlength=wanted.size).reshape(own.shape)
    named = zip(shares, shares.values(), cells, strict=True)
    return Allotment(
        columns=columns,
        cells=tuple((values, float(share), float(own[at]), int(counts[at])) for values, share, at in named),
        fine=dict(zip(columns, np.unravel_index(drawn, own.shape), strict=True)),
    )


def allotted(allotment: Allotment, given: Mapping[str, int], rows: int, encoder: Encoder) -> PartlyKnown:
    """Rows of which the allotted codes are known, and besides those in ``given``, the model's codes by column."""
    names = encoder.domain.names
    codes = np.zeros((len(names), rows), smallest_dtype(encoder.domain.sizes))
    known, fine = np.zeros(codes.shape, bool), np.full(codes.shape, -1, np.int64)
    for name, code in given.items():
        codes[names.index(name)], known[names.index(name)] = code, True
    for name, unmerged in allotment.fine.items():
        at = names.index(name)
        apart = _told_apart(name, encoder)
        codes[at] = encoder.merges[name].groups[unmerged] if apart else unmerged
        known[at], fine[at] = True, unmerged if apart else -1
    return PartlyKnown(codes=codes, known=known, fine=fine)


def _told_apart(name: str, encoder: Encoder) -> bool:
    """Whether a column's labels are merged in the model, but each has a share of its own."""
    return name in encoder.merges and isinstance(encoder.schema.columns[name], Categorical)


def _read(target: Target, encoder: Encoder) -> tuple[tuple[str, ...], dict[tuple[Any, ...], float]]:
    """Columns in domain order, and shares by their values."""
    if len(target) != 1:
        raise _unfit("It is about one column, or about several ones jointly: one key, which names them together.")
    (key, given), = target.items()
    asked = key if isinstance(key, tuple) else (key,)
    pairs = {v if isinstance(key, tuple) else (v,): share for v, share in given.items()}
    if not asked or len(set(asked)) < len(asked) or not set(asked) <= set(encoder.domain.names):
        raise _unfit(f"The columns that can have one are {', '.join(encoder.domain.names)}, each once.")
    if not pairs or any(not isinstance(v, tuple) or len(v) != len(asked) for v in pairs):
        raise _unfit("Shares are given by a value of the column, or by one value of each of the columns.")
    order = sorted(range(len(asked)), key=lambda i: encoder.domain.names.index(asked[i]))
    return tuple(asked[i] for i in order), {tuple(v[i] for i in order): share for v, share in pairs.items()}


def _own_shares(model: Model, columns: tuple[str, ...], encoder: Encoder) -> NDArray[np.float64]:
    """The model's share of each cell, labels that share a code told apart by their own shares of it."""
    unmerged = {name: encoder.merges[name] for name in columns if _told_apart(name, encoder)}
    sizes = [len(unmerged[n].groups) if n in unmerged else encoder.domain.size(n) for n in columns]
    if max(math.prod(sizes), encoder.domain.cells(columns)) > MOST_CELLS:
        raise _unfit(f"These columns have {math.prod(sizes):,} cells together, of at most {MOST_CELLS:,}.")
    table = model.marginal(columns)
    for axis, name in enumerate(columns):
        if name in unmerged:
            merge = unmerged[name]
            shape = [-1 if i == axis else 1 for i in range(table.ndim)]
            table = np.take(table, merge.groups, axis=axis) * merge.shares.reshape(shape)
    return np.asarray(table / table.sum())


def _code(name: str, value: Any, encoder: Encoder, coder: Any) -> int:
    plain = int(coder(name, value))
    merged = name in encoder.merges and not _told_apart(name, encoder)
    return int(encoder.merges[name].groups[plain]) if merged else plain


def _wanted(
    own: NDArray[np.float64], cells: Sequence[tuple[int, ...]], shares: Sequence[Any]
) -> NDArray[np.float64]:
    numbers = [float(s) if isinstance(s, int | float) and not isinstance(s, bool) else math.nan for s in shares]
    left = 1.0 - math.fsum(numbers)
    if not all(0 <= s <= 1 for s in numbers) or left < -_ROUNDING:
        raise _unfit("Each share is a number from 0 to 1, and together they are 1 at most.")
    if any(share > 0 and not own[at] > 0 for at, share in zip(cells, numbers, strict=True)):
        raise _unfit("The model gives one of the values that have a share no probability, so no row can be drawn.")
    wanted = np.array(own)
    for at in cells:
        wanted[at] = 0.0
    others = float(wanted.sum())
    if left > _ROUNDING and not others > 0:
        raise _unfit("The shares are less than 1 together, and the model has no other values for the rest.")
    wanted *= max(left, 0.0) / others if others > 0 and left > _ROUNDING else 0.0
    for at, share in zip(cells, numbers, strict=True):
        wanted[at] = share
    return wanted


def _unfit(why: str) -> ParameterError:
    return ParameterError(
        "The target proportions can't be used.",
        why,
        "Give shares by declared values, such as {'income': {'high': 0.5}}.",
    )
