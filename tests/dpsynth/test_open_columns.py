"""Open columns in the whole line: labels that enough training people hold, charged as planned, and no others."""

import io
import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accountant.events import PartitionSelection
from accountant.price import Coordinate
from accountant.spend import BOTH_SIDES, Side
from dpsynth import line
from dpsynth.certificate.verify import verify_release
from dpsynth.encode import Encoder
from dpsynth.encode.opened import Interned, candidates, chosen_labels
from dpsynth.errors import ParameterError, SchemaError
from dpsynth.external import ExternalConfig
from dpsynth.fitting import fit, load_model
from dpsynth.line import release
from dpsynth.noise.random import SeededRandom
from dpsynth.plan import make_plan
from dpsynth.records import read_records, split_records
from dpsynth.schema import parse_schema
from dpsynth.selecting import closed_records, plan_selections, select_labels
from dpsynth.tables import open_table
from tests.dpsynth import lines
from tests.hostile.secrets import Secrets, files_leak, listening

OPEN = "job: {kind: open, otherwise: other, categories: [nurse], share: 0.1}"
TEXT = lines.SCHEMA.replace("    columns:\n", f"    columns:\n      {OPEN}\n")
JOBS, RARE = ("baker", "clerk", "driver"), "zqx-astronaut"


def table(rows=3_000, *, rare=3, people=None, seed=0):
    rng = np.random.default_rng(seed)
    jobs = [JOBS[i] for i in rng.integers(0, 3, rows)]
    jobs[:rare] = [f"{RARE}-{i}" for i in range(rare)]
    jobs[rare : rare + 3] = ["", None, "nurse"]
    return lines.table(rows, people=people).add_column(0, "job", pa.array(jobs, pa.large_string()))


def test_the_plan_shows_the_share_and_reserves_the_delta():
    plan = make_plan(lines.schema(TEXT), epsilon=2.0, delta=1e-6)
    (selection,) = plan.selections
    share = plan.share("open columns")
    assert plan.purposes.index("open columns") < plan.purposes.index("synthesizer")
    assert share[Side.HOLDOUT] == 0
    assert share[Side.TRAINING] + plan.synthesizer_amount == plan.gate.training_amount
    assert share[Side.TRAINING] == pytest.approx(0.1 * plan.gate.training_amount, rel=1e-3)
    assert any("labels" in row.meaning for row in plan.lines())
    assert 0 < selection.price.delta <= plan.caps[Side.TRAINING].delta - plan.slack
    assert plan.caps[Side.HOLDOUT].delta < plan.caps[Side.TRAINING].delta <= plan.budget.cap.delta
    ungated = make_plan(lines.schema(TEXT), epsilon=2.0, delta=1e-6, gated=False)
    assert ungated.share("open columns")[Side.HOLDOUT] == ungated.share("open columns")[Side.TRAINING] > 0
    assert "selections" not in make_plan(lines.schema(), epsilon=2.0, delta=1e-6).to_json()


def test_a_release_has_the_labels_that_many_training_people_hold_and_verifies(tmp_path):
    book = lines.ledger(tmp_path)
    declared = lines.schema(TEXT)
    result = release(
        table(), declared, epsilon=2.0, delta=1e-6, ledger=book, out=tmp_path / "out", policy=lines.lenient()
    )
    assert result.verdict == "PASS"
    verified = verify_release(result.out, result.public_key.read_bytes())
    made = pq.read_table(result.out / verified.table)
    assert made.schema.field("job").type == pa.large_string()
    assert set(JOBS) <= set(made["job"].to_pylist()) <= {*JOBS, "nurse", "other"}
    steps = [s for s in verified.dossier.steps if isinstance(s.event, PartitionSelection)]
    assert [(s.label, s.sides) for s in steps] == [("selection: labels of job", (Side.TRAINING,))]
    assert any("open columns" in said for said in verified.dossier.synthesis.preprocessing)
    assert "open: 1 declared labels" in {f.value.partition(",")[0] for f in verified.dossier.data.public_inputs}
    kept = book.release(result.release_id)
    for side in BOTH_SIDES:
        assert kept.totals[side].fits(kept.caps[side])
    assert files_leak([tmp_path], Secrets(tokens=("zqx-",)), but=["out.CONFIDENTIAL-annex"]) == []


def test_labels_are_found_among_training_people_alone(tmp_path, monkeypatch):
    """A label of holdout people alone isn't found, however many they are."""
    split, found = split_records, []

    def sorted_out(records, **how):
        """Everybody with the job of a clerk is held out."""
        split(records, **how)
        codes = np.concatenate([c for c, _ in records.source.blocks()], axis=1)
        held = codes[0] == records.opened["job"].index(b"clerk") + 1
        return records.source.restrict(~held), records.source.restrict(held)

    def select(*given, **how):
        made = select_labels(*given, **how)
        found.append(made.selected)
        return made

    monkeypatch.setattr(line, "split_records", sorted_out)
    monkeypatch.setattr(line, "select_labels", select)
    release(
        table(), lines.schema(TEXT), epsilon=2.0, delta=1e-6, ledger=lines.ledger(tmp_path), out=tmp_path / "out",
        synthesizer="independent",
    )
    assert found == [{"job": ("baker", "driver")}]


def test_too_few_people_find_nothing_and_nothing_is_said_of_it(tmp_path):
    result = release(
        table(12), lines.schema(TEXT), epsilon=2.0, delta=1e-6, ledger=lines.ledger(tmp_path), out=tmp_path / "out"
    )
    assert result.verdict == "UNDECIDABLE"
    dossier = verify_release(result.out, result.public_key.read_bytes()).dossier
    assert not any(isinstance(s.event, PartitionSelection) for s in dossier.steps)
    assert not any("open columns" in said for said in dossier.synthesis.preprocessing)


@pytest.mark.parametrize(
    ("column", "rest"),
    [
        ("{kind: open, otherwise: other, share: 0.1}", "other"),
        ("{kind: open, nullable: true, share: 0.1}", None),
        ("{kind: open, redraw: true, nullable: true, share: 0.1}", "never"),
        ("{kind: open, redraw: true, categories: [nurse], share: 0.1}", "never"),
    ],
)
@pytest.mark.parametrize("kinds", [3, 800])
def test_the_rest_is_what_was_declared_in_a_fit_and_in_its_loaded_model(tmp_path, column, rest, kinds):
    """Also where nothing passes: 800 values of two people each."""
    declared = lines.schema(TEXT.replace(OPEN, f"job: {column}"))
    rng = np.random.default_rng(5)
    jobs = [f"job-{i}" for i in rng.integers(0, kinds, 1_600)]
    jobs[:400] = ["nurse"] * 400
    records = lines.table(1_600).add_column(0, "job", pa.array(jobs))
    book = lines.ledger(tmp_path)
    model = fit(records, declared, epsilon=2.0, delta=1e-6, ledger=book, synthesizer="independent")
    again = load_model(model.save(tmp_path / "model"))
    made = model.sample(400, seed=1)
    assert again.sample(400, seed=1).equals(made)
    assert made.schema.field("job").type == pa.string()
    found = set(made["job"].to_pylist())
    passed = {f"job-{i}" for i in range(3)} if kinds == 3 else set()
    allowed = {*passed, "nurse"} | ({None} if "nullable" in column else set()) | ({rest} - {"never"})
    assert passed <= found <= allowed
    (kept,) = book.releases()
    (step,) = (s for s in kept.steps if isinstance(s.event, PartitionSelection))
    assert set(step.sides) == set(BOTH_SIDES)
    if passed:
        some = model.sample(50, seed=2, where={"job": "job-1"})
        assert set(some["job"].to_pylist()) == {"job-1"}
        assert set(model.sample(50, seed=3, given={"job": "job-2"})["job"].to_pylist()) == {"job-2"}
    with pytest.raises(ParameterError) as refused:
        model.sample(1, where={"job": "job-799"})
    assert "job-799" not in str(refused.value)


def test_no_more_labels_than_declared_and_those_that_most_hold(tmp_path):
    declared = lines.schema(TEXT.replace(OPEN, "job: {kind: open, otherwise: other, most: 2, share: 0.2}"))
    jobs = ["a"] * 900 + ["b"] * 300 + ["c"] * 1_200
    records = lines.table(2_400).add_column(0, "job", pa.array(jobs))
    model = fit(records, declared, epsilon=2.0, delta=1e-6, ledger=lines.ledger(tmp_path), synthesizer="independent")
    assert model.selected == {"job": ("a", "c")}


def coded(records, declared, *, key=b"k" * 32):
    return read_records(
        open_table(records, declared), Encoder.of(declared), unit=declared.table.unit, key=key
    )


PEOPLE = """
name: t
privacy_unit: {column: id, max_rows: 2}
columns: {id: {kind: identifier}, x: {kind: open, otherwise: o}}
"""


@given(st.lists(st.sampled_from(["u", "v", "w"]), min_size=3, max_size=6), st.lists(st.text(max_size=3), max_size=4))
@settings(max_examples=25)
def test_which_rows_of_a_person_stay_depends_on_their_values_alone(own, others):
    """Not on who else was met before: private numbers of values follow the order of the file."""
    declared, kept = parse_schema(PEOPLE), []
    for before in ([], ["w", "v", "u", *others]):
        records = pa.table({"id": [f"p{i}" for i in range(len(before))] + ["me"] * len(own), "x": before + own})
        found = coded(records, declared)
        codes, units = (np.concatenate(part, axis=-1) for part in zip(*found.source.blocks(), strict=True))
        mine = codes[0][units == found.unit_ids.index(b"\1me")]
        kept.append(sorted(found.opened["x"][code - 1] for code in mine))
    assert len(kept[0]) == 2
    assert kept[0] == kept[1]


@given(
    st.lists(st.one_of(st.none(), st.text(max_size=5), st.sampled_from(["a", "nurse", "other", "(never drawn)", "="]))),
    st.sampled_from(["otherwise: other", "nullable: true", "redraw: true, categories: [nurse]"]),
)
@settings(max_examples=100)
def test_any_values_are_coded_within_what_was_declared_or_found(values, rest):
    declared = parse_schema("{name: t, columns: {x: {kind: open, REST}}}".replace("REST", rest))
    found = coded(pa.table({"x": pa.array(values, pa.string())}), declared)
    encoder = Encoder.of(declared, {"x": ("a", "b")})
    closed = closed_records(found.source, encoder, found.opened)
    codes = np.concatenate([c for c, _ in closed.blocks()] or [np.zeros((1, 0), np.uint8)], axis=1)
    made = encoder.decode(codes, np.random.default_rng(0))["x"].to_pylist()
    known = {"a", "b"} | ({"nurse"} if "nurse" in rest else set())
    left = {"otherwise: other": "other", "nullable: true": None}.get(rest, "(never drawn)")
    assert made == [value if value in known else left for value in values]
    _, good = encoder.decode_allowed(codes, np.random.default_rng(0))
    assert good.tolist() == [value != "(never drawn)" for value in made]


@pytest.mark.parametrize(
    "stored", [pa.string(), pa.large_string(), pa.int32(), pa.float64(), pa.dictionary(pa.int32(), pa.string())]
)
def test_stored_types_are_numbered_alike(stored):
    values = pa.array(["7", "12", None, "7"]).cast(stored.value_type if pa.types.is_dictionary(stored) else stored)
    values = values.dictionary_encode() if pa.types.is_dictionary(stored) else values
    interned = Interned()
    assert interned.codes(values).tolist() == [1, 2, 0, 1]
    assert interned.values == (b"7", b"12")


SPELLED = ["1", "1.0", "2.50", "2.5", "007", "1e+17", "1E+2", "-0.0", "99.00", "true"]


@pytest.mark.parametrize("stored", ["text", "dictionary", "csv"])
def test_labels_of_text_keep_their_bytes(tmp_path, stored):
    """Stored as text, neither a declared label nor one that is found out is written in another way."""
    declared = parse_schema('{name: t, columns: {x: {kind: open, otherwise: o, categories: ["1.0"]}}}')
    records = pa.table({"x": SPELLED})
    if stored == "dictionary":
        records = pa.table({"x": records["x"].combine_chunks().dictionary_encode()})
    if stored == "csv":
        (tmp_path / "t.csv").write_text("\n".join(["x", *SPELLED, ""]))
        records = tmp_path / "t.csv"
    found = coded(records, declared)
    assert [value.decode() for value in found.opened["x"]] == SPELLED
    encoder = Encoder.of(declared, {"x": tuple(sorted(set(SPELLED) - {"1.0"}))})
    (block, _), = closed_records(found.source, encoder, found.opened).blocks()
    assert encoder.decode(block, np.random.default_rng(0))["x"].to_pylist() == SPELLED


@pytest.mark.parametrize(
    ("values", "intruder"),
    [
        (["1.0", "1", "1.0"], 3), ([1, 1, 1], None), ([1, 1, 1], "x"), ([1.0, 1.0, 1.0], "x"), ([1.0, 1, 1.0], None),
    ],
)
def test_a_declared_number_is_found_in_a_dataframe_whatever_its_type(values, intruder):
    """A reader infers types there: a whole number is one label, the declared one where there is one."""
    declared = parse_schema('{name: t, columns: {x: {kind: open, nullable: true, categories: ["1.0"]}}}')
    for more in ([], [intruder]):
        found = coded(pd.DataFrame({"x": pd.Series(values + more)}), declared)
        encoder = Encoder.of(declared, {"x": ()})
        (block, _), = closed_records(found.source, encoder, found.opened).blocks()
        made = encoder.decode(block, np.random.default_rng(0))["x"].to_pylist()
        assert made == ["1.0"] * 3 + [None] * len(more)
        asked = candidates(declared.table.columns["x"], found.opened["x"])
        assert [v for v, a in zip((b"", *found.opened["x"]), asked, strict=True) if a] in ([], [b"x"], [b"3"])


@pytest.mark.parametrize("value", [1, 1.0, "1.0", "1", True, 2.5, 10**17])
def test_no_record_decides_the_value_of_another_in_a_dataframe(value):
    """Nor do all others decide by which type, text or number, pandas infers of a file that spells them."""
    declared = parse_schema("{name: t, columns: {x: {kind: open, otherwise: o}}}")
    alone = coded(pd.DataFrame({"x": [value] * 3}), declared).opened["x"]
    for intruder in (None, "x", 7, 7.5, float("nan"), 1j):
        found = coded(pd.DataFrame({"x": pd.Series([value] * 3 + [intruder])}), declared)
        assert found.opened["x"][:1] == alone, repr(intruder)
    as_read = [pd.read_csv(io.StringIO("\n".join(["x", str(value), *more]))) for more in ([], ["y"])]
    assert [coded(frame, declared).opened["x"][:1] for frame in as_read] in ([alone] * 2, [(b"true",), (b"True",)])


CODED = ["99", "99.0", "99.00", "99.5", "-1", "-1.0", 99, 99.0, -1, None, "NA", "a", "(never drawn)", "other"]


@given(st.lists(st.sampled_from(CODED), min_size=1, max_size=8), st.booleans())
@settings(max_examples=60, deadline=None)
def test_no_label_that_passes_is_a_code_of_null_however_it_is_spelled(values, frame):
    """Whatever passes can be declared; an error after the data was opened would tell of it."""
    text = '{name: t, columns: {x: {kind: open, nullable: true, nulls: ["99", "-1.0", "NA"], categories: [a], REST}}}'
    declared = parse_schema(text.replace("REST", "otherwise: other"))
    column = declared.table.columns["x"]
    records = pd.DataFrame({"x": pd.Series(values)}) if frame else pa.table({"x": [v and str(v) for v in values]})
    found = coded(records, declared)
    asked = candidates(column, found.opened["x"])
    passed = dict.fromkeys(np.flatnonzero(asked).tolist(), 9)
    encoder = Encoder.of(declared, {"x": chosen_labels(column, found.opened["x"], passed)})
    (block, _), = closed_records(found.source, encoder, found.opened).blocks()
    made = encoder.decode(block, np.random.default_rng(0))["x"].to_pylist()
    never = ["99.00"] if frame else []
    for value, written in zip(values, made, strict=True):
        if str(value) in ("99", "99.0", "-1", "-1.0", "NA", "None", *never):
            assert written is None
        elif value != "(never drawn)":
            assert written == value


def test_people_are_counted_not_rows_and_hold_as_many_labels_as_rows():
    """A person with many rows of one value counts once; a person of two rows holds at most two values."""
    declared = parse_schema(PEOPLE)
    records = pa.table({"id": ["a", "a", "b", "c", "c"], "x": ["u", "u", "u", "u", "v"]})
    found = coded(records, declared)
    seen = {}

    class Random(SeededRandom):
        def draw(self, made, size):
            seen["draws"] = size
            return super().draw(made, size)

    class Spend:
        def charge(self, steps):
            (seen["step"],) = steps

    plan = make_plan(
        parse_schema(PEOPLE.replace("name: t", "name: t\nrows_magnitude: 5")), epsilon=1.0, delta=1e-6, gated=False
    )
    select_labels(
        Encoder.of(declared), found.source, found.opened, plan.selections, spend=Spend(), random=Random(1)
    )
    assert seen["draws"] == 2
    assert seen["step"].event.labels_per_unit == 2


@pytest.mark.parametrize("synthesizer", ["ar", "ar-gan", "gan", "vae"])
def test_trained_synthesizers_are_refused_in_the_plan(synthesizer):
    with pytest.raises(ParameterError, match="fixed plan"):
        make_plan(lines.schema(TEXT), epsilon=1.0, delta=1e-6, synthesizer=synthesizer)


def test_an_outside_command_may_have_open_columns_whose_rest_has_a_label():
    outside = ExternalConfig(command=("true", "{train}", "{out}"), claim_epsilon=0.1, claim_delta=1e-12)
    plan = make_plan(lines.schema(TEXT), epsilon=2.0, delta=1e-6, synthesizer=outside)
    assert plan.caps[Side.TRAINING].delta <= plan.budget.cap.delta
    with pytest.raises(ParameterError, match="outside synthesizer"):
        make_plan(lines.schema(TEXT.replace("otherwise: other", "redraw: true")), epsilon=2.0, delta=1e-6,
                  synthesizer=outside)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("share: 0.1", "share: 0.4"),
        ("otherwise: other", "nullable: false"),
        ("otherwise: other", "otherwise: other, redraw: true"),
        ("otherwise: other", 'otherwise: "(never drawn)"'),
        ("categories: [nurse]", "categories: [nurse, nurse]"),
        ("otherwise: other, categories: [nurse]", "redraw: true"),
        ("share: 0.1", "most: 0"),
    ],
)
def test_declarations_that_cant_be_kept_are_refused(change, why):
    with pytest.raises(SchemaError):
        lines.schema(TEXT.replace(change, why))


def test_budgets_that_cant_find_labels_are_refused_in_the_plan():
    with pytest.raises(ParameterError, match="sigma"):
        make_plan(lines.schema(TEXT.replace("share: 0.1", "share: 1e-10")), epsilon=0.1, delta=1e-6)
    with pytest.raises(ParameterError, match="too little"):
        plan_selections(lines.schema(TEXT).table, amount=2**40, delta=0, coordinate=Coordinate.GDP)
    several = "\n".join(f"      c{i}: {{kind: open, otherwise: o, share: 0.2}}" for i in range(3))
    with pytest.raises(ParameterError, match="half"):
        make_plan(lines.schema(TEXT.replace(f"      {OPEN}", several)), epsilon=1.0, delta=1e-6)


def test_an_encoder_that_knows_no_labels_refuses_values():
    with pytest.raises(ParameterError, match="no codes yet"):
        Encoder.of(lines.schema(TEXT)).encode_arrow(table(5, rare=0))


def test_values_that_dont_pass_appear_nowhere():
    secrets = Secrets(tokens=("zqx-",))
    with tempfile.TemporaryDirectory() as place, listening() as heard:
        folder = Path(place)
        declared = lines.schema(TEXT)
        book = lines.ledger(folder, epsilon=8.0)
        rare = table(rare=40)
        asked = {"epsilon": 2.0, "delta": 1e-6, "ledger": book, "progress": heard}
        model = fit(rare, declared, synthesizer="independent", **asked)
        model.save(folder / "saved.model")
        found = coded(rare, declared)
        heard.add_repr(model, found, found.source, Interned(), *book.releases(), model.encoder)
        heard.add("ledger", json.dumps(book.all_entries()))
        heard.add("sample", model.sample(3_000).to_pylist())
        assert heard.leaks(secrets) == []
        assert files_leak([folder], secrets) == []
