"""The operator's value check. CONFIDENTIAL: its lines depend on single records and are outside every claim."""

from collections import Counter

from dpsynth.encode.absent import without_null_codes
from dpsynth.encode.encoder import Encoder
from dpsynth.tables import TableHandle

CONFIDENTIAL = "CONFIDENTIAL - operator only: exact counts of records, outside the privacy claim; never publish them."


def lint_table(handle: TableHandle) -> list[str]:
    """Count values that don't fit the declaration: a check for whoever may see the table anyway.

    Args:
      handle: An open table.

    Returns:
      Lines of text, the first of which says that they are confidential. Columns and counts are named, values aren't.
    """
    encoder = Encoder.of(handle.schema)
    unit = handle.schema.privacy_unit.column
    rows, nobodies, counts = 0, 0, {name: Counter[str]() for name in encoder.domain.names}
    for block in handle.blocks():
        rows += len(next(iter(block.values())))
        nobodies += 0 if unit is None else encoder.unit_ids(block).count(None)
        for name, column in zip(encoder.domain.names, encoder.columns, strict=True):
            if name not in encoder.open:
                counts[name].update(column.problems(without_null_codes(block[name], handle.schema.columns[name])))
    found = [
        f"{name!r}: {count} of {rows} values: {problem}"
        for name, problems in counts.items()
        for problem, count in problems.items()
    ]
    lines = handle.lines_left_out()
    if lines:
        found.append(f"{lines} lines are no records: their quotes don't balance, or they have another number of fields")
    if nobodies:
        found.append(f"{nobodies} of {rows} records have no id in {unit!r}, and are left out of every release")
    return [CONFIDENTIAL, f"{rows} records were read.", *(found or ["Every value fits its declaration."])]
