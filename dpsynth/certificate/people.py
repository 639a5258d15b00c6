"""Whether each measurement was priced for all that one person can do to it, by the scope and the declaration alone."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from accountant.adjacency import PrivacyUnit, moved_by
from accountant.events import DiscreteGaussian
from accountant.ledger.entries import unit_from_json
from dpsynth.certificate.arithmetic import require
from dpsynth.certificate.dossier import Dossier
from dpsynth.certificate.planned import ENCODING_STEP, GATE_STEP


def check_people(dossier: Dossier, entries: Any, schema: Mapping[str, Any]) -> str:
    """No measurement is priced below what the rows of one unit can move it by; returns what was found, in words.

    Where rows of a unit are declared distinct, at most so many of them lie in one cell as there are codes of those
    distinct columns that the marginal doesn't hold. Of labels and truth values these are counted from the declaration,
    of numbers and times taken from a stated marginal of that column alone; where there is none, they count as one, so
    that no honest release fails. A marginal that holds no distinct column is priced for all rows in any case: no unit
    can have more rows than distinct codes.

    Args:
      dossier: The signed facts, which agree with the ledger's entries.
      entries: Content of ``ledger.json``.
      schema: Content of ``schema.json``.

    Raises:
      VerificationFailed: One is too cheap.
    """
    unit, table = unit_from_json(entries[0]["unit"]), schema["tables"][0]
    distinct = tuple(table.get("privacy_unit", {}).get("distinct", ()))
    sizes = _sizes(dossier, table, distinct)
    for step in dossier.steps:
        if not isinstance(step.event, DiscreteGaussian) or step.label.startswith(GATE_STEP):
            continue
        if step.label.startswith(ENCODING_STEP):
            least = moved_by(unit.max_rows, unit.adjacency)
        elif step.label.endswith(")"):
            held = step.label.rpartition(" (")[2][:-1].split(", ")
            least = _moved(unit, distinct, held, sizes)
        else:
            continue
        require(step.event.sensitivity >= least, "A measurement is priced below what one person can do to it.")
    rows = f"{unit.max_rows} rows" + (f", distinct in {' and '.join(distinct)}" if distinct else "")
    return f"each measurement is priced for a unit of up to {rows}"


def _moved(unit: PrivacyUnit, distinct: Sequence[str], held: Sequence[str], sizes: Mapping[str, int]) -> float:
    lacking = [name for name in distinct if name not in held]
    if len(lacking) == len(distinct):
        return moved_by(unit.max_rows, unit.adjacency)
    inside = math.prod(sizes[name] for name in lacking)
    return moved_by(unit.max_rows, unit.adjacency, in_one_cell=inside)


def _sizes(dossier: Dossier, table: Mapping[str, Any], distinct: Sequence[str]) -> dict[str, int]:
    """How many codes each distinct column has, or 1 where these files don't say it."""
    declared = {column["name"]: column for column in table.get("columns", ())}
    alone = {m.attributes[0]: m.cells for m in dossier.synthesis.marginals if len(m.attributes) == 1}
    sizes = {}
    for name in distinct:
        column = declared[name]
        labels = 2 if column["kind"] == "boolean" else len(column.get("categories", ()))
        sizes[name] = labels + bool(column.get("nullable", False)) if labels else alone.get(name, 1)
    return sizes
