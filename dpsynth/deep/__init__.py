"""DP-SGD synthesizers: the engine, its plans, and the networks. torch is loaded by the modules that train, never here.

A plan (``plan``) is fixed, priced and charged before a record is looked at; ``sgd`` takes the charged steps one by one;
``layers`` knows each person's gradient norm without making the gradient.
"""

from dpsynth.deep.plan import ChargedSteps, Phase, SgdPlan, charge_plan, plan_for_amount, plan_for_target

__all__ = ["ChargedSteps", "Phase", "SgdPlan", "charge_plan", "plan_for_amount", "plan_for_target"]
