"""Ungated fits: charged like everything else, labelled, saved without pickles."""

import zipfile

import pytest

from accountant.errors import BudgetExceeded
from accountant.spend import Side
from dpsynth.errors import ParameterError, TableError
from dpsynth.fitting import fit, load_model
from tests.dpsynth import lines


def run(book, **changes):
    return fit(lines.table(), lines.schema(), **({"epsilon": 1.0, "delta": 1e-6, "ledger": book} | changes))


def test_a_fit_charges_both_sides_and_two_fits_charge_twice(tmp_path):
    book = lines.ledger(tmp_path, epsilon=1.4, delta=1e-5)
    run(book)
    once = book.spent()
    (kept,) = book.releases()
    assert kept.totals[Side.TRAINING] == kept.totals[Side.HOLDOUT]
    run(book)
    assert book.spent().amount == pytest.approx(2 * once.amount, rel=1e-6)
    with pytest.raises(BudgetExceeded):
        run(book)


def test_samples_are_labelled_and_in_the_domain(tmp_path):
    model = run(lines.ledger(tmp_path))
    made = model.sample(500, seed=1)
    assert made.num_rows == 500
    assert b"NOT RELEASED" in made.schema.metadata[b"dpsynth"]
    assert made.equals(model.sample(500, seed=1))
    assert not made.equals(model.sample(500))
    assert model.sample(0).num_rows == 0
    with pytest.raises(ParameterError):
        model.sample(-1)


def test_samples_under_a_condition_have_the_declared_values(tmp_path):
    model = run(lines.ledger(tmp_path))
    made = model.sample(100, seed=1, given={"ward": "south", "smoker": None})
    assert set(made["ward"].to_pylist()) == {"south"}
    assert set(made["smoker"].to_pylist()) == {None}
    assert made.equals(model.sample(100, seed=1, given={"ward": "south", "smoker": None}))
    for given in ({"ward": "centre"}, {"age": 120}, {"ward": None}, {"nothing": 1}):
        with pytest.raises(ParameterError, match="declaration doesn't have"):
            model.sample(5, given=given)


def test_a_saved_model_samples_the_same_and_a_changed_one_is_refused(tmp_path):
    model = run(lines.ledger(tmp_path))
    path = model.save(tmp_path / "wards.model")
    again = load_model(path)
    assert again.sample(200, seed=3).equals(model.sample(200, seed=3))
    assert (again.epsilon, again.delta, again.release_id) == (model.epsilon, model.delta, model.release_id)
    with zipfile.ZipFile(path) as bundle:
        assert set(bundle.namelist()) == {"model.json", "arrays.npz"}
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    (tmp_path / "changed.model").write_bytes(bytes(raw))
    with pytest.raises(TableError):
        load_model(tmp_path / "changed.model")
    with pytest.raises(TableError):
        load_model(tmp_path / "missing.model")


def test_a_seeded_fit_says_not_private(tmp_path):
    book = lines.ledger(tmp_path)
    model = run(book, test_seed=1)
    assert b"NOT PRIVATE" in model.sample(5).schema.metadata[b"dpsynth"]
    saved = load_model(model.save(tmp_path / "wards.model"))
    assert "NOT PRIVATE" in saved.label
    assert "NOT PRIVATE" in book.release(model.release_id).plan["output"]
    run(book)
    assert "NOT PRIVATE" not in book.releases()[1].plan["output"]


def test_a_saved_model_is_closed_to_others(tmp_path):
    path = run(lines.ledger(tmp_path)).save(tmp_path / "wards.model")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_used_key_is_refused_not_charged_twice(tmp_path):
    book = lines.ledger(tmp_path)
    run(book, idempotency_key="k")
    spent = book.spent()
    with pytest.raises(ParameterError):
        run(book, idempotency_key="k")
    assert book.spent() == spent
