"""The one noisy threshold test: exact statistics in rational arithmetic, one charged draw, a verdict.

A_j = S_tr/N_tr - S_ho/N_ho, where S sums f - c over the people of a side (|f - c| <= 1, f in 16 bits) and N is noisy;
T = max_j w_j (A_j - tau_j), rounded down to multiples of 1/(g N_tr). A maximum of statistics that one person moves by
at most 1/N_tr (training) or 1/N_ho (holdout), |w_j| <= 1, moves by no more. PASS iff floor(T) + noise <= margin.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

from accountant import faults
from accountant.compose import totals as side_totals
from accountant.spend import Side, Spend
from dpsynth.attacks.closeness import AttackStatistic, side_sums, statistic, table_facts
from dpsynth.attacks.features import ONE, make_target
from dpsynth.attacks.layout import Layout
from dpsynth.attacks.likelihood import NoisyMarginal, Ratios, ratios
from dpsynth.attacks.nearest import Codes
from dpsynth.domain import Domain
from dpsynth.gate.annex import GateAnnex
from dpsynth.gate.battery import probes_on
from dpsynth.gate.noise import GateNoise, gate_noise, margin, probability_at_most
from dpsynth.gate.plan import GatePlan
from dpsynth.gate.policy import Attack, Policy
from dpsynth.gate.result import GateResult, Verdict
from dpsynth.gate.thresholds import decidable, scale, smallest_leak, tau
from dpsynth.gate.totals import Totals
from dpsynth.measurement import Measurement
from dpsynth.noise.base import RandomSource
from dpsynth.noise.gaussian import draw_discrete_gaussian
from dpsynth.sources.base import RowSource


def run_gate(
    training: RowSource,
    holdout: RowSource,
    synthetic: Codes,
    *,
    layout: Layout,
    totals: Totals,
    plan: GatePlan,
    policy: Policy,
    spend: Spend,
    random: RandomSource,
    reference: Codes | None = None,
    referred: Sequence[Measurement] | None = None,
) -> tuple[GateResult, GateAnnex]:
    """Attack one synthetic table and decide, with one draw of noise for the whole battery.

    Args:
      training: Rows of the people the synthesizer learned from. Private.
      holdout: Rows of the people it never saw, without those that are compared with. Private.
      synthetic: Codes of the table, shape (attributes, rows), attributes in domain order; an accounted output.
      layout: What is declared of the attributes; public.
      totals: Noisy numbers of people, from :func:`dpsynth.gate.totals.measure_totals`; decidable.
      plan: Caps of both sides.
      policy: Attacks, weights, alphas.
      spend: Charged on both sides before the draw.
      random: Where the bits come from.
      reference: Codes of further, independent rows of the model, which stand for strangers; an accounted output. None
        where there is no model to ask: then the table's own rows stand for them.
      referred: Noisy marginals of reference people, from :func:`dpsynth.gate.reference.measure_reference`; accounted
        outputs. Needed where the policy attacks by likelihood.

    Returns:
      The public result and the confidential annex.

    Privacy:
      Spends one ``DiscreteGaussian(sigma)`` draw, in steps of 1/(g N_tr): training people pay sensitivity g, holdout
      people ceil(g N_tr/N_ho); within ``plan.training_gate`` and ``plan.holdout_gate``. Everything else that it reads
      (table, totals, policy) is public or accounted earlier.
      Checked by: tests/dpsynth/gate/test_sensitivity.py::test_steps_move_by_at_most_what_each_side_pays

    Raises:
      BudgetExceeded: The spend refused; nothing was drawn.
      ParameterError: The policy attacks by likelihood, and nothing was ``referred``; nothing was charged.
    """
    noise = gate_noise(policy, plan=plan, totals=totals)
    margin_steps = margin(policy, noise)
    probes = probes_on(policy, layout)
    features = tuple(dict.fromkeys(probe.feature for probe in probes))
    compared = _compared(referred, training.domain, synthetic, reference)
    target = make_target(synthetic, layout, features, compared)
    spend.charge(noise.steps)
    facts = table_facts(target, features, reference)
    people = {
        "training": side_sums(training.blocks(), target, features),
        "holdout": side_sums(holdout.blocks(), target, features),
    }
    measure = scale(policy, totals, noise)
    statistics = tuple(statistic(probe.attack.name, probe.feature, facts, **people) for probe in probes)
    taus = tuple(tau(probe, facts[probe.feature], scale=measure) for probe in probes)
    exact = floored([probe.attack for probe in probes], statistics, taus, totals=totals, grid=noise.grid)
    faults.reach("draw.before")
    noisy = exact + int(draw_discrete_gaussian(noise.sigma, 1, random=random)[0])
    faults.reach("draw.after")
    result = _result(
        Verdict.PASS if noisy <= margin_steps else Verdict.FAIL,
        noise,
        attacks=tuple(dict.fromkeys(probe.attack.name for probe in probes)),
        noisy_steps=noisy,
        leak=smallest_leak(policy, ((probe, facts[probe.feature]) for probe in probes), scale=measure),
        plan=plan,
        policy=policy,
        totals=totals,
    )
    chance = probability_at_most(margin_steps - exact, noise)
    return result, GateAnnex(statistics=statistics, taus=taus, exact_steps=exact, pass_probability=chance)


def _compared(
    referred: Sequence[Measurement] | None, domain: Domain, synthetic: Codes, strangers: Codes | None
) -> Ratios | None:
    if referred is None:
        return None
    marginals = [
        NoisyMarginal(columns=tuple(domain.names.index(name) for name in m.clique), values=m.values, sigma=m.sigma)
        for m in referred
    ]
    return ratios(synthetic, domain.sizes, marginals, strangers)


def undecidable(*, totals: Totals, plan: GatePlan, policy: Policy) -> GateResult:
    """The public result where noisy totals don't allow a decision: only the totals were charged.

    Privacy: none; post-processing.
    """
    leak = decidable(policy, totals, plan=plan).smallest_leak
    noise = gate_noise(policy, plan=plan, totals=totals)
    return _result(
        Verdict.UNDECIDABLE, noise, attacks=(), noisy_steps=None, leak=leak, plan=plan, policy=policy, totals=totals
    )


def floored(
    attacks: list[Attack],
    statistics: tuple[AttackStatistic, ...],
    taus: tuple[Fraction, ...],
    *,
    totals: Totals,
    grid: int,
) -> int:
    """T in steps of 1/(grid N_tr), rounded down; integers and fractions only. Exact: private until noise is added.

    Args:
      attacks: The attack of each statistic.
      statistics: Sums of both sides.
      taus: Threshold of each statistic.
      totals: Noisy numbers of people.
      grid: Steps of one training record.
    """
    found = (
        attack.weight * (_difference(one, totals) - tau)
        for attack, one, tau in zip(attacks, statistics, taus, strict=True)
    )
    return max(math.floor(value * grid * totals.training) for value in found)


def _difference(one: AttackStatistic, totals: Totals) -> Fraction:
    return Fraction(one.training, ONE * totals.training) - Fraction(one.holdout, ONE * totals.holdout)


def _result(
    verdict: Verdict,
    noise: GateNoise,
    *,
    attacks: tuple[str, ...],
    noisy_steps: int | None,
    leak: float,
    plan: GatePlan,
    policy: Policy,
    totals: Totals,
) -> GateResult:
    charged = noisy_steps is not None
    paid = side_totals(noise.steps if charged else (), plan.coordinate)
    return GateResult(
        verdict=verdict,
        policy=policy.name,
        policy_sha256=policy.sha256,
        attacks=attacks,
        coordinate=plan.coordinate.value,
        training_amount=paid[Side.TRAINING].amount,
        holdout_amount=paid[Side.HOLDOUT].amount,
        training_people=totals.training,
        holdout_people=totals.holdout,
        sigma_records=noise.records,
        grid=noise.grid,
        margin_steps=margin(policy, noise) if charged else 0,
        noisy_steps=noisy_steps,
        smallest_leak=leak,
    )
