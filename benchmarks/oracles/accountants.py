"""What independent accountants say of a plan: each takes parts, a delta and an adjacency, and bounds epsilon.

A part is ``{"kind", its parameters, "count"}``; kinds are ``gaussian`` (sigma), ``discrete-gaussian`` (sigma),
``laplace`` (scale), ``discrete-laplace`` (scale), ``poisson-gaussian`` (sigma, q), ``exponential`` (eta), ``pure``
(epsilon) and ``zcdp`` (rho). Under replace-one the noise of a clipped sum is relative to the clip, so sensitivity is 2.
An answer is ``{"lower", "estimate", "upper"}``, each an epsilon or None. Nothing here sees the project's own code.
"""

import math
from collections.abc import Callable
from typing import Any

Part = dict[str, Any]
Answer = dict[str, float | None]
GRID = 1e-4


def dp_accounting_pld(parts: list[Part], delta: float, adjacency: str) -> Answer:
    """dp-accounting's privacy loss distributions, once rounded up and once down."""
    bounds = []
    for pessimistic in (False, True):
        total = None
        for part in parts:
            one = _pld(part, adjacency, pessimistic)
            many = one.self_compose(int(part.get("count", 1))) if part.get("count", 1) > 1 else one
            total = many if total is None else total.compose(many)
        bounds.append(float(total.get_epsilon_for_delta(delta)))
    return {"lower": bounds[0], "estimate": None, "upper": bounds[1]}


def _pld(part: Part, adjacency: str, pessimistic: bool) -> Any:
    from dp_accounting.pld import privacy_loss_distribution as pld

    common = {"value_discretization_interval": GRID, "pessimistic_estimate": pessimistic}
    kind = part["kind"]
    if kind == "gaussian":
        return pld.from_gaussian_mechanism(part["sigma"], **common)
    if kind == "discrete-gaussian":
        return pld.from_discrete_gaussian_mechanism(part["sigma"], **common)
    if kind == "laplace":
        return pld.from_laplace_mechanism(part["scale"], **common)
    if kind == "discrete-laplace":
        return pld.from_discrete_laplace_mechanism(1.0 / part["scale"], **common)
    if kind == "pure":
        return pld.from_randomized_response(2.0 / (1.0 + math.exp(part["epsilon"])), 2, **common)
    if kind == "poisson-gaussian":
        neighbours = {"add-remove": pld.NeighborRel.ADD_OR_REMOVE_ONE, "replace-one": pld.NeighborRel.REPLACE_ONE}
        return pld.from_gaussian_mechanism(
            part["sigma"], sampling_prob=part["q"], neighboring_relation=neighbours[adjacency], **common
        )
    raise ValueError(f"no loss distribution of {kind}")


def opacus_prv(parts: list[Part], delta: float, adjacency: str) -> Answer:
    """The numerical composition of opacus: its own lower and upper bound."""
    from opacus.accountants.analysis import prv

    _only(parts, {"poisson-gaussian", "gaussian"}, adjacency)
    counts = [int(p.get("count", 1)) for p in parts]
    single = [prv.PoissonSubsampledGaussianPRV(sample_rate=p.get("q", 1.0), noise_multiplier=p["sigma"]) for p in parts]
    eps_error, delta_error = 1e-3, delta / 1000
    size = prv.compute_safe_domain_size(single, counts, eps_error=eps_error, delta_error=delta_error)
    mesh = eps_error / math.sqrt(sum(counts) / 2.0 * math.log(12.0 / delta_error))
    domain = prv.Domain.create_aligned(-size, size, mesh)
    cut = [prv.TruncatedPrivacyRandomVariable(one, domain.t_min, domain.t_max) for one in single]
    pairs = [prv.discretize(one, domain) for one in cut]
    whole = prv.compose_heterogeneous(dprvs=pairs, num_self_compositions=counts)
    low, middle, high = whole.compute_epsilon(delta, delta_error, eps_error)
    return {"lower": float(low), "estimate": float(middle), "upper": float(high)}


def opacus_rdp(parts: list[Part], delta: float, adjacency: str) -> Answer:
    """Opacus' Renyi accountant: an upper bound only."""
    from opacus.accountants import RDPAccountant

    _only(parts, {"poisson-gaussian", "gaussian"}, adjacency)
    book = RDPAccountant()
    for part in parts:
        for _ in range(int(part.get("count", 1))):
            book.step(noise_multiplier=part["sigma"], sample_rate=part.get("q", 1.0))
    orders = [1 + x / 20 for x in range(1, 400)] + list(range(21, 256))
    return {"lower": None, "estimate": None, "upper": float(book.get_epsilon(delta, alphas=orders))}


def prv_accountant(parts: list[Part], delta: float, adjacency: str) -> Answer:
    """Microsoft's numerical composition, with its error bounds."""
    import prv_accountant as prv
    from prv_accountant import privacy_random_variables as variables

    _only(parts, {"poisson-gaussian", "gaussian", "laplace"}, adjacency)
    made: dict[str, Callable[[Part], Any]] = {
        "poisson-gaussian": lambda p: variables.PoissonSubsampledGaussianMechanism(
            sampling_probability=p["q"], noise_multiplier=p["sigma"]
        ),
        "gaussian": lambda p: variables.GaussianMechanism(noise_multiplier=p["sigma"]),
        "laplace": lambda p: variables.LaplaceMechanism(mu=1.0 / p["scale"]),
    }
    counts = [int(p.get("count", 1)) for p in parts]
    book = prv.PRVAccountant(
        prvs=[made[p["kind"]](p) for p in parts],
        max_self_compositions=counts,
        eps_error=1e-3,
        delta_error=delta / 1000,
    )
    low, middle, high = book.compute_epsilon(delta, counts)
    return {"lower": float(low), "estimate": float(middle), "upper": float(high)}


def autodp(parts: list[Part], delta: float, adjacency: str) -> Answer:
    """autodp: the analytic Gaussian exactly; its Renyi composition (an upper bound) for everything else."""
    from autodp import dp_bank, mechanism_zoo, transformer_zoo

    kinds = {p["kind"] for p in parts}
    if kinds == {"gaussian"}:
        sigma = 1.0 / math.sqrt(sum(p.get("count", 1) / p["sigma"] ** 2 for p in parts))
        value = float(dp_bank.get_eps_ana_gaussian(sigma, delta))
        return {"lower": None, "estimate": value, "upper": None}
    made: dict[str, Callable[[Part], Any]] = {
        "gaussian": lambda p: mechanism_zoo.GaussianMechanism(p["sigma"]),
        "discrete-gaussian": lambda p: mechanism_zoo.DiscreteGaussianMechanism(p["sigma"]),
        "laplace": lambda p: mechanism_zoo.LaplaceMechanism(p["scale"]),
        "exponential": lambda p: mechanism_zoo.ExponentialMechanism(p["eta"]),
        "zcdp": lambda p: mechanism_zoo.zCDP_Mechanism(p["rho"]),
        "pure": lambda p: mechanism_zoo.PureDP_Mechanism(p["epsilon"]),
    }
    _only(parts, set(made), adjacency)
    whole = transformer_zoo.Composition()([made[p["kind"]](p) for p in parts], [int(p.get("count", 1)) for p in parts])
    return {"lower": None, "estimate": None, "upper": float(whole.get_approxDP(delta))}


def opendp_zcdp(parts: list[Part], delta: float, adjacency: str) -> Answer:
    """OpenDP's conversion of the summed rho (Canonne, Kamath, Steinke): an upper bound."""
    import opendp.prelude as dp

    dp.enable_features("contrib", "floating-point")
    rho = sum(_RHO[p["kind"]](p) * p.get("count", 1) for p in parts)
    space = dp.vector_domain(dp.atom_domain(T="f64", nan=False)), dp.l2_distance(T="f64")
    noisy = dp.m.make_gaussian(*space, scale=1.0 / math.sqrt(2.0 * rho))
    curve = dp.c.make_zCDP_to_approxDP(noisy).map(1.0)
    return {"lower": None, "estimate": None, "upper": float(curve.epsilon(delta))}


_RHO: dict[str, Callable[[Part], float]] = {
    "gaussian": lambda p: 0.5 / p["sigma"] ** 2,
    "discrete-gaussian": lambda p: 0.5 / p["sigma"] ** 2,
    "laplace": lambda p: 0.5 / p["scale"] ** 2,
    "exponential": lambda p: p["eta"] ** 2 / 8.0,
    "pure": lambda p: p["epsilon"] ** 2 / 2.0,
    "zcdp": lambda p: p["rho"],
}


def bounded_range_optimal(parts: list[Part], delta: float, adjacency: str) -> Answer:
    """Equal exponential mechanisms fixed in advance: the optimal epsilon, which is attained, so a lower bound for any
    accountant that also allows adaptive ones. Written with mpmath from the formula alone.

    Source: Dong, Durfee, Rogers 2020 (arXiv:1909.13830), Theorem 2: the worst t is one of (epsilon + i eta) / (k + 1).
    """
    from mpmath import binomial, exp, mp, mpf

    if len(parts) != 1 or parts[0]["kind"] != "exponential":
        raise ValueError("only equal exponential mechanisms")
    mp.dps = 40
    eta, k = mpf(parts[0]["eta"]), int(parts[0].get("count", 1))
    choose = [binomial(k, j) for j in range(k + 1)]

    def at(t: Any, epsilon: Any) -> Any:
        q = (1 - exp(t - eta)) / (exp(t) - exp(t - eta))
        p, worth = q * exp(t), exp(epsilon)
        terms = (c * (p ** (k - j) * (1 - p) ** j - worth * q ** (k - j) * (1 - q) ** j) for j, c in enumerate(choose))
        return sum((term for term in terms if term > 0), mpf(0))

    low, high = mpf(0), eta * k
    for _ in range(50):
        middle = (low + high) / 2
        points = (min(max((middle + i * eta) / (k + 1), mpf(0)), eta) for i in range(1, k + 1))
        low, high = (middle, high) if max(at(t, middle) for t in points) > delta else (low, middle)
    return {"lower": float(low), "estimate": None, "upper": None}


def _only(parts: list[Part], kinds: set[str], adjacency: str) -> None:
    strange = {p["kind"] for p in parts} - kinds
    if strange or adjacency != "add-remove":
        raise ValueError(f"can't price {sorted(strange)} under {adjacency}")


ORACLES: dict[str, Callable[[list[Part], float, str], Answer]] = {
    "dp_accounting_pld": dp_accounting_pld,
    "opacus_prv": opacus_prv,
    "opacus_rdp": opacus_rdp,
    "prv_accountant": prv_accountant,
    "autodp": autodp,
    "opendp_zcdp": opendp_zcdp,
    "bounded_range_optimal": bounded_range_optimal,
}
"""Every accountant that can be asked, by name."""
