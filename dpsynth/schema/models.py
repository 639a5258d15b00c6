"""What a publisher declares of a table and of a data set. Public facts only."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StrictInt, StrictStr, StringConstraints, model_validator

from accountant import canonical
from accountant.adjacency import Adjacency, PrivacyUnit
from dpsynth.errors import SchemaError
from dpsynth.schema.columns import Constant, Identifier, Opaque
from dpsynth.schema.declared import Declared, Label, Number
from dpsynth.schema.derivations import check_derived
from dpsynth.schema.generated import check_generated
from dpsynth.schema.kinds import Column
from dpsynth.schema.opened import Open
from dpsynth.schema.rules import Rule, check_rules
from dpsynth.schema.temporal import Temporal
from dpsynth.workload import HEAVIEST, MOST_WAYS, TARGET_WEIGHT, Workload

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def _safe(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("a name of letters, digits, '.', '_' and '-', at most 100, that starts with a letter or digit")
    return name


Name = Annotated[StrictStr, AfterValidator(_safe)]
"""A name that is safe in a file name."""


MOST_DISTINCT = 4
"""Most columns of which a person's rows are distinct: a plan lists what each set of them is worth."""

ColumnName = Annotated[Label, StringConstraints(min_length=1)]


class Unit(Declared):
    """The privacy unit as written: each row, or all rows that share a value of an id column.

    Attributes:
      rows: 1, where each row is a unit.
      column: The identifier column of a person.
      max_rows: Most rows of one person that are used.
      distinct: Columns of which no two of these rows have the same codes; of rows that are alike in them, one is used.
      adjacency: Which data sets are neighbours.
      public: Columns that are public and not protected, under ``replace-private-part``: they are kept as they are.
    """

    rows: Literal[1] | None = None
    column: StrictStr | None = None
    max_rows: Annotated[StrictInt, Field(ge=1)] = 1
    distinct: Annotated[tuple[StrictStr, ...], Field(max_length=MOST_DISTINCT)] = ()
    adjacency: Adjacency = Adjacency.ADD_REMOVE
    public: tuple[StrictStr, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.column is None and self.max_rows != 1:
            raise ValueError("an id 'column' where 'max_rows' is above 1")
        if self.column is not None and self.rows is not None:
            raise ValueError("either 'rows: 1' or an id 'column' with 'max_rows'")
        if self.distinct and (self.max_rows == 1 or len(set(self.distinct)) < len(self.distinct)):
            raise ValueError("'distinct' columns, each once, where 'max_rows' is above 1")
        partly = self.adjacency is Adjacency.REPLACE_PRIVATE
        if partly != bool(self.public) or len(set(self.public)) < len(self.public):
            raise ValueError("'public' columns, each once, where 'adjacency' is 'replace-private-part', and only there")
        if self.public and self.column is not None:
            raise ValueError("'rows: 1' where a part of each row is public")
        return self


class WeightedMarginal(Declared):
    """A marginal with a weight of its own.

    Attributes:
      of: Its columns.
      weight: Its whole weight.
    """

    of: Annotated[tuple[StrictStr, ...], Field(min_length=1, max_length=MOST_WAYS)]
    weight: Annotated[StrictInt, Field(ge=1, le=HEAVIEST)] = 1


class DeclaredWorkload(Declared):
    """Which marginals matter, as written.

    Attributes:
      ways: All marginals of up to this many columns; 0 for the listed ones alone.
      target: A column whose marginals weigh more.
      target_weight: How much.
      marginals: Marginals with weights of their own.
    """

    ways: Annotated[StrictInt, Field(ge=0, le=MOST_WAYS)] = 3
    target: StrictStr | None = None
    target_weight: Annotated[StrictInt, Field(ge=1, le=HEAVIEST)] = TARGET_WEIGHT
    marginals: tuple[WeightedMarginal, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.ways == 0 and (self.target is not None or not self.marginals):
            raise ValueError("'marginals' and no 'target' where 'ways' is 0")
        if len({frozenset(m.of) for m in self.marginals}) != len(self.marginals):
            raise ValueError("every marginal of 'marginals' once")
        if any(len(set(m.of)) != len(m.of) for m in self.marginals):
            raise ValueError("different columns in 'of'")
        return self

    @property
    def value(self) -> Workload:
        """The workload, for the engine."""
        listed = tuple((m.of, m.weight) for m in self.marginals)
        return Workload(ways=self.ways, target=self.target, target_weight=self.target_weight, marginals=listed)


class DeclaredEncoding(Declared):
    """That bins, spikes and rare labels may be learned, for a share of the budget.

    It concerns numeric columns of many values without declared ``bins`` or ``edges``, and categorical ones of many
    labels; all others are coded as declared.

    Attributes:
      share: Share of the synthesizer's budget for noisy histograms of these columns.
      keep: Columns that are coded as declared all the same.
      provenance: Who says so, and why.
    """

    share: Annotated[Number, Field(gt=0, le=0.5)] = 0.05
    keep: tuple[StrictStr, ...] = ()
    provenance: StrictStr = ""


class TableSchema(Declared):
    """One table: its privacy unit and its columns, in the order of its declaration.

    Attributes:
      name: Names the table, also in file names.
      title: The table in words.
      source: Where it comes from.
      licence: Under which terms.
      provenance: Notes on where the declared facts come from.
      privacy_unit: Who is protected.
      columns: Declarations by column name.
      omit: Columns that are left out of the release.
      rules: What holds in every row.
      workload: Which marginals matter, for synthesizers that choose what they measure.
      known: Sets of columns that others may know of a person; the gate looks for near copies on each of them.
      secrets: Columns of which the gate tests whether the table gives them away, from a person's other columns, for
        people it was made from more often than for others. What follows from the other columns in general isn't hidden.
      encoding: What may be learned of the encoding; nothing, if it isn't given.
      rows_magnitude: About how many rows the table has: a public number, never one that was counted. It decides which
        synthesizer is chosen and is never compared with the data; ``provenance`` says where it comes from.
    """

    name: Name
    title: StrictStr = ""
    source: StrictStr = ""
    licence: StrictStr = ""
    provenance: StrictStr = ""
    privacy_unit: Unit = Unit(rows=1)
    columns: Mapping[ColumnName, Column]
    omit: tuple[StrictStr, ...] = ()
    rules: tuple[Rule, ...] = ()
    workload: DeclaredWorkload | None = None
    known: Annotated[tuple[Annotated[tuple[StrictStr, ...], Field(min_length=1)], ...], Field(max_length=8)] = ()
    secrets: Annotated[tuple[StrictStr, ...], Field(max_length=8)] = ()
    encoding: DeclaredEncoding | None = None
    rows_magnitude: Annotated[StrictInt, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.columns:
            raise ValueError("at least one column in 'columns'")
        if len(set(self.omit)) != len(self.omit) or not set(self.omit) <= set(self.columns):
            raise ValueError("different names of declared columns in 'omit'")
        if self.workload is not None and not _named(self.workload) <= self._learned:
            raise ValueError("names of released columns, none of them an identifier or derived, in the workload's "
                             "'target' and 'of'")
        if any(len(set(names)) != len(names) for names in (*self.known, self.secrets)):
            raise ValueError("different names in each set of 'known', and in 'secrets'")
        if not {name for names in (*self.known, self.secrets) for name in names} <= self._learned:
            raise ValueError("names of released columns, no identifiers, in 'known' and 'secrets'")
        if self.encoding is not None and not set(self.encoding.keep) <= self._learned:
            raise ValueError("names of released columns, none of them an identifier or derived, in 'keep'")
        check_derived(self.released, omitted=self.omit)
        check_generated(self.released)
        check_rules(self.rules, self.released)
        public = set(self.privacy_unit.public)
        if public and not public < self._learned:
            raise ValueError("some but not all released columns, none of them an identifier or derived, as 'public'")
        distinct = [self.learned.get(name) for name in self.privacy_unit.distinct]
        if any(column is None or isinstance(column, Open) for column in distinct):
            raise ValueError("names of released columns, none of them an identifier, open or derived, as 'distinct'")
        unit = self.privacy_unit.column
        if unit is not None and not isinstance(self.columns.get(unit), Identifier):
            raise ValueError("the privacy unit's column to be declared with 'kind: identifier'")
        return self

    @property
    def _learned(self) -> set[str]:
        return set(self.learned)

    @property
    def learned(self) -> dict[str, Column]:
        """The columns that a model holds: no identifiers or constants, and none that is made on output."""
        return {
            name: column
            for name, column in self.released.items()
            if not isinstance(column, Identifier | Constant) and not column.generated
        }

    @property
    def unit(self) -> PrivacyUnit:
        """The privacy unit, for the accountant."""
        declared = self.privacy_unit
        public = tuple(sorted(declared.public))
        return PrivacyUnit(
            column=declared.column, max_rows=declared.max_rows, adjacency=declared.adjacency, public=public
        )

    @property
    def released(self) -> dict[str, Column]:
        """The columns of the synthetic table, identifiers included, in the order of the declaration."""
        return {name: column for name, column in self.columns.items() if name not in self.omit}

    def check_releasable(self) -> None:
        """Refuse a release that would hold a column this version can't synthesize.

        Raises:
          SchemaError: A text, or a date or time without bounds, isn't omitted, or nothing is left to learn.
        """
        opaque = [name for name, column in self.released.items() if _without_domain(column)]
        if opaque:
            kind = self.columns[opaque[0]].kind
            raise SchemaError(
                f"Column {opaque[0]!r} of table {self.name!r} has kind {kind!r}, and {len(opaque)} column(s) like it "
                "can't be released.",
                f"As declared, a column of kind {kind!r} has no finite public domain, so its values can't be "
                "synthesized without repeating those of records.",
                f"Leave them out with 'omit: {opaque}', or declare categories, bounds, or 'kind: open'.",
            )
        if not self.learned:
            raise SchemaError(
                f"Table {self.name!r} has no column to release.",
                "Identifiers are never learned, and every other column is omitted.",
                "Declare at least one categorical, integer, real or boolean column.",
            )

    def canonical(self) -> dict[str, Any]:
        """The declaration as JSON-able values without floats; columns are a list, because their order counts."""
        columns = [
            {"name": name, "kind": column.kind} | column.model_dump(mode="json", exclude_defaults=True)
            for name, column in self.columns.items()
        ]
        rest = self.model_dump(mode="json", exclude_defaults=True, exclude={"columns"})
        plain: dict[str, Any] = _without_floats(rest | {"columns": columns})
        return plain


class Schema(Declared):
    """What is declared of a data set: its id and its tables.

    Attributes:
      dpsynth: Version of the format.
      dataset: The declared id of the data set; ledgers are bound to it.
      tables: The tables; one for now.
    """

    dpsynth: Literal[1] = 1
    dataset: Name
    tables: tuple[TableSchema, ...]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.tables) != 1:
            raise ValueError("exactly one table: several are reserved and not yet carried out by this version")
        return self

    @property
    def table(self) -> TableSchema:
        """The one table."""
        return self.tables[0]

    def canonical(self) -> dict[str, Any]:
        """The schema as JSON-able values without floats (real numbers are decimal text); loads again."""
        tables = [table.canonical() for table in self.tables]
        return {"dpsynth": self.dpsynth, "dataset": self.dataset, "tables": tables}

    @property
    def sha256(self) -> str:
        """SHA-256 of the canonical JSON."""
        return canonical.sha256_hex(self.canonical())


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the format, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Schema.model_json_schema()


def _without_domain(column: Column) -> bool:
    return isinstance(column, Opaque) or (isinstance(column, Temporal) and column.bounds is None)


def _named(workload: DeclaredWorkload) -> set[str]:
    return {n for m in workload.marginals for n in m.of} | ({workload.target} if workload.target else set())


def _without_floats(value: Any) -> Any:
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, dict):
        return {key: _without_floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_floats(item) for item in value]
    return value
