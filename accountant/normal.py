"""The normal distribution where the accountant needs it: both tails, without cancellation, without SciPy."""

import math

_TINY = 1e-300


def centred_quantile(inside: float, outside: float) -> float | None:
    """The x >= 0 with P[abs(N) <= x] = ``inside`` for a standard normal N.

    Both probabilities are given, so that neither tail loses digits: ``outside`` is 1 - ``inside``, each to full
    relative precision. Relative error below 1e-14.

    Returns:
      x, or None where ``outside`` is below 1e-300 (x above 37).
    """
    if outside < _TINY:
        return None
    root = _inverse_erf(inside) if inside < 0.5 else _inverse_erfc(outside)
    return math.sqrt(2.0) * root


def _inverse_erf(p: float) -> float:
    y = p * math.sqrt(math.pi) / 2.0
    for _ in range(8):
        y -= (math.erf(y) - p) * math.sqrt(math.pi) / 2.0 * math.exp(y * y)
    return y


def _inverse_erfc(q: float) -> float:
    target = math.log(q)
    y = math.sqrt(-target)  # above the root, and log erfc is concave: Newton's steps come down to it without a jump
    for _ in range(60):
        tail = math.erfc(y)
        slope = 2.0 / math.sqrt(math.pi) * math.exp(-y * y) / tail
        step = (math.log(tail) - target) / slope
        y += step
        if abs(step) <= 1e-16 * y:
            break
    return y


def log_blow_up(mu: float, epsilon: float) -> float:
    """log of delta for a Gaussian pair at distance ``mu``: Phi(-a) - e^epsilon Phi(-a - mu), a = epsilon/mu - mu/2.

    As both terms share the density phi(a), the difference is phi(a) times the integral over t >= 0 of
    exp(-a t - t^2/2) (1 - exp(-mu t)), whose integrand is positive: nothing cancels, however deep the tail. The
    integral is a trapezoid sum in log t, which converges exponentially. Relative error of delta below 1e-12.

    Source: Dong, Roth, Su 2022 (arXiv:1905.02383), Corollary 2.13; Balle, Wang 2018 (arXiv:1805.06530), Theorem 8.
    """
    a = epsilon / mu - mu / 2.0
    if a < -6.0:
        lower = math.exp(epsilon + math.log(math.erfc((a + mu) / math.sqrt(2.0)) / 2.0)) if a + mu < 37.0 else 0.0
        return math.log(math.erfc(a / math.sqrt(2.0)) / 2.0 - lower)
    return -a * a / 2.0 - math.log(2.0 * math.pi) / 2.0 + math.log(_positive_part(a, mu))


def _positive_part(a: float, mu: float) -> float:
    last = math.log(-a + math.sqrt(a * a + 90.0)) if a < 0.0 else math.log(90.0 / (a + math.sqrt(a * a + 90.0)))
    first = -math.log(max(1.0, abs(a), mu)) - 21.0
    steps = math.ceil((last - first) / min(0.1, 0.5 / max(1.0, -a)))
    width, total = (last - first) / steps, 0.0
    for k in range(steps + 1):
        t = math.exp(first + k * width)
        total -= t * math.exp(-a * t - t * t / 2.0) * math.expm1(-mu * t)
    return total * width
