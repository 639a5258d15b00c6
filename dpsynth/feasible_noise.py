"""Refuse in the plan what a sampler would refuse after the data was opened: noise wider than its exact tables."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from accountant.adjacency import PrivacyUnit
from accountant.price import Coordinate
from dpsynth.domain import Clique, Domain
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
from dpsynth.mechanisms.adaptive import FOR_LOST, MANY_ATTRIBUTES
from dpsynth.mechanisms.aim import ROUNDS_PER_ATTRIBUTE, SELECTION_SHARE
from dpsynth.mechanisms.partial import PartialConfig
from dpsynth.mechanisms.shares import by_cells, sigmas, split
from dpsynth.mechanisms.tree import LEAST_SHARE, MOST_PER_ATTRIBUTE, candidate_weights
from dpsynth.noise.gaussian import LARGEST_SIGMA
from dpsynth.synthesizers import Synthesizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What a domain can be, once an encoding is learned and labels are found out.

    Attributes:
      largest: The most codes of each attribute.
      smallest: The fewest.
    """

    largest: Domain
    smallest: Domain


def require_drawable(
    synthesizer: Synthesizer,
    domain: Domain,
    *,
    amount: int,
    coordinate: Coordinate,
    unit: PrivacyUnit,
    smallest: Domain | None = None,
) -> None:
    """Refuse a budget whose smallest share pays for no noise that can be drawn, whatever would be selected.

    A synthesizer with a config of another type isn't foreseen: its own mechanism refuses, in the run.

    Args:
      synthesizer: What would measure.
      domain: The public domain; the largest one, where its sizes aren't certain.
      amount: Its budget, in units of 2^-40 of ``coordinate``.
      coordinate: The ledger's coordinate.
      unit: The privacy unit; its rows are the sensitivity.
      smallest: The fewest codes that each attribute can have; those of ``domain``, if None. A share grows with the
        codes of its own marginal and shrinks with those of the others, so each is looked at where it is smallest.

    Raises:
      ParameterError: A measurement would need a sigma above the largest one that the exact tables cover.
    """
    rule = _SMALLEST_SHARES.get(type(synthesizer.config))
    if rule is None:
        return
    least = min(rule(synthesizer.config, Sizes(largest=domain, smallest=smallest or domain), amount))
    (widest,) = sigmas([least], coordinate=coordinate, sensitivity=unit.marginal_sensitivity)
    if widest > LARGEST_SIGMA * (1 - 1e-8):  # the run's own calibration may differ by a rounding
        raise ParameterError(
            f"The synthesizer {synthesizer.name} would need noise of sigma {widest:.3g} for its smallest share.",
            f"Exact noise can be drawn up to a sigma of {LARGEST_SIGMA:.0f} rows; a unit has at most "
            f"{unit.max_rows:,} rows, and there are {len(domain.names):,} columns.",
            "Raise the release's epsilon, keep fewer rows of each unit, or declare fewer columns or codes.",
        )


def _least_share(amount: int, smallest: Sequence[float], largest: Sequence[float]) -> int:
    """The smallest part of ``amount`` that any weight can get: it at its smallest, the others at their largest."""
    others = sum(largest)
    return min(split(amount, [low, others - high])[0] for low, high in zip(smallest, largest, strict=True))


def _of_cliques(sizes: Sizes, cliques: Sequence[Clique], amount: int) -> int:
    return _least_share(amount, by_cells(sizes.smallest, cliques), by_cells(sizes.largest, cliques))


def _of_columns(sizes: Sizes, amount: int) -> int:
    return _of_cliques(sizes, [(name,) for name in sizes.largest.names], amount)


def _of_independent(config: IndependentConfig, sizes: Sizes, amount: int) -> list[int]:
    return [_of_columns(sizes, amount)]


def _of_mst(config: MstConfig, sizes: Sizes, amount: int) -> list[int]:
    one_way, _, pairs = split(amount, (config.one_way_share, config.selection_share, config.pair_share))
    return [_of_columns(sizes, one_way), *([_smallest_pair(sizes, pairs)] if len(sizes.largest.names) > 1 else [])]


def _of_partial(config: PartialConfig, sizes: Sizes, amount: int) -> list[int]:
    """Nothing of its encoding is learned, so the largest sizes are the ones."""
    domain = sizes.largest
    one_way, _, pairs = split(amount, (config.one_way_share, config.selection_share, config.pair_share))
    private = [name for name in domain.names if name not in config.public]
    alone = min(split(one_way, by_cells(domain, [(name,) for name in private])))
    weights = sorted(by_cells(domain, [c for c in combinations(domain.names, 2) if set(c) & set(private)]))
    choices = min(config.edges * len(private), len(weights))
    return [alone, min(split(pairs, [weights[0], *weights[len(weights) - choices + 1 :]]))]


def _smallest_pair(sizes: Sizes, amount: int) -> int:
    """The pairs that will be chosen aren't known: the smallest one beside the largest others is the worst case."""
    pairs, others = list(combinations(sizes.largest.names, 2)), len(sizes.largest.names) - 2
    weights = sorted(by_cells(sizes.largest, pairs))
    return min(split(amount, [min(by_cells(sizes.smallest, pairs)), *weights[len(weights) - others :]]))


def _of_adaptive(config: AdaptiveConfig, sizes: Sizes, amount: int) -> list[int]:
    """The steps at their planned sizes; the errors of all pairs move together, as one step of each pair would."""
    n = len(sizes.largest.names)
    pairs = n * (n - 1) // 2
    one_way, tree = int(amount * config.one_way_share), amount * config.tree_share
    found = [max(1, one_way // n)]
    if n > 1:
        planned, rounds = config.rounds_per_attribute * n, config.round_share
        rest = 1.0 - config.one_way_share - config.tree_share - rounds
        if n >= MANY_ATTRIBUTES:  # wide attributes may take their part of both
            rounds, rest = rounds - min(FOR_LOST[0], rounds / 2), rest - min(FOR_LOST[1], rest / 2)
        found += [
            max(1, int(tree * config.error_share / pairs)),
            _smallest_pair(sizes, int(tree * (1.0 - config.error_share))),
            max(1, int(amount * rounds / planned * (1.0 - config.selection_share))),
            max(1, int(amount * rest / (n - 1 + planned + (n if n >= MANY_ATTRIBUTES else 0)) / 2)),
        ]
    return found


def _of_aim(config: AimConfig, sizes: Sizes, amount: int) -> list[int]:
    names = sizes.largest.names
    return [max(1, int(amount / (ROUNDS_PER_ATTRIBUTE * len(names)) * (1.0 - SELECTION_SHARE)))]


def _most(count: Callable[[Domain], int], sizes: Sizes) -> int:
    """How many candidates there can be: with fewer codes more of them fit."""
    return max(count(sizes.largest), count(sizes.smallest))


def _of_mixture(config: MixtureConfig, sizes: Sizes, amount: int) -> list[int]:
    small = mixture.ones_and_pairs(sizes.largest)
    triples = _most(lambda domain: len(mixture.candidate_weights(domain, config)), sizes)
    whole = _of_cliques(sizes, small, amount)
    if not triples:
        return [whole]
    rest = 1.0 - config.pair_share - config.error_share
    last = int(amount * rest * mixture.LEAST_SHARE / min(config.triples, triples))
    pairs = _of_cliques(sizes, small, int(amount * config.pair_share))
    return [pairs, max(1, int(amount * config.error_share / triples)), max(1, last)]


def _of_mwem(config: MwemConfig, sizes: Sizes, amount: int) -> list[int]:
    """Where no candidate fits its model, the columns get everything."""
    if not _most(lambda domain: len(mwem.candidate_weights(domain, config)), sizes):
        return [_of_columns(sizes, amount)]
    rounds = config.rounds_per_attribute * len(sizes.largest.names)
    rest = (1.0 - config.one_way_share) * (1.0 - config.selection_share)
    return [_of_columns(sizes, int(amount * config.one_way_share)), max(1, int(amount * rest / rounds))]


def _of_tree(config: TreeConfig, sizes: Sizes, amount: int) -> list[int]:
    """The errors of all candidates move together; as many marginals as can be chosen, each with its least share."""
    candidates = _most(lambda domain: len(candidate_weights(domain, config)), sizes)
    rest, names = 1.0 - config.one_way_share - config.error_share, sizes.largest.names
    found = [_of_columns(sizes, int(amount * config.one_way_share))]
    if candidates:
        most = min(candidates, MOST_PER_ATTRIBUTE * len(names)) + len(names)
        found += [int(amount * config.error_share / candidates), int(amount * rest * LEAST_SHARE / most)]
    return [max(1, f) for f in found]


_SMALLEST_SHARES: dict[type, Callable[[Any, Sizes, int], list[int]]] = {
    AdaptiveConfig: _of_adaptive,
    AimConfig: _of_aim,
    IndependentConfig: _of_independent,
    MstConfig: _of_mst,
    MixtureConfig: _of_mixture,
    MwemConfig: _of_mwem,
    PartialConfig: _of_partial,
    TreeConfig: _of_tree,
}
