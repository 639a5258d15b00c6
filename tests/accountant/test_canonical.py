"""Canonical JSON: one value, one byte string."""

import json
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountant.canonical import dumps, sha256_hex
from accountant.errors import ParameterError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


class Word(StrEnum):
    RED = "red"


@given(VALUES)
def test_reading_back_gives_the_value_and_the_same_bytes(value: object) -> None:
    encoded = dumps(value)
    assert json.loads(encoded) == value
    assert dumps(json.loads(encoded)) == encoded


def test_order_of_keys_and_kind_of_sequence_do_not_matter() -> None:
    assert dumps({"b": (1, 2), "a": Word.RED}) == dumps({"a": "red", "b": [1, 2]}) == b'{"a":"red","b":[1,2]}'
    assert dumps({Word.RED: 1}) == b'{"red":1}'
    assert sha256_hex({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@pytest.mark.parametrize("value", [0.5, {"a": [float("nan")]}, {1: "a"}, {"a": b"x"}, {"a": {1, 2}}])
def test_values_without_one_form_are_refused(value: object) -> None:
    with pytest.raises(ParameterError, match="Canonical JSON can't hold"):
        dumps(value)
