"""Estimation: noisy marginals in, a model out. Post-processing: imports nothing that sees records or budgets."""

from typing import Any

from dpsynth.estimation.base import Model
from dpsynth.estimation.junction_tree import JunctionTree, junction_tree
from dpsynth.estimation.mixture import MixtureModel
from dpsynth.estimation.model import TreeModel
from dpsynth.estimation.oracle import Oracle
from dpsynth.estimation.pool import PoolModel
from dpsynth.estimation.solver import Fit, estimate_total, estimate_tree, fit_tree
from dpsynth.estimation.zeros import StructuralZeros, dependency

MODELS: dict[str, Any] = {"tree": TreeModel, "mixture": MixtureModel, "pool": PoolModel}
"""Every model by the ``kind`` in its structure: how a saved one is loaded."""

__all__ = [
    "MODELS",
    "Fit",
    "JunctionTree",
    "MixtureModel",
    "Model",
    "Oracle",
    "PoolModel",
    "StructuralZeros",
    "TreeModel",
    "dependency",
    "estimate_total",
    "estimate_tree",
    "fit_tree",
    "junction_tree",
]
