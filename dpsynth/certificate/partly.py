"""What a certificate says where a part of each row is public: which columns aren't protected, and that they are kept.

The words are stated by whoever makes a release, and looked for by whoever verifies one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from accountant.adjacency import Adjacency, PrivacyUnit, moved_by
from accountant.events import DiscreteGaussian
from accountant.ledger.entries import unit_from_json
from accountant.spend import Side
from dpsynth.certificate.arithmetic import require
from dpsynth.certificate.attempts import is_test
from dpsynth.certificate.dossier import UNDECIDABLE, Dossier

KEPT = (
    "every record, held out or not, has one row in the table: its public columns are in it as they are, in an order "
    "that isn't the records', and the other columns are drawn from the model given them"
)
"""How a certificate says that public columns are kept, and whose."""
AS_MANY = "the number of rows: that of the records, which is public"
"""How it says where the number of rows is from."""
COUNTED = (
    "numbers of people and marginals of public columns alone are counted exactly: they are public, and the same for "
    "all neighbours"
)
"""How it says what was counted without noise."""
_MADE = ("identifier", "constant")
_GENERATED = ("derived_from", "computed", "drawn_from")


def unprotected_in_words(public: Sequence[str]) -> str:
    """What the claim doesn't speak of where these columns are public."""
    return (
        f"The columns {', '.join(public)}, and whatever is a function of them: they are public by declaration, NOT "
        "PROTECTED, and in the table as they are. Who is in the table, and how many, isn't protected either. The claim "
        "speaks of the other columns of each row."
    )


def private_columns(table: Mapping[str, Any], public: Sequence[str]) -> tuple[str, ...]:
    """The columns of a declared table (as ``schema.json`` has it) that are read from records and aren't public."""
    left_out = {*public, *table.get("omit", ())}
    read = [c for c in table["columns"] if c["kind"] not in _MADE and not any(how in c for how in _GENERATED)]
    return tuple(column["name"] for column in read if column["name"] not in left_out)


def check_protection(dossier: Dossier, entries: Any, schema: Mapping[str, Any]) -> str:
    """What is said to be protected is what the ledger's scope and the declaration say; returns that, in words.

    Args:
      dossier: The signed facts, which agree with the ledger's entries.
      entries: Content of ``ledger.json``.
      schema: Content of ``schema.json``.

    Raises:
      VerificationFailed: They disagree, or something was charged or counted that doesn't fit this adjacency.
    """
    unit, data, made = unit_from_json(entries[0]["unit"]), dossier.data, dossier.synthesis
    same = data.not_protected == unit.public
    require(same, "The columns that aren't protected are others than the ledger's scope has.")
    words = {KEPT, AS_MANY} & set(made.post_processing)
    if not unit.public:
        untrue = words or COUNTED in made.preprocessing or data.protected
        require(not untrue, "Public columns are stated, and the ledger's scope has none.")
        return f"all of {unit.describe()}"
    table = schema["tables"][0]
    declared = table["privacy_unit"]
    same = (declared["adjacency"], tuple(sorted(declared["public"]))) == (str(unit.adjacency), unit.public)
    require(same, "The columns that aren't protected are others than the declaration has.")
    require(data.protected == private_columns(table, unit.public), "The protected columns aren't those declared.")
    require(unprotected_in_words(unit.public) in dossier.process.not_covered, "It isn't said what isn't protected.")
    require(COUNTED in made.preprocessing, "It isn't said what is counted exactly.")
    due = {KEPT, AS_MANY} if dossier.gate.verdict != UNDECIDABLE else set()
    require(words == due, "It isn't said that everybody's public columns are kept, or they weren't.")
    _check_steps(dossier, unit)
    people = dossier.gate.training_people + dossier.gate.holdout_people
    require(made.rows in (None, people), "The table hasn't one row for everybody on either side.")
    return f"the columns {', '.join(data.protected)}; NOT protected, and kept as they are: {', '.join(unit.public)}"


def _check_steps(dossier: Dossier, unit: PrivacyUnit) -> None:
    """Every measurement is of a private column, with the sensitivity of a row that leaves one cell for another."""
    moved = moved_by(unit.max_rows, Adjacency.REPLACE_PRIVATE)
    for step in dossier.steps:
        if isinstance(step.event, DiscreteGaussian) and not is_test(step):
            require(step.event.sensitivity >= moved, "A marginal was priced as if a row came or went.")
            require(step.sides == (Side.TRAINING,), "Others than training people were measured.")
    public = set(unit.public)
    partly = all(set(m.attributes) - public for m in dossier.synthesis.marginals)
    require(partly, "A marginal of public columns was charged.")
