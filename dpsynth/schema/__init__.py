"""What the publisher declares: kinds, bounds, categories, privacy unit. Public facts only."""

from accountant.adjacency import PrivacyUnit
from dpsynth.schema.columns import Boolean, Categorical, Column, Identifier, Integer, Opaque, Real
from dpsynth.schema.loading import load_schema, parse_schema
from dpsynth.schema.models import Schema, TableSchema, json_schema

__all__ = [
    "Boolean", "Categorical", "Column", "Identifier", "Integer", "Opaque", "PrivacyUnit", "Real", "Schema",
    "TableSchema", "json_schema", "load_schema", "parse_schema",
]
