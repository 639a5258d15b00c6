"""Attacks on a synthetic table: tables in, numbers out. They know nothing of what made the table.

Exact numbers live in types whose repr hides them; only the gate's accounted verdict may leave.
"""

from dpsynth.attacks.battery import BatteryReport, battery
from dpsynth.attacks.closeness import AttackStatistic, SideSums, side_sums, statistic, table_facts
from dpsynth.attacks.features import ONE, Family, Feature, make_target
from dpsynth.attacks.layout import Layout
from dpsynth.attacks.nearest import leave_one_out, nearness, prepare

__all__ = [
    "ONE",
    "AttackStatistic",
    "BatteryReport",
    "Family",
    "Feature",
    "Layout",
    "SideSums",
    "battery",
    "leave_one_out",
    "make_target",
    "nearness",
    "prepare",
    "side_sums",
    "statistic",
    "table_facts",
]
