"""Compiled sums of rows, on the CPU: what torch does slowly. Importing this module imports numba."""

from collections.abc import Callable
from functools import cache
from typing import Any, cast

import numba  # type: ignore[import-untyped,unused-ignore]
import numpy as np

from dpsynth.compiling import compiled

Compiled = Callable[..., Any]

_ANY_ORDER = {"reassoc"}
"""Sums may be made in another order, the same one every time: several numbers at once."""


def _pair_codes(codes: Any, pairs: Any, widths: Any, out: Any) -> None:
    for record in range(len(codes)):
        row = codes[record]
        for pair in range(len(pairs)):
            out[record, pair] = row[pairs[pair, 0]] * widths[pair] + row[pairs[pair, 1]]


@cache
def pair_codes() -> Compiled:
    """The compiled ``pair_codes(codes, pairs, widths, out)``: one code for each pair of a record's columns.

    All int64: ``codes`` (records, columns), ``pairs`` (pairs, 2), ``widths`` the codes of each pair's second column,
    ``out`` (records, pairs).
    """
    table, row = numba.int64[:, ::1], numba.int64[::1]
    return cast(Compiled, compiled(_pair_codes, numba.void(table, table, row, table)))


def _sum_numbers(numbers: Any, rows: Any, out: Any) -> Any:
    for record in range(len(rows)):
        row, total = rows[record], np.float32(0.0)
        for k in range(len(row)):
            if row[k] < 0 or row[k] >= len(numbers):
                return False
            total += numbers[row[k]]
        out[record] = total
    return True


@cache
def sum_numbers() -> Compiled:
    """The compiled ``sum_numbers(numbers, rows, out)``: the sum of the float32 numbers that each record's rows name.

    False where a row isn't there, and sums are unfinished.
    """
    numbers, rows = numba.float32[::1], numba.int64[:, ::1]
    return cast(Compiled, compiled(_sum_numbers, numba.boolean(numbers, rows, numbers)))


def _add_rows(rows: Any, first: Any, scaled: Any, into: Any) -> Any:
    count, columns = rows.shape
    if into.shape[1] == 1:
        for record in range(count):
            number = scaled[record, 0]
            for column in range(columns):
                row = rows[record, column]
                if row < 0 or row >= len(into):
                    return False
                if first[column] == 0:
                    into[row, 0] += number
        return True
    for record in range(count):
        for column in range(columns):
            row, start = rows[record, column], first[column]
            if row < 0 or row >= len(into):
                return False
            found, added = into[row][start:], scaled[record][start:]
            for k in range(len(found)):
                found[k] += added[k]
    return True


@cache
def add_rows() -> Compiled:
    """The compiled ``add_rows(rows, first, scaled, into)``: each record's vector is added to the rows that it names.

    ``rows`` int64 (records, columns); ``first`` the first output that a column reaches, what lies before is left as it
    is; ``scaled`` (records, outputs); ``into`` (rows, outputs). False where a row isn't there, and sums are unfinished.
    """
    whole = numba.int64
    signature = numba.boolean(whole[:, ::1], whole[::1], numba.float32[:, ::1], numba.float64[:, ::1])
    return cast(Compiled, compiled(_add_rows, signature))


def _totals(scaled: Any, out: Any) -> None:
    for record in range(len(scaled)):
        row = scaled[record]
        for k in range(len(row)):
            out[k] += row[k]


@cache
def totals() -> Compiled:
    """The compiled ``totals(scaled, out)``: float32 vectors, shape (records, outputs), are added to a float64 one."""
    return cast(Compiled, compiled(_totals, numba.void(numba.float32[:, ::1], numba.float64[::1])))


def _shift(logits: Any, lowest: Any, out: Any) -> None:
    for record in range(len(logits)):
        row = logits[record]
        largest = row[0]
        for k in range(len(row)):
            largest = max(largest, row[k])
        for k in range(len(row)):
            out[record, k] = max(row[k] - largest, lowest)


@cache
def shift() -> Compiled:
    """The compiled ``shift(logits, lowest, out)``: how far each lies below its record's largest, ``lowest`` at least.

    ``logits`` and ``out`` float32 (records, columns), of one column at least.
    """
    table = numba.float32[:, ::1]
    return cast(Compiled, compiled(_shift, numba.void(table, numba.float32, table), fastmath=_ANY_ORDER))


def _normalise(powers: Any, edges: Any) -> None:
    for record in range(len(powers)):
        row = powers[record]
        for block in range(len(edges) - 1):
            part, total = row[edges[block] : edges[block + 1]], np.float32(0.0)
            for k in range(len(part)):
                total += part[k]
            for k in range(len(part)):
                part[k] /= total


@cache
def normalise() -> Compiled:
    """The compiled ``normalise(powers, edges)``: each record's blocks are divided by their sums, in place.

    ``powers`` float32 (records, columns); block b lies from ``edges[b]`` to ``edges[b + 1]``.
    """
    signature = numba.void(numba.float32[:, ::1], numba.int64[::1])
    return cast(Compiled, compiled(_normalise, signature, fastmath=_ANY_ORDER))


def _block_squares(signal: Any, edges: Any, out: Any) -> None:
    for record in range(len(signal)):
        row = signal[record]
        for block in range(len(edges) - 1):
            part, total = row[edges[block] : edges[block + 1]], np.float32(0.0)
            for k in range(len(part)):
                total += part[k] * part[k]
            out[record, block] = total


@cache
def block_squares() -> Compiled:
    """The compiled ``block_squares(signal, edges, out)``: sums of squares by block, ``out`` (records, blocks)."""
    table = numba.float32[:, ::1]
    signature = numba.void(table, numba.int64[::1], table)
    return cast(Compiled, compiled(_block_squares, signature, fastmath=_ANY_ORDER))


def _add_noise(whole: Any, runs: Any, noise: Any, deviation: Any, step: Any, divisor: Any, out: Any) -> None:
    finer, used = 1.0 / step, 0  # exact: a step is a power of two
    for run in range(len(runs)):
        start, end = runs[run, 0], runs[run, 1]
        sums, found, drawn = whole[start:end], out[start:end], noise[used : used + end - start]
        for k in range(len(drawn)):
            noisy = drawn[k] * deviation + sums[k]
            found[k] = np.float32((np.rint(noisy * finer) + 0.0) * step / divisor)  # zero has one sign
        used += end - start


@cache
def add_noise() -> Compiled:
    """The compiled ``add_noise(whole, runs, noise, deviation, step, divisor, out)``: a sum with noise of its own in
    each place of these runs (from, to), at the nearest multiple of a step (a power of two), over a divisor; ``out``,
    float32, is left as it is elsewhere.
    """
    real, one = numba.float64[::1], numba.float64
    signature = numba.void(real, numba.int64[:, ::1], real, one, one, one, numba.float32[::1])
    return cast(Compiled, compiled(_add_noise, signature))
