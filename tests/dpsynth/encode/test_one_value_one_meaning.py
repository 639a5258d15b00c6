"""A record of another type turns a pandas column into objects; nobody else's code or key may change by it."""

import datetime
import uuid

import pandas as pd
import pytest

from dpsynth.encode import Encoder
from dpsynth.schema import parse_schema
from dpsynth.tables import open_table

SCHEMA = """
dpsynth: 1
dataset: d
tables:
  - name: t
    privacy_unit: {column: who, max_rows: 1}
    columns:
      who: {kind: identifier}
      x: {kind: categorical, categories: ["2020-01-01", "7", other], otherwise: other}
      n: {kind: integer, bounds: [0, 9]}
"""
UTC = datetime.UTC
VALUES = {
    "day": datetime.datetime(2020, 1, 1),
    "date": datetime.date(2020, 1, 1),
    "zoned": datetime.datetime(2020, 1, 1, tzinfo=UTC),
    "stamp": pd.Timestamp("2020-01-01 10:30"),
    "span": datetime.timedelta(days=1),
    "period": pd.Period("2020-01", "M"),
    "complex": 7 + 0j,
    "whole": 7,
    "float": 7.0,
    "text": "7",
    "truth": True,
    "uuid": uuid.UUID(int=5),
}
INTRUDERS = [*VALUES.values(), "?", None, 7j, float("nan")]


def read(values):
    declared = parse_schema(SCHEMA)
    frame = pd.DataFrame({"who": values, "x": values, "n": values})
    (block,) = open_table(frame, declared).blocks()
    encoder = Encoder.of(declared)
    return encoder.encode(block), encoder.unit_ids(block)


@pytest.mark.parametrize("name", VALUES)
def test_an_intruder_changes_nobody_elses_code_or_key(name):
    value = VALUES[name]
    codes, ids = read([value] * 5)
    for intruder in INTRUDERS:
        more, more_ids = read([value] * 5 + [intruder])
        assert (more[:, :5] == codes).all(), repr(intruder)
        assert more_ids[:5] == ids, repr(intruder)


def test_objects_that_name_people_are_ids():
    _, ids = read([uuid.UUID(int=5), uuid.UUID(int=6)])
    assert None not in ids
    assert len(set(ids)) == 2
