"""What a release states of itself: the dossier, put together from the plan, the ledger and accounted outputs."""

import datetime
import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

from accountant.compose import larger_side
from accountant.events import Event, PartitionSelection
from accountant.ledger.replay import VerifiedRelease
from accountant.price import Price
from accountant.spend import Side
from dpsynth.certificate.claim import state_claim
from dpsynth.certificate.dossier import (
    Artefact,
    Data,
    Dossier,
    Fact,
    GateFacts,
    LedgerState,
    Marginal,
    Plan,
    Process,
    Share,
    Synthesis,
)
from dpsynth.certificate.partly import AS_MANY, COUNTED, KEPT, private_columns, unprotected_in_words
from dpsynth.certificate.planned import (
    ENCODING_STEP,
    LEARNED_ENCODING,
    REFERENCE_SPLIT,
    SELECTED_LABELS,
    attempts_in_words,
    output_in_words,
    settings_as_facts,
)
from dpsynth.domain import Domain
from dpsynth.external import ExternalConfig
from dpsynth.gate import GateResult, Policy, Verdict
from dpsynth.measurement import Measurement
from dpsynth.noise.tables import PRECISION
from dpsynth.plan import ReleasePlan
from dpsynth.schema import Column, Open, TableSchema
from dpsynth.schema.columns import Constant
from dpsynth.schema.generated import Computation
from dpsynth.tables import Format

SAMPLER = (
    f"exact integer noise: discrete Gaussian and selection by inversion of a cumulative table of {PRECISION} bits, on "
    "integers"
)
TRAINING_SAMPLER = (
    "; in training, batches of exact independent coins, and normal noise of float64 from the same source, added to "
    "float sums that are rounded to a public grid"
)
SLACK_PER_DRAW = 2.0**-127
RANDOM_SOURCE = "AES-256-CTR, keyed by the operating system for this run; no seed exists"
OUTSIDE_SOURCE = "; the outside synthesizer's are its own"
SEEDED_SOURCE = "AES-256-CTR from a seed: a test run that protects nobody"
TRUST_MODEL = (
    "Central model: whoever runs the release sees the records, holds the ledger and its keys, and is trusted to run "
    "this software unchanged; readers of the release are trusted with nothing."
)
NOT_COVERED = (
    "The operator's own checks (dpsynth check), the confidential annex, and decisions informed by either.",
    "Releases of the same people that another ledger or another tool accounts for.",
    "How long the run took, and what the machine shows to others while it runs.",
    "Anything that is declared in the schema: it is taken as public.",
)
_SOFTWARE = ("dpsynth", "numpy", "scipy", "pyarrow", "cryptography", "numba")
_BOUND_BY_ROW = "each record is a unit of its own"
_BOUND_BY_ID = (
    "the source keeps at most {rows} rows of each id, chosen by a secret keyed function of id and rank; "
    "rows without an id are left out"
)
_BOUND_BY_CODES = (
    "; of rows of an id with the same codes of {columns} it keeps one, by the same function, so that one unit moves "
    "marginals by at most, in rows (L2): {moves}"
)
_LINES = (
    "; in CSV a record is one physical line; lines with unbalanced quotes or another number of fields are no records"
)
_STORED = {
    Format.PARQUET: Fact(
        name="storage types", value="the columns' types in the file are taken as public", source="the file's schema"
    ),
    Format.ARROW: Fact(
        name="storage types", value="the columns' types in the table are taken as public", source="the table's schema"
    ),
    Format.PANDAS: Fact(
        name="storage types",
        value="dtypes that no inference from values gives are taken as public; others are as declared",
        source="the DataFrame's dtypes",
    ),
}
"""What a table of each format says of itself by its form, beside its declaration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Public facts of one run, all of them declared or accounted.

    Attributes:
      plan: What was planned.
      plan_sha256: Its hash, as the ledger has it.
      table: The declaration of the table.
      form: What the table was given as.
      policy: The gate's policy.
      domain: The public domain.
      outcome: What the gate said.
      measurements: What was measured.
      rows: Rows of the synthetic table.
      commitment: To the data.
      private: False for a seeded test run.
      ledger: Public name of the ledger.
      budget: The scope's budget.
      kept: The ledger's record of this release up to its last charge.
      other_runs: Earlier charged runs that published nothing.
      policy_file_sha256: Hash of ``policy.json``.
      schema_file_sha256: Hash of ``schema.json``.
      artefacts: Every published file but the report and the certificate.
    """

    plan: ReleasePlan
    plan_sha256: str
    table: TableSchema
    form: Format
    policy: Policy
    domain: Domain
    outcome: GateResult
    measurements: tuple[Measurement, ...]
    rows: int | None
    commitment: str
    private: bool
    ledger: str
    budget: Price
    kept: VerifiedRelease
    other_runs: int
    policy_file_sha256: str
    schema_file_sha256: str
    artefacts: tuple[Artefact, ...]


def state_release(facts: Facts) -> Dossier:
    """The dossier of a run; a function of public facts alone."""
    kept, plan = facts.kept, facts.plan
    reserved = larger_side(kept.caps)
    return Dossier(
        release_id=kept.release_id,
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        private=facts.private,
        data=_data(facts),
        plan=Plan(coordinate=plan.coordinate, shares=_shares(plan), cap=reserved, sha256=facts.plan_sha256),
        claim=state_claim(
            kept.steps,
            coordinate=plan.coordinate,
            delta=plan.budget.delta,
            cap=reserved,
            adaptive=True,
            accountant=f"dpsynth accountant {version('dpsynth')}",
            delta_guidance=_guidance(plan.budget.delta, facts),
        ),
        ledger=LedgerState(
            ledger_id=facts.ledger,
            sequence=kept.seq,
            head=kept.head,
            budget=facts.budget,
            spent_before=kept.before,
            spent_after=kept.before + larger_side(kept.totals),
            other_runs=facts.other_runs,
        ),
        synthesis=_synthesis(facts),
        gate=GateFacts.of(facts.outcome, facts.policy),
        process=_process(facts),
        steps=kept.steps,
        artefacts=facts.artefacts,
    )


def _data(facts: Facts) -> Data:
    unit = facts.plan.unit
    bound = _BOUND_BY_ROW if unit.column is None else _BOUND_BY_ID.format(rows=unit.max_rows)
    if facts.plan.moves:
        columns = " and ".join(facts.table.privacy_unit.distinct)
        bound += _BOUND_BY_CODES.format(columns=columns, moves="; ".join(m.in_words() for m in facts.plan.moves))
    bound += _LINES if facts.form is Format.CSV else ""
    return Data(
        dataset_id=facts.plan.dataset,
        table=facts.table.name,
        commitment=facts.commitment,
        schema_sha256=facts.schema_file_sha256,
        policy_sha256=facts.policy_file_sha256,
        unit=unit.describe(),
        unit_bound=bound,
        adjacency=str(unit.adjacency),
        public_inputs=tuple(_public_inputs(facts.table, facts.form)),
        protected=private_columns(facts.table.canonical(), unit.public) if unit.public else (),
        not_protected=unit.public,
    )


def _public_inputs(table: TableSchema, form: Format) -> list[Fact]:
    unstated = "declared in the schema, provenance not stated"
    columns = [
        Fact(name=name, value=f"{column.kind}: {_domain_in_words(column)}", source=column.provenance or unstated)
        for name, column in table.released.items()
    ]
    for number, rule in enumerate(table.rules, 1):
        said = rule.model_dump(mode="json", exclude_defaults=True, exclude={"provenance"})
        value = f"holds in every row: {json.dumps(said, ensure_ascii=False)}"
        columns.append(Fact(name=f"rule {number}", value=value, source=rule.provenance or unstated))
    if table.encoding is not None:
        value = f"a share of {table.encoding.share:g} of the synthesizer's budget, for columns of many declared values"
        source = table.encoding.provenance or table.provenance or unstated
        columns.append(Fact(name="learned encoding", value=value, source=source))
    stored = [_STORED[form]] if form in _STORED else []
    if table.rows_magnitude is not None:
        rows = f"about {table.rows_magnitude:,}, never compared with the data"
        columns.append(Fact(name="number of rows", value=rows, source=table.provenance or unstated))
    return [*columns, Fact(name="table", value=table.title or table.name, source=table.source or unstated), *stored]


def _domain_in_words(column: Column) -> str:
    derivation = column.derived_from
    if isinstance(column, Open):
        return f"{len(column.categories)} declared labels, and at most {column.most} that enough people hold"
    if isinstance(column, Constant):
        return "one declared value, never read"
    if column.computed is not None:
        how = column.computed
        return f"computed, never read: the {how.operation} of {', '.join(how.operands)}{_scaled(how)}"
    if column.drawn_from is not None:
        said = column.drawn_from.model_dump(mode="json", exclude_defaults=True)
        return f"drawn from a public distribution, never read: {json.dumps(said, ensure_ascii=False)}"
    return "its declared domain" if derivation is None else f"a public function of {derivation.column}, never read"


def _scaled(how: Computation) -> str:
    return "" if (how.times, how.plus) == (1.0, 0.0) else f", times {how.times:g}, plus {how.plus:g}"


def _shares(plan: ReleasePlan) -> tuple[Share, ...]:
    return tuple(
        Share(
            purpose=purpose,
            training=Price(plan.share(purpose)[Side.TRAINING]),
            holdout=Price(plan.share(purpose)[Side.HOLDOUT]),
            reference=Price(plan.share(purpose)[Side.REFERENCE]),
        )
        for purpose in plan.purposes
    )


def _guidance(delta: float, facts: Facts) -> str:
    """Reference people are counted as those of the test: as many were drawn, by the same coin."""
    held = facts.outcome.holdout_people * facts.policy.holdout_share / facts.policy.tested_share
    people = facts.outcome.training_people + round(held)
    number = "public" if facts.plan.unit.public else "noisy"
    return (
        f"delta is {delta * people:.2g} of one over the {number} number of people ({people:,}); guidance asks for a "
        "delta well below one over that number"
    )


def _synthesis(facts: Facts) -> Synthesis:
    plan = facts.plan
    return Synthesis(
        synthesizer=plan.synthesizer_name,
        config=settings_as_facts(plan.settings()),
        preprocessing=(
            "every value is coded by the declared domain: null is a level, an undeclared value has its declared bucket",
            *_selected(facts),
            *_learned(facts),
            f"people are split by coins: a share of {facts.policy.holdout_share} is held out for the gate",
            *([REFERENCE_SPLIT] if facts.policy.reference_share else []),
            *([COUNTED] if plan.unit.public else []),
        ),
        post_processing=(
            *_after_the_charges(facts),
            *_declared(facts),
            *([attempts_in_words(facts.policy.attempts)] if facts.policy.retries else []),
            *(output_in_words(name, value) for name, value in plan.output),
        ),
        marginals=tuple(
            Marginal(attributes=m.clique, cells=facts.domain.cells(m.clique), sigma=m.sigma) for m in facts.measurements
        ),
        rows=facts.rows,
    )


def _selected(facts: Facts) -> tuple[str, ...]:
    """That labels were found out, if they were; each selection is a charged step."""
    found = any(isinstance(step.event, PartitionSelection) for step in facts.kept.steps)
    return (SELECTED_LABELS,) if found else ()


def _learned(facts: Facts) -> tuple[str, ...]:
    """What the encoding learned, if anything; each histogram is a charged step."""
    learned = any(step.label.startswith(ENCODING_STEP) for step in facts.kept.steps)
    return (LEARNED_ENCODING,) if learned else ()


def _after_the_charges(facts: Facts) -> tuple[str, ...]:
    """What became of the synthesizer's accounted outputs."""
    if facts.outcome.verdict is Verdict.UNDECIDABLE:
        return ("none: no table was made",)
    if facts.plan.unit.public:
        return ("a graphical model is estimated from the measurements", KEPT, AS_MANY)
    outside = isinstance(facts.plan.synthesizer, ExternalConfig)
    total = "the noisy number of training people" if outside else "the model's noisy total"
    rows = "as the publisher asked" if facts.plan.rows is not None else f"{total} over the training share"
    if outside:
        return (
            "rows of the outside synthesizer, codes outside the domain clipped to it",
            f"the number of rows, at most: {rows}",
        )
    if _trained(facts):
        return (
            "a pool of rows is made by what was trained, weighed, drawn from, and the rows are rounded to its pairs",
            f"the number of rows: {rows.replace(total, 'the declared number of training people')}",
        )
    return ("a graphical model is estimated from the measurements and sampled", f"the number of rows: {rows}")


def _declared(facts: Facts) -> tuple[str, ...]:
    """What declarations alone decided of the rows."""
    if facts.outcome.verdict is Verdict.UNDECIDABLE:
        return ()
    derived = [name for name, column in facts.table.released.items() if column.derived_from is not None]
    computed = [name for name, column in facts.table.released.items() if column.computed is not None]
    drawn = [name for name, column in facts.table.released.items() if column.drawn_from is not None]
    said = [f"computed from other columns by public tables: {', '.join(derived)}"] if derived else []
    for what, names in (("computed from other columns", computed), ("drawn from public distributions", drawn)):
        said += [f"{what}, as declared: {', '.join(names)}"] if names else []
    if facts.table.rules:
        said.append(f"{len(facts.table.rules)} declared rules hold in every row: rows that break one are drawn again")
    return tuple(said)


def _trained(facts: Facts) -> bool:
    made = facts.plan.synthesizer
    return not isinstance(made, ExternalConfig) and made.train is not None


def leak_in_words(outcome: GateResult) -> str:
    """The smallest leak that the gate could have seen, as one sentence."""
    if outcome.verdict is Verdict.UNDECIDABLE:
        return "none: too few people for a decision, as the noisy or public totals say"
    if outcome.smallest_leak > 1:
        return "none: even a table of nothing but copies might have passed"
    return f"{outcome.smallest_leak:.2%} of training people copied verbatim, seen with the policy's probability"


def _process(facts: Facts) -> Process:
    draws = sum(_draws(step.event) for step in facts.kept.steps)
    public = facts.plan.unit.public
    used = (*_SOFTWARE, "torch") if _trained(facts) else _SOFTWARE
    return Process(
        trust_model=TRUST_MODEL,
        not_covered=(*([unprotected_in_words(public)] if public else []), *NOT_COVERED),
        random_source=_random_source(facts),
        sampler=SAMPLER + (TRAINING_SAMPLER if _trained(facts) else ""),
        sampler_slack=draws * SLACK_PER_DRAW,
        software=(*software(used), Fact(name="python", value=platform.python_version())),
    )


def _draws(event: Event) -> int:
    """How often a sampler's slack counts for one person."""
    return event.labels_per_unit if isinstance(event, PartitionSelection) else int(getattr(event, "draws", 1))


def _random_source(facts: Facts) -> str:
    own = RANDOM_SOURCE if facts.private else SEEDED_SOURCE
    return own + (OUTSIDE_SOURCE if isinstance(facts.plan.synthesizer, ExternalConfig) else "")


def software(names: Sequence[str]) -> tuple[Fact, ...]:
    """The installed versions of these distributions."""
    return tuple(Fact(name=name, value=version(name)) for name in names)
