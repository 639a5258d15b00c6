"""Nearest rows on an accelerator: the distances of the compiled scans, whole numbers and so the same to the last bit.

Asked for by the environment variable ``DPSYNTH_ATTACK_DEVICE``: ``cuda`` (or ``cuda:1``), or ``torch`` for torch on the
CPU. Where it isn't set, or its device or torch isn't there, the compiled scans run. torch is imported where a device
was asked for, and nowhere else.
"""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[Any]

VARIABLE = "DPSYNTH_ATTACK_DEVICE"
ROWS, ENTRIES = 4096, 2**25
"""Records of one step, and pairs of a record and a row of the table at once."""
_FAR = 2**30


def accelerator(asked: str | None = None) -> str | None:
    """The torch device to search on; None where the compiled scans shall run.

    Args:
      asked: As the environment variable; by default what that says.
    """
    wanted = os.environ.get(VARIABLE, "") if asked is None else asked
    if not wanted or find_spec("torch") is None:
        return None
    if wanted == "torch":
        return "cpu"
    import torch

    name, _, number = wanted.partition(":")
    known = name == "cuda" and (not number or number.isdecimal()) and torch.cuda.is_available()
    return wanted if known and int(number or 0) < torch.cuda.device_count() else None


def closest(records: Codes, table: Codes, skip: NDArray[np.int64], *, most: int, device: str) -> NDArray[np.int64]:
    """Columns in which the closest row differs, as :func:`dpsynth.attacks.kernel.kernel` counts them.

    Args:
      records: Codes, shape (columns, rows). Private where they are records: so is what is returned.
      table: Codes of the rows to search, shape (columns, table rows).
      skip: For each record the position of a row that it ignores, or -1.
      most: What is returned where no row is left.
      device: A torch device.
    """
    return closest_mixed(records, _none(records), table, _none(table), skip, unit=1, most=most, device=device)


def closest_mixed(
    labels: Codes,
    places: Codes,
    table_labels: Codes,
    table_places: Codes,
    skip: NDArray[np.int64],
    *,
    unit: int,
    most: int,
    device: str,
) -> NDArray[np.int64]:
    """The smallest mixed distance, as :func:`dpsynth.attacks.kernel.mixed_kernel` counts it.

    Args:
      labels: Categories of the records, shape (columns, rows). Private where they are records.
      places: Places of their other columns on their scales, likewise.
      table_labels: Of the rows to search, shape (columns, table rows).
      table_places: Likewise.
      skip: For each record the position of a row that it ignores, or -1.
      unit: What two categories are apart, and the most that two places are.
      most: What is returned where no row is left.
      device: A torch device.
    """
    import torch

    best = np.full(skip.size, most, dtype=np.int64)
    rows = table_labels.shape[1]
    if rows == 0 or skip.size == 0:
        return best
    wide = torch.int16 if unit * (len(labels) + len(places)) < 2**14 else torch.int32
    searched = [_tensors(part, device) for part in (table_labels, table_places)]
    for low, high in _steps(skip.size, ROWS):
        here = [_tensors(part[:, low:high], device) for part in (labels, places)]
        own = torch.from_numpy(skip[low:high].copy()).to(device)
        found = torch.full((high - low,), most, dtype=torch.int64, device=device)
        for start, end in _steps(rows, max(1, ENTRIES // (high - low))):
            apart = torch.zeros((high - low, end - start), dtype=wide, device=device)
            for value, column in zip(here[0], searched[0], strict=True):
                apart += value[:, None] != column[None, start:end]
            if unit != 1:
                apart *= unit
            for value, column in zip(here[1], searched[1], strict=True):
                apart += (value[:, None] - column[None, start:end]).abs().clamp_(max=unit).to(wide)
            ignored = torch.nonzero((own >= start) & (own < end)).squeeze(1)
            smallest = apart.to(torch.int32) if ignored.numel() else apart
            if ignored.numel():
                smallest[ignored, own[ignored] - start] = _FAR
            found = torch.minimum(found, smallest.amin(dim=1).to(torch.int64))
        best[low:high] = found.cpu().numpy()
    return best


def _none(codes: Codes) -> Codes:
    return codes[:0]


def _tensors(codes: Codes, device: str) -> list[Any]:
    """A tensor of each column, of a signed type that holds its codes and their differences."""
    import torch

    largest = int(codes.max()) if codes.size else 0
    narrow = np.int16 if largest < 2**14 else np.int64
    return [torch.from_numpy(np.ascontiguousarray(column, dtype=narrow)).to(device) for column in codes]


def _steps(whole: int, step: int) -> Iterator[tuple[int, int]]:
    for start in range(0, whole, step):
        yield start, min(start + step, whole)
