"""Policies: shipped profiles, exact hashes, refusals."""

import dataclasses
from fractions import Fraction

import pytest

from dpsynth.errors import GateRefused
from dpsynth.gate import load_policy, policy_from_json
from dpsynth.gate.policy import PROFILES
from tests.dpsynth.gate.helpers import policy


@pytest.mark.parametrize("name", PROFILES)
def test_profiles_survive_their_own_json(name):
    found = load_policy(name)
    assert found.name == name
    assert policy_from_json(found.to_json()) == found
    assert len(found.sha256) == 64
    assert sum(a.alpha for a in found.attacks) <= Fraction(12, 1000)


def test_profiles_differ_and_any_number_changes_the_hash():
    hashes = {load_policy(name).sha256 for name in PROFILES}
    hashes |= {policy(**change).sha256 for change in ({"gate_mu": Fraction(1, 21)}, {"grid": 31}, {"smallest_side": 7})}
    assert len(hashes) == len(PROFILES) + 3


@pytest.mark.parametrize(
    "change",
    [
        {"retries": 10},
        {"holdout_share": Fraction(6, 10)},
        {"gate_mu": Fraction(0)},
        {"attacks": ()},
        {"attacks": load_policy().attacks[1:3] + load_policy().attacks[5:8]},
        {"attacks": load_policy().attacks + load_policy().attacks[:1]},
        {"noise_alpha": Fraction(1)},
    ],
)
def test_what_cannot_be_carried_out_is_refused(change):
    with pytest.raises(GateRefused):
        policy(**change)


@pytest.mark.parametrize("text", ["", "- 1", "version: 2", "version: 1\nname: x", "version: [", "\x00"])
def test_files_that_are_no_policy_are_refused(tmp_path, text):
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(GateRefused):
        load_policy(path)
    with pytest.raises(GateRefused):
        load_policy(tmp_path / "absent.yaml")


def test_fractional_integers_and_unknown_keys_are_refused():
    body = load_policy().to_json()
    for bad in (body | {"grid": "1.5"}, body | {"extra": 1}, {k: v for k, v in body.items() if k != "grid"}):
        with pytest.raises(GateRefused):
            policy_from_json(bad)


def battery(**changes):
    """The battery with its first attack changed."""
    first, *rest = policy().attacks
    return {"attacks": (dataclasses.replace(first, **changes), *rest)}


@pytest.mark.parametrize(
    "change",
    [
        {"holdout_share": Fraction(1, 2)},
        {"holdout_share": Fraction(1, 1000)},
        {"gate_mu": Fraction(1, 1000)},
        {"grid": 1},
        {"smallest_side": 1},
        {"noise_alpha": Fraction(1, 1000)},
        {"tolerable_leak": Fraction(999, 1000)},
        {"detection": Fraction(999, 1000)},
        battery(weight=Fraction(1)),
        battery(weight=Fraction(1, 1000)),
        battery(distances=(0,)),
        battery(alpha=Fraction(1, 1000)),
        {"attacks": policy().attacks[:1]},
        {"attacks": policy().attacks[3:4]},
        {"attacks": policy().attacks[8:9]},
        {"rate_factor": Fraction(1)},
        {"rate_floor": Fraction(1, 10**6)},
        {"retries": 9},
    ],
)
def test_the_last_allowed_values_are_allowed(change):
    assert policy_from_json(policy(**change).to_json()) == policy(**change)


@pytest.mark.parametrize(
    "change",
    [
        {"retries": -1},
        {"holdout_share": Fraction(0)},
        {"holdout_share": Fraction(501, 1000)},
        {"gate_mu": Fraction(-1)},
        {"grid": 0},
        {"smallest_side": 0},
        {"noise_alpha": Fraction(0)},
        {"tolerable_leak": Fraction(0)},
        {"tolerable_leak": Fraction(1)},
        {"detection": Fraction(0)},
        {"detection": Fraction(1)},
        {"rate_factor": Fraction(99, 100)},
        {"rate_floor": Fraction(0)},
        battery(weight=Fraction(0)),
        battery(weight=Fraction(1001, 1000)),
        battery(distances=(0, -1)),
        battery(alpha=Fraction(0)),
        battery(alpha=Fraction(1)),
        battery(distances=(1,)) | {"attacks": battery(distances=(1,))["attacks"][:1]},
    ],
)
def test_the_first_values_out_of_range_are_refused(change):
    with pytest.raises(GateRefused, match="can't be used"):
        policy(**change)


def test_another_version_or_statistic_is_refused():
    body = load_policy().to_json()
    for bad in (body | {"version": 2}, body | {"version": 0}, body | {"statistics": "closeness-0"}):
        with pytest.raises(GateRefused, match="isn't one of this version"):
            policy_from_json(bad)
    assert policy_from_json({k: v for k, v in body.items() if k != "statistics"}) == load_policy()


def test_unknown_and_missing_keys_of_an_attack_are_refused():
    body = load_policy().to_json()
    first = body["attacks"][0]
    for bad in (first | {"extra": 1}, {k: v for k, v in first.items() if k != "alpha"}):
        with pytest.raises(GateRefused):
            policy_from_json(body | {"attacks": [bad]})
