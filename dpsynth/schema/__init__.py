"""What the publisher declares: kinds, bounds, categories, privacy unit. Public facts only."""

from accountant.adjacency import PrivacyUnit
from dpsynth.schema.columns import Boolean, Categorical, Identifier, Integer, Opaque, Real
from dpsynth.schema.kinds import Column
from dpsynth.schema.loading import load_schema, parse_schema
from dpsynth.schema.models import Schema, TableSchema, json_schema
from dpsynth.schema.opened import Open
from dpsynth.schema.temporal import Temporal

__all__ = [
    "Boolean", "Categorical", "Column", "Identifier", "Integer", "Opaque", "Open", "PrivacyUnit", "Real", "Schema",
    "TableSchema", "Temporal", "json_schema", "load_schema", "parse_schema",
]
