"""Attacks on a synthetic table: tables in, numbers out. They know nothing of what made the table.

Exact numbers live in types whose repr hides them; only the gate's accounted verdict may leave.
"""

from dpsynth.attacks.battery import BatteryReport, battery
from dpsynth.attacks.closeness import (
    ONE,
    AttackStatistic,
    Family,
    SideSums,
    TableFacts,
    side_sums,
    statistic,
    table_facts,
)
from dpsynth.attacks.nearest import Nearness, Table, leave_one_out, nearness, prepare

__all__ = [
    "ONE",
    "AttackStatistic",
    "BatteryReport",
    "Family",
    "Nearness",
    "SideSums",
    "Table",
    "TableFacts",
    "battery",
    "leave_one_out",
    "nearness",
    "prepare",
    "side_sums",
    "statistic",
    "table_facts",
]
