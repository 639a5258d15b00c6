"""Tables to codes and back: raw value <-> integer code, by declared facts, and by merges that were accounted for."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dpsynth.domain import Clique, Domain
from dpsynth.encode.absent import without_null_codes
from dpsynth.encode.columns import ColumnEncoder, NumericEncoder
from dpsynth.encode.computed import may_leave, with_computed
from dpsynth.encode.conditions import rules_kept
from dpsynth.encode.contradictions import check_consistent
from dpsynth.encode.derived import derive, derived_groups
from dpsynth.encode.drawn import drawn
from dpsynth.encode.histograms import MOST_BINS, Histogram, block_starts, merge_cells, merge_labels
from dpsynth.encode.making import encoder_of, is_learned
from dpsynth.encode.merge import Merge
from dpsynth.encode.opened import OPEN_CODES, Interned, closed_table, numbering, open_columns
from dpsynth.encode.raw import keys
from dpsynth.encode.rules import Box, allowed, boxes_of, signatures
from dpsynth.encode.temporal import TemporalEncoder
from dpsynth.encode.values import constant, surrogates
from dpsynth.errors import ParameterError
from dpsynth.schema import Identifier, Schema, TableSchema
from dpsynth.schema.columns import Constant
from dpsynth.tables import Block, Structure
from dpsynth.tables.structure import working_fields
from dpsynth.tables.types import without_views

Codes = NDArray[Any]
"""Coded columns, shape (attributes, rows)."""

BINNED = (NumericEncoder, TemporalEncoder)
"""Encoders whose codes are bins of an ordered column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """The encoding of one table; a total function of any record.

    Attributes:
      schema: The declaration; open columns are closed, by the labels that were found out.
      declared: The declaration as it was made.
      columns: Encoders of the attributes, in domain order; identifiers, omitted and derived columns have none.
      domain: Names and sizes of the attributes.
      dtype: The smallest unsigned type that holds every code.
      learned: Attributes whose codes are fine ones until merges for them were learned.
      merges: What was learned, by attribute; accounted outputs.
      boxes: Combinations of unmerged codes that the declared rules forbid.
      open: Open columns whose labels aren't found out yet; their codes are private numbers.
      selected: The labels that were found out, by column; accounted outputs.
    """

    schema: TableSchema
    declared: TableSchema
    columns: tuple[ColumnEncoder, ...]
    domain: Domain
    dtype: np.dtype[Any]
    learned: tuple[str, ...] = ()
    merges: Mapping[str, Merge] = field(default_factory=dict)
    boxes: tuple[Box, ...] = ()
    open: tuple[str, ...] = ()
    selected: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, schema: Schema | TableSchema, selected: Mapping[str, tuple[str, ...]] | None = None) -> "Encoder":
        """The encoder of a declaration.

        Args:
          schema: The declaration.
          selected: The labels of its open columns that were found out; None where they are still to be.

        Raises:
          SchemaError: It holds a kind that can't be released.
        """
        declared = schema.table if isinstance(schema, Schema) else schema
        declared.check_releasable()
        found = {} if selected is None else {name: tuple(labels) for name, labels in selected.items()}
        table, waiting = closed_table(declared, found), tuple(open_columns(declared)) if selected is None else ()
        learned = tuple(name for name, column in table.learned.items() if is_learned(table, name, column))
        made = {name: encoder_of(table, name, column, finely=name in learned) for name, column in table.learned.items()}
        sizes = tuple(OPEN_CODES if name in waiting else column.size for name, column in made.items())
        domain = Domain(names=tuple(made), sizes=sizes)
        dtype = np.min_scalar_type(max(domain.sizes) - 1)
        return cls(
            schema=table,
            declared=declared,
            columns=tuple(made.values()),
            domain=domain,
            dtype=dtype,
            learned=learned,
            boxes=boxes_of(table, made),
            open=waiting,
            selected=found,
        )

    def merged(self, merges: Mapping[str, Merge]) -> "Encoder":
        """This encoding with what was learned of it.

        Raises:
          ParameterError: It isn't about exactly the attributes that are learned, or has another number of codes.
        """
        sizes = {name: column.size for name, column in self._by_name.items()}
        if set(merges) != set(self.learned) or any(len(m.groups) != sizes[name] for name, m in merges.items()):
            raise ParameterError(
                f"{len(merges)} learned merges don't fit this encoding.",
                f"It learns {len(self.learned)} columns, each with the codes of its declaration.",
                "Use what was learned for this schema.",
            )
        sizes |= {name: merge.size for name, merge in merges.items()}
        domain = Domain(names=self.domain.names, sizes=tuple(sizes[name] for name in self.domain.names))
        return replace(self, domain=domain, dtype=np.min_scalar_type(max(domain.sizes) - 1), merges=dict(merges))

    @property
    def largest_domain(self) -> Domain:
        """The domain with the most codes that each attribute can have after learning: a public fact, for plans."""
        sizes = dict(zip(self.domain.names, self.domain.sizes, strict=True))
        for name in self.learned:
            column = self._by_name[name]
            if isinstance(column, BINNED):
                more = len(self._cuts(name)) + column.size - column.scale
                sizes[name] = min(column.size, MOST_BINS + more)
        for name, opened in open_columns(self.declared).items():
            if name in self.open:
                sizes[name] = self._by_name[name].size + opened.most
        return Domain(names=self.domain.names, sizes=tuple(sizes.values()))

    def blocks(self) -> dict[str, NDArray[np.int64] | None]:
        """For each learned attribute the first cells of the blocks that are counted, too; None where none are."""
        return {
            name: block_starts(column.scale) if isinstance(column, BINNED) else None
            for name, column in self._by_name.items()
            if name in self.learned
        }

    def merge(self, histograms: Mapping[str, Histogram], *, bins: int) -> "Encoder":
        """This encoding with the merges that noisy histograms of the learned attributes give.

        Args:
          histograms: Accounted outputs, one for each learned attribute, without null.
          bins: Number of bins of a numeric column.

        Privacy: none; post-processing.
        """
        return self.merged({name: self._merge(name, histograms[name], bins) for name in self.learned})

    def _merge(self, name: str, found: Histogram, bins: int) -> Merge:
        column = self._by_name[name]
        apart = self.apart[name]
        if isinstance(column, BINNED):
            return merge_cells(found, column.widths, bins=bins, cuts=self._cuts(name), apart=apart)
        told_apart = signatures(self.boxes, name, column.size)[: len(found.cells)]
        groups = derived_groups(self.schema, name)
        return merge_labels(
            found, told_apart if groups is None else groups + told_apart * (groups.max() + 1), apart=apart
        )

    def _cuts(self, name: str) -> list[int]:
        """Fine cells of a numeric attribute at which a rule begins to say something else."""
        column = self._by_name[name]
        told_apart = signatures(self.boxes, name, column.size)[: column.scale]
        return (np.flatnonzero(np.diff(told_apart)) + 1).tolist()

    def check_rules(self) -> None:
        """Refuse declared rules that no row can keep together.

        Raises:
          SchemaError: They contradict each other; it names those that do.
        """
        check_consistent(self.schema, self.boxes, self._by_name)

    @property
    def redraws(self) -> bool:
        """Whether some rows of a model may not be kept: by a rule, or by the bounds of a computed column."""
        computed = (name for name, column in self.schema.released.items() if column.computed is not None)
        return bool(self.schema.rules) or any(may_leave(self.schema, name) for name in computed)

    def forbidden(self) -> list[tuple[Clique, NDArray[np.bool_]]]:
        """For each set of attributes that a rule speaks of, which cells of its marginal never occur: public facts."""
        found: dict[Clique, NDArray[np.bool_]] = {}
        for box in self.boxes:
            clique = self.domain.clique(box.masks)
            cell = found.setdefault(clique, np.zeros(self.domain.shape(clique), bool))
            cell |= reduce(np.logical_and.outer, [self._merged_mask(name, box.masks[name]) for name in clique])
        return list(found.items())

    def _merged_mask(self, name: str, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Codes of the model all of whose fine codes are meant; a cut of a rule never lies within one."""
        merge = self.merges.get(name)
        if merge is None:
            return mask
        return np.asarray(np.bincount(merge.groups, ~mask) == 0)

    def _bins(self, name: str, size: int) -> int:
        """How many of a merged attribute's codes stand on a scale: bins do, labels don't."""
        return size - self.apart[name] if isinstance(self._by_name[name], BINNED) else 0

    @property
    def apart(self) -> dict[str, int]:
        """How many of the last codes of each attribute stand apart: null, and special numbers."""
        return {
            name: column.size - column.scale if isinstance(column, BINNED) else int(self.schema.columns[name].nullable)
            for name, column in self._by_name.items()
        }

    @property
    def _by_name(self) -> dict[str, Any]:
        return dict(zip(self.domain.names, self.columns, strict=True))

    @property
    def scales(self) -> tuple[int, ...]:
        """For each attribute, how many of its first codes stand on a scale: bins of a number, ordered labels."""
        named = zip(self.domain.names, self.columns, self.domain.sizes, strict=True)
        return tuple(
            column.scale if name not in self.merges else self._bins(name, size)
            for name, column, size in named
        )

    def encode(self, block: Block, interned: Mapping[str, Interned] | None = None) -> Codes:
        """The codes of a block of raw records: shape (attributes, rows), C-order, in ``dtype``.

        Args:
          block: The records.
          interned: Gives values of open columns their private numbers, as long as their labels aren't found out.
        """
        rows = len(next(iter(block.values())))
        out = np.empty((len(self.columns), rows), self.dtype)
        for codes, name, column in zip(out, self.domain.names, self.columns, strict=True):
            array = without_null_codes(block[name], self.schema.columns[name])
            if name in self.open:
                codes[:] = numbering(name, interned).codes(array)
                continue
            found, merge = column.encode(array), self.merges.get(name)
            codes[:] = found if merge is None else merge.groups[found]
        return out

    def encode_arrow(self, table: pa.Table) -> Codes:
        """The codes of a whole Arrow table."""
        batches = table.select(list(self.domain.names)).to_batches()
        blocks = [{n: without_views(batch.column(n)) for n in self.domain.names} for batch in batches if batch.num_rows]
        parts = [self.encode(block) for block in blocks]
        return np.concatenate(parts, axis=1) if parts else np.empty((len(self.columns), 0), self.dtype)

    def decode(self, codes: Codes, generator: np.random.Generator, structure: Structure | None = None) -> pa.Table:
        """A table with these codes, in the structure's order and types; identifiers are fresh surrogates.

        Merged codes are split in their learned shares, and derived columns computed.

        Args:
          codes: Shape (attributes, rows).
          generator: Draws the place of a number within its bin.
          structure: Order and types; those that the declaration alone gives, if None.

        Raises:
          ParameterError: The codes don't lie in the domain.

        Privacy: none; post-processing.
        """
        table = self._values(self._split(codes, generator), codes.shape[1], generator, structure)[0]
        return table if structure is None else table.cast(structure.arrow)

    def decode_allowed(
        self, codes: Codes, generator: np.random.Generator, structure: Structure | None = None
    ) -> tuple[pa.Table, NDArray[np.bool_]]:
        """Decode the rows that keep all declared rules: their table, and which rows they are, shape (rows,).

        Text views come as plain text.

        Raises:
          ParameterError: The codes don't lie in the domain.

        Privacy: none; post-processing.
        """
        rows, plain = codes.shape[1], self._split(codes, generator)
        if not self.redraws:
            return self._values(plain, rows, generator, structure)[0], np.ones(rows, bool)
        good = allowed(self.boxes, plain, rows)
        table, kept = self._values({n: c[good] for n, c in plain.items()}, int(good.sum()), generator, structure)
        kept &= rules_kept(self.schema, table)
        good[np.flatnonzero(good)[~kept]] = False
        return table.filter(pa.array(kept)), good

    def decode_completed(
        self, codes: Codes, fine: Codes, generator: np.random.Generator, structure: Structure | None = None
    ) -> tuple[pa.Table, NDArray[np.bool_]]:
        """Decode rows of which some unmerged codes are known.

        Args:
          codes: Shape (attributes, rows), in the domain.
          fine: The unmerged code of each cell where it is known, -1 elsewhere; of the same shape.
          generator: Draws the place of a number within its bin.
          structure: Order and types; those that the declaration alone gives, if None.

        Returns:
          The table of all rows, and which of them keep the rules that codes decide, shape (rows,).

        Raises:
          ParameterError: The codes don't lie in the domain.

        Privacy: none; post-processing.
        """
        rows, plain = codes.shape[1], self._split(codes, generator)
        for name, known in zip(self.domain.names, fine, strict=True):
            plain[name] = np.where(known >= 0, known, plain[name])
        return self._values(plain, rows, generator, structure)[0], allowed(self.boxes, plain, rows)

    def with_surrogates(self, table: pa.Table) -> pa.Table:
        """The table with fresh identifiers, numbered over all its rows."""
        for i, field_ in enumerate(table.schema):
            if isinstance(self.schema.columns[field_.name], Identifier):
                table = table.set_column(i, field_, surrogates(table.num_rows, field_.type))
        return table

    def _split(self, codes: Codes, generator: np.random.Generator) -> dict[str, NDArray[np.int64]]:
        self._check(codes)
        plain = {}
        for name, coded in zip(self.domain.names, codes, strict=True):
            merge, whole = self.merges.get(name), coded.astype(np.int64)
            plain[name] = whole if merge is None else merge.split(whole, generator)
        return plain

    def _values(
        self,
        plain: Mapping[str, NDArray[np.int64]],
        rows: int,
        generator: np.random.Generator,
        structure: Structure | None,
    ) -> tuple[pa.Table, NDArray[np.bool_]]:
        """The values, and where what is computed of them lies within its bounds."""
        fields = working_fields((structure or Structure.declared(self.declared)).arrow)
        arrays = {
            name: column.decode(plain[name], generator, fields.field(name).type)
            for name, column in self._by_name.items()
        }
        for name in fields.names:
            kind, column = fields.field(name).type, self.schema.columns[name]
            if column.drawn_from is not None:
                arrays[name] = drawn(column, rows, generator, kind)
            elif column.computed is not None:
                arrays[name] = pa.nulls(rows, kind)
            elif column.derived_from is not None:
                arrays[name] = derive(self.schema, name, plain[column.derived_from.column], kind)
            elif isinstance(column, Constant):
                arrays[name] = constant(column.value, rows, kind)
            elif name not in arrays:
                arrays[name] = surrogates(rows, kind)
        return with_computed(self.schema, pa.table([arrays[name] for name in fields.names], schema=fields))

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
        """The encoding as JSON-able public facts without floats: size and cuts of each attribute as declared."""
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
