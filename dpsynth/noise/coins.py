"""Coins that aren't the data's: which people are held out, and which rows of a person stay.

With an id column a coin is a keyed function of the id alone, so one person has the same side in every release under
one key and whatever else is in the table. Without one, each row has a fresh coin. The function is HMAC-SHA256, a PRF
as long as the key is secret; each purpose has its own domain, so that coins of different purposes are independent.
"""

import hmac
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpsynth.errors import ParameterError
from dpsynth.noise.base import RandomSource
from dpsynth.noise.tables import CumulativeTable
from dpsynth.sources.bounding import combinations_of, units_that_repeat

_BITS = 256
_KEY_BYTES = 32


def row_coins(rows: int, *, share: Fraction, random: RandomSource) -> NDArray[np.bool_]:
    """A fresh coin per row: True with probability ``share``, whatever the row holds and wherever it stands.

    Args:
      rows: Number of coins; private, like the array's length.
      share: Probability of True, between 0 and 1; exact to 2**-256.
      random: Where the bits come from.

    Privacy:
      None: the coins read no record. They are as private as the records: who is held out never leaves.
      Checked by: tests/statistical/test_samplers.py::test_row_coins_have_their_share

    Raises:
      ParameterError: ``share`` isn't in [0, 1].
    """
    _check_share(share)
    if share in (0, 1):
        return np.full(rows, share == 1)
    return random.draw(_coin(share), rows).astype(np.bool_)


@lru_cache(maxsize=64)
def _coin(share: Fraction) -> CumulativeTable:
    return CumulativeTable.from_weights([share.denominator - share.numerator, share.numerator])


def keyed_coins(ids: Sequence[bytes], *, key: bytes, share: Fraction, purpose: str = "holdout") -> NDArray[np.bool_]:
    """One coin per person, the same for the same id and key: True with probability ``share`` over the key.

    Args:
      ids: One id per person, in any order.
      key: Secret, at least 32 bytes, fixed per ledger scope.
      share: Probability of True, between 0 and 1; exact to 2**-256.
      purpose: What the coin decides; coins of different purposes are independent.

    Returns:
      bool, shape (len(ids),); entry i depends on ``ids[i]``, the key, the share and the purpose only.

    Privacy:
      None: the coins read ids, which no output holds. A neighbour's person adds a coin and moves nobody else's.
      Checked by: tests/dpsynth/noise/test_coins.py::test_a_keyed_coin_depends_on_its_own_id_only

    Raises:
      ParameterError: ``share`` isn't in [0, 1], the key is short or the purpose isn't plain text.
    """
    _check_share(share)
    domain = _domain(key, purpose)
    limit = (share.numerator << _BITS) // share.denominator
    return np.array([_value(key, domain, identity) < limit for identity in ids], dtype=np.bool_)


def keep_at_most(
    units: NDArray[np.int64],
    ids: Sequence[bytes],
    *,
    max_rows: int,
    key: bytes,
    contents: NDArray[Any] | None = None,
    distinct: NDArray[Any] | None = None,
) -> NDArray[np.bool_]:
    """Which rows stay so that no person has more than ``max_rows``, or two that are alike in their distinct codes.

    A person's rows are ranked among themselves and the ``max_rows`` smallest PRF values of (id, rank) stay: a function
    of the key and of that person's rows, never of anybody else's or of a place in the file. So a person who is added
    or removed changes at most ``max_rows`` of the kept rows, which is what the sensitivity stands on. Of rows with the
    same distinct codes the one with the smallest value is the only one that can stay.

    Args:
      units: Person of each row, int64, shape (rows,), values 0 .. len(ids) - 1.
      ids: Id of each person, all different.
      max_rows: Most rows that stay per person, at least 1.
      key: Secret, at least 32 bytes, fixed per ledger scope.
      contents: Codes (attributes, rows) to rank a person's rows by, so that their order in the file doesn't matter
        either; without it a person's rows are ranked in file order.
      distinct: Codes (attributes, rows) in which the kept rows of a person all differ; None where they may be alike.

    Returns:
      bool, shape (rows,). How many rows were cut is a private count.

    Privacy:
      None by itself: it makes the bound on rows per person true; the primitive that counts the kept rows charges.
      Checked by: tests/dpsynth/noise/test_coins.py::test_the_bound_reads_a_person_alone,
        tests/dpsynth/noise/test_coins.py::test_no_two_kept_rows_of_a_person_are_alike_where_they_are_distinct

    Raises:
      ParameterError: ``max_rows`` is below 1 or the key is short.
    """
    domain = _domain(key, "rows")
    if max_rows < 1:
        raise ParameterError(
            f"Can't keep at most {max_rows} rows of a person.", "A bound is at least 1.", "Declare max_rows >= 1."
        )
    sizes = np.bincount(units, minlength=len(ids))
    order = np.argsort(units, kind="stable") if contents is None else np.lexsort((*contents, units))
    starts = np.cumsum(sizes) - sizes
    keep = np.ones(len(units), dtype=np.bool_)
    alike, chosen = np.arange(len(units)), sizes > max_rows
    if distinct is not None:
        alike = combinations_of(distinct)
        chosen[units_that_repeat(units, alike)] = True
    for unit in np.flatnonzero(chosen).tolist():
        rows = order[starts[unit] : starts[unit] + sizes[unit]]
        values = [_value(key, domain, rank.to_bytes(8, "big") + ids[unit]) for rank in range(len(rows))]
        first: dict[int, int] = {}
        for rank in sorted(range(len(rows)), key=values.__getitem__):
            first.setdefault(int(alike[rows[rank]]), rank)
        keep[rows] = False
        keep[rows[list(first.values())[:max_rows]]] = True
    return keep


def _value(key: bytes, domain: bytes, message: bytes) -> int:
    return int.from_bytes(hmac.digest(key, domain + message, "sha256"), "big")


def _domain(key: bytes, purpose: str) -> bytes:
    if len(key) < _KEY_BYTES or not purpose.isidentifier():
        raise ParameterError(
            f"A keyed coin for {purpose!r} can't use a key of {len(key)} bytes.",
            f"The key has at least {_KEY_BYTES} secret bytes, and the purpose is one plain word.",
            "Use the ledger scope's own key.",
        )
    return b"dpsynth coin v1:" + purpose.encode() + b"\0"


def _check_share(share: Fraction) -> None:
    if not 0 <= share <= 1:
        raise ParameterError(
            f"A share of {share} can't be a probability.", "It lies between 0 and 1.", "Declare such a share."
        )
