"""The public part of a table whose other columns are synthesised: read alone, checked, kept, and completed.

Whatever is refused here is refused for public values and declarations alone, so it tells nothing of a private part, and
it can come before anything is charged.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dpsynth.drawing import DrawnTable
from dpsynth.encode import Codes, Encoder
from dpsynth.encode.observed import Observed
from dpsynth.errors import TableError
from dpsynth.estimation import Model
from dpsynth.samples.completing import PartlyKnown, complete_table
from dpsynth.samples.other_tables import observed_columns, outside, read_other, refuse_csv, require_possible
from dpsynth.sampling.sampler import smallest_dtype
from dpsynth.tables import Structure
from dpsynth.tables.structure import working_fields


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PublicPart:
    """The public columns of a table's rows, as they are; not protected.

    Attributes:
      names: The public columns.
      rows: How many rows there are.
      structure: Order and types of what is made of it; while it is made, plain text stands for text views.
      seen: What each public column holds.
    """

    names: tuple[str, ...]
    rows: int
    structure: Structure
    seen: Mapping[str, Observed] = field(repr=False)


def read_public(table: Any, encoder: Encoder, *, structure: Structure | None = None) -> PublicPart:
    """Read the public columns of a table, and nothing else of it.

    Args:
      table: Path to a Parquet file, a pandas DataFrame or a pyarrow Table.
      encoder: The encoding of the declaration, which says which columns are public.
      structure: Order and types of what will be made of it; if None, stored types of public columns and declared ones
        of all others.

    Raises:
      TableError: It is a CSV file, a public column is lacking, a public value isn't in its declared domain, or the
        public part of a row breaks a rule or leaves no value that a rule allows for another column; nothing tells which
        row or value.

    Privacy:
      None; public columns aren't protected, and no other one is read.
      Checked by: tests/dpsynth/test_partly_release.py::test_a_public_part_is_read_alone_and_is_the_same_for_neighbours
    """
    public = encoder.schema.unit.public
    other = read_other(table, encoder.schema, whole=False, only=public)
    refuse_csv(other.structure.format)
    if lacking := [name for name in public if name not in other.arrays]:
        raise TableError(
            f"The table lacks {len(lacking)} of {len(public)} public columns, the first of them {lacking[0]!r}.",
            "Private columns are drawn given all of them.",
            "Give a table that has them.",
        )
    form = other.structure if structure is None else structure
    seen = observed_columns(other, encoder, working_fields(form.arrow), null_is_value=public)
    for name, found in seen.items():
        if (found.codes < 0).any():
            raise outside(name)
    require_possible(seen, other.rows, encoder)
    _require_room(seen, other.rows, encoder)
    return PublicPart(names=public, rows=other.rows, structure=form, seen=seen)


def complete_public(
    model: Model, part: PublicPart, at: NDArray[np.int64], *, encoder: Encoder, rng: np.random.Generator
) -> DrawnTable:
    """Rows with the public part of some of a table's rows, their private columns drawn given it and the rules.

    Args:
      model: The fitted model.
      part: The public columns.
      at: Which of its rows, in the order of the result; a row may come several times.
      encoder: The encoding of the model's codes.
      rng: A generator of post-processing randomness.

    Returns:
      The rows; a column of text views is plain text in them.

    Raises:
      ParameterError: A row can't be completed.

    Privacy:
      None; post-processing of the model and of public columns.
    """
    asked = partly_known(part.seen, part.rows, encoder).rows(at)
    return complete_table(model, asked, encoder=encoder, rng=rng, structure=part.structure)


def require_same(part: PublicPart, encoder: Encoder, records: Codes) -> None:
    """Refuse coded records whose public part isn't the one that was read first.

    Args:
      part: What was read first.
      encoder: The encoding of both.
      records: Codes of all records, shape (attributes, rows).

    Raises:
      TableError: The table was changed in between; what was charged for the run stays charged.

    Privacy:
      None; it reads numbers of rows and public columns, which aren't protected.
      Checked by:
      tests/dpsynth/test_partly_release.py::test_a_table_that_changes_while_it_is_read_is_refused_and_stays_charged
    """
    place = {name: i for i, name in enumerate(encoder.domain.names)}
    same = records.shape[1] == part.rows
    if not (same and all(np.array_equal(records[place[name]], part.seen[name].codes) for name in part.names)):
        raise TableError(
            "The table isn't the one that was opened.",
            "Its public columns were read first, and they weren't the same when all of it was read.",
            "Release a table that nothing writes to.",
        )


def partly_known(seen: Mapping[str, Observed], rows: int, encoder: Encoder) -> PartlyKnown:
    """Rows of which some columns were observed."""
    names = encoder.domain.names
    fine = np.full((len(names), rows), -1, np.int64)
    codes = np.zeros(fine.shape, smallest_dtype(encoder.domain.sizes))
    for i, name in enumerate(names):
        if name in seen:
            fine[i] = seen[name].codes
            plain = np.maximum(fine[i], 0)
            codes[i] = encoder.merges[name].groups[plain] if name in encoder.merges else plain
    kept: dict[str, pa.Array] = {name: found.values for name, found in seen.items()}
    return PartlyKnown(codes=codes, known=fine >= 0, fine=fine, values=kept)


def _require_room(seen: Mapping[str, Observed], rows: int, encoder: Encoder) -> None:
    """Refuse rows whose public part forbids every value of some other column, rule by rule or all rules together."""
    for name in encoder.domain.names:
        boxes = [box for box in encoder.boxes if set(box.masks) - set(seen) == {name}]
        if name in seen or not boxes:
            continue
        hit = np.array([_hit(box.masks, seen, rows) for box in boxes])
        for pattern in np.unique(hit, axis=1).T:
            forbidden = [box.masks[name] for box, meant in zip(boxes, pattern, strict=True) if meant]
            if forbidden and np.logical_or.reduce(forbidden).all():
                raise TableError(
                    f"The public part of some rows leaves no value for {name!r}.",
                    "Declared rules hold in every row that is made, public columns are kept as they are, and together "
                    "they forbid all values of this column.",
                    "Mend these rows or the rules; a row can't be left out, as everybody's public part is kept.",
                )


def _hit(masks: Mapping[str, NDArray[np.bool_]], seen: Mapping[str, Observed], rows: int) -> NDArray[np.bool_]:
    known = [mask[seen[n].codes] for n, mask in masks.items() if n in seen]
    return np.asarray(np.logical_and.reduce([np.ones(rows, bool), *known]))
