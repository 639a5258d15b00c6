"""A record of another type turns a pandas column into objects; nobody else's code or key may change by it."""

import datetime
import decimal
import json
import uuid

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from dpsynth.encode import Encoder
from dpsynth.errors import TableError
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
      x: {kind: categorical, categories: ["2020-01-01", "7", "0.7", other], otherwise: other}
      n: {kind: integer, bounds: [0, 9]}
      r: {kind: real, bounds: [0, 1], edges: [0.3, 0.7], special: [-0.1]}
      s: {kind: duration, bounds: [0, 86400], bins: 24}
      d: {kind: date, bounds: [2019-12-30, 2020-12-31]}
      m: {kind: datetime, bounds: [2019-12-30, 2020-12-31], resolution: hour}
      t: {kind: time, bounds: ['00:00:00', '23:59:59'], bins: 24}
"""
UTC = datetime.UTC
VALUES = {
    "day": datetime.datetime(2020, 1, 1),
    "date": datetime.date(2020, 1, 1),
    "zoned": datetime.datetime(2020, 1, 1, tzinfo=UTC),
    "stamp": pd.Timestamp("2020-01-01 10:30"),
    "span": datetime.timedelta(days=1),
    "digits of a day": 20200102,
    "digits of a day, as a float": 20200102.0,
    "digits of a time": np.uint64(123456),
    "digits of a decimal": decimal.Decimal("20200103"),
    "numpy span": np.timedelta64(3_600, "s"),
    "period": pd.Period("2020-01", "M"),
    "complex": 7 + 0j,
    "whole": 7,
    "float": 7.0,
    "narrow": np.float32(0.7),
    "short": np.float16(0.7),
    "text": "7",
    "truth": True,
    "uuid": uuid.UUID(int=5),
}
INTRUDERS = [*VALUES.values(), "?", None, 7j, float("nan")]
TYPED = {"narrow": "float32", "short": "float16"}
"""Dtypes of the columns that hold nothing else."""


def read(values, dtype=None):
    declared = parse_schema(SCHEMA)
    frame = pd.DataFrame({name: pd.Series(values, dtype=dtype) for name in ("who", "x", "n", "r", "s", "d", "m", "t")})
    (block,) = open_table(frame, declared).blocks()
    encoder = Encoder.of(declared)
    return encoder.encode(block), encoder.unit_ids(block)


@pytest.mark.parametrize("name", VALUES)
def test_an_intruder_changes_nobody_elses_code_or_key(name):
    value = VALUES[name]
    codes, ids = read([value] * 5, TYPED.get(name))
    for intruder in INTRUDERS:
        more, more_ids = read([value] * 5 + [intruder], "object" if name in TYPED else None)
        assert (more[:, :5] == codes).all(), repr(intruder)
        assert more_ids[:5] == ids, repr(intruder)


def test_objects_that_name_people_are_ids():
    _, ids = read([uuid.UUID(int=5), uuid.UUID(int=6)])
    assert None not in ids
    assert len(set(ids)) == 2


@pytest.mark.parametrize(
    ("labels", "apart"),
    [
        (["7", "7.0"], False),
        (["7.0", "7"], False),
        (["7.00", "7"], False),
        (["0.5", "0.50"], False),
        (["True", "true"], False),
        (["07", "7"], True),
        (["7.00", "7.000"], True),
        (["1", "True"], True),
        (["7", "8.0", "true", "False"], True),
    ],
)
def test_labels_that_spell_one_value_are_refused_in_a_frame_and_no_others(labels, apart):
    """With them, one more record would change what others mean."""
    column = f"{{kind: categorical, categories: {json.dumps(labels)}, nullable: true}}"
    declared = parse_schema(f"name: t\ncolumns: {{x: {column}}}\n")
    encoder = Encoder.of(declared)

    def codes(values, dtype=None):
        (block,) = open_table(pd.DataFrame({"x": pd.Series(values, dtype=dtype)}), declared).blocks()
        return encoder.encode(block)[0].tolist()

    for value in (7, 7.0, 0.5, True, "7", "7.0", "7.00", "true"):
        if not apart:
            for dtype in (None, "category"):
                with pytest.raises(TableError, match="spell one value"):
                    codes([value], dtype)
        else:
            alone = codes([value])
            for intruder in INTRUDERS:
                assert codes([value, intruder])[:1] == alone, (value, intruder)
    open_table(pa.table({"x": labels}), declared)
    if not apart and labels[0] != "True":
        assert codes([7, 7], "int32") == codes([7], "int32") * 2
