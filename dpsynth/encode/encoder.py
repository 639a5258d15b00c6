"""Tables to codes and back: raw value <-> integer code, by declared facts alone."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dpsynth.domain import Domain
from dpsynth.encode.columns import ENCODERS, ColumnEncoder
from dpsynth.encode.raw import keys
from dpsynth.encode.values import surrogates
from dpsynth.errors import ParameterError
from dpsynth.schema import Schema, TableSchema
from dpsynth.tables import Block, Structure

Codes = NDArray[Any]
"""Coded columns, shape (attributes, rows)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """The encoding of one table; a total function of any record.

    Attributes:
      schema: The declaration.
      columns: Encoders of the attributes, in domain order (identifiers and omitted columns have none).
      domain: Names and sizes of the attributes.
      dtype: The smallest unsigned type that holds every code.
    """

    schema: TableSchema
    columns: tuple[ColumnEncoder, ...]
    domain: Domain
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, schema: Schema | TableSchema) -> "Encoder":
        """The encoder of a declaration.

        Raises:
          SchemaError: It holds a kind that can't be released.
        """
        table = schema.table if isinstance(schema, Schema) else schema
        table.check_releasable()
        learned = {name: column for name, column in table.released.items() if type(column) in ENCODERS}
        columns = tuple(ENCODERS[type(column)](column) for column in learned.values())
        domain = Domain(names=tuple(learned), sizes=tuple(column.size for column in columns))
        return cls(schema=table, columns=columns, domain=domain, dtype=np.min_scalar_type(max(domain.sizes) - 1))

    @property
    def scales(self) -> tuple[int, ...]:
        """For each attribute, how many of its first codes stand on a scale: bins of a number, ordered labels."""
        return tuple(column.scale for column in self.columns)

    def encode(self, block: Block) -> Codes:
        """The codes of a block of raw records: shape (attributes, rows), C-order, in ``dtype``."""
        rows = len(next(iter(block.values())))
        out = np.empty((len(self.columns), rows), self.dtype)
        for codes, name, column in zip(out, self.domain.names, self.columns, strict=True):
            codes[:] = column.encode(block[name])
        return out

    def encode_arrow(self, table: pa.Table) -> Codes:
        """The codes of a whole Arrow table."""
        batches = table.select(list(self.domain.names)).to_batches()
        parts = [self.encode({n: batch.column(n) for n in self.domain.names}) for batch in batches if batch.num_rows]
        return np.concatenate(parts, axis=1) if parts else np.empty((len(self.columns), 0), self.dtype)

    def decode(self, codes: Codes, generator: np.random.Generator, structure: Structure | None = None) -> pa.Table:
        """A table with these codes, in the structure's order and types; identifiers are fresh surrogates.

        Args:
          codes: Shape (attributes, rows).
          generator: Draws the place of a number within its bin.
          structure: Order and types; those that the declaration alone gives, if None.

        Raises:
          ParameterError: The codes don't lie in the domain.

        Privacy: none; post-processing.
        """
        self._check(codes)
        fields = (structure or Structure.declared(self.schema)).arrow
        by_name = dict(zip(self.domain.names, zip(self.columns, codes, strict=True), strict=True))
        arrays = {}
        for name in self.domain.names:
            column, coded = by_name[name]
            arrays[name] = column.decode(coded.astype(np.int64), generator, fields.field(name).type)
        for name in fields.names:
            if name not in arrays:
                arrays[name] = surrogates(codes.shape[1], fields.field(name).type)
        return pa.table([arrays[name] for name in fields.names], schema=fields)

    def unit_ids(self, block: Block) -> list[bytes | None]:
        """A key of bytes for the privacy unit of each record; records with equal keys are one unit's.

        None where a record has no id (null, NaN or empty): nobody's rows can be bounded there, so it isn't counted.

        Raises:
          ParameterError: The privacy unit is a row; no column identifies it.
        """
        column = self.schema.privacy_unit.column
        if column is None:
            raise ParameterError(
                "Records have no unit ids here.",
                "The privacy unit is one row, so no column says which rows belong together.",
                "Declare 'privacy_unit: {column: ..., max_rows: ...}' to protect people with several rows.",
            )
        return keys(block[column])

    def describe(self) -> dict[str, Any]:
        """The encoding as JSON-able public facts without floats: size and cuts of each attribute."""
        return {name: column.describe() for name, column in zip(self.domain.names, self.columns, strict=True)}

    def _check(self, codes: Codes) -> None:
        sizes = np.array(self.domain.sizes)
        fits = codes.ndim == 2 and len(codes) == len(sizes)
        if not fits or (codes.size and not ((codes.min(axis=1) >= 0) & (codes.max(axis=1) < sizes)).all()):
            raise ParameterError(
                "Codes outside the domain can't be decoded.",
                f"They have one row for each of {len(sizes)} attributes, with values below the attribute's size.",
                "Use codes that were sampled for this domain.",
            )
