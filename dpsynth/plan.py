"""The plan of a release: who gets which share of the budget, fixed and hashed before anything is touched."""

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from accountant.adjacency import PrivacyUnit
from accountant.budget import CLAIM_SHARE, Budget
from accountant.compose import price
from accountant.price import AMOUNT_UNIT, Coordinate, Price
from accountant.spend import BOTH_SIDES, Side
from dpsynth.auto import AUTO, choose_synthesizer
from dpsynth.deep.config import TrainedConfig
from dpsynth.deep.planning import STARTING, additive_delta, plan_training, start_amount
from dpsynth.encode import Encoder
from dpsynth.errors import ParameterError
from dpsynth.external import ExternalConfig, find_program, load_external_config, require_matching_claim
from dpsynth.feasible_noise import require_drawable
from dpsynth.gate import GatePlan, Policy, load_policy, plan_gate
from dpsynth.gate.reference import require_reference
from dpsynth.learning import smallest_domain
from dpsynth.mechanisms.histograms import histogram_sigma
from dpsynth.noise.gaussian import LARGEST_SIGMA
from dpsynth.plan_checks import LARGEST_TABLE as LARGEST_TABLE
from dpsynth.plan_checks import (
    require_distinct_codes,
    require_everybody,
    require_limitable,
    require_possible,
    require_priced,
    require_room_for_slack,
    require_rows,
    require_small_secrets,
    selections_within,
)
from dpsynth.schema import Schema
from dpsynth.selecting import Selection, planned_amount, planned_delta
from dpsynth.sources.moves import Move, moves_of
from dpsynth.synthesizers import Synthesizer, check_size, find_synthesizer, partial_synthesizer
from dpsynth.workload import Workload

SLACK_UNITS, SLACK_UNITS_A_COLUMN = 2**12, 64
"""Delta, in units of 2^-62, reserved for the samplers' total-variation slack: a unit a charged step, and to spare."""

PLAN_VERSION = 1

LEARNED = "noisy histograms: bins, spikes and merged labels"
"""What a share for the encoding buys."""
SELECTED = "open columns: the labels that enough people hold"
"""What a share for selections buys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """One line of a plan, for people.

    Attributes:
      purpose: What it is for.
      side: Which people pay it.
      share: Its share of the release's cap.
      mu: Its square root in the coordinate (mu, or the square root of 2 rho).
      meaning: What it buys.
    """

    purpose: str
    side: str
    share: str
    mu: str
    meaning: str

    def __iter__(self) -> Any:
        return iter((self.purpose, self.side, self.share, self.mu, self.meaning))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePlan:
    """What a run may spend, and on what. Public; its hash goes into the ledger before the data handle is opened.

    Attributes:
      schema_sha256: Hash of the canonical schema.
      dataset: Declared id of the data.
      unit: The privacy unit.
      budget: The (epsilon, delta) that the run may cost anybody.
      synthesizer: A registered synthesizer, or the declaration of an outside one.
      policy: The gate's policy; None for an ungated fit.
      gate: The division between totals, synthesizer and gate; None for an ungated fit.
      rows: Number of synthetic rows asked for; None for the noisy total.
      output: Settings that change the published bytes.
      slack: Delta reserved for the samplers' slack, in units of 2^-62.
      encoding_amount: Units of the coordinate for learning the encoding, 0 where all of it is declared.
      selections: How the labels of open columns are found out.
      start_amount: Of what the synthesizer may spend, units that a training's first step takes; 0 without one.
      moves: How far one unit moves the marginals with each set of distinct columns; empty where none are declared.
    """

    schema_sha256: str
    dataset: str
    unit: PrivacyUnit
    budget: Budget
    synthesizer: Synthesizer | ExternalConfig
    policy: Policy | None
    gate: GatePlan | None
    rows: int | None
    output: tuple[tuple[str, str], ...] = ()
    slack: int = SLACK_UNITS
    encoding_amount: int = 0
    selections: tuple[Selection, ...] = ()
    start_amount: int = 0
    moves: tuple[Move, ...] = ()

    @property
    def coordinate(self) -> Coordinate:
        """The coordinate that every amount is in."""
        return self.budget.coordinate

    @property
    def synthesizer_amount(self) -> int:
        """Units of the coordinate that the synthesizer may spend, in each attempt."""
        if self.gate is None:
            return self.budget.cap.amount - self._before_the_synthesizer
        return (self.gate.training_amount - self._before_the_synthesizer) // self.gate.attempts

    @property
    def _before_the_synthesizer(self) -> int:
        """Units for what is learned and selected once, before any attempt."""
        return self.encoding_amount + planned_amount(self.selections)

    @property
    def synthesizer_name(self) -> str:
        """Public name of the synthesizer."""
        return self.synthesizer.name if isinstance(self.synthesizer, Synthesizer) else "external"

    @property
    def why(self) -> str:
        """Why the engine chose this synthesizer; empty where it was named."""
        return self.synthesizer.why if isinstance(self.synthesizer, Synthesizer) else ""

    @property
    def caps(self) -> dict[Side, Price]:
        """Most that a person of each side may pay, as it is reserved."""
        made = self.synthesizer
        claimed = price(made.event(), self.coordinate) if isinstance(made, ExternalConfig) else Price()
        trained = additive_delta(made.config) if isinstance(made, Synthesizer) else 0
        additive = self.slack + claimed.delta + trained + planned_delta(self.selections)
        training = Price(self.budget.cap.amount, min(additive, self.budget.cap.delta))
        holdout = Price(self.budget.cap.amount, min(self.slack, self.budget.cap.delta))
        compared = {Side.REFERENCE: holdout} if self.gate is not None and self.gate.reference_amount else {}
        return {Side.TRAINING: training, Side.HOLDOUT: training if self.gate is None else holdout} | compared

    def settings(self) -> dict[str, Any]:
        """The synthesizer's settings as JSON values without floats."""
        made = self.synthesizer
        return made.to_json() if isinstance(made, ExternalConfig) else dict(made.settings())

    def to_json(self) -> dict[str, Any]:
        """The plan as canonical JSON values; what the ledger hashes."""
        return {
            "version": PLAN_VERSION,
            "kind": "fit" if self.gate is None else "release",
            "schema": self.schema_sha256,
            "dataset": self.dataset,
            "budget": self.budget.to_json(),
            "synthesizer": {"name": self.synthesizer_name, "settings": self.settings()},
            "policy": None if self.policy is None else self.policy.sha256,
            "shares": [{"purpose": p, "side": str(s), "amount": a} for p, s, a, _ in self._shares()],
            "rows": self.rows,
            "output": dict(self.output),
            **({"selections": [s.to_json() for s in self.selections]} if self.selections else {}),
        }

    def lines(self) -> list[PlanRow]:
        """Who gets which share, a line each."""
        cap = self.budget.cap.amount
        scale = AMOUNT_UNIT if self.coordinate is Coordinate.GDP else AMOUNT_UNIT / 2
        return [
            PlanRow(
                purpose=purpose,
                side=str(side),
                share=f"{amount / cap:.1%}",
                mu=f"{math.sqrt(amount / scale):.4f}",
                meaning=meaning,
            )
            for share in self._shares()
            for purpose, side, amount, meaning in self._in_parts(*share)
        ]

    def _in_parts(self, purpose: str, side: Side, amount: int, meaning: str) -> list[tuple[str, Side, int, str]]:
        """The share of a training in two: its first step, and the others; any other share as it is."""
        first, name = self.start_amount, self.synthesizer_name
        if purpose != "synthesizer" or not 0 < first < amount:
            return [(purpose, side, amount, meaning)]
        start = f"{name}: {STARTING}"
        return [(purpose, side, first, start), (purpose, side, amount - first, f"{name}: the other steps of training")]

    def share(self, purpose: str) -> dict[Side, int]:
        """Units that each side pays for a purpose."""
        return {side: sum(a for p, s, a, _ in self._shares() if (p, s) == (purpose, side)) for side in Side}

    @property
    def purposes(self) -> tuple[str, ...]:
        """The purposes, in the order in which they are spent."""
        return tuple(dict.fromkeys(p for p, _, _, _ in self._shares()))

    def _shares(self) -> list[tuple[str, Side, int, str]]:
        name = self.synthesizer_name
        sides = BOTH_SIDES if self.gate is None else (Side.TRAINING,)
        early = ("open columns", planned_amount(self.selections), SELECTED), ("encoding", self.encoding_amount, LEARNED)
        learned = [(purpose, side, amount, meaning) for purpose, amount, meaning in early for side in sides if amount]
        if self.gate is None:
            return [*learned, *(("synthesizer", s, self.synthesizer_amount, f"{name}, fitted to all") for s in sides)]
        gate = self.gate
        times = f", in each of {gate.attempts} attempts" if gate.attempts > 1 else ""
        made, compared = gate.attempts * self.synthesizer_amount, gate.attempts * gate.reference_amount
        shares = [
            ("totals", Side.TRAINING, gate.training_count, "noisy number of training people"),
            ("totals", Side.HOLDOUT, gate.holdout_count, "noisy number of holdout people"),
            *learned,
            ("synthesizer", Side.TRAINING, made, f"{name}: measurements and selection{times}"),
            ("reference", Side.REFERENCE, compared, f"noisy marginals to compare with{times}"),
            ("gate", Side.TRAINING, gate.attempts * gate.training_gate, f"one noisy threshold test{times}"),
            ("gate", Side.HOLDOUT, gate.attempts * gate.holdout_gate, "the same test, weighed by the sides' sizes"),
        ]
        return [share for share in shares if share[2]]


def make_plan(
    schema: Schema,
    *,
    epsilon: float,
    delta: float,
    synthesizer: str | Synthesizer | ExternalConfig = AUTO,
    policy: Policy | str | None = None,
    rows: int | None = None,
    coordinate: Coordinate = Coordinate.GDP,
    claim_share: float = CLAIM_SHARE,
    gated: bool = True,
    workload: Workload | None = None,
    model_mb: int | None = None,
    output: tuple[tuple[str, str], ...] = (),
) -> ReleasePlan:
    """Plan a release (or, with ``gated=False``, an ungated fit) from public facts alone.

    Args:
      schema: The declaration.
      epsilon: Most that anybody may pay, above 0 and at most 20.
      delta: Its delta, in (0, 1).
      synthesizer: A name, a configured synthesizer, or an outside one; by default what :mod:`dpsynth.auto` chooses.
      policy: A gate policy, the name of a profile or a file; the standard profile by default.
      rows: Number of synthetic rows; the noisy total by default.
      coordinate: The ledger's coordinate.
      claim_share: The ledger's share of delta for additive deltas.
      gated: Whether a gate stands at the end.
      workload: Which marginals matter; by default what the schema declares. A synthesizer whose settings have no
        workload measures what it always does.
      model_mb: Most megabytes (10^6 bytes) that a fit of the model may take; no such limit by default.
      output: Settings that change the published bytes.

    Returns:
      The plan; nothing was touched.

    Raises:
      ParameterError: A number is out of range, the domain is too large, the budget is too small, or the program of an
        outside synthesizer doesn't exist.
      UnsupportedEvent: The privacy unit is replaced, not added or removed, or an outside claim isn't about it.
      GateRefused: The gate can't be paid within the budget, or its policy isn't one for the privacy unit.
      SchemaError: A column can't be released.
    """
    table = schema.table
    table.check_releasable()
    require_priced(table.unit)
    budget = Budget(epsilon=epsilon, delta=delta, coordinate=coordinate, claim_share=claim_share)
    if isinstance(synthesizer, str) and synthesizer.startswith("external:"):
        synthesizer = load_external_config(Path(synthesizer.removeprefix("external:")))
    named = None if synthesizer == AUTO else synthesizer
    if isinstance(named, str):
        named = find_synthesizer(named)
    encoder = Encoder.of(table)
    encoder.check_rules()
    require_distinct_codes(encoder)
    if table.unit.public:
        named = partial_synthesizer(named, table.unit.public, declared=not (encoder.learned or encoder.open))
    domain, least = encoder.largest_domain, smallest_domain(encoder)
    declared = table.workload
    wanted = workload if workload is not None or declared is None else declared.value
    if wanted is not None:
        wanted.check(domain)
    require_rows(rows, len(domain.names))
    rules = policy if isinstance(policy, Policy) else load_policy(policy or "standard")
    require_everybody(table.unit, rows=rows, reference=gated and bool(rules.reference_share))
    attempts = rules.attempts if gated else 1
    slack = attempts * max(SLACK_UNITS, SLACK_UNITS_A_COLUMN * len(domain.names))
    require_room_for_slack(budget, slack)
    if isinstance(named, Synthesizer):
        check_size(domain, named)
    gate = plan_gate(rules, amount=budget.cap.amount, coordinate=coordinate, unit=table.unit) if gated else None
    if gate is not None:
        require_reference(gate, table.unit)
        require_small_secrets(encoder)
    whole = budget.cap.amount if gate is None else gate.training_amount
    selections = selections_within(encoder, whole, budget, slack, named)
    whole -= planned_amount(selections)
    learning = _encoding_amount(encoder, whole, named, coordinate)
    chosen = named or choose_synthesizer(
        domain,
        smallest=least,
        amount=(whole - learning) // attempts,
        coordinate=coordinate,
        unit=table.unit,
        rows_magnitude=table.rows_magnitude,
    )
    require_possible(chosen, encoder, attempts=attempts)
    require_limitable(chosen, model_mb)
    if isinstance(chosen, Synthesizer):
        chosen = chosen.asked(workload=wanted, model_mb=model_mb)
    first = 0
    if isinstance(chosen, Synthesizer) and isinstance(chosen.config, TrainedConfig):
        config = plan_training(
            chosen.config,
            domain,
            amount=whole,
            budget=budget,
            unit=table.unit,
            rows_magnitude=table.rows_magnitude,
            share=Fraction(1) if gate is None else 1 - rules.holdout_share,
            slack=slack,
        )
        chosen = replace(chosen, config=config)
        first = start_amount(config, domain, coordinate=coordinate)
    plan = ReleasePlan(
        schema_sha256=schema.sha256,
        dataset=schema.dataset,
        unit=table.unit,
        budget=budget,
        synthesizer=chosen,
        policy=rules if gated else None,
        gate=gate,
        rows=rows,
        output=output,
        slack=slack,
        encoding_amount=learning,
        selections=selections,
        start_amount=first,
        moves=moves_of(encoder.domain, encoder.schema.privacy_unit.distinct, table.unit),
    )
    if isinstance(chosen, Synthesizer):
        check_size(domain, chosen)
        require_drawable(
            chosen,
            domain,
            smallest=least,
            amount=plan.synthesizer_amount,
            coordinate=plan.coordinate,
            unit=plan.unit,
        )
    _require_claim_fits(plan)
    return plan


def _encoding_amount(
    encoder: Encoder, whole: int, named: Synthesizer | ExternalConfig | None, coordinate: Coordinate
) -> int:
    """Units for learning the encoding; 0 where everything is coded as declared."""
    declared = encoder.schema.encoding
    if declared is None or not encoder.learned:
        return 0
    if isinstance(named, ExternalConfig) or (named is not None and named.train is not None):
        raise ParameterError(
            "A learned encoding was declared for a synthesizer that is trained on rows or runs outside.",
            "Their plans rest on a domain that is known beforehand.",
            "Use a synthesizer that measures marginals, or declare bins and leave out 'encoding'.",
        )
    amount = max(1, int(whole * Fraction(declared.share)))
    rows = encoder.schema.unit.max_rows
    sigma = histogram_sigma(len(encoder.learned), amount=amount, coordinate=coordinate, max_rows=rows)
    if sigma > LARGEST_SIGMA * (1 - 1e-8) or amount >= whole:
        raise ParameterError(
            f"The histograms of {len(encoder.learned)} columns would need noise of sigma {sigma:.3g}.",
            f"Exact noise can be drawn up to a sigma of {LARGEST_SIGMA:.0f} rows.",
            "Raise the release's epsilon or the encoding's share, or declare bins for more columns.",
        )
    return amount


def _require_claim_fits(plan: ReleasePlan) -> None:
    if not isinstance(plan.synthesizer, ExternalConfig):
        return
    require_matching_claim(plan.synthesizer, plan.unit)
    find_program(plan.synthesizer)
    claim = price(plan.synthesizer.event(), plan.coordinate)
    room = Price(plan.synthesizer_amount, plan.budget.cap.delta - planned_delta(plan.selections))
    if not (claim + Price(0, plan.slack)).fits(room):
        raise ParameterError(
            f"The outside synthesizer claims epsilon {plan.synthesizer.claim_epsilon:g}, delta "
            f"{plan.synthesizer.claim_delta:g}, and this release can't pay that.",
            f"Beside the gate it leaves {room.amount / AMOUNT_UNIT:.4g} of {plan.coordinate.symbol} (the claim costs "
            f"{claim.amount / AMOUNT_UNIT:.4g}) and a delta of {room.delta / 2**62:.3g} for claims.",
            "Raise the release's epsilon, claim less, or make the ledger with a larger claim share.",
        )
