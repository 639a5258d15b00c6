"""From a table handle to coded records of the two sides: read, encode, bound, split. Private; spends nothing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from accountant.adjacency import PrivacyUnit
from dpsynth.encode import Encoder
from dpsynth.encode.opened import Interned, digests
from dpsynth.noise.base import RandomSource
from dpsynth.noise.coins import keep_at_most, keyed_coins, row_coins
from dpsynth.sources import Codes, MemorySource
from dpsynth.tables import Format, TableHandle


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CodedRecords:
    """All records, coded and bounded, with what identifies their units. Private; never leaves the line.

    Attributes:
      source: The coded records.
      unit_ids: Id of each unit where an id column declares them; None where each row is a unit.
      opened: The values of open columns, by the numbers that stand for them in ``source``, from 1.
    """

    source: MemorySource
    unit_ids: tuple[bytes, ...] | None
    opened: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)

    def blocks_of_bytes(self) -> Iterator[bytes]:
        """The coded records as bytes, for a commitment."""
        for codes, units in self.source.blocks():
            yield codes.tobytes()
            yield units.tobytes()
        for values in self.opened.values():
            for value in values:
                yield len(value).to_bytes(8, "big") + value


def read_records(handle: TableHandle, encoder: Encoder, *, unit: PrivacyUnit, key: bytes) -> CodedRecords:
    """Read and encode every record, and bound the rows of each unit by a keyed choice.

    All records are read before the choice is made, so it doesn't matter in which block or file a person's rows stand.

    With an id column, records without an id are left out before anything is counted: they belong to different people,
    so no choice among them would bound what one of these people changes.

    Args:
      handle: The table, whose ledger reservation was touched.
      encoder: The public encoding; total, so no record can refuse a release.
      unit: The privacy unit.
      key: The ledger scope's secret key, for the keyed choice of rows.

    Returns:
      The coded records; at most ``unit.max_rows`` rows of each unit, no two of them with the same codes of the columns
      that are declared distinct.
    """
    parts: list[Codes] = []
    ids: list[bytes] = []
    inferred = handle.structure.format is Format.PANDAS
    interned = {name: Interned(inferred=inferred) for name in encoder.open}
    for block in handle.blocks():
        codes = encoder.encode(block, interned)
        if unit.column is not None:
            found = encoder.unit_ids(block)
            codes = codes[:, np.array([name is not None for name in found], dtype=np.bool_)]
            ids.extend(name for name in found if name is not None)
        parts.append(codes)
    domain = encoder.domain
    codes = np.concatenate(parts, axis=1) if parts else np.zeros((len(domain.names), 0), dtype=np.uint8)
    opened = {name: values.values for name, values in interned.items()}
    if unit.column is None:
        return CodedRecords(source=MemorySource(domain, codes), unit_ids=None, opened=opened)
    units, names = _index(ids)
    contents = _contents(encoder, codes, opened)
    distinct = domain.clique(encoder.schema.privacy_unit.distinct)
    apart = codes[[domain.names.index(name) for name in distinct]] if distinct else None
    keep = keep_at_most(units, names, max_rows=unit.max_rows, key=key, contents=contents, distinct=apart)
    source = MemorySource(domain, codes[:, keep], units=units[keep], max_rows=unit.max_rows, distinct=distinct)
    return CodedRecords(source=source, unit_ids=tuple(names), opened=opened)


def _contents(encoder: Encoder, codes: Codes, opened: Mapping[str, tuple[bytes, ...]]) -> Codes:
    """What a person's rows are ranked by: of open columns the value itself, because its number depends on others."""
    if not opened:
        return codes
    ranked = codes.astype(np.uint64)
    for name, values in opened.items():
        place = encoder.domain.names.index(name)
        ranked[place] = digests(values)[codes[place]]
    return ranked


def split_records(
    records: CodedRecords, *, share: Fraction, key: bytes, random: RandomSource
) -> tuple[MemorySource, MemorySource]:
    """Split people into training and holdout by coins that aren't the data's.

    Args:
      records: All records.
      share: Chance of a person to be held out.
      key: The ledger scope's secret key: with an id column a person's coin is a keyed function of the id.
      random: Source of the coins where each row is a unit.

    Returns:
      The training and the holdout records.

    Privacy:
      None: the coins read ids at most, and who is where never leaves.
      Checked by: tests/dpsynth/test_records.py::test_a_person_is_on_one_side_only
    """
    held = _coins(records, share=share, key=key, random=random)
    return records.source.restrict(~held), records.source.restrict(held)


def split_in_three(
    records: CodedRecords, *, share: Fraction, reference_share: Fraction, key: bytes, random: RandomSource
) -> tuple[MemorySource, MemorySource, MemorySource]:
    """Split people into training, holdout and reference by two coins each, independent and not the data's.

    Args:
      records: All records.
      share: Chance of a person to be held out.
      reference_share: Chance of a person who is held out to be a reference.
      key: The ledger scope's secret key: with an id column both coins are keyed functions of the id.
      random: Source of the coins where each row is a unit.

    Returns:
      The training, the holdout and the reference records; training people are those of :func:`split_records`.

    Privacy:
      None: the coins read ids at most, and who is where never leaves.
      Checked by: tests/dpsynth/test_records.py::test_a_person_is_on_one_of_three_sides_only
    """
    held = _coins(records, share=share, key=key, random=random)
    compared = held & _coins(records, share=reference_share, key=key, random=random, purpose="reference")
    source = records.source
    return source.restrict(~held), source.restrict(held & ~compared), source.restrict(compared)


def _coins(
    records: CodedRecords, *, share: Fraction, key: bytes, random: RandomSource, purpose: str = "holdout"
) -> NDArray[np.bool_]:
    """One coin for each row: fresh where a row is a unit, else that of its person."""
    units = np.concatenate([u for _, u in records.source.blocks()] or [np.zeros(0, dtype=np.int64)])
    if records.unit_ids is None:
        return row_coins(len(units), share=share, random=random)
    of_people = keyed_coins(records.unit_ids, key=key, share=share, purpose=purpose)
    of_rows: NDArray[np.bool_] = of_people[units]
    return of_rows


def _index(ids: list[bytes]) -> tuple[NDArray[np.int64], list[bytes]]:
    numbers: dict[bytes, int] = {}
    units = np.fromiter((numbers.setdefault(i, len(numbers)) for i in ids), dtype=np.int64, count=len(ids))
    return units, list(numbers)
