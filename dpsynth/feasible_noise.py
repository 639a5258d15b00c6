"""Refuse in the plan what a sampler would refuse after the data was opened: noise wider than its exact tables."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

from accountant.adjacency import PrivacyUnit
from accountant.price import Coordinate
from dpsynth.domain import Domain
from dpsynth.errors import ParameterError
from dpsynth.mechanisms import (
    AdaptiveConfig,
    AimConfig,
    IndependentConfig,
    MixtureConfig,
    MstConfig,
    MwemConfig,
    TreeConfig,
    mixture,
    mwem,
)
from dpsynth.mechanisms.adaptive import MANY_ATTRIBUTES
from dpsynth.mechanisms.aim import ROUNDS_PER_ATTRIBUTE, SELECTION_SHARE
from dpsynth.mechanisms.shares import by_cells, sigmas, split
from dpsynth.mechanisms.tree import LEAST_SHARE, MOST_PER_ATTRIBUTE, candidate_weights
from dpsynth.noise.gaussian import LARGEST_SIGMA
from dpsynth.synthesizers import Synthesizer


def require_drawable(
    synthesizer: Synthesizer, domain: Domain, *, amount: int, coordinate: Coordinate, unit: PrivacyUnit
) -> None:
    """Refuse a budget whose smallest share pays for no noise that can be drawn, whatever would be selected.

    A synthesizer with a config of another type isn't foreseen: its own mechanism refuses, in the run.

    Args:
      synthesizer: What would measure.
      domain: The public domain.
      amount: Its budget, in units of 2^-40 of ``coordinate``.
      coordinate: The ledger's coordinate.
      unit: The privacy unit; its rows are the sensitivity.

    Raises:
      ParameterError: A measurement would need a sigma above the largest one that the exact tables cover.
    """
    rule = _SMALLEST_SHARES.get(type(synthesizer.config))
    if rule is None:
        return
    least = min(rule(synthesizer.config, domain, amount))
    (widest,) = sigmas([least], coordinate=coordinate, sensitivity=unit.max_rows)
    if widest > LARGEST_SIGMA * (1 - 1e-8):  # the run's own calibration may differ by a rounding
        raise ParameterError(
            f"The synthesizer {synthesizer.name} would need noise of sigma {widest:.3g} for its smallest share.",
            f"Exact noise can be drawn up to a sigma of {LARGEST_SIGMA:.0f} rows; a unit has at most "
            f"{unit.max_rows:,} rows, and there are {len(domain.names):,} columns.",
            "Raise the release's epsilon, keep fewer rows of each unit, or declare fewer columns or codes.",
        )


def _of_columns(domain: Domain, amount: int) -> int:
    return min(split(amount, by_cells(domain, [(name,) for name in domain.names])))


def _of_independent(config: IndependentConfig, domain: Domain, amount: int) -> list[int]:
    return [_of_columns(domain, amount)]


def _of_mst(config: MstConfig, domain: Domain, amount: int) -> list[int]:
    one_way, _, pairs = split(amount, (config.one_way_share, config.selection_share, config.pair_share))
    return [_of_columns(domain, one_way), *([_smallest_pair(domain, pairs)] if len(domain.names) > 1 else [])]


def _smallest_pair(domain: Domain, amount: int) -> int:
    """The pairs that will be chosen aren't known: the smallest one beside the largest others is the worst case."""
    weights = sorted(by_cells(domain, list(combinations(domain.names, 2))))
    others = len(domain.names) - 2
    return min(split(amount, [weights[0], *weights[len(weights) - others :]]))


def _of_adaptive(config: AdaptiveConfig, domain: Domain, amount: int) -> list[int]:
    """The steps at their planned sizes; the errors of all pairs move together, as one step of each pair would."""
    n, pairs = len(domain.names), len(domain.names) * (len(domain.names) - 1) // 2
    one_way, tree = int(amount * config.one_way_share), amount * config.tree_share
    found = [max(1, one_way // n)]
    if n > 1:
        planned = config.rounds_per_attribute * n
        rest = 1.0 - config.one_way_share - config.tree_share - config.round_share
        found += [
            max(1, int(tree * config.error_share / pairs)),
            _smallest_pair(domain, int(tree * (1.0 - config.error_share))),
            max(1, int(amount * config.round_share / planned * (1.0 - config.selection_share))),
            max(1, int(amount * rest / (n - 1 + planned + (n if n >= MANY_ATTRIBUTES else 0)) / 2)),
        ]
    return found


def _of_aim(config: AimConfig, domain: Domain, amount: int) -> list[int]:
    return [max(1, int(amount / (ROUNDS_PER_ATTRIBUTE * len(domain.names)) * (1.0 - SELECTION_SHARE)))]


def _of_mixture(config: MixtureConfig, domain: Domain, amount: int) -> list[int]:
    small, triples = mixture.ones_and_pairs(domain), len(mixture.candidate_weights(domain, config))
    pairs = min(split(int(amount * (config.pair_share if triples else 1.0)), by_cells(domain, small)))
    if not triples:
        return [pairs]
    rest = 1.0 - config.pair_share - config.error_share
    last = int(amount * rest * mixture.LEAST_SHARE / min(config.triples, triples))
    return [pairs, max(1, int(amount * config.error_share / triples)), max(1, last)]


def _of_mwem(config: MwemConfig, domain: Domain, amount: int) -> list[int]:
    """Where no candidate fits its model, the columns get everything."""
    if not mwem.candidate_weights(domain, config):
        return [_of_columns(domain, amount)]
    rounds = config.rounds_per_attribute * len(domain.names)
    rest = (1.0 - config.one_way_share) * (1.0 - config.selection_share)
    return [_of_columns(domain, int(amount * config.one_way_share)), max(1, int(amount * rest / rounds))]


def _of_tree(config: TreeConfig, domain: Domain, amount: int) -> list[int]:
    """The errors of all candidates move together; as many marginals as can be chosen, each with its least share."""
    candidates, rest = len(candidate_weights(domain, config)), 1.0 - config.one_way_share - config.error_share
    found = [_of_columns(domain, int(amount * config.one_way_share))]
    if candidates:
        most = min(candidates, MOST_PER_ATTRIBUTE * len(domain.names)) + len(domain.names)
        found += [int(amount * config.error_share / candidates), int(amount * rest * LEAST_SHARE / most)]
    return [max(1, f) for f in found]


_SMALLEST_SHARES: dict[type, Callable[[Any, Domain, int], list[int]]] = {
    AdaptiveConfig: _of_adaptive,
    AimConfig: _of_aim,
    IndependentConfig: _of_independent,
    MstConfig: _of_mst,
    MixtureConfig: _of_mixture,
    MwemConfig: _of_mwem,
    TreeConfig: _of_tree,
}
