"""Without torch the refusal names the line that installs it, and nothing but training loads torch."""

import pytest

from dpsynth.deep import extra
from dpsynth.errors import MissingExtra
from tests.contracts.test_imports import loaded


def test_without_torch_the_refusal_gives_the_install_line(monkeypatch):
    monkeypatch.setattr(extra, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'dpsynth\[gan\]'") as refused:
        extra.require_torch()
    assert all(part.endswith(".") for part in (refused.value.what, refused.value.why, refused.value.next_step))


def test_with_torch_nothing_is_refused_or_loaded(monkeypatch):
    monkeypatch.setattr(extra, "find_spec", lambda name: object())
    extra.require_torch()


def test_plans_and_settings_load_no_torch():
    assert "torch" not in loaded("import dpsynth.deep, dpsynth.deep.plan, dpsynth.deep.extra")
