"""Estimation: noisy marginals in, a model out. Post-processing: imports nothing that sees records or budgets."""

from dpsynth.estimation.junction_tree import JunctionTree, junction_tree
from dpsynth.estimation.model import TreeModel
from dpsynth.estimation.oracle import Oracle
from dpsynth.estimation.solver import Fit, estimate_total, estimate_tree, fit_tree

__all__ = ["Fit", "JunctionTree", "Oracle", "TreeModel", "estimate_total", "estimate_tree", "fit_tree", "junction_tree"]
