"""From noisy histograms of fine cells to merged codes: bins, spikes, rare labels. Post-processing of accounted outputs.

A numeric column has two histograms: one of its fine cells, one of blocks of about as many neighbouring cells as there
are blocks. They are brought to agree (each block's best total spread over its cells), cells that stand out of their
block are spikes, and the others are drawn towards the block's even spread by as much as they can't be told from it. A
categorical column has one; labels within three standard deviations of zero are merged.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dpsynth.encode.merge import Merge

Floats = NDArray[np.float64]
Code = NDArray[np.int64]

SPIKE, RARE = 4.0, 3.0
"""Standard deviations by which a cell exceeds its block to be a spike, and up to which a label is merged."""
FEWEST_BINS, MOST_BINS = 8, 32
_BINS_AT_ONE = 2.2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Histogram:
    """A noisy histogram of one column's codes, null excepted; an accounted output.

    Attributes:
      cells: Noisy counts of fine codes, int64.
      sigma: Standard deviation of their noise, in rows.
      blocks: Noisy counts of blocks of neighbouring cells; None where there are none.
      block_sigma: Standard deviation of theirs.
      starts: First cell of each block.
    """

    cells: NDArray[np.int64] = field(repr=False)
    sigma: float
    blocks: NDArray[np.int64] | None = field(default=None, repr=False)
    block_sigma: float = 0.0
    starts: Code | None = field(default=None, repr=False)


def block_starts(cells: int) -> Code:
    """First cells of about as many blocks as each has cells."""
    width = max(1, math.isqrt(cells))
    return np.arange(0, cells, width, dtype=np.int64)


def bins_for(rows: float, sigma: float) -> int:
    """How many bins a numeric column gets.

    Args:
      rows: Noisy number of rows.
      sigma: Noise of one count that had the synthesizer's whole budget, in rows.
    """
    signal = max(1.0, rows / sigma)
    return int(min(MOST_BINS, max(FEWEST_BINS, round(_BINS_AT_ONE * math.sqrt(math.sqrt(signal))))))


def merge_cells(found: Histogram, widths: Floats, *, bins: int, cuts: Sequence[int] = (), apart: int) -> Merge:
    """Bins of a numeric column: spikes alone, the rest in runs of about equal mass.

    Args:
      found: Its two histograms.
      widths: How many values each fine cell holds, for an even spread within a block.
      bins: Number of bins, without null.
      cuts: Fine cells at which a bin has to begin, because a rule says something there.
      apart: How many of the last codes stand apart: null, and declared special numbers.
    """
    shares = smooth(found, widths)
    total = float(shares.sum())
    heavy = _heaviest(shares, total / (2.0 * bins), bins // 2)
    rest = np.where(heavy, 0.0, shares)
    group = _runs(rest, heavy, bins - int(heavy.sum()), cuts)
    group[heavy] = -1 - np.arange(int(heavy.sum()))
    return _numbered(group, shares, apart)


def merge_labels(found: Histogram, groups: Code | None, *, apart: int) -> Merge:
    """Labels of a categorical column: those that noise hides share a code, by their declared groups.

    Args:
      found: The noisy counts of the labels.
      groups: The group of each label, by declarations and by what rules tell apart; None for one group of all.
      apart: How many of the last codes stand apart: null.
    """
    counts = found.cells.astype(np.float64)
    rare = counts < RARE * found.sigma
    of = np.zeros(len(counts), np.int64) if groups is None else groups
    group = np.arange(len(counts))
    weights = np.maximum(counts, 0.0)
    for g in np.unique(of[rare]):
        members = np.flatnonzero(rare & (of == g))
        group[members] = -1 - g
        weights[members] = _drawn_together(counts[members], found.sigma)
    return _numbered(group, weights, apart)


def smooth(found: Histogram, widths: Floats) -> Floats:
    """The numeric column's histogram without most of its noise: not below 0, shape (cells,)."""
    cells = found.cells.astype(np.float64)
    if found.blocks is None or found.starts is None:
        return np.maximum(cells, 0.0)
    out = np.zeros(len(cells))
    ends = [*found.starts[1:].tolist(), len(cells)]
    for start, end, noisy in zip(found.starts.tolist(), ends, found.blocks.tolist(), strict=True):
        part = slice(start, end)
        out[part] = _block(cells[part], widths[part], float(noisy), found.sigma, found.block_sigma)
    return np.asarray(out if out.sum() > 0 else np.ones(len(cells)))


def _block(cells: Floats, widths: Floats, noisy: float, sigma: float, block_sigma: float) -> Floats:
    """One block's cells, brought to its best total."""
    size = len(cells)
    own, other = 1.0 / (size * sigma**2), 1.0 / block_sigma**2
    total = max(0.0, (own * cells.sum() + other * noisy) / (own + other))
    even = total * widths / widths.sum()
    spike = cells - even > SPIKE * sigma
    if spike.all():
        return _scaled(cells, total)
    plain = np.where(spike, 0.0, widths)
    left = max(0.0, total - float(cells[spike].sum()))
    even = left * plain / plain.sum()
    apart = np.where(spike, 0.0, cells - even)
    rest = np.maximum(0.0, even + _sure(apart, int((~spike).sum()), sigma) * apart)
    return np.asarray(np.where(spike, cells, _scaled(np.where(spike, 0.0, rest), left)))


def _scaled(values: Floats, total: float) -> Floats:
    whole = float(np.maximum(values, 0.0).sum())
    return np.maximum(values, 0.0) * (total / whole) if whole > 0 else np.zeros(len(values))


def _drawn_together(counts: Floats, sigma: float) -> Floats:
    """Counts of one group drawn towards their mean by as much as noise spreads them, not below a small share of it."""
    mean = max(float(counts.mean()), 1e-9)
    apart = counts - counts.mean()
    return np.asarray(np.maximum(mean + _sure(apart, len(counts), sigma) * apart, 0.05 * mean), np.float64)


def _sure(apart: Floats, among: int, sigma: float) -> float:
    """The share of these distances, of so many noisy counts, that noise alone wouldn't spread (James, Stein)."""
    spread = float((apart**2).sum())
    return max(0.0, 1.0 - among * sigma**2 / spread) if spread > 0 else 0.0


def _heaviest(shares: Floats, least: float, most: int) -> NDArray[np.bool_]:
    order = np.argsort(-shares, kind="stable")[:most]
    heavy = np.zeros(len(shares), bool)
    heavy[order[shares[order] >= least]] = True
    return heavy


def _runs(rest: Floats, heavy: NDArray[np.bool_], bins: int, cuts: Sequence[int]) -> Code:
    """Runs of cells of about equal mass, numbered from 0; a cut begins a new one, and heavy cells belong to none.

    There are at most ``bins``, and one more for each cut: only a run that is full uses up a bin.
    """
    target = float(rest.sum()) / max(1, bins)
    must = set(cuts)
    group, number, used, mass, begun = np.empty(len(rest), np.int64), 0, 1, 0.0, False
    for i, share in enumerate(rest.tolist()):
        full = mass + share / 2.0 > target and used < bins
        if begun and (i in must or (full and not heavy[i])):
            number, used, mass, begun = number + 1, used + (i not in must), 0.0, False
        group[i] = number
        mass += share
        begun = begun or not heavy[i]
    return group


def _numbered(group: Code, weights: Floats, apart: int) -> Merge:
    """Groups numbered by their first fine code; codes that stand apart come last, each alone."""
    first: dict[int, int] = {}
    groups = [first.setdefault(g, len(first)) for g in group.tolist()]
    groups += range(len(first), len(first) + apart)
    weights = np.append(weights, np.ones(apart))
    return Merge(groups=np.array(groups, np.int64), weights=np.asarray(weights, np.float64))
