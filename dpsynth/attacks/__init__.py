"""Attacks on a synthetic table: tables in, numbers out. They know nothing of what made the table.

Exact numbers live in types whose repr hides them; only the gate's accounted verdict may leave.
"""

from dpsynth.attacks.battery import BatteryReport, battery
from dpsynth.attacks.closeness import ONE, AttackStatistic, SideSums, constants, side_sums, statistic
from dpsynth.attacks.nearest import Table, distances, leave_one_out, prepare

__all__ = [
    "ONE",
    "AttackStatistic",
    "BatteryReport",
    "SideSums",
    "Table",
    "battery",
    "constants",
    "distances",
    "leave_one_out",
    "prepare",
    "side_sums",
    "statistic",
]
