"""A fixed plan's pair (mu, delta), checked again by whoever prices it."""

from functools import lru_cache

from accountant.errors import UnsupportedEvent
from accountant.events import FixedPlan


def require_dominated(event: FixedPlan) -> None:
    """Work the plan's curve out and compare it with its pair.

    Raises:
      UnsupportedEvent: The pair's curve isn't above the plan's everywhere.
    """
    if not _is_dominated(event):
        raise UnsupportedEvent(
            f"A fixed plan is entered as mu = {event.mu:.6g} and delta = {event.delta:.3g}, below its own curve.",
            "Its events, composed, cost more than that pair at some epsilon.",
            "Find the pair with accountant.pld.fixed_plan.",
        )


@lru_cache(maxsize=64)
def _is_dominated(event: FixedPlan) -> bool:
    from accountant.pld import dominates  # only here: it loads SciPy, which no other price needs

    return dominates(event.events, mu=event.mu, delta=event.delta)
