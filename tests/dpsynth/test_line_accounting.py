"""In which order the line does what, and where its numbers come from: seams between rooms that each test alone."""



import pytest

from accountant import faults
from accountant.ledger import State
from dpsynth import line
from dpsynth.errors import OutputError
from dpsynth.external import ExternalConfig
from dpsynth.gate import load_policy
from dpsynth.noise.random import SystemRandom
from tests.dpsynth import lines

SHARE = load_policy("standard").holdout_share


@pytest.fixture
def seen(monkeypatch):
    """What passes the seams of the line, by name, in order: arguments of the call and what it returned."""
    found = {}

    def note(name):
        real = getattr(line, name)

        def noted(*given, **named):
            result = real(*given, **named)
            found.setdefault(name, (given, named, result))
            return result

        monkeypatch.setattr(line, name, noted)

    for name in ("split_records", "measure_totals", "sample_apart", "fit_model"):
        note(name)
    return found


def run(tmp_path, book, **changes):
    arguments = {"epsilon": 2.0, "delta": 1e-6, "ledger": book, "out": tmp_path / "out", "synthesizer": "independent"}
    return line.release(lines.table(), lines.schema(), **arguments | {"policy": lines.lenient()} | changes)


def rows_of(source):
    return sum(codes.shape[1] for codes, _ in source.blocks())


def test_records_are_read_only_after_the_ledger_says_touched(tmp_path, monkeypatch):
    book, states, read = lines.ledger(tmp_path), [], line.read_records

    def noted(*given, **named):
        states.extend(kept.state for kept in book.releases())
        return read(*given, **named)

    monkeypatch.setattr(line, "read_records", noted)
    run(tmp_path, book)
    assert states == [State.TOUCHED]


def test_the_table_has_as_many_rows_as_the_model_says(tmp_path, seen):
    """The model's total is an accounted output; the number of records that was read is not."""
    run(tmp_path, lines.ledger(tmp_path))
    (model, rows, _), _, _ = seen["sample_apart"]
    assert rows == max(1, round(model.total / (1 - SHARE)))


def test_the_gate_is_told_of_strangers_that_the_model_made_apart_from_the_table(tmp_path, seen, monkeypatch):
    """Rows placed to match a model keep clear of each other: among themselves strangers would look too rare."""
    told, gate = [], line.run_gate

    def noted(training, holdout, synthetic, **named):
        told.append((synthetic, named["reference"]))
        return gate(training, holdout, synthetic, **named)

    monkeypatch.setattr(line, "run_gate", noted)
    result = run(tmp_path, lines.ledger(tmp_path), rows=77, synthesizer="mst")
    ((synthetic, strangers),) = told
    assert synthetic.shape[1] == 77
    assert strangers.shape == (4, line.STRANGERS)
    assert result.verdict == "PASS"


def test_the_synthesizer_sees_training_people_alone(tmp_path, seen):
    run(tmp_path, lines.ledger(tmp_path))
    training, holdout = seen["split_records"][2]
    assert seen["fit_model"][0][0] is training
    assert rows_of(training) + rows_of(holdout) == lines.table().num_rows > rows_of(training)


def test_an_outside_tool_gets_training_rows_and_a_noisy_number(tmp_path, seen, monkeypatch):
    told = {}

    def outside(config, **named):
        told.update(named)
        return named["records"][:, :5]

    monkeypatch.setattr(line, "run_external", outside)
    config = ExternalConfig(command=("true", "{train}", "{out}"), claim_epsilon=0.2, claim_delta=1e-9)
    run(tmp_path, lines.ledger(tmp_path), synthesizer=config)
    training, _ = seen["split_records"][2]
    totals = seen["measure_totals"][2]
    assert told["records"].shape[1] == rows_of(training)
    assert told["rows"] == max(1, round(totals.training / (1 - SHARE)))


def test_the_ledger_commits_what_is_stored_already(tmp_path, monkeypatch):
    """Else a crash between the two would leave a release that the ledger calls whole and that isn't there."""
    book, found = lines.ledger(tmp_path), []

    def look(name):
        if name == "commit.before":
            (kept,) = book.releases()
            found.append((kept.state, (book.folder(kept.release_id) / "certificate.json").is_file()))

    monkeypatch.setattr(faults, "hook", look)
    run(tmp_path, book)
    assert found == [(State.TOUCHED, True)]


def test_a_run_without_a_seed_is_private(tmp_path, seen):
    run(tmp_path, lines.ledger(tmp_path))
    assert isinstance(seen["measure_totals"][1]["random"], SystemRandom)
    assert seen["fit_model"][1]["random"] is seen["measure_totals"][1]["random"]


def test_only_what_the_ledger_recorded_is_published(tmp_path):
    stored = run(tmp_path, lines.ledger(tmp_path), publish=False).out
    (table,) = stored.glob("SYNTHETIC-*")
    table.chmod(0o600)
    table.write_bytes(table.read_bytes() + b" ")
    with pytest.raises(OutputError, match="can't be published"):
        line.publish_staged(stored, tmp_path / "out")
    assert not (tmp_path / "out").exists()
