"""What a publisher declares of one column: its kind and its public domain."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, StrictBool, StrictInt, StrictStr, field_serializer, model_validator

from dpsynth.schema.declared import MAX_EXACT, MAX_LEVELS, Declared, Label, Number, finite, label_text
from dpsynth.schema.generated import Computation, Distribution

MOST_SPECIAL = 100
_LEAST_RANGE, _LEAST_SHARE = 1e-30, 1e-9


def _number(text: str) -> float | None:
    try:
        return finite(text)
    except ValueError:
        return None


def _plain(value: Any) -> Any:
    """A value of a column as it was written; numbers also as text."""
    if isinstance(value, bool) or not (value is None or isinstance(value, int | float | str)):
        raise ValueError("labels or numbers, or null, as 'values'")
    return value


def _constant(value: Any) -> Any:
    """The value of a constant column as it was written."""
    if isinstance(value, str):
        return label_text(value)
    if isinstance(value, Mapping) and set(value) == {"real"}:
        return finite(value["real"])
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) <= MAX_EXACT:
        return value
    return finite(value)


class Derivation(Declared):
    """A column that is a public function of another one: it is never read, and computed on output.

    Attributes:
      column: The categorical column that determines it.
      values: Its value for each category of that column; null where it has none.
    """

    column: StrictStr
    values: Mapping[Label, Annotated[Any, BeforeValidator(_plain)]]


class ColumnBase(Declared):
    """What columns of every kind can declare.

    Attributes:
      title: The column in words.
      provenance: Where its public domain comes from: a codebook, a law, a top code.
      nullable: Whether an absent value is a level of its own.
      nulls: Codes that stand for an absent value where they are read, as text; it is written as null.
      derived_from: The public function of another column that it is, if it is one.
      computed: What it is computed from on output, if it is.
      drawn_from: The public distribution that it is drawn from on output, if it is.
    """

    title: StrictStr = ""
    provenance: StrictStr = ""
    nullable: StrictBool = False
    nulls: tuple[Label, ...] = ()
    derived_from: Derivation | None = None
    computed: Computation | None = None
    drawn_from: Distribution | None = None

    @property
    def generated(self) -> bool:
        """Whether it is made on output, by declarations alone, and never read."""
        return any(how is not None for how in (self.derived_from, self.computed, self.drawn_from))

    @model_validator(mode="after")
    def _check_nulls(self) -> Self:
        if self.nulls and getattr(self, "kind", "") in ("identifier", "text"):
            raise ValueError("no 'nulls' of a column that isn't learned")
        if self.nulls and (self.generated or not self.nullable):
            raise ValueError("'nullable: true', and a column that is read, where 'nulls' lists codes of absent values")
        if len(set(self.nulls)) != len(self.nulls) or set(self.nulls) & set(getattr(self, "categories", ())):
            raise ValueError("different codes in 'nulls', none of them a category; a level of its own is a category")
        return self


class Categorical(ColumnBase):
    """One of a public list of labels, compared exactly.

    Attributes:
      kind: The word that names this kind; an ordinal column is an ordered one.
      categories: The labels, in the order of their codes.
      ordered: Whether that order means something.
      otherwise: The label of everything undeclared; where it isn't given, null, or the first label.
    """

    kind: Literal["categorical", "ordinal"] = "categorical"
    categories: tuple[Label, ...]
    ordered: StrictBool = False
    otherwise: Label | None = None

    @model_validator(mode="before")
    @classmethod
    def _ordinal(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("kind") == "ordinal":
            if data.get("ordered", True) is not True:
                raise ValueError("no 'ordered: false' of an ordinal column")
            return {**data, "ordered": True}
        return data

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.categories:
            raise ValueError("at least one label in 'categories': fill in the list, from public knowledge")
        if len(set(self.categories)) != len(self.categories):
            raise ValueError("different labels in 'categories'; one is there twice")
        if len(self.categories) >= MAX_LEVELS:
            raise ValueError(f"fewer than {MAX_LEVELS} labels in 'categories'")
        if self.otherwise is not None and self.otherwise not in self.categories:
            raise ValueError("'otherwise' to be one of the declared categories")
        return self


class _Numeric(ColumnBase):
    bins: Any = None
    edges: Any = None
    bounds: Any = None
    special: Any = ()
    scale: Literal["linear", "log"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _filled_in(cls, data: Any) -> Any:
        if isinstance(data, dict):
            bounds = data.get("bounds")
            if not isinstance(bounds, list | tuple) or len(bounds) != 2:
                raise ValueError("'bounds: [lower, upper]', two public numbers: fill them in")
        return data

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        lower, upper = self.bounds
        if lower >= upper:
            raise ValueError("bounds [lower, upper] with lower < upper")
        if max(-lower, upper) > MAX_EXACT:
            raise ValueError(f"bounds between -2^53 and 2^53 ({MAX_EXACT})")
        if upper - lower < max(_LEAST_RANGE, _LEAST_SHARE * max(-lower, upper)):
            raise ValueError("bounds at least 1e-30, and a billionth of the larger one, apart")
        if self.edges is not None:
            self._check_edges(self.edges)
        if any(lower <= code <= upper or abs(code) > MAX_EXACT for code in self.special):
            raise ValueError("'special' numbers outside of the bounds, between -2^53 and 2^53")
        if len(set(self.special)) != len(self.special) or len(self.special) > MOST_SPECIAL:
            raise ValueError(f"at most {MOST_SPECIAL} different numbers in 'special'")
        if self.special and self.generated:
            raise ValueError("no 'special' numbers of a column that isn't read")
        if {float(code) for code in self.special} & {_number(code) for code in self.nulls}:
            raise ValueError("a code in 'nulls' or in 'special', not in both")
        return self

    def _check_edges(self, edges: tuple[float, ...]) -> None:
        if self.bins is not None or self.scale is not None:
            raise ValueError("either 'edges', or 'bins' with a 'scale', not both")
        if not all(a < b for a, b in pairwise(edges)):
            raise ValueError("'edges' in strictly increasing order")
        if edges and not (self.bounds[0] < edges[0] and edges[-1] <= self.bounds[1]):
            raise ValueError("'edges' above the lower bound and up to the upper bound")
        if len(edges) + 2 > MAX_LEVELS:
            raise ValueError(f"fewer than {MAX_LEVELS - 1} edges")


class Integer(_Numeric):
    """A whole number between public bounds.

    Attributes:
      kind: The word that names this kind.
      bounds: Smallest and largest value; what lies outside is clamped.
      edges: First values of the second, third, ... bin, each above the lower bound and at most the upper.
      bins: How many bins, or ``each`` for one code per integer.
      special: Numbers outside of the bounds that are levels of their own (codes of a refusal, say), written as read.
      scale: How bins are spaced; ``log`` keeps 0 alone where the bounds hold it.
    """

    kind: Literal["integer"] = "integer"
    bounds: tuple[StrictInt, StrictInt]
    edges: tuple[StrictInt, ...] | None = None
    special: tuple[StrictInt, ...] = ()
    bins: Annotated[StrictInt, Field(ge=1, le=MAX_LEVELS - 1)] | Literal["each"] | None = None

    @model_validator(mode="after")
    def _check_each(self) -> Self:
        if self.bins == "each" and self.bounds[1] - self.bounds[0] + 2 > MAX_LEVELS:
            raise ValueError(f"fewer than {MAX_LEVELS} values between the bounds for 'bins: each'")
        return self


class Real(_Numeric):
    """A real number between public bounds.

    Attributes:
      kind: The word that names this kind.
      bounds: Smallest and largest value; what lies outside is clamped.
      edges: Lower ends of the second, third, ... bin.
      bins: How many bins.
      special: Numbers outside of the bounds that are levels of their own, written as read.
      scale: How bins are spaced; ``log`` keeps 0 alone where the bounds hold it.
      resolution: Synthetic values are multiples of it (a public fact, for example 0.01 for money).
    """

    kind: Literal["real"] = "real"
    bounds: tuple[Number, Number]
    edges: tuple[Number, ...] | None = None
    special: tuple[Number, ...] = ()
    bins: Annotated[StrictInt, Field(ge=1, le=MAX_LEVELS - 1)] | None = None
    resolution: Number | None = None

    @model_validator(mode="after")
    def _check_resolution(self) -> Self:
        if self.resolution is None:
            return self
        lower, upper = self.bounds
        if self.resolution <= 0 or max(-lower, upper) / self.resolution >= 2**50:
            raise ValueError("a positive 'resolution' that isn't below the largest bound times 1e-15")
        return self


class Boolean(ColumnBase):
    """True or false.

    Attributes:
      kind: The word that names this kind.
    """

    kind: Literal["boolean"] = "boolean"


class Identifier(ColumnBase):
    """A name of a person or a record: never learned, replaced by fresh surrogates.

    Attributes:
      kind: The word that names this kind.
    """

    kind: Literal["identifier"] = "identifier"


class Constant(ColumnBase):
    """One declared value in every row: never read, written on output.

    Attributes:
      kind: The word that names this kind.
      value: A label, a number or a truth; null where the column is nullable.
    """

    kind: Literal["constant"]
    value: Annotated[Any, BeforeValidator(_constant)]

    @field_serializer("value")
    def _written(self, value: Any) -> Any:
        return {"real": repr(value)} if isinstance(value, float) else value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.value is None and not self.nullable) or self.nulls or self.generated:
            raise ValueError("'nullable: true' for a value of null, and nothing else that it is made of")
        return self


class Opaque(ColumnBase):
    """Free text: it loads, but it can't be released, so such a column has to be omitted.

    Attributes:
      kind: The word that names this kind.
      max_length: Longest text; not used.
    """

    kind: Literal["text"]
    max_length: StrictInt | None = None
