"""A release on a ledger with scopes: every scope bears it, and the certificate speaks of its data set."""

from pathlib import Path

from accountant.budget import Budget
from accountant.ledger import Ledger, Level
from accountant.ledger.verify import verify
from accountant.price import Price
from dpsynth.line import release
from tests.dpsynth import lines


def test_a_release_is_borne_by_every_scope_and_states_its_data_sets_budget(tmp_path: Path) -> None:
    schema = lines.schema()
    made = Ledger.create(
        tmp_path / "ledger",
        dataset="acme",
        budget=Budget(epsilon=8.0, delta=1e-5, claim_share=0.1),
        unit=schema.table.unit,
        level=Level.ORGANISATION,
    )
    small = Budget(epsilon=4.0, delta=1e-5, claim_share=0.1)
    for name in (schema.dataset, "others"):
        made.add_scope(name, parent="acme", level=Level.DATASET, budget=small)
    result = release(
        lines.table(),
        schema,
        epsilon=2.0,
        delta=1e-6,
        ledger=tmp_path / "ledger",
        out=tmp_path / "out",
        synthesizer="independent",
        policy=lines.lenient(),
    )
    found = verify(made.path)
    (run,) = found.releases
    spent = {scope.name: scope.spent for scope in found.scopes}
    assert spent == {"acme": run.charged, schema.dataset: run.charged, "others": Price()}
    assert run.release_id == result.release_id
    certificate = (made.path / "releases" / run.release_id / "certificate.json").read_bytes()
    import base64
    import json

    payload = base64.b64decode(json.loads(certificate)["payload"]).decode()
    assert str(small.cap.amount) in payload
    assert str(found.budget.cap.amount) not in payload
