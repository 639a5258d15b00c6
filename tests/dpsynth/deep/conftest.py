"""The room's tests need torch; where it is absent those that do are skipped, loudly."""

import functools
from importlib.util import find_spec
from pathlib import Path

import pytest

from dpsynth.deep import plan as plans
from dpsynth.deep.plan import plan_event

NEEDS_NO_TORCH = {"test_plan.py", "test_extra.py"}


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out the modules that import torch, where there is none; the report says so."""
    needs = collection_path.name.startswith("test_") and collection_path.name not in NEEDS_NO_TORCH
    return True if needs and find_spec("torch") is None else None


@pytest.fixture(autouse=True)
def one_thread():
    """Tests share two cores; torch's threads are set back afterwards."""
    if find_spec("torch") is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


PRICED = functools.cache(plan_event)


@pytest.fixture(autouse=True)
def priced_once(monkeypatch):
    """The same plan costs the same: each is priced once, not once a test."""
    monkeypatch.setattr(plans, "plan_event", PRICED)
