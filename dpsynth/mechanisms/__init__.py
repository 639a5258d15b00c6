"""Mechanisms: select and measure, one algorithm a file. Everything here is charged before it is drawn."""

from dpsynth.mechanisms.adaptive import AdaptiveConfig, measure_adaptive
from dpsynth.mechanisms.aim import AimConfig, measure_aim
from dpsynth.mechanisms.independent import IndependentConfig, measure_independent
from dpsynth.mechanisms.mixture import MixtureConfig, measure_mixture
from dpsynth.mechanisms.mst import MstConfig, measure_mst
from dpsynth.mechanisms.mwem import MwemConfig, measure_mwem
from dpsynth.mechanisms.tree import TreeConfig, measure_tree

__all__ = [
    "AdaptiveConfig",
    "AimConfig",
    "IndependentConfig",
    "MixtureConfig",
    "MstConfig",
    "MwemConfig",
    "TreeConfig",
    "measure_adaptive",
    "measure_aim",
    "measure_independent",
    "measure_mixture",
    "measure_mst",
    "measure_mwem",
    "measure_tree",
]
