"""The gate: one policy, one noisy threshold test of attacks on real records, priced by side.

This package re-exports public values only. The test itself is ``dpsynth.gate.verdict.run_gate``; what it found exactly
lives in ``dpsynth.gate.annex``, which nothing that writes public files may import.
"""

from dpsynth.gate.plan import GatePlan, plan_gate
from dpsynth.gate.policy import Policy, load_policy, policy_from_json
from dpsynth.gate.result import GateResult, Verdict

__all__ = ["GatePlan", "GateResult", "Policy", "Verdict", "load_policy", "plan_gate", "policy_from_json"]
