"""Reading, bounding and splitting: a person is one unit, on one side, with at most max_rows rows."""

from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest

from dpsynth.encode import Encoder
from dpsynth.noise.random import SeededRandom, SystemRandom
from dpsynth.records import read_records, split_in_three, split_records
from dpsynth.tables import open_table
from tests.dpsynth import lines

KEY, SHARE = bytes(range(32)), Fraction(1, 5)


def read(data, declared, key=KEY):
    return read_records(open_table(data, declared), Encoder.of(declared), unit=declared.table.unit, key=key)


def rows_of(source):
    blocks = list(source.blocks())
    return sorted(map(tuple, np.concatenate([c.T for c, _ in blocks]).tolist())) if blocks else []


def test_a_person_is_on_one_side_only():
    declared = lines.schema(lines.PERSON_SCHEMA)
    data = lines.table(2_000, people=500)
    records = read(data, declared)
    training, holdout = split_records(records, share=SHARE, key=KEY, random=SystemRandom())
    assert sorted(rows_of(training) + rows_of(holdout)) == rows_of(records.source)
    people = [np.unique(u).size for s in (training, holdout) for _, u in s.blocks()]
    assert sum(people) == len(records.unit_ids)
    again = split_records(records, share=SHARE, key=KEY, random=SystemRandom())
    assert rows_of(again[0]) == rows_of(training)
    other = split_records(records, share=SHARE, key=bytes(32), random=SystemRandom())
    assert rows_of(other[0]) != rows_of(training)


@pytest.mark.parametrize("by_id", [True, False])
def test_a_person_is_on_one_of_three_sides_only(by_id):
    """Training people are those of the split in two; the second coin halves the others, and isn't the first one."""
    declared = lines.schema(lines.PERSON_SCHEMA if by_id else lines.SCHEMA)
    records = read(lines.table(4_000, people=1_500 if by_id else None), declared)
    how = {"share": Fraction(2, 5), "key": KEY}
    training, holdout, compared = split_in_three(
        records, reference_share=Fraction(1, 2), random=SeededRandom(3), **how
    )
    sides = (training, holdout, compared)
    assert sorted(row for side in sides for row in rows_of(side)) == rows_of(records.source)
    assert rows_of(split_records(records, random=SeededRandom(3), **how)[0]) == rows_of(training)
    people = [sum(np.unique(u).size for _, u in s.blocks()) for s in sides]
    everybody = len(records.unit_ids) if by_id else 4_000
    assert sum(people) == everybody
    for found, share in zip(people, (0.6, 0.2, 0.2), strict=True):
        assert abs(found - share * everybody) < 6 * np.sqrt(everybody * share * (1 - share))


def test_rows_of_a_person_are_bounded_and_nobody_else_matters():
    declared = lines.schema(lines.PERSON_SCHEMA)
    data = lines.table(600, people=60)
    everyone = read(data, declared)
    assert everyone.source.max_rows == 3
    without = data.filter(np.array([p != "p7" for p in data["person"].to_pylist()]))
    kept, less = rows_of(everyone.source), rows_of(read(without, declared).source)
    assert 0 <= len(kept) - len(less) <= 3
    remaining = list(kept)
    for row in less:
        remaining.remove(row)
    assert len(remaining) == len(kept) - len(less)


def test_the_order_of_the_file_doesnt_matter():
    declared = lines.schema(lines.PERSON_SCHEMA)
    data = lines.table(600, people=60)
    shuffled = data.take(np.random.default_rng(0).permutation(600))
    assert rows_of(read(data, declared).source) == rows_of(read(shuffled, declared).source)


@pytest.mark.parametrize("absent", [None, ""])
def test_people_without_an_id_change_nothing(absent):
    """They could be many people, of whom a bound on rows per id would let one move other people's rows."""
    declared = lines.schema(lines.PERSON_SCHEMA)
    data = lines.table(60, people=20)
    more = pa.concat_tables([data, data.set_column(0, "person", pa.array([absent] * 60, pa.string()))])
    read_more = read(more.take(np.random.default_rng(1).permutation(120)), declared)
    assert rows_of(read_more.source) == rows_of(read(data, declared).source)
    assert len(read_more.unit_ids) == len(set(data["person"].to_pylist()))
    nobody = data.set_column(0, "person", pa.nulls(60, pa.string()))
    assert rows_of(read(nobody, declared).source) == []


def test_rows_without_ids_have_fresh_coins():
    declared = lines.schema()
    records = read(lines.table(4_000), declared)
    sizes = []
    for seed in range(2):
        _, holdout = split_records(records, share=SHARE, key=KEY, random=SeededRandom(seed))
        sizes.append(sum(c.shape[1] for c, _ in holdout.blocks()))
        assert abs(sizes[-1] - 800) < 6 * np.sqrt(4_000 * 0.16)
    assert sizes[0] != sizes[1]


@pytest.mark.parametrize("rows", [0, 1])
def test_tiny_tables(rows):
    declared = lines.schema()
    training, holdout = split_records(read(lines.table(rows), declared), share=SHARE, key=KEY, random=SystemRandom())
    assert len(rows_of(training)) + len(rows_of(holdout)) == rows
