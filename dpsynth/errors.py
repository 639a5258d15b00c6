"""What the engine refuses, by what the reader must do. All are three-sentence refusals (exit code 2)."""

from accountant.errors import MissingExtra, ParameterError, Refusal

__all__ = ["GateRefused", "MissingExtra", "OutputError", "ParameterError", "Refusal", "SchemaError", "TableError"]


class SchemaError(Refusal):
    """The schema is wrong: mend the declaration."""


class TableError(Refusal):
    """The table's structure (header, column types, file) doesn't fit the schema: mend the file or the declaration."""


class OutputError(Refusal):
    """The output can't be written there: choose another place."""


class GateRefused(Refusal):
    """The gate's policy can't be carried out within the plan: change the policy or the budget."""
