"""Samples that people ask for: in other proportions, completing a table, beside a public one.

All of it is post-processing of a fitted model, and costs nothing more. A table that is completed or joined is the
caller's own. It must not be the private one: its rows leave as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from dpsynth.drawing import Keep
from dpsynth.encode import Encoder
from dpsynth.encode.computed import with_computed
from dpsynth.encode.derived import derive
from dpsynth.encode.values import constant
from dpsynth.errors import ParameterError
from dpsynth.estimation import Model
from dpsynth.samples.completing import complete_table
from dpsynth.samples.kept import complete_public, partly_known, read_public
from dpsynth.samples.other_tables import (
    identifiers,
    observed_columns,
    outside,
    read_other,
    require_other,
    require_possible,
)
from dpsynth.samples.targets import Target, allot_rows, allotted
from dpsynth.schema.columns import Constant

SYNTHETIC_ROWS, PUBLIC_ROWS = "synthetic", "public"
"""What the column of origins says of each row."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Made:
    """A table, and what was done to make it.

    Attributes:
      table: The rows.
      note: What is to be known of them, in a few words.
      facts: The same in full, as canonical JSON values.
    """

    table: pa.Table = field(repr=False)
    note: str
    facts: Mapping[str, Any]


def codes_of(given: Mapping[str, object], encoder: Encoder) -> dict[str, int]:
    """The model's codes of declared values; anything else is refused, so that no bucket stands for it.

    Raises:
      ParameterError: A value isn't one that its column's declaration has.
    """
    plain = {name: code_of(name, value, encoder) for name, value in given.items()}
    return {n: int(encoder.merges[n].groups[code]) if n in encoder.merges else code for n, code in plain.items()}


def code_of(name: str, value: object, encoder: Encoder) -> int:
    """The unmerged code of a declared value.

    Raises:
      ParameterError: It isn't one that the column's declaration has.
    """
    columns = dict(zip(encoder.domain.names, encoder.columns, strict=True))
    array = pa.array([value])
    if name not in columns or any(columns[name].problems(array).values()):
        raise ParameterError(
            f"A value was given for {name!r} that its declaration doesn't have.",
            f"The released columns are {', '.join(columns)}, each with the values that the schema declares.",
            "Give declared values of these columns.",
        )
    return int(columns[name].encode(array)[0])


def rebalance(
    model: Model,
    rows: int,
    target: Target,
    *,
    encoder: Encoder,
    rng: np.random.Generator,
    given: Mapping[str, object] | None = None,
    keep: Keep | None = None,
) -> Made:
    """Rows in asked proportions of some columns, everything else drawn given them.

    Args:
      model: The fitted model.
      rows: Number of rows.
      target: The proportions.
      encoder: The encoding of the model's codes.
      rng: A generator of post-processing randomness.
      given: Values by column that all rows have.
      keep: Says of each row of a decoded table whether it is wanted.

    Raises:
      ParameterError: The target can't be met, or names a column that is given.

    Privacy:
      None; post-processing.
    """
    fixed = codes_of(given or {}, encoder)
    allotment = allot_rows(
        model, target, rows, encoder=encoder, coder=lambda name, value: code_of(name, value, encoder), rng=rng
    )
    if both := [name for name in allotment.columns if name in fixed]:
        raise ParameterError(
            f"Column {both[0]!r} has both a given value and a target.",
            "All rows have what is given, so there is nothing to rebalance.",
            "Leave one of them out.",
        )
    asked = allotted(allotment, fixed, rows, encoder)
    table = complete_table(model, asked, encoder=encoder, rng=rng, keep=keep).table
    names = ", ".join(allotment.columns)
    return Made(
        table=encoder.with_surrogates(table),
        note=f"REBALANCED: the proportions of {names} were asked for, they aren't the data's",
        facts={"made": "rebalanced", "target": allotment.to_json()},
    )


def impute(
    model: Model,
    table: Any,
    *,
    encoder: Encoder,
    rng: np.random.Generator,
    dataset: str,
    private_dataset: str,
    null_is_value: Sequence[str] = (),
    delimiter: str = ",",
) -> Made:
    """Fill in what isn't known in a table: each row's unknown cells by the model's law, given its known ones.

    Args:
      model: The fitted model.
      table: Path to a CSV or Parquet file, a pandas DataFrame or a pyarrow Table; never the private one. It has some
        or all of the declared columns; a column that it lacks, and a null, is what isn't known.
      encoder: The encoding of the model's codes.
      rng: A generator of post-processing randomness.
      dataset: The id of the data set that the table is of, declared by the caller.
      private_dataset: The id of the data set that the model was fitted to.
      null_is_value: Nullable columns whose nulls are values.
      delimiter: Between the fields of a CSV file.

    Returns:
      The rows in their order, known cells as they are. Identifiers are kept, or made where the table has none; columns
      that are derived from others are computed; omitted ones are left out.

    Raises:
      ParameterError: The table is declared to be the private one, or a row can't be completed.
      TableError: A column isn't declared, a value isn't in the declared domain, or a row breaks a rule; nothing tells
        which value or row.

    Privacy:
      None; post-processing.
    """
    require_other(dataset, private_dataset)
    if unknown := [n for n in null_is_value if n not in encoder.domain.names or not encoder.schema.columns[n].nullable]:
        raise ParameterError(
            f"Nulls of {unknown[0]!r} can't be values.",
            "Only released columns that are declared nullable have them.",
            "Name such columns, or none.",
        )
    other = read_other(table, encoder.schema, whole=False, delimiter=delimiter)
    fields = other.structure.arrow
    seen = observed_columns(other, encoder, fields, null_is_value=null_is_value)
    require_possible(seen, other.rows, encoder)
    asked = partly_known(seen, other.rows, encoder)
    drawn = complete_table(model, asked, encoder=encoder, rng=rng, structure=other.structure)
    made = encoder.with_surrogates(drawn.table)
    for name, array in identifiers(other, encoder, fields).items():
        made = made.set_column(fields.get_field_index(name), fields.field(name), array)
    return Made(
        table=made,
        note=f"IMPUTED: known cells are those of {dataset}, all others were drawn",
        facts={
            "made": "imputed",
            "data set": dataset,
            "columns that were there": list(other.arrays),
            "nulls that are values": list(null_is_value),
        },
    )


def synthesize(model: Model, table: Any, *, encoder: Encoder, rng: np.random.Generator) -> Made:
    """The rows of a table with their public columns as they are, and private ones drawn given them.

    Args:
      model: A model of a partial synthesis.
      table: Path to a Parquet file, a pandas DataFrame or a pyarrow Table; nothing but its public columns is read.
      encoder: The encoding of the model's codes; its declaration says which columns are public.
      rng: A generator of post-processing randomness.

    Returns:
      The rows in their order. Identifiers are made, and columns that are derived from others are computed.

    Raises:
      ParameterError: A row can't be completed.
      TableError: A public column is lacking, a public value isn't in its declared domain, or a row breaks a rule by
        its public part; nothing tells which.

    Privacy:
      None; post-processing. Public columns aren't protected.
    """
    part = read_public(table, encoder)
    drawn = complete_public(model, part, np.arange(part.rows), encoder=encoder, rng=rng)
    names = ", ".join(part.names)
    return Made(
        table=encoder.with_surrogates(drawn.table),
        note=f"PARTLY SYNTHETIC: {names} are those of the table as they are, and are NOT PROTECTED",
        facts={"made": "partly synthetic", "not protected": list(part.names), "rows": part.rows},
    )


def join_public(
    synthetic: pa.Table,
    public: Any,
    *,
    encoder: Encoder,
    dataset: str,
    private_dataset: str,
    origin: str,
    delimiter: str = ",",
) -> Made:
    """Synthetic rows and those of a separate public table, with a column that says which is which.

    Args:
      synthetic: Synthetic rows.
      public: Path to a CSV or Parquet file, a pandas DataFrame or a pyarrow Table with the same columns; never the
        private one. Identifiers that it hasn't are null, as are columns that are drawn from a
        distribution; those that are derived or computed from others are made.
      encoder: Knows what was declared of the columns.
      dataset: The id of the data set that the public table is of, declared by the caller.
      private_dataset: The id of the data set that the model was fitted to.
      origin: Name of the added column, which says ``synthetic`` or ``public``.
      delimiter: Between the fields of a CSV file.

    Raises:
      ParameterError: The table is declared to be the private one, or ``origin`` is a column already.
      TableError: The columns or their types differ, or a value isn't in the declared domain.

    Privacy:
      None; post-processing.
    """
    require_other(dataset, private_dataset)
    if origin in encoder.schema.columns or not origin.strip():
        raise ParameterError(
            f"The column of origins can't be named {origin!r}.",
            "It needs a name that no declared column has.",
            "Choose another name.",
        )
    other = read_other(public, encoder.schema, whole=True, delimiter=delimiter)
    seen = observed_columns(other, encoder, synthetic.schema, null_is_value=encoder.domain.names)
    for name, found in seen.items():
        if (found.codes < 0).any():
            raise outside(name)
    require_possible(seen, other.rows, encoder)
    arrays = {name: found.values for name, found in seen.items()} | identifiers(other, encoder, synthetic.schema)
    fields = [pa.field(f.name, f.type) for f in synthetic.schema]
    for f in fields:
        derivation = encoder.schema.columns[f.name].derived_from
        if derivation is not None:
            arrays[f.name] = derive(encoder.schema, f.name, seen[derivation.column].codes, f.type)
        column = encoder.schema.columns[f.name]
        if isinstance(column, Constant):
            arrays[f.name] = constant(column.value, other.rows, f.type)
    rows = [arrays[f.name] if f.name in arrays else pa.nulls(other.rows, f.type) for f in fields]
    theirs, fits = with_computed(encoder.schema, pa.table(rows, schema=pa.schema(fields)))
    if not fits.all():
        raise outside(next(name for name, column in encoder.schema.released.items() if column.computed is not None))
    whole = pa.concat_tables([synthetic.cast(pa.schema(fields)), theirs])
    origins = [SYNTHETIC_ROWS] * synthetic.num_rows + [PUBLIC_ROWS] * other.rows
    return Made(
        table=whole.append_column(origin, pa.array(origins, pa.string())).combine_chunks(),
        note=f"JOINED: rows whose {origin} is {PUBLIC_ROWS!r} are those of {dataset}, as they are",
        facts={
            "made": "joined",
            "data set": dataset,
            "column of origins": origin,
            "synthetic rows": synthetic.num_rows,
            "public rows": other.rows,
        },
    )
