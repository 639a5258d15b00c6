"""What is worked out again, each check alone: other checks of a whole release may see the same lie first."""

from dataclasses import replace

import pytest

from dpsynth.certificate.arithmetic import check_claim
from dpsynth.certificate.errors import VerificationFailed
from tests.dpsynth.certificate.dossiers import some_dossier, some_steps


def test_an_honest_claim_is_worked_out() -> None:
    assert "charged steps" in check_claim(some_dossier())


def test_a_step_without_a_paying_side_is_no_charge() -> None:
    free = tuple(replace(step, sides=()) for step in some_steps()[:1])
    with pytest.raises(VerificationFailed, match="names no side"):
        check_claim(some_dossier((*free, *some_steps()[1:])))
