"""A small but complete release, built by hand: dossier, ledger entries, files, keys. Test material."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from accountant import Coordinate, Price, PrivacyUnit, Side, Step, canonical
from accountant.compose import larger_side, totals
from accountant.events import BoundedRange, DiscreteGaussian, Event
from accountant.ledger.entries import GENESIS, VERSION, sides_to_json, step_to_json, unit_to_json
from dpsynth.certificate import Artefact, Dossier, publish, sign, stage, table_name
from dpsynth.certificate.claim import state_claim
from dpsynth.certificate.dossier import (
    Data,
    Fact,
    GateFacts,
    LedgerState,
    Marginal,
    Plan,
    Process,
    Share,
    Synthesis,
)
from dpsynth.certificate.writer import open_staging
from dpsynth.report import render_report

TABLE = bytes(range(256)) * 16
SCHEMA = canonical.dumps({"tables": [{"name": "adult"}]})
POLICY = canonical.dumps({"name": "standard"})
PLAN = {"epsilon": "1.0", "synthesizer": "mst"}
UNIT = PrivacyUnit()
BUDGET = Price.of(0.2, 1e-9)
BEFORE = Price.of(0.05, 1e-12)


def key_pair(seed: int = 7) -> tuple[bytes, bytes]:
    """Private and public PEM of a key that depends on ``seed`` alone."""
    key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def some_steps(sigma: float = 12.0, marginals: int = 3) -> tuple[Step, ...]:
    """A total, a selection, some marginals, a gate."""
    measured: list[tuple[str, Event, tuple[Side, ...]]] = [
        ("measure total", DiscreteGaussian(sigma=40.0), (Side.TRAINING,)),
        ("select tree", BoundedRange(eta=0.05), (Side.TRAINING,)),
        *((f"measure marginal {i}", DiscreteGaussian(sigma=sigma), (Side.TRAINING,)) for i in range(marginals)),
        ("gate, training side", DiscreteGaussian(sigma=160.0, sensitivity=8.0), (Side.TRAINING,)),
        ("gate, holdout side", DiscreteGaussian(sigma=160.0, sensitivity=32.0), (Side.HOLDOUT,)),
    ]
    return tuple(Step(label=label, event=event, sides=sides) for label, event, sides in measured)


def caps_of(steps: tuple[Step, ...], coordinate: Coordinate) -> dict[Side, Price]:
    """Caps a little above what the steps cost."""
    return {side: Price(each.amount + 1000, each.delta + 1000) for side, each in totals(steps, coordinate).items()}


def some_entries(steps: tuple[Step, ...], coordinate: Coordinate = Coordinate.GDP) -> list[dict[str, Any]]:
    """The release's entries up to its last charge, chained and hashed."""
    caps = caps_of(steps, coordinate)
    bodies: list[dict[str, Any]] = [
        {
            "kind": "reserve",
            "dataset": "census-2020",
            "unit": unit_to_json(UNIT),
            "coordinate": str(coordinate),
            "plan": PLAN,
            "plan_hash": canonical.sha256_hex(PLAN),
            "key_hash": None,
            "caps": sides_to_json(caps),
            "price": larger_side(caps).to_json(),
            "before": BEFORE.to_json(),
        },
        {"kind": "touch"},
    ]
    for i in range(len(steps)):
        bodies.append(
            {
                "kind": "charge",
                "steps": [step_to_json(steps[i], coordinate)],
                "totals": sides_to_json(totals(steps[: i + 1], coordinate)),
            }
        )
    return chained(bodies)


def chained(bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Entries from bodies: sequence numbers, both chains, hashes (whatever was there is replaced)."""
    entries, last = [], GENESIS
    for i, body in enumerate(bodies):
        plain = {k: v for k, v in body.items() if k != "hash"}
        first = GENESIS if i == 0 else last
        entry = {
            **plain,
            "version": VERSION,
            "seq": 5 + i,
            "date": "2026-01-31",
            "prev": last if i else "1" * 64,
            "release": "r-0001",
            "release_prev": first,
        }
        last = canonical.sha256_hex(entry)
        entries.append({**entry, "hash": last})
    return entries


def some_dossier(
    steps: tuple[Step, ...] | None = None,
    *,
    coordinate: Coordinate = Coordinate.GDP,
    adaptive: bool = False,
    verdict: str = "pass",
) -> Dossier:
    """A dossier that adds up (without artefacts; :func:`write_release` fills them in)."""
    steps = some_steps() if steps is None else steps
    cap = larger_side(caps_of(steps, coordinate))
    entries = some_entries(steps, coordinate)
    claim = state_claim(
        steps,
        coordinate=coordinate,
        delta=1e-6,
        cap=cap,
        adaptive=adaptive,
        accountant="accountant 0.1.0",
        delta_guidance="δ is a twentieth of one over the noisy number of people.",
    )
    third = Price(cap.amount // 3, cap.delta // 3)
    return Dossier(
        release_id="r-0001",
        date="2026-01-31",
        private=True,
        data=Data(
            dataset_id="census-2020",
            table="adult",
            commitment="ab" * 32,
            schema_sha256=Artefact.of("schema.json", SCHEMA).sha256,
            policy_sha256=Artefact.of("policy.json", POLICY).sha256,
            unit=UNIT.describe(),
            unit_bound="each row is a unit, so there is nothing to bound",
            adjacency="add-remove",
            public_inputs=(Fact(name="age", value="17 to 90", source="codebook, top code 90"),),
        ),
        plan=Plan(
            coordinate=coordinate,
            shares=(
                Share(purpose="totals", training=Price(cap.amount // 10), holdout=Price(cap.amount // 20)),
                Share(purpose="measure", training=third, holdout=Price()),
                Share(purpose="gate", training=Price(cap.amount // 16), holdout=third),
            ),
            cap=cap,
            sha256=canonical.sha256_hex(PLAN),
        ),
        claim=claim,
        ledger=LedgerState(
            ledger_id="ledger of census-2020",
            sequence=entries[-1]["seq"],
            head=entries[-1]["hash"],
            budget=BUDGET,
            spent_before=BEFORE,
            spent_after=BEFORE + larger_side(totals(steps, coordinate)),
        ),
        synthesis=Synthesis(
            synthesizer="mst",
            config=(Fact(name="max_cells", value="200000"),),
            preprocessing=("numeric columns cut at the schema's edges", "nulls are a level of their own"),
            post_processing=("junction-tree estimation", "row count rounded from the noisy total"),
            marginals=(
                Marginal(attributes=(), cells=1, sigma=40.0),
                *(Marginal(attributes=a, cells=c, sigma=12.0) for a, c in MEASURED),
            ),
            rows=39_000 if verdict == "pass" else None,
        ),
        gate=GateFacts(
            verdict=verdict,
            policy="standard",
            attacks=("exact match", "closeness", "membership advantage"),
            holdout_share=0.2,
            detection=0.99,
            training_amount=totals(steps, coordinate)[Side.TRAINING].amount // 10,
            holdout_amount=totals(steps, coordinate)[Side.HOLDOUT].amount,
            training_people=39_074,
            holdout_people=9_801,
            sigma_records=20.0,
            grid=8,
            margin_steps=376,
            noisy_steps={"pass": 41, "fail": 5120}.get(verdict),
            smallest_leak=0.0031,
        ),
        process=Process(
            trust_model="Central: the operator holds the records and runs this program unchanged.",
            not_covered=("Anything known about a person without this release.", "Timing of the run."),
            random_source="AES-256-CTR keyed from the operating system",
            sampler="exact table inversion",
            sampler_slack=1e-30,
            software=(Fact(name="dpsynth", value="0.1.0"), Fact(name="python", value="3.11")),
        ),
        steps=steps,
    )


MEASURED: tuple[tuple[tuple[str, ...], int], ...] = (
    (("age", "income"), 146),
    (("education", "occupation"), 240),
    (("marital-status", "relationship"), 42),
)


def write_release(
    folder: Path,
    dossier: Dossier | None = None,
    *,
    entries: list[dict[str, Any]] | None = None,
    table: bytes | None = TABLE,
    seed: int = 7,
) -> Path:
    """Write and sign a whole release folder."""
    dossier = some_dossier() if dossier is None else dossier
    entries = some_entries(dossier.steps, dossier.plan.coordinate) if entries is None else entries
    files = {"ledger.json": canonical.dumps(entries), "schema.json": SCHEMA, "policy.json": POLICY}
    if table is not None:
        files[table_name("adult", "parquet", private=dossier.private)] = table
    with open_staging(folder) as staging:
        artefacts = stage(staging, files)
        dossier = replace(dossier, artefacts=artefacts)
        report = stage(staging, {"report.html": render_report(dossier)})
        stage(staging, {"certificate.json": sign(dossier, (*artefacts, *report), private_key_pem=key_pair(seed)[0])})
        return publish(staging)
