"""Compiled loops of the engine against what torch and NumPy make of the same numbers, on masks of every kind."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.deep import gradients
from dpsynth.deep.gradients import slices, squared_norms, weighted_gradients
from dpsynth.deep.kernel import add_noise, add_rows, block_squares, normalise, pair_codes, shift, sum_numbers, totals
from dpsynth.deep.layers import LOWEST, Reach, Tape, column_shares, total_along
from dpsynth.deep.sgd import CHUNK

SIZES = (3, 1, 4, 2)
D, CODES = len(SIZES), sum(SIZES)
UNITS = 6


def one_hot(sizes):
    return torch.eye(len(sizes))[torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))]


COLUMNS, HIDDEN = one_hot(SIZES), one_hot((2, 1, 2, 1))
BLOCKS = {
    "all": torch.ones(D, D),
    "none": torch.zeros(D, D),
    "before": torch.triu(torch.ones(D, D), diagonal=1),
    "upto": torch.triu(torch.ones(D, D)),
    "last alone": torch.nn.functional.one_hot(torch.tensor([3] * D), D).float(),
    "holes": torch.tensor([[0.0, 1, 0, 1], [1, 0, 0, 1], [0, 0, 0, 0], [0, 0, 1, 0]]),
}


def drawn(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def codes(records, seed=3):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(np.stack([rng.integers(0, size, records) for size in SIZES], axis=1))


def layers_of(kind, reach, records=9):
    """A layer's tape, its inputs written out, and parameters."""
    starts = torch.tensor([0, 3, 4, 8])
    if kind == "lookup":
        tape = Tape({"w": drawn(CODES, UNITS), "b": drawn(UNITS)})
        given = codes(records)
        tape.lookup(given, starts, "w", "b", reach)
        return tape, torch.zeros(records, CODES).scatter_(1, given + starts, 1.0)
    tape, inputs = Tape({"w": drawn(UNITS, CODES), "b": drawn(CODES)}), drawn(records, UNITS, seed=5)
    tape.dense(inputs, "w", "b", reach)
    return tape, inputs


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("blocks", BLOCKS)
@pytest.mark.parametrize("kind", ["lookup", "dense"])
def test_masked_gradients_and_norms_are_those_of_outer_products(kind, blocks, exact):
    rows, columns = (COLUMNS, HIDDEN) if kind == "lookup" else (HIDDEN, COLUMNS)
    reach = Reach(inputs=rows, outputs=columns, blocks=BLOCKS[blocks])
    tape, inputs = layers_of(kind, reach, records=700)
    signal, weights = drawn(len(inputs), columns.shape[0], seed=7), drawn(len(inputs), seed=8)
    (layer,), mask = tape.layers, reach.mask()
    each = torch.einsum("ri,ro->rio", inputs, signal) * mask
    scaled = (signal * weights[:, None]).double()
    close = {"rtol": 1e-12, "atol": 1e-12} if exact or kind == "lookup" else {"rtol": 1e-5, "atol": 1e-4}
    into = {"w": torch.zeros(mask.shape, dtype=torch.float64), "b": torch.zeros(len(columns), dtype=torch.float64)}
    weighted_gradients(layer, signal, weights, into, exact=exact)
    torch.testing.assert_close(into["w"] * mask, inputs.double().T @ scaled * mask, **close)
    torch.testing.assert_close(into["b"], scaled.sum(dim=0), rtol=1e-12, atol=1e-12)
    square = squared_norms(layer, signal)
    torch.testing.assert_close(square, each.square().sum(dim=(1, 2)) + signal.square().sum(dim=1))


def test_rows_that_are_not_there_are_told():
    first, scaled, into = np.zeros(1, np.int64), np.ones((1, 2), np.float32), np.zeros((3, 2))
    for row in (-1, 3):
        assert not add_rows()(np.array([[row]]), first, scaled, into)
    assert add_rows()(np.array([[2]]), first, scaled, into)
    assert into.tolist() == [[0, 0], [0, 0], [1, 1]]


def test_numbers_of_rows_are_summed_and_rows_that_are_not_there_told():
    numbers, out = np.array([1.0, 2.0, 4.0], np.float32), np.zeros(2, np.float32)
    assert sum_numbers()(numbers, np.array([[0, 2], [2, 2]]), out)
    assert out.tolist() == [5.0, 8.0]
    for row in (-1, 3):
        assert not sum_numbers()(numbers, np.array([[0, row]]), out)
        tape = Tape({"w": torch.zeros(3, 1)})
        with pytest.raises(IndexError, match="outside its column"):
            tape.lookup(torch.tensor([[row]]), torch.tensor([0]), "w")
        into = np.zeros((3, 1))
        assert not add_rows()(np.array([[row]]), np.zeros(1, np.int64), np.ones((1, 1), np.float32), into)
    into = np.zeros((3, 1))
    assert add_rows()(np.array([[0, 2], [1, 2]]), np.array([0, 1]), np.array([[1.0], [2.0]], np.float32), into)
    assert into[:, 0].tolist() == [1.0, 2.0, 0.0]  # what the second column reaches begins behind the only output


def test_codes_of_pairs_count_the_cells_of_both_columns():
    given, pairs = codes(20), np.array([[0, 2], [1, 3], [2, 3]])
    widths, out = np.array([SIZES[k] for _, k in pairs]), np.zeros((20, 3), np.int64)
    pair_codes()(given.numpy(), pairs, widths, out)
    expected = [[np.ravel_multi_index((r[j], r[k]), (SIZES[j], SIZES[k])) for j, k in pairs] for r in given.numpy()]
    assert out.tolist() == expected


def test_a_code_outside_its_column_is_refused():
    tape, _ = layers_of("lookup", None)
    (layer,) = tape.layers
    layer.rows[0, 0] = CODES
    into = {"w": torch.zeros(CODES, UNITS, dtype=torch.float64), "b": torch.zeros(UNITS, dtype=torch.float64)}
    with pytest.raises(IndexError, match="outside its column"):
        weighted_gradients(layer, drawn(9, UNITS), torch.ones(9), into)


def test_shares_are_those_of_each_columns_softmax():
    logits = 5.0 * drawn(20, CODES)
    expected = torch.cat([torch.softmax(part, dim=1) for part in logits.split(list(SIZES), dim=1)], dim=1)
    torch.testing.assert_close(column_shares(logits, COLUMNS), expected)
    assert normalise() is normalise()


def test_logits_are_told_from_their_records_largest():
    logits, out = torch.tensor([[3.0, 5.0, -200.0], [-1.0, -1.0, -9.0]]), np.ones((2, 3), np.float32)
    shift()(logits.numpy(), LOWEST, out)
    assert out.tolist() == [[-2.0, 0.0, LOWEST], [0.0, 0.0, -8.0]]


def test_totals_are_sums_in_float64():
    values, out = np.full((3000, 2), np.float32(0.1)), np.array([0.0, 1.0])
    totals()(values, out)
    np.testing.assert_allclose(out, 3000 * float(np.float32(0.1)) + np.array([0.0, 1.0]), rtol=1e-13)


@given(st.integers(1, CHUNK))
def test_float32_sums_of_a_chunk_round_by_a_256th_of_the_bound_at_most(records):
    """The bound that ``slices`` states, written again: 2^-8 of the largest norm, whatever the order of the sums."""
    found = slices(records)
    lengths = [part.stop - part.start for part in found]
    assert [part.start for part in found] == [sum(lengths[:k]) for k in range(len(found))]
    assert sum(lengths) == records
    within = sum(sum(math.sqrt(m * k) for m in range(2, k + 1)) + k for k in lengths)
    between = sum(sum(lengths[: s + 1]) for s in range(1, len(lengths)))
    assert (within + between) * 2.0**-24 <= 2.0**-8


def test_more_records_than_float32_sums_bear_are_summed_in_float64():
    assert slices(CHUNK)
    assert slices(4 * CHUNK) == ()
    rows = 4 * CHUNK
    tape, signal = Tape({"w": torch.zeros(1, 1)}), torch.full((rows, 1), 0.1)
    tape.dense(torch.ones(rows, 1), "w")
    into = {"w": torch.zeros(1, 1, dtype=torch.float64)}
    weighted_gradients(tape.layers[0], signal, torch.ones(rows), into, exact=False)
    assert into["w"].item() == pytest.approx(rows * float(np.float32(0.1)), rel=1e-12)


@pytest.mark.parametrize("order", ["rising", "drawn", "half and half"])
def test_the_worst_sums_round_within_the_bound(order):
    """Terms that a float32 sum rounds all in one direction: as long as it grows, by nearly half its last place."""
    records, width = CHUNK, 64
    values = {
        "rising": np.linspace(0.5, 1.0, records),
        "drawn": np.random.default_rng(2).random(records),
        "half and half": np.where(np.arange(records) < records // 2, 1.0, 0.49999 * 2.0**-16),
    }[order]
    inputs = torch.from_numpy(np.repeat(values[:, None], width, axis=1).astype(np.float32) / math.sqrt(width))
    tape, signal = Tape({"w": torch.zeros(width, 1)}), torch.full((records, 1), 1.0)
    tape.dense(inputs, "w")
    found = {"w": torch.zeros(width, 1, dtype=torch.float64)}
    weighted_gradients(tape.layers[0], signal, torch.ones(records), found, exact=False)
    error = (found["w"] - inputs.double().T @ signal.double()).norm().item()
    assert 0.0 < error <= 2.0**-8


def test_products_of_fewer_bits_are_not_asked_for(monkeypatch):
    """Whoever lets torch multiply float32 matrices in bfloat16 gets float64 sums of gradients; so do other machines."""
    tape, inputs = layers_of("dense", None, records=700)
    signal, settings = drawn(700, CODES, seed=7), torch.backends.mkldnn.matmul

    def error():
        into = {"w": torch.zeros(UNITS, CODES, dtype=torch.float64), "b": torch.zeros(CODES, dtype=torch.float64)}
        weighted_gradients(tape.layers[0], signal, torch.ones(700), into, exact=False)
        return (into["w"] - inputs.double().T @ signal.double()).abs().max().item()

    assert error() > 1e-7
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert error() < 1e-11
    with monkeypatch.context() as patch:
        patch.setattr(gradients.platform, "machine", lambda: "aarch64")
        assert error() < 1e-11
    before = settings.fp32_precision
    settings.fp32_precision = "bf16"
    try:
        assert error() < 1e-11
    finally:
        settings.fp32_precision = before
    assert error() > 1e-7


def test_squares_are_summed_by_block():
    values, out = drawn(20, CODES), np.zeros((20, D), np.float32)
    block_squares()(values.numpy(), np.array([0, 3, 4, 8, 10]), out)
    torch.testing.assert_close(torch.from_numpy(out), values.square() @ COLUMNS)


def test_blocks_that_are_mixed_are_refused():
    for mixed in ([[1.0, 0], [0, 1], [1, 0]], [[1, 1], [0, 1], [0, 1]], [[1, 0], [0, 0], [0, 1]]):
        with pytest.raises(ValueError, match="side by side"):
            column_shares(drawn(2, 3), torch.tensor(mixed))


def test_the_noisy_sum_is_on_the_grid_over_the_divisor_in_its_runs_alone():
    whole, noise, runs = np.array([0.3, -2.0, 7.0]), np.array([1.0, -0.5]), np.array([[0, 1], [2, 3]])
    out = np.full(3, 9.0, np.float32)
    add_noise()(whole, runs, noise, 2.0, 0.25, 4.0, out)
    assert out.tolist() == [2.25 / 4.0, 9.0, 6.0 / 4.0]
    add_noise()(np.array([-0.01]), np.array([[0, 1]]), np.zeros(1), 1.0, 0.25, 4.0, out)
    assert not np.signbit(out[0])


def test_sums_are_multiples_of_the_grid():
    values, rounded = np.array([0.1, -0.3, 5.0, 1e-9]), np.zeros(4, np.float32)
    add_noise()(values, np.array([[0, 4]]), np.zeros(4), 1.0, 2.0**-10, 1.0, rounded)
    assert (rounded * 2**10 == np.rint(values * 2**10)).all()
    assert np.abs(rounded - values).max() <= 2.0**-11


@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_an_objective_that_is_its_gradient_alone(factor):
    outputs, slope = drawn(4, 3).requires_grad_(), drawn(4, 3, seed=1)
    (found,) = torch.autograd.grad(factor * total_along(outputs, slope), outputs)
    torch.testing.assert_close(found, factor * slope)
