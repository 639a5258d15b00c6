"""Policies: shipped profiles, exact hashes, refusals."""

import dataclasses
from fractions import Fraction

import pytest

from dpsynth import line
from dpsynth.attacks import features, likelihood
from dpsynth.attacks.guessing import IMPROBABLE
from dpsynth.attacks.layout import UNIT
from dpsynth.attacks.nearest import LEAVE_ONE_OUT_ROWS
from dpsynth.errors import GateRefused
from dpsynth.gate import battery as battery_module
from dpsynth.gate import load_policy, policy_from_json
from dpsynth.gate.policy import PROFILES, REFERENCE, STATISTICS
from dpsynth.gate.reference import MOST_CLIQUES
from tests.dpsynth.gate.helpers import policy


@pytest.mark.parametrize("name", PROFILES)
def test_profiles_survive_their_own_json(name):
    found = load_policy(name)
    assert found.name == name
    assert policy_from_json(found.to_json()) == found
    assert len(found.sha256) == 64
    assert sum(a.alpha for a in found.attacks) <= Fraction(12, 1000)


CONSTANTS = {
    "closeness-3": {
        "ONE": 65536,
        "RARE": "1/10",
        "grades": [0, 8192, 40960, 65536],
        "UNIT": 64,
        "mixed step": 16,
        "rows left out one by one": 5000,
        "strangers": 5000,
        "improbable": 2000,
        "likelihood": {"STEP": 65536, "MOST": 262144, "spreads": 4, "cliques": 64, "reference": "1/2"},
    }
}
"""What the statistics use beside the policy, by the name that is hashed with it: other constants need another name."""
HASHES = {
    "standard": "57e638fb4b92063e8a1f72ebae941bb0a0aa23b88eed06f841e536e24b6382bf",
    "strict-health": "f735144a82e376b94198b0b88d6fb9d60874a5b6470b282d6406c6d21528de24",
    "research": "151f2220c572894a5527544f9d1b6690296c3b4f8473695a4034615da5e4aa93",
    "research-likelihood": "803c23a79cd9b4547c94bbb473f7ad21abca5bb8152fc59d618091d951e178b5",
}


def test_every_constant_of_the_statistics_is_bound_to_their_name():
    used = {
        "ONE": features.ONE,
        "RARE": str(Fraction(str(features.RARE))),
        "grades": features._GRADES.tolist(),
        "UNIT": UNIT,
        "mixed step": battery_module._MIXED_STEP,
        "rows left out one by one": LEAVE_ONE_OUT_ROWS,
        "strangers": line.STRANGERS,
        "improbable": IMPROBABLE,
        "likelihood": {
            "STEP": likelihood.STEP,
            "MOST": likelihood.MOST,
            "spreads": likelihood._SPREADS,
            "cliques": MOST_CLIQUES,
            "reference": str(REFERENCE),
        },
    }
    assert used == CONSTANTS[STATISTICS]


@pytest.mark.parametrize("name", PROFILES)
def test_shipped_profiles_keep_their_hash(name):
    assert load_policy(name).sha256 == HASHES[name]


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
