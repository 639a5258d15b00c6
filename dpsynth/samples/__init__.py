"""Samples that people ask for: in other proportions, completing a table, beside a public one. Post-processing."""

from dpsynth.samples.completing import PartlyKnown, complete_table
from dpsynth.samples.making import Made, codes_of, impute, join_public, rebalance, synthesize
from dpsynth.samples.targets import Target, read_target

__all__ = [
    "Made", "PartlyKnown", "Target", "codes_of", "complete_table", "impute", "join_public", "read_target", "rebalance",
    "synthesize",
]
