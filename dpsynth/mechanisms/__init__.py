"""Mechanisms: select and measure, one algorithm a file. Everything here is charged before it is drawn."""

from dpsynth.mechanisms.adaptive import AdaptiveConfig, measure_adaptive
from dpsynth.mechanisms.aim import AimConfig, measure_aim
from dpsynth.mechanisms.independent import IndependentConfig, measure_independent
from dpsynth.mechanisms.mst import MstConfig, measure_mst

__all__ = [
    "AdaptiveConfig",
    "AimConfig",
    "IndependentConfig",
    "MstConfig",
    "measure_adaptive",
    "measure_aim",
    "measure_independent",
    "measure_mst",
]
