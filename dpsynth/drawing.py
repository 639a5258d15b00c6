"""Draw synthetic tables that keep the declared rules, and the conditions that somebody asks for: exact conditionals.

A row is drawn from the model, decoded, and kept if it keeps everything; else another is drawn in its place. So the rows
are the model's, conditioned on what was declared and asked for: nothing is clamped, moved or swapped.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dpsynth.encode import Codes, Encoder
from dpsynth.encode.conditions import fulfilled
from dpsynth.errors import ParameterError
from dpsynth.estimation import Model
from dpsynth.sampling import sample_codes, sample_given
from dpsynth.schema import TableSchema
from dpsynth.schema.rules import Condition, check_condition, read_condition
from dpsynth.tables import Structure

LEAST_SHARE = 1e-4
"""Smallest share of the model's rows that may keep everything: below it a table would take too long to draw."""
_MOST_AT_ONCE = 1_000_000
Keep = Callable[[pa.Table], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DrawnTable:
    """Synthetic rows, coded and decoded.

    Attributes:
      codes: Shape (attributes, rows), in the encoder's domain.
      table: The same rows as values.
    """

    codes: Codes = field(repr=False)
    table: pa.Table = field(repr=False)


def draw_table(
    model: Model,
    rows: int,
    *,
    encoder: Encoder,
    rng: np.random.Generator,
    structure: Structure | None = None,
    rounded: bool = True,
    keep: Keep | None = None,
    draw: Callable[..., Codes] = sample_codes,
) -> DrawnTable:
    """Rows of a model that keep the declared rules, and whatever ``keep`` asks for.

    Args:
      model: The fitted model.
      rows: Number of rows.
      encoder: Decodes, and knows the rules.
      rng: A generator of post-processing randomness.
      structure: Order and types of the table; those of the declaration, if None.
      rounded: Whether the first draw is rounded to the model; where rows are drawn in others' place, they aren't.
      keep: Says of each row of a decoded table whether it is wanted.
      draw: Draws coded rows, with the arguments of :func:`sample_codes`.

    Raises:
      ParameterError: Less than ``LEAST_SHARE`` of the model's rows would be kept.

    Privacy:
      None; post-processing.
    """
    codes, tables, have, drawn = [], [], 0, 0
    while have < rows or not drawn:
        share = max(LEAST_SHARE, have / drawn if drawn else 1.0)
        want = min(_MOST_AT_ONCE, int((rows - have) / share * 1.1) + 16) if drawn else rows
        found = draw(model, want, rng=rng, rounded=rounded and not drawn)
        table, good = encoder.decode_allowed(found, rng, structure)
        if keep is not None:
            wanted = keep(table)
            good[np.flatnonzero(good)[~wanted]] = False
            table = table.filter(pa.array(wanted))
        left = rows - have
        codes.append(found[:, good][:, :left])
        tables.append(table.slice(0, left))
        drawn, have = drawn + max(1, want), have + codes[-1].shape[1]
        if have < rows and drawn > 2 * _MOST_AT_ONCE and have < LEAST_SHARE * drawn:
            raise ParameterError(
                "The rows that were asked for can't be drawn.",
                f"Less than {LEAST_SHARE:g} of the model's rows keep the declared rules and the conditions together.",
                "Ask for a wider condition, or mend the rules.",
            )
    whole = pa.concat_tables(tables).combine_chunks()
    whole = whole if structure is None else whole.cast(structure.arrow)
    return DrawnTable(codes=np.concatenate(codes, axis=1), table=encoder.with_surrogates(whole))


def drawn_given(codes: Mapping[str, int]) -> Callable[..., Codes]:
    """How to draw coded rows that have these codes, by attribute; for :func:`draw_table`.

    Privacy:
      None; post-processing.
    """

    def draw(model: Model, rows: int, *, rng: np.random.Generator, rounded: bool) -> Codes:
        return sample_given(model, codes, rows, rng=rng)

    return draw


def keeps(schema: TableSchema, where: Mapping[str, Any]) -> Keep:
    """Which rows of a decoded table fulfil conditions, written as in a rule.

    Args:
      schema: The declaration of the table.
      where: A condition for each of some columns.

    Raises:
      ParameterError: A column isn't released, or a condition is about values that it doesn't have.
    """
    asked: dict[str, Condition] = {}
    for name, written in where.items():
        try:
            column = schema.released[name]
            asked[name] = read_condition(written)
            check_condition(name, asked[name], column, "'where'")
        except (KeyError, ValueError) as error:
            why = "No such column is released." if isinstance(error, KeyError) else f"Expected {error}."
            raise ParameterError(
                f"The condition on {name!r} can't be used.",
                why,
                "Conditions are null, a value, a list of values, comparisons such as {'from': 18}, or 'not' of these.",
            ) from None

    def keep(table: pa.Table) -> NDArray[np.bool_]:
        good = np.ones(table.num_rows, bool)
        for name, condition in asked.items():
            good &= fulfilled(schema.columns[name], table.column(name).combine_chunks(), condition)
        return good

    return keep
