"""What was planned, declared and charged, against what the certificate says of it: from the published files alone."""

from collections.abc import Mapping
from typing import Any

from accountant.budget import Budget
from accountant.canonical import dumps
from accountant.events import ApproxDP, DiscreteGaussian, PartitionSelection, event_from_json
from accountant.price import Price
from accountant.spend import Side, Step
from dpsynth.certificate.arithmetic import TOLERANCE, require
from dpsynth.certificate.attempts import last_attempt
from dpsynth.certificate.dossier import SEEDED, UNDECIDABLE, Dossier, Fact, Marginal, Share

PLAN_VERSION = 1
"""Version of the plan's form; this verifier reads no other."""
OUTSIDE = "external"
"""Name of a synthesizer that is a command of somebody else."""
GATE_STEP = "gate: "
"""How the labels of the gate's own steps begin."""

ENCODING, ENCODING_STEP = "encoding", "encoding: "
"""Purpose of the share that learns an encoding, and how the labels of its steps begin."""
LEARNED_ENCODING = (
    "bins, spikes and merged labels of some columns are made of noisy histograms of declared cells, which are charged "
    "steps; they are split again in the shares of these histograms"
)
"""How a certificate says that an encoding was learned."""
SELECTION, SELECTION_STEP = "open columns", "selection: labels of "
"""Purpose of the share that finds out labels, and how the labels of its steps begin."""
SELECTED_LABELS = (
    "the undeclared labels of open columns are those whose noisy number of training people reaches a threshold, which "
    "is a charged step; every other value is what the declaration says of the rest"
)
"""How a certificate says that labels were found out."""


REFERENCE, LIKELIHOOD = "reference", "likelihood"
"""Purpose of the share of the people whom a gate compares with, and the kind of attack that needs them."""
REFERENCE_SPLIT = (
    "of the people held out, every second one by a coin is a reference: noisy marginals of theirs are charged steps, "
    "and nothing else is asked of them"
)
"""How a certificate says that there are reference people."""


def attempts_in_words(attempts: int) -> str:
    """How a certificate says that retries were declared: all that were made are charged steps."""
    return (
        f"{attempts} attempts were declared and reserved up front: after a failure another table is made and tested, "
        "and every attempt that was made is charged"
    )


def settings_as_facts(settings: Mapping[str, Any]) -> tuple[Fact, ...]:
    """A synthesizer's settings, sorted: texts as they are, other JSON values canonical."""
    named = sorted(settings.items())
    return tuple(Fact(name=n, value=v if isinstance(v, str) else dumps(v).decode("ascii")) for n, v in named)


def output_in_words(name: str, value: str) -> str:
    """A setting of the output, as a certificate states it."""
    return f"{name}: {value}"


def check_plan(dossier: Dossier, plan: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """The certificate says what was planned; returns what was found, in words.

    Args:
      dossier: The signed facts, whose plan has the hash that the ledger recorded.
      plan: The plan in the release's first ledger entry.
      schema: Content of ``schema.json``.

    Raises:
      VerificationFailed: They disagree.
    """
    data, claim, made = dossier.data, dossier.claim, dossier.synthesis
    require((plan["version"], plan["kind"]) == (PLAN_VERSION, "release"), "The plan isn't one of a gated release.")
    budget = Budget.from_json(plan["budget"])
    pairs: dict[str, tuple[object, object]] = {
        "schema": (data.schema_sha256, plan["schema"]),
        "policy": (data.policy_sha256, plan["policy"]),
        "data set": (data.dataset_id, plan["dataset"]),
        "table": ([data.table], [table["name"] for table in schema["tables"]]),
        "coordinate": (dossier.plan.coordinate, budget.coordinate),
        "delta": (claim.delta, budget.delta),
        "shares": (dossier.plan.shares, _shares(plan)),
        "synthesizer": (made.synthesizer, plan["synthesizer"]["name"]),
        "synthesizer's settings": (made.config, settings_as_facts(plan["synthesizer"]["settings"])),
        "mark of a test run": (dossier.private, SEEDED[0] not in plan["output"]),
    }
    for name, (stated, planned) in pairs.items():
        require(stated == planned, f"The {name} of the certificate isn't that of the plan.")
    require(claim.epsilon <= budget.epsilon * (1.0 + TOLERANCE), "The stated epsilon is above the planned one.")
    require(claim.adaptive is True, "A gated release is adaptive, and the certificate says that it isn't.")
    said = set(made.post_processing)
    words = {output_in_words(name, value) for name, value in plan["output"].items()}
    require(words <= said, "A setting of the output isn't stated.")
    _check_rows(dossier, plan["rows"])
    _check_encoding(dossier)
    _check_selections(dossier, plan, schema)
    _check_synthesizer(dossier, plan)
    return f"synthesizer {made.synthesizer}, epsilon {budget.epsilon:g} at delta {budget.delta:g}, as reserved"


def check_measurements(dossier: Dossier) -> str:
    """The stated marginals are the measured ones, in their order; returns what was found, in words.

    Raises:
      VerificationFailed: One is missing, added, or has another sigma or number of cells than its charged step.
    """
    steps = [step for step in last_attempt(dossier.steps) if _of_a_marginal(step)]
    stated = dossier.synthesis.marginals
    require(len(steps) == len(stated), f"{len(stated)} marginals are stated, and {len(steps)} were measured.")
    for step, marginal in zip(steps, stated, strict=True):
        require(_measured(step, marginal), "A stated marginal isn't the one that was measured.")
    return f"{len(stated)} marginals, each with the sigma and the cells of its charged step"


def _of_a_marginal(step: Step) -> bool:
    named = " (" in step.label and step.label.endswith(")")
    return named and isinstance(step.event, DiscreteGaussian) and not step.label.startswith(GATE_STEP)


def _measured(step: Step, marginal: Marginal) -> bool:
    event, named = step.event, step.label.endswith(f" ({', '.join(marginal.attributes)})")
    same = isinstance(event, DiscreteGaussian) and (event.sigma, event.draws) == (marginal.sigma, marginal.cells)
    return named and same and step.sides == (Side.TRAINING,)


def _shares(plan: Mapping[str, Any]) -> tuple[Share, ...]:
    amounts: dict[str, dict[Side, int]] = {}
    for share in plan["shares"]:
        of_side = amounts.setdefault(share["purpose"], dict.fromkeys(Side, 0))
        of_side[Side(share["side"])] += share["amount"]
    return tuple(
        Share(
            purpose=purpose,
            training=Price(paid[Side.TRAINING]),
            holdout=Price(paid[Side.HOLDOUT]),
            reference=Price(paid[Side.REFERENCE]),
        )
        for purpose, paid in amounts.items()
    )


def _check_rows(dossier: Dossier, asked: int | None) -> None:
    rows, outside = dossier.synthesis.rows, dossier.synthesis.synthesizer == OUTSIDE
    require((rows is not None) == dossier.released, "A number of rows comes with a released table, and only with one.")
    if rows is not None and asked is not None:
        require(rows == asked or (outside and rows < asked), "The number of rows isn't the one that was planned.")


def _check_encoding(dossier: Dossier) -> None:
    """Histograms of an encoding are stated where they were charged, and only there; a table has those planned."""
    learned = any(step.label.startswith(ENCODING_STEP) for step in dossier.steps)
    planned = any(share.purpose == ENCODING for share in dossier.plan.shares)
    stated = LEARNED_ENCODING in dossier.synthesis.preprocessing
    require(stated == learned, "A learned encoding is stated and wasn't charged, or was charged and isn't stated.")
    require(planned or not learned, "An encoding was learned that wasn't planned.")
    require(learned or not (planned and dossier.released), "The planned encoding wasn't learned.")


def _check_selections(dossier: Dossier, plan: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Labels of each open column were found out as planned, by training people, where a table was made."""
    table = schema["tables"][0]
    opened = {c["name"] for c in table.get("columns", ()) if c["kind"] == "open"} - set(table.get("omit", ()))
    planned = [(SELECTION_STEP + s["column"], event_from_json(s["event"])) for s in plan.get("selections", [])]
    require(
        {SELECTION_STEP + name for name in opened} == {label for label, _ in planned},
        "The planned selections of labels aren't those of the declared open columns.",
    )
    steps = [step for step in dossier.steps if isinstance(step.event, PartitionSelection)]
    due = planned if dossier.gate.verdict != UNDECIDABLE else []
    require([(step.label, step.event) for step in steps] == due, "A charged selection of labels isn't the planned one.")
    require(all(step.sides == (Side.TRAINING,) for step in steps), "Others than training people found out labels.")
    stated = SELECTED_LABELS in dossier.synthesis.preprocessing
    require(stated == bool(steps), "A selection of labels is stated and not charged, or charged and not stated.")


def _check_synthesizer(dossier: Dossier, plan: Mapping[str, Any]) -> None:
    """An outside claim is charged once, as planned, where a table was made; nothing else is believed."""
    believed = [step.event for step in dossier.steps if isinstance(step.event, ApproxDP)]
    due = []
    if plan["synthesizer"]["name"] == OUTSIDE and dossier.gate.verdict != UNDECIDABLE:
        due.append(event_from_json(plan["synthesizer"]["settings"]["event"]))
    require(believed == due, "The charged claim of an outside synthesizer isn't the planned one.")
