"""Tables whose rows are partly known: what isn't is drawn from the model, given the row's own known cells.

Each row is drawn until it keeps the declared rules and what was asked for, with its known cells as they are. So every
row has the model's law given its own cells, the rules and the conditions, and no row is swapped for another.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dpsynth.drawing import LEAST_SHARE, DrawnTable, Keep
from dpsynth.encode import Codes, Encoder
from dpsynth.encode.computed import with_computed
from dpsynth.encode.conditions import rules_kept
from dpsynth.errors import ParameterError
from dpsynth.estimation import Model
from dpsynth.sampling import complete_codes
from dpsynth.tables import Structure

_MOST_COPIES, _AT_ONCE = 1_024, 65_536


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PartlyKnown:
    """Rows of which some cells are known.

    Attributes:
      codes: The model's codes, shape (attributes, rows); what stands in an unknown cell isn't read.
      known: Which cells are known, of the same shape.
      fine: The unmerged code of each cell that has to be kept exactly, -1 elsewhere; int64, of the same shape.
      values: By column, values that are kept as they are, null where they aren't known; shape (rows,) each.
    """

    codes: Codes = field(repr=False)
    known: NDArray[np.bool_] = field(repr=False)
    fine: NDArray[np.int64] = field(repr=False)
    values: Mapping[str, pa.Array] = field(default_factory=dict, repr=False)

    def rows(self, at: NDArray[np.int64]) -> "PartlyKnown":
        """These rows, in this order; a row may come several times."""
        taken = {name: array.take(pa.array(at)) for name, array in self.values.items()}
        return PartlyKnown(
            codes=self.codes[:, at], known=self.known[:, at], fine=self.fine[:, at], values=taken
        )


def complete_table(
    model: Model,
    asked: PartlyKnown,
    *,
    encoder: Encoder,
    rng: np.random.Generator,
    structure: Structure | None = None,
    keep: Keep | None = None,
) -> DrawnTable:
    """Rows with their known cells, and the others drawn given them; in the order of ``asked``.

    Args:
      model: The fitted model.
      asked: What is known.
      encoder: Decodes, and knows the rules.
      rng: A generator of post-processing randomness.
      structure: Order and types of the table; those of the declaration, if None.
      keep: Says of each row of a decoded table whether it is wanted.

    Raises:
      ParameterError: The model gives some row's known cells no probability, or some row would have to be drawn more
        than one over ``LEAST_SHARE`` times to keep the rules and the conditions. Nothing tells which.

    Privacy:
      None; post-processing.
    """
    codes = np.array(asked.codes)
    pending, place, tables = np.arange(codes.shape[1]), [], []
    tried, first = 0, True
    while first or len(pending):
        copies = 1 if first else max(1, min(_MOST_COPIES, _AT_ONCE // len(pending)))
        at = np.repeat(pending, copies)
        part = asked.rows(at)
        drawn, possible = complete_codes(model, part.codes, part.known, rng=rng, systematic=first)
        if not possible.all():
            raise _impossible()
        table, good = encoder.decode_completed(drawn, part.fine, rng, structure)
        table = _with_values(table, part.values)
        table, computed = with_computed(encoder.schema, table)
        good &= computed & rules_kept(encoder.schema, table)
        if keep is not None:
            good &= keep(table)
        chosen = np.flatnonzero(good)
        slots, earliest = np.unique(at[chosen], return_index=True)
        chosen = chosen[earliest]
        codes[:, slots] = drawn[:, chosen]
        tables.append(table.take(pa.array(chosen)))
        place.append(slots)
        pending, tried, first = np.setdiff1d(pending, slots), tried + copies, False
        if len(pending) and tried * LEAST_SHARE > 1:
            raise _never_kept()
    order = np.argsort(np.concatenate(place), kind="stable")
    whole = pa.concat_tables(tables).take(pa.array(order)).combine_chunks()
    return DrawnTable(codes=codes, table=whole)


def _with_values(table: pa.Table, known: Mapping[str, pa.Array]) -> pa.Table:
    for name, array in known.items():
        at = table.schema.get_field_index(name)
        field_ = table.schema.field(name)
        table = table.set_column(at, field_, pc.coalesce(array, table.column(name)).cast(field_.type))
    return table


def _impossible() -> ParameterError:
    return ParameterError(
        "Some rows can't be completed.",
        "The model gives what is known of them no probability: it was declared impossible, or a model that is a pool "
        "of rows has none like it.",
        "Leave out cells or rows that the declaration makes impossible, or give less.",
    )


def _never_kept() -> ParameterError:
    return ParameterError(
        "Some rows can't be completed.",
        f"Given what is known of them, fewer than {LEAST_SHARE:g} of the model's rows keep the declared rules and the "
        "conditions together.",
        "Ask for a wider condition, mend the rules, or give less.",
    )
