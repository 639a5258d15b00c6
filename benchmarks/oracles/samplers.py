"""Draws and exact probabilities of the discrete Gaussian and Laplace, by other libraries."""

from collections.abc import Callable
from typing import Any


def opendp_draws(law: str, scale: float, size: int, seed: int) -> list[int]:
    """OpenDP's exact samplers; they take their bits from the system and no seed."""
    import opendp.prelude as dp

    dp.enable_features("contrib")
    integers = dp.vector_domain(dp.atom_domain(T="i64"))
    if law == "gaussian":
        noisy = dp.m.make_gaussian(integers, dp.l2_distance(T="i64"), scale=scale)
    else:
        noisy = dp.m.make_laplace(integers, dp.l1_distance(T="i64"), scale=scale)
    return [int(x) for x in noisy([0] * size)]


def diffprivlib_draws(law: str, scale: float, size: int, seed: int) -> list[int]:
    """diffprivlib's samplers, one draw at a time; the Gaussian's scale is set, not derived from an epsilon."""
    from diffprivlib.mechanisms import GaussianDiscrete, Geometric

    if law == "gaussian":
        noisy: Any = GaussianDiscrete(epsilon=1.0, delta=1e-5, sensitivity=1, random_state=seed)
        noisy._scale = scale
    else:
        noisy = Geometric(epsilon=1.0 / scale, sensitivity=1, random_state=seed)
    return [int(noisy.randomise(0)) for _ in range(size)]


def mpmath_pmf(law: str, scale: float, cut: int) -> list[str]:
    """The probabilities of 0 .. cut at 60 digits, from the definition alone, as decimal text."""
    from mpmath import exp, mp, mpf, nstr

    mp.dps = 60
    wide, s = int(60 * scale) + 60 + cut if law == "gaussian" else int(200 * scale) + 200 + cut, mpf(scale)
    weights = [exp(-(mpf(k) ** 2) / (2 * s * s)) if law == "gaussian" else exp(-mpf(k) / s) for k in range(wide + 1)]
    total = weights[0] + 2 * sum(weights[1:])
    return [nstr(w / total, 50) for w in weights[: cut + 1]]


def dp_accounting_pmf(law: str, scale: float, cut: int) -> list[str]:
    """dp-accounting's own probabilities, as floats in decimal text."""
    from scipy.stats import dlaplace

    if law == "laplace":
        return [repr(float(dlaplace(1.0 / scale).pmf(k))) for k in range(cut + 1)]
    from dp_accounting.pld.privacy_loss_mechanism import DiscreteGaussianPrivacyLoss

    table = DiscreteGaussianPrivacyLoss(scale, truncation_bound=int(60 * scale) + cut)
    masses = [float(table.noise_cdf(k)) - float(table.noise_cdf(k - 1)) for k in range(cut + 1)]
    return [repr(mass) for mass in masses]


DRAWS: dict[str, Callable[[str, float, int, int], list[int]]] = {
    "opendp": opendp_draws,
    "diffprivlib": diffprivlib_draws,
}
PMFS: dict[str, Callable[[str, float, int], list[str]]] = {"mpmath": mpmath_pmf, "dp_accounting": dp_accounting_pmf}
