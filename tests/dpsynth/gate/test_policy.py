"""Policies: shipped profiles, exact hashes, refusals."""

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
    assert sum(a.alpha for a in found.attacks) <= Fraction(5, 1000)


def test_profiles_differ_and_any_number_changes_the_hash():
    hashes = {load_policy(name).sha256 for name in PROFILES}
    hashes |= {policy(**change).sha256 for change in ({"gate_mu": Fraction(1, 21)}, {"grid": 31}, {"smallest_side": 7})}
    assert len(hashes) == len(PROFILES) + 3


@pytest.mark.parametrize(
    "change",
    [
        {"retries": 1},
        {"holdout_share": Fraction(6, 10)},
        {"gate_mu": Fraction(0)},
        {"attacks": ()},
        {"attacks": load_policy().attacks[1:3]},
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
