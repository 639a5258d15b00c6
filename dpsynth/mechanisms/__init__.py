"""Mechanisms: select and measure, one algorithm a file. Everything here is charged before it is drawn."""

from dpsynth.mechanisms.independent import IndependentConfig, measure_independent
from dpsynth.mechanisms.mst import MstConfig, measure_mst

__all__ = ["IndependentConfig", "MstConfig", "measure_independent", "measure_mst"]
