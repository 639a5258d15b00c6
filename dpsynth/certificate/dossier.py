"""The dossier: every public fact of one release, as frozen values. NIST SP 800-226 was the checklist.

Nothing here may come from records except through a charged mechanism. There are no durations and no time finer than a
day.
"""

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from accountant.price import Coordinate, Price
from accountant.report import PlainReading
from accountant.spend import Step
from dpsynth.certificate.codec import from_json, to_json
from dpsynth.errors import ParameterError

if TYPE_CHECKING:
    from dpsynth.gate import GateResult, Policy

PASS, FAIL, UNDECIDABLE = "pass", "fail", "undecidable"
SEEDED = ("NOT PRIVATE", "a test run from a seed")
"""The output setting of a run from a seed, in its plan and so in the ledger; its labels say the same."""
VERDICTS = (PASS, FAIL, UNDECIDABLE, "refuted")
"""What a gate can say (the values of ``dpsynth.gate.Verdict``); only a pass comes with a table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One named public fact in words: a public input with its provenance, a setting, a software version."""

    name: str
    value: str
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """One published file and its SHA-256 (64 hexadecimal digits)."""

    name: str
    sha256: str

    @classmethod
    def of(cls, name: str, content: bytes) -> "Artefact":
        """The artefact with this name and content."""
        return cls(name=name, sha256=hashlib.sha256(content).hexdigest())


NOTHING = Price()


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one purpose may cost.

    Attributes:
      purpose: For example ``totals``, ``measure`` or ``gate``.
      training: Most that a training person may pay for it.
      holdout: Most that a holdout person may pay for it.
      reference: Most that a reference person may pay for it: somebody held out whom the gate compares with.
    """

    purpose: str
    training: Price
    holdout: Price
    reference: Price = NOTHING

    @property
    def most(self) -> Price:
        """What it may cost anybody, per component."""
        return self.training.larger(self.holdout).larger(self.reference)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What was committed before the data was touched.

    Attributes:
      coordinate: What every price of the dossier is in: mu^2 (``gdp``) or rho (``zcdp``).
      shares: Who may pay what.
      cap: Most that the dearer side may pay, as reserved.
      sha256: Hash of the plan, as the ledger recorded it.
    """

    coordinate: Coordinate
    shares: tuple[Share, ...]
    cap: Price
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """What is said of the data without saying anything that is in it.

    Attributes:
      dataset_id: The declared name of the data set; never computed from its content.
      table: The declared name of the table.
      commitment: HMAC-SHA256 of the data under a fresh key that stays in the annex (64 hexadecimal digits).
      schema_sha256: Hash of ``schema.json``.
      policy_sha256: Hash of ``policy.json``.
      unit: The privacy unit in words.
      unit_bound: How its bound is enforced.
      adjacency: The neighbouring relation.
      public_inputs: Bounds, categories, magnitudes taken as public, each with its provenance.
      protected: The private columns, where the others of a row are public; empty where the whole unit is protected.
      not_protected: The public columns, which are in the table as they are; empty where there are none.
    """

    dataset_id: str
    table: str
    commitment: str
    schema_sha256: str
    policy_sha256: str
    unit: str
    unit_bound: str
    adjacency: str
    public_inputs: tuple[Fact, ...] = ()
    protected: tuple[str, ...] = ()
    not_protected: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The privacy statement.

    Attributes:
      notion: For example ``GDP, stated as (epsilon, delta)``.
      epsilon: The release's epsilon at ``delta``: that of the dearer side.
      delta: Probability that the bound may fail.
      price: Exact price of the dearer side that epsilon speaks of (for an adaptive run its cap).
      mu: GDP parameter of the dearer side, or None where the coordinate is rho.
      rho: zCDP parameter of the dearer side by the same events, or None where an event has none.
      curve: Pairs (delta, epsilon) of the same release.
      second_epsilon: The second accountant's epsilon at ``delta``, an independent upper bound, or None.
      second_accountant: What it is.
      theorem: Why the composition holds.
      adaptive: Whether parameters depended on earlier outputs.
      accountant: Name and version of the accountant.
      delta_guidance: Delta against one over the (noisy) number of people, in words.
      reading: The numbers behind the plain-language reading.
    """

    notion: str
    epsilon: float
    delta: float
    price: Price
    mu: float | None
    rho: float | None
    curve: tuple[tuple[float, float], ...]
    second_epsilon: float | None
    second_accountant: str
    theorem: str
    adaptive: bool
    accountant: str
    delta_guidance: str
    reading: PlainReading


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerState:
    """Where the release stands in the ledger.

    Attributes:
      ledger_id: Public name of the ledger.
      sequence: Sequence number of the last entry before publication.
      head: Hash of that entry (64 hexadecimal digits).
      budget: The scope's whole budget.
      spent_before: What all earlier releases, failed and aborted runs had charged.
      spent_after: The same after this release.
      other_runs: Earlier charged runs that published nothing (failed, aborted, crashed).
    """

    ledger_id: str
    sequence: int
    head: str
    budget: Price
    spent_before: Price
    spent_after: Price
    other_runs: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Marginal:
    """One marginal that was measured and so is preserved up to noise of standard deviation ``sigma``, in records."""

    attributes: tuple[str, ...]
    cells: int
    sigma: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthesis:
    """How the table was made.

    Attributes:
      synthesizer: Its registered name.
      config: Its settings.
      preprocessing: What was done to the records before they were measured.
      post_processing: What was done after the last charge, including how the number of rows was chosen.
      marginals: What was measured.
      rows: Rows of the synthetic table (chosen from public or charged numbers), or None where none is published.
    """

    synthesizer: str
    config: tuple[Fact, ...]
    preprocessing: tuple[str, ...]
    post_processing: tuple[str, ...]
    marginals: tuple[Marginal, ...]
    rows: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateFacts:
    """What the gate did; every number is an accounted output or a public fact.

    Attributes:
      verdict: One of ``VERDICTS``.
      policy: Name of the policy.
      attacks: Names of the attacks whose worst statistic was tested: those of the policy that had something to look at.
      holdout_share: Probability of each person's coin to be held out.
      detection: The probability that ``smallest_leak`` refers to.
      training_amount: What the test cost a training person, in units of 2^-40 of the coordinate.
      holdout_amount: What it cost a holdout person.
      training_people: Number of training people: noisy, but where it is public.
      holdout_people: The same of holdout people.
      sigma_records: Scale of the test's noise, in training records.
      grid: Steps of one training record.
      margin_steps: Largest noisy statistic that passes, in steps.
      noisy_steps: The noisy statistic, in steps; None where undecidable.
      smallest_leak: Smallest share of training people copied verbatim that would be seen; above 1 where none would be.
      notes: Other results that may leave, and what the gate can't see.
    """

    verdict: str
    policy: str
    attacks: tuple[str, ...]
    holdout_share: float
    detection: float
    training_amount: int
    holdout_amount: int
    training_people: int
    holdout_people: int
    sigma_records: float
    grid: int
    margin_steps: int
    noisy_steps: int | None
    smallest_leak: float
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, result: "GateResult", policy: "Policy", *, notes: tuple[str, ...] = ()) -> "GateFacts":
        """The facts of a gate's public result under its policy."""
        return cls(
            verdict=str(result.verdict),
            policy=policy.name,
            attacks=result.attacks,
            holdout_share=float(policy.holdout_share),
            detection=float(policy.detection),
            training_amount=result.training_amount,
            holdout_amount=result.holdout_amount,
            training_people=result.training_people,
            holdout_people=result.holdout_people,
            sigma_records=result.sigma_records,
            grid=result.grid,
            margin_steps=result.margin_steps,
            noisy_steps=result.noisy_steps,
            smallest_leak=result.smallest_leak,
            notes=notes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What the claim rests on.

    Attributes:
      trust_model: Who must be trusted with what.
      not_covered: What the claim doesn't speak of.
      random_source: Where random bits came from.
      sampler: How noise was drawn.
      sampler_slack: Total-variation slack of all draws of integer noise; it is part of delta.
      software: Versions.
      approvals: Who approved, in words; empty where no review was asked for.
    """

    trust_model: str
    not_covered: tuple[str, ...]
    random_source: str
    sampler: str
    sampler_slack: float
    software: tuple[Fact, ...]
    approvals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    """The public facts of one release.

    Attributes:
      release_id: The ledger's id of the release.
      date: Day of publication, ``YYYY-MM-DD``.
      private: False for a run from a seed, which protects nobody; every artefact of it says NOT PRIVATE.
      data: What is said of the data.
      plan: What was committed before the data was touched.
      claim: The privacy statement.
      ledger: Where the release stands in the ledger.
      synthesis: How the table was made.
      gate: What the gate did.
      process: What the claim rests on.
      steps: Every charged step, in order.
      artefacts: The published files except the report and the certificate, which are made from this dossier.
    """

    release_id: str
    date: str
    private: bool
    data: Data
    plan: Plan
    claim: Claim
    ledger: LedgerState
    synthesis: Synthesis
    gate: GateFacts
    process: Process
    steps: tuple[Step, ...]
    artefacts: tuple[Artefact, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.gate.verdict not in VERDICTS:
            raise ParameterError(
                f"A dossier has the verdict {self.gate.verdict!r}.",
                f"A gate says one of {', '.join(VERDICTS)}.",
                "Take the verdict from the gate.",
            )

    @property
    def released(self) -> bool:
        """Whether a synthetic table was published."""
        return self.gate.verdict == PASS

    def to_json(self) -> dict[str, Any]:
        """The dossier as JSON values without floats, ready for canonical JSON."""
        body: dict[str, Any] = to_json(self)
        return body

    @classmethod
    def from_json(cls, body: Any) -> "Dossier":
        """Rebuild a dossier; raises ValueError or a Refusal where a field is missing or has another type."""
        return from_json(cls, body)
