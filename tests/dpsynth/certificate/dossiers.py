"""A small but complete release, built by hand: dossier, ledger entries, files, keys. Test material."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from accountant import BOTH_SIDES, Coordinate, Price, PrivacyUnit, Side, Step, canonical
from accountant.budget import Budget
from accountant.compose import larger_side, totals
from accountant.events import BoundedRange, DiscreteGaussian, Event
from accountant.ledger.entries import GENESIS, VERSION, sides_to_json, step_to_json, unit_to_json
from dpsynth.certificate import Artefact, Dossier, publish, sign, stage, table_name
from dpsynth.certificate.claim import state_claim
from dpsynth.certificate.dossier import (
    SEEDED,
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
from dpsynth.certificate.gating import GATE_COUNT, GATE_TEST
from dpsynth.certificate.planned import PLAN_VERSION, output_in_words
from dpsynth.certificate.writer import open_staging
from dpsynth.report import render_report

TABLE = bytes(range(256)) * 16
SCHEMA = canonical.dumps({"tables": [{"name": "adult"}]})
POLICY = canonical.dumps(
    {
        "name": "standard",
        "attacks": [
            {"name": name, "kind": kind}
            for name, kind in (("exact match", "near"), ("closeness", "near"), ("membership advantage", "advantage"))
        ],
        "retries": 0,
        "holdout_share": "1/5",
        "detection": "99/100",
        "grid": 8,
        "smallest_side": 500,
        "noise_alpha": "1/100",
    }
)
UNIT = PrivacyUnit()
BUDGET = Price.of(0.2, 1e-9)
BEFORE = Price.of(0.05, 1e-12)
MARGIN = 372
"""Exceeded with probability 1 % by noise of sigma 160."""


def key_pair(seed: int = 7) -> tuple[bytes, bytes]:
    """Private and public PEM of a key that depends on ``seed`` alone."""
    key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


SHARES = (("totals", 2**32, 2**31), ("synthesizer", 2**36, 0), ("gate", 2**33, 2**36))
"""Purpose, and what each side may pay for it."""
MEASURED: tuple[tuple[tuple[str, ...], int], ...] = (
    (("age", "income"), 146),
    (("education", "occupation"), 240),
    (("marital-status", "relationship"), 42),
)


def some_plan(coordinate: Coordinate = Coordinate.GDP, *, private: bool = True) -> dict[str, Any]:
    """What was planned: the form of ``ReleasePlan.to_json``."""
    return {
        "version": PLAN_VERSION,
        "kind": "release",
        "schema": Artefact.of("schema.json", SCHEMA).sha256,
        "dataset": "census-2020",
        "budget": Budget(epsilon=3.0, delta=1e-6, coordinate=coordinate).to_json(),
        "synthesizer": {"name": "mst", "settings": {"max_cells": "200000"}},
        "policy": Artefact.of("policy.json", POLICY).sha256,
        "shares": [
            {"purpose": purpose, "side": str(side), "amount": amount}
            for purpose, *amounts in SHARES
            for side, amount in zip((Side.TRAINING, Side.HOLDOUT), amounts, strict=True)
            if amount
        ],
        "rows": None,
        "output": {} if private else dict([SEEDED]),
    }


def some_steps(sigma: float = 12.0, *, tested: bool = True) -> tuple[Step, ...]:
    """Totals; with ``tested`` a selection, some marginals and a gate, too."""
    training, holdout = (Side.TRAINING,), (Side.HOLDOUT,)
    measured: list[tuple[str, Event, tuple[Side, ...]]] = [
        (GATE_COUNT.format(side="training"), DiscreteGaussian(sigma=40.0), training),
        (GATE_COUNT.format(side="holdout"), DiscreteGaussian(sigma=40.0), holdout),
    ]
    if tested:
        measured += [
            ("edge 1 of the tree", BoundedRange(eta=0.05), training),
            *(
                (f"pairs of the tree ({', '.join(a)})", DiscreteGaussian(sigma=sigma, draws=cells), training)
                for a, cells in MEASURED
            ),
            (GATE_TEST.format(side="training"), DiscreteGaussian(sigma=160.0, sensitivity=8.0), training),
            (GATE_TEST.format(side="holdout"), DiscreteGaussian(sigma=160.0, sensitivity=32.0), holdout),
        ]
    return tuple(Step(label=label, event=event, sides=sides) for label, event, sides in measured)


def caps_of(steps: tuple[Step, ...], coordinate: Coordinate) -> dict[Side, Price]:
    """Caps a little above what the steps cost."""
    return {side: Price(each.amount + 1000, each.delta + 1000) for side, each in totals(steps, coordinate).items()}


def some_entries(
    steps: tuple[Step, ...],
    coordinate: Coordinate = Coordinate.GDP,
    *,
    private: bool = True,
    plan: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """The release's entries up to its last charge, chained and hashed."""
    caps, planned = caps_of(steps, coordinate), plan or some_plan(coordinate, private=private)
    bodies: list[dict[str, Any]] = [
        {
            "kind": "reserve",
            "split": None,
            "dataset": "census-2020",
            "unit": unit_to_json(UNIT),
            "coordinate": str(coordinate),
            "plan": planned,
            "plan_hash": canonical.sha256_hex(planned),
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
            "token": 1,
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
    verdict: str = "pass",
    private: bool = True,
    plan: dict[str, Any] | None = None,
) -> Dossier:
    """A dossier that adds up (without artefacts; :func:`write_release` fills them in)."""
    tested = verdict in {"pass", "fail"}
    steps = some_steps(tested=tested) if steps is None else steps
    cap = larger_side(caps_of(steps, coordinate))
    planned = plan or some_plan(coordinate, private=private)
    entries = some_entries(steps, coordinate, plan=planned)
    tests = totals([step for step in steps if "test" in step.label], coordinate)
    prices = {side: tests[side].amount for side in BOTH_SIDES}
    claim = state_claim(
        steps,
        coordinate=coordinate,
        delta=1e-6,
        cap=cap,
        adaptive=True,
        accountant="accountant 0.1.0",
        delta_guidance="δ is a twentieth of one over the noisy number of people.",
    )
    return Dossier(
        release_id="r-0001",
        date="2026-01-31",
        private=private,
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
            shares=tuple(Share(purpose=p, training=Price(t), holdout=Price(h)) for p, t, h in SHARES),
            cap=cap,
            sha256=canonical.sha256_hex(planned),
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
            post_processing=(
                "junction-tree estimation",
                "row count rounded from the noisy total",
                *(output_in_words(name, value) for name, value in planned["output"].items()),
            ),
            marginals=tuple(Marginal(attributes=a, cells=c, sigma=12.0) for a, c in MEASURED if tested),
            rows=39_000 if verdict == "pass" else None,
        ),
        gate=GateFacts(
            verdict=verdict,
            policy="standard",
            attacks=("exact match", "closeness", "membership advantage"),
            holdout_share=0.2,
            detection=0.99,
            training_amount=prices[Side.TRAINING],
            holdout_amount=prices[Side.HOLDOUT],
            training_people=39_074,
            holdout_people=9_801,
            sigma_records=20.0,
            grid=8,
            margin_steps=MARGIN if tested else 0,
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
    entries = (
        some_entries(dossier.steps, dossier.plan.coordinate, private=dossier.private) if entries is None else entries
    )
    files = {"ledger.json": canonical.dumps(entries), "schema.json": SCHEMA, "policy.json": POLICY}
    if table is not None:
        files[table_name("adult", "parquet", private=dossier.private)] = table
    with open_staging(folder) as staging:
        artefacts = stage(staging, files)
        dossier = replace(dossier, artefacts=artefacts)
        report = stage(staging, {"report.html": render_report(dossier)})
        stage(staging, {"certificate.json": sign(dossier, (*artefacts, *report), private_key_pem=key_pair(seed)[0])})
        return publish(staging)
