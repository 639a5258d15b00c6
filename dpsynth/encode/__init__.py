"""Raw value <-> integer code, by declared facts alone."""

from dpsynth.encode.draft import draft_schema
from dpsynth.encode.encoder import Codes, Encoder
from dpsynth.encode.lint import lint_table

__all__ = ["Codes", "Encoder", "draft_schema", "lint_table"]
