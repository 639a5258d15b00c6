"""Close open columns: plan the selection of their labels, charge and run it, and code the records by what passed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accountant.calibrate import discrete_gaussian_sigma
from accountant.compose import price
from accountant.errors import UnsupportedEvent
from accountant.events import PartitionSelection
from accountant.price import DELTA_UNIT, Coordinate, Price
from accountant.spend import Side, Spend
from dpsynth.encode import Encoder
from dpsynth.encode.opened import candidates, chosen_labels, closed_codes, open_columns
from dpsynth.errors import ParameterError
from dpsynth.mechanisms.shares import vector_sensitivity
from dpsynth.noise.base import RandomSource
from dpsynth.noise.gaussian import LARGEST_SIGMA
from dpsynth.noise.partitions import release_labels
from dpsynth.schema import TableSchema
from dpsynth.sources import MemorySource

Opened = Mapping[str, Sequence[bytes]]
"""CONFIDENTIAL: the values of each open column, in the order of their private numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The planned selection of one column's labels. Public.

    Attributes:
      column: Its name.
      event: Noise, threshold and labels of one person.
      price: What it costs.
    """

    column: str
    event: PartitionSelection
    price: Price

    def to_json(self) -> dict[str, Any]:
        """As JSON values without floats."""
        return {"column": self.column, "event": self.event.to_json()}


def plan_selections(
    table: TableSchema, *, amount: int, delta: int, coordinate: Coordinate
) -> tuple[Selection, ...]:
    """The selections of a table's open columns, from public facts: noise for each share, thresholds for equal deltas.

    Args:
      table: The declaration.
      amount: Budget of which each column has its declared share, in units of the coordinate.
      delta: Additive delta that all of them may cost together, in units of 2^-62.
      coordinate: The ledger's coordinate.

    Raises:
      ParameterError: A share is too small for noise that can be drawn, or there is too little delta.
    """
    found = open_columns(table)
    rows = table.unit.max_rows
    planned = []
    for name, column in found.items():
        share, room = int(amount * column.share), delta // len(found)
        sigma = _sigma(max(1, share), rows, coordinate)
        if sigma > LARGEST_SIGMA * (1 - 1e-8):
            raise ParameterError(
                f"The labels of {name!r} would be counted with noise of sigma {sigma:.3g}.",
                f"Exact noise can be drawn up to a sigma of {LARGEST_SIGMA:.0f} people.",
                "Raise the release's epsilon or the column's share, or declare its categories.",
            )
        event = _within(name, sigma, rows, room, coordinate)
        planned.append(Selection(column=name, event=event, price=price(event, coordinate)))
    return tuple(planned)


def select_labels(
    encoder: Encoder,
    source: MemorySource,
    opened: Opened,
    selections: Sequence[Selection],
    *,
    spend: Spend,
    random: RandomSource,
    sides: tuple[Side, ...] = (Side.TRAINING,),
) -> Encoder:
    """The encoder whose open columns have the labels that enough people hold.

    Args:
      encoder: The declared encoding.
      source: Records whose values in open columns have private numbers. Private.
      opened: Their values. Private.
      selections: What was planned, one for each open column.
      spend: Charged before each column is counted.
      random: Source of the noise.
      sides: Whose records ``source`` holds.

    Privacy:
      Spends the planned ``PartitionSelection`` of each open column: a person of ``source`` has at most
      ``source.max_rows`` rows, and so holds at most as many labels. Labels that passed are the only values of these
      columns that leave this function, and the only undeclared ones of the whole line.
      Checked by: tests/oracles/test_partitions.py::test_labels_of_neighbours

    Raises:
      BudgetExceeded: A charge was refused.
      ParameterError: What was planned isn't about these columns, or about fewer labels of a person.
    """
    fits = [s.column for s in selections] == list(encoder.open)
    if not fits or any(s.event.labels_per_unit < source.max_rows for s in selections):
        raise ParameterError(
            f"{len(selections)} planned selections don't fit these records.",
            f"There is one for each of {len(encoder.open)} open columns, of as many labels as a person has rows.",
            "Use the plan that was made for this schema.",
        )
    chosen = {}
    for selection in selections:
        name = selection.column
        column, values = open_columns(encoder.declared)[name], opened[name]
        asked = candidates(column, values)
        place = source.domain.names.index(name)
        noisy = release_labels(
            lambda place=place, asked=asked: np.where(asked, _people(source, place, len(asked)), 0),  # type: ignore[misc]
            selection.event,
            label=f"selection: labels of {name}",
            spend=spend,
            random=random,
            sides=sides,
        )
        chosen[name] = chosen_labels(column, values, noisy)
    return Encoder.of(encoder.declared, selected=chosen)


def closed_records(source: MemorySource, encoder: Encoder, opened: Opened) -> MemorySource:
    """Records whose open columns have private numbers, in the domain of an encoder that knows which labels passed."""
    columns = open_columns(encoder.declared)
    lookups = {name: closed_codes(c, encoder.selected[name], opened[name]) for name, c in columns.items()}
    return source.recode(encoder.domain, lookups) if lookups else source


def _people(source: MemorySource, place: int, size: int) -> NDArray[np.int64]:
    """How many people hold each number of a value. Private."""
    pairs = [
        np.unique(units.astype(np.uint64) << np.uint64(32) | codes[place].astype(np.uint64))
        for codes, units in source.blocks()
    ]
    if not pairs:
        return np.zeros(size, np.int64)
    held = np.unique(np.concatenate(pairs)) & np.uint64(2**32 - 1)
    return np.bincount(held.astype(np.int64), minlength=size)


def _sigma(amount: int, rows: int, coordinate: Coordinate) -> float:
    """The least noise whose counts cost at most ``amount``."""
    sigma = discrete_gaussian_sigma(
        amount=amount, coordinate=coordinate, sensitivity=vector_sensitivity(1, rows)
    )
    step = 1e-12
    while _cost(sigma, rows, coordinate) > amount:
        sigma, step = sigma * (1.0 + step), 2.0 * step
    return sigma


def _cost(sigma: float, rows: int, coordinate: Coordinate) -> int:
    never = PartitionSelection(sigma=sigma, threshold=int(40.0 * sigma) + 2, labels_per_unit=rows)
    return price(never, coordinate).amount


def _within(name: str, sigma: float, rows: int, room: int, coordinate: Coordinate) -> PartitionSelection:
    """The selection with the lowest threshold whose delta fits."""

    def event(threshold: int) -> PartitionSelection:
        return PartitionSelection(sigma=sigma, threshold=threshold, labels_per_unit=rows)

    def fits(threshold: int) -> bool:
        try:
            return price(event(threshold), coordinate).delta <= room
        except UnsupportedEvent:
            return False

    low, high = 1, int(40.0 * sigma) + 2
    if not fits(high):
        raise ParameterError(
            f"The labels of {name!r} would be found out for a delta of {room / DELTA_UNIT:.3g}, which is too little.",
            f"Even the highest threshold costs {price(event(high), coordinate).delta / DELTA_UNIT:.3g}; the ledger's "
            "claim share of delta pays for it.",
            "Use a larger delta, a ledger with a larger claim share, or declare the column's categories.",
        )
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return event(high)


def planned_amount(selections: Sequence[Selection]) -> int:
    """What they cost together, in units of the coordinate."""
    return sum(s.price.amount for s in selections)


def planned_delta(selections: Sequence[Selection]) -> int:
    """Their additive deltas together, in units of 2^-62."""
    return sum(s.price.delta for s in selections)
