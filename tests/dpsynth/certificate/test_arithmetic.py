"""What is worked out again, each check alone: other checks of a whole release may see the same lie first."""

from dataclasses import replace

import pytest

from accountant.compose import larger_side, totals
from accountant.price import Coordinate, Price
from accountant.report import plain_reading
from dpsynth.certificate.arithmetic import check_claim
from dpsynth.certificate.claim import release_epsilon, release_price
from dpsynth.certificate.errors import VerificationFailed
from tests.dpsynth.certificate.dossiers import some_dossier, some_steps


def test_an_honest_claim_is_worked_out() -> None:
    assert "charged steps" in check_claim(some_dossier())


def test_a_step_without_a_paying_side_is_no_charge() -> None:
    free = tuple(replace(step, sides=()) for step in some_steps()[:1])
    with pytest.raises(VerificationFailed, match="names no side"):
        check_claim(some_dossier((*free, *some_steps()[1:])))


def test_a_smaller_epsilon_with_its_own_reading_is_too_small() -> None:
    """Consistent in itself: only working the steps out again tells it from an honest one."""
    claim = some_dossier().claim
    epsilon = claim.epsilon * 0.999
    lie = replace(claim, epsilon=epsilon, reading=plain_reading(epsilon=epsilon, delta=claim.delta))
    with pytest.raises(VerificationFailed, match="smaller than the steps imply"):
        check_claim(replace(some_dossier(), claim=lie))


@pytest.mark.parametrize("coordinate", list(Coordinate))
def test_an_adaptive_run_costs_its_cap_whatever_it_spent(coordinate: Coordinate) -> None:
    steps, spent = some_steps(), larger_side(totals(some_steps(), coordinate))
    cap = Price(2 * spent.amount, spent.delta + 1)
    assert release_price(steps, coordinate=coordinate, cap=cap, adaptive=True) == cap
    assert release_price(steps, coordinate=coordinate, cap=cap, adaptive=False) == spent
    stated = [
        release_epsilon(steps, coordinate=coordinate, delta=1e-6, cap=cap, adaptive=adaptive)
        for adaptive in (False, True)
    ]
    assert stated[0] < stated[1]
