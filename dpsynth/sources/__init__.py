"""How the engine sees records: exact marginals and blocks of coded rows. Private; nothing here spends or draws."""

from dpsynth.sources.base import Codes, MarginalSource, RowSource
from dpsynth.sources.memory import MemorySource, joined

__all__ = ["Codes", "MarginalSource", "MemorySource", "RowSource", "joined"]
