"""Auto: which synthesizer a release gets where none is named, and whether its encoding is learned.

Decided from public facts, and said in one sentence.

Facts: the declared domain, the budget (so epsilon and delta), the privacy unit, and the magnitude of the table where
the schema declares one. The rule was set on four public tables at epsilon 0.1, 1 and 10 (docs/how-to-choose.md): rounds
that adapt pay off once the table stands clearly above the noise; below that the one-shot tree, which leaves out what
noise would spoil, is the safe choice; and where nothing stands above the noise, independent columns.
"""

import math
from dataclasses import replace
from pathlib import Path

from accountant.adjacency import PrivacyUnit
from accountant.budget import Budget
from accountant.price import AMOUNT_UNIT, Coordinate
from dpsynth.domain import Domain
from dpsynth.encode.derived import derived_groups
from dpsynth.encode.making import is_learned
from dpsynth.errors import ParameterError
from dpsynth.feasible_noise import require_drawable
from dpsynth.mechanisms import AdaptiveConfig
from dpsynth.schema import Categorical, Schema, load_schema
from dpsynth.schema.models import DeclaredEncoding
from dpsynth.synthesizers import REGISTRY, Synthesizer, check_size

AUTO = "auto"

CHOSEN = "chosen by dpsynth, because the schema declares none"
"""What the schema of a run says of an encoding that nobody declared."""

ASSUMED_ROWS = 10_000
"""Rows of a table whose schema declares no magnitude."""

CLEAR = 600
"""Rows, in standard deviations of one count that had the whole budget, from which adaptive rounds pay off."""

FAINT = 60
"""The same, below which no error of two columns stands out: independent columns get everything."""

NARROW, LARGER_MODEL = 20, 2_000_000
"""Up to so many columns ``adaptive`` may grow a model of so many cells: that is worth its time, and little memory."""

_SIMPLER = ("tree", "mst", "independent")
"""What is taken instead, in this order, where the better choice can't be run on a domain or a budget."""


def schema_of_run(
    schema: Schema | str | Path, synthesizer: object, *, epsilon: float, delta: float, like: Budget | None = None
) -> Schema:
    """The schema that a run uses: where auto decides and nothing is said of the encoding, it is learned.

    That is so from the signal on from which rounds that adapt pay off: below it, bins that are learned from noise are
    no better than declared ones. Labels are merged where a column that follows from them says which belong together;
    others are measured better by the synthesizer, which gives wide columns more. Columns in which a
    person's rows differ keep their codes. A part of each row that is public, and an encoding that is declared, stay as
    they are.

    Args:
      schema: The declaration, or its file.
      synthesizer: What was asked for; ``AUTO`` alone decides.
      epsilon: The run's.
      delta: The run's.
      like: A budget of the same coordinate and share of claims: the ledger's.

    Returns:
      The schema itself, or a copy with ``encoding``, which is part of what is hashed and published.

    Raises:
      SchemaError: The file isn't a schema.
      ParameterError: Epsilon or delta are out of range.
    """
    schema = schema if isinstance(schema, Schema) else load_schema(schema)
    table = schema.table
    if synthesizer != AUTO or table.encoding is not None or table.unit.public:
        return schema
    budget = replace(like or Budget(epsilon=epsilon, delta=delta), epsilon=epsilon, delta=delta)
    signal = _signal(budget.cap.amount, budget.coordinate, table.unit, table.rows_magnitude or ASSUMED_ROWS)
    labels = {name for name, column in table.learned.items() if isinstance(column, Categorical)}
    own = {name for name in labels if derived_groups(table, name) is None} | set(table.privacy_unit.distinct)
    keep = tuple(sorted(own))
    wanted = table.model_copy(update={"encoding": DeclaredEncoding(keep=keep, provenance=CHOSEN)})
    if signal < CLEAR or not any(is_learned(wanted, name, column) for name, column in wanted.learned.items()):
        return schema
    return schema.model_copy(update={"tables": (wanted,)})


def choose_synthesizer(
    domain: Domain,
    *,
    amount: int,
    coordinate: Coordinate,
    unit: PrivacyUnit,
    rows_magnitude: int | None,
    smallest: Domain | None = None,
) -> Synthesizer:
    """The synthesizer for these public facts; its ``why`` says which of them decided.

    Args:
      domain: The public domain.
      amount: Budget of the synthesizer, in units of the coordinate.
      coordinate: The ledger's coordinate.
      unit: The privacy unit.
      rows_magnitude: Declared magnitude of the number of rows; None where the schema has none.
      smallest: The fewest codes that each attribute can have, where that isn't certain.

    Raises:
      ParameterError: Not even independent columns can be measured.
    """
    rows = rows_magnitude or ASSUMED_ROWS
    signal = _signal(amount, coordinate, unit, rows)
    told = "declared" if rows_magnitude else "assumed (the schema declares no rows_magnitude)"
    because = (
        f"{rows:,} {told} rows are {signal:,.0f} standard deviations of a count that had the whole budget, and a tree "
        f"needs {FAINT}, rounds that adapt {CLEAR}"
    )
    first = "adaptive" if signal >= CLEAR else "tree" if signal >= FAINT else "independent"
    for name in dict.fromkeys((first, *_SIMPLER)):
        made = REGISTRY[name]
        if isinstance(made.config, AdaptiveConfig) and len(domain.names) <= NARROW:
            made = replace(made, config=replace(made.config, model_cells=LARGER_MODEL))
        if _runs(made, domain, smallest, amount=amount, coordinate=coordinate, unit=unit):
            short = "" if name == first else f"; {first} doesn't fit this domain and budget"
            return replace(made, why=f"auto chose {name}: {because}{short}")
    return REGISTRY["independent"]


def _signal(amount: int, coordinate: Coordinate, unit: PrivacyUnit, rows: int) -> float:
    """Rows, in standard deviations of one count that had the whole budget."""
    scale = AMOUNT_UNIT if coordinate is Coordinate.GDP else AMOUNT_UNIT / 2
    return rows * math.sqrt(amount / scale) / unit.max_rows


def _runs(
    made: Synthesizer,
    domain: Domain,
    smallest: Domain | None,
    *,
    amount: int,
    coordinate: Coordinate,
    unit: PrivacyUnit,
) -> bool:
    try:
        check_size(domain, made)
        require_drawable(made, domain, smallest=smallest, amount=amount, coordinate=coordinate, unit=unit)
    except ParameterError:
        return False
    return True
