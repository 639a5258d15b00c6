"""Settings of the DP-SGD synthesizers: frozen, public, without torch; steps, batches and bounds by public formulas."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from dpsynth.deep.plan import Phase
from dpsynth.domain import Domain
from dpsynth.errors import ParameterError

ROWS, SHARES, GAME, CRITIC = "rows", "shares", "game", "critic"
"""Labels of the phases: the network that makes rows; the shares of codes, and the game, that make a mixture; the critic
that weighs rows."""

STEPS = ((6.0, 400, 300), (2.0, 300, 300), (0.0, 300, 100))
"""From an epsilon on: steps of what makes rows, and of the critic that weighs them."""

MOST_ROWS = 2_000_000
"""Rows of a pool, at most."""

FEW, MOST_SHARE = 4_000, 0.98
"""So many people, or fewer, tell little more than how often each code is; most that this takes of a plan."""

WIDE, MOST_OF_WIDE = 4.0, 0.4
"""Share of a plan that the shares of codes of ``vae`` take, over the codes per person, and the most that this makes."""

PAIRS_OF_FEW, FEW_CODES = 0.25, 8
"""Share of the start that pairs with the target take, of few people, and the most codes that such a target has."""

SOME = 10_000
"""From so many people on pairs with the target take less of the start, and of twice as many nothing."""

TARGET_SHARE, FEWER = 0.4, 3
"""Of ``FEW`` to ``SOME`` people: share of a game that pairs with the target have at least, and what the steps of the
critic that follows are divided by."""

ROOM = 1.0 + 2.0**-6 + 2.0**-10
"""A bound that every record reaches is raised by this, so that what the engine keeps for rounding cuts off nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedConfig(ABC):
    """What every synthesizer trained by DP-SGD has. Abstract.

    Attributes:
      batch: Expected people of a batch.
      pool: Rows that are made, over the people that are trained on; ``MOST_ROWS`` at most.
      fewest_rows: Rows that are made at least: a pool of few rows has a sampling error of its own.
      share_of_codes: About the share of the plan's squared mu that the shares of codes take; more of it for few people,
        ``FEW^2 / (FEW^2 + people^2)`` up to ``MOST_SHARE``.
      codes: Largest sum of the columns' sizes: weights of pairs grow with its square.
      device: Where the run computes, ``cpu`` or ``cuda``; coins, noise and draws are made on the CPU.
      target: A column that is drawn last, given all others; None for the last of the domain.
      people: Declared magnitude of the people that are trained on; a release's plan sets it from the schema.
      noise_multiplier: Of every step; a release's plan sets it from the budget.
      delta: Additive delta of the plan's event; a release's plan sets it from the ledger's share for claims.
    """

    name: ClassVar[str]
    """Public name of the synthesizer."""

    batch: int = 2048
    pool: int = 4
    fewest_rows: int = 100_000
    share_of_codes: float = 0.2
    codes: int = 2_000
    device: str = "cpu"
    target: str | None = None
    people: int | None = None
    noise_multiplier: float | None = None
    delta: float | None = None

    @abstractmethod
    def for_epsilon(self, epsilon: float) -> Self:
        """These settings with the steps that an epsilon pays for, where none were named: more as noise falls."""

    @abstractmethod
    def phases(self, domain: Domain, *, people: float) -> tuple[Phase, ...]:
        """What is run, by public formulas.

        Args:
          domain: The public domain.
          people: Declared magnitude of the people that are trained on.

        Raises:
          ParameterError: The steps aren't decided.
        """

    def _counts(self, *others: int) -> tuple[int, ...]:
        return self.batch, self.pool, self.fewest_rows, self.codes, *others

    def joining(self, people: float) -> float:
        """The probability with which each person joins a batch."""
        return min(1.0, self.batch / people)

    def pool_rows(self, people: float) -> int:
        """Rows of the pool for a declared number of people."""
        return min(max(round(self.pool * people), self.fewest_rows), MOST_ROWS)

    def start(self, later: tuple[Phase, ...], *, people: float, least: float = 0.0) -> Phase:
        """The first phase: the shares of codes in one step over everybody, at their share of the plan.

        For much noise a sampled step costs the square of its sampling probability over that of its noise, and from that
        follows the noise of this one.

        Args:
          later: The phases after it.
          people: Declared magnitude of the people that are trained on.
          least: Share of the plan that it takes at least.
        """
        sampled = sum(phase.steps * (phase.sampling_probability / phase.noise_factor) ** 2 for phase in later)
        share = max(self.share_of_codes, least, min(MOST_SHARE, FEW**2 / (FEW**2 + people**2)))
        factor = math.sqrt((1.0 - share) / (share * sampled))
        return Phase(label=SHARES, steps=1, sampling_probability=1.0, clip=ROOM, noise_factor=factor)

    def pairs(self, domain: Domain, *, people: float) -> float:
        """Share of the start that pairs of each other column with the target take.

        It is ``PAIRS_OF_FEW`` up to ``SOME`` people, falls from there, and is 0 of ``2 SOME`` or more, who teach a
        network as much by its steps.

        Args:
          domain: The public domain.
          people: Declared magnitude of the people that are trained on.
        """
        sizes = [domain.sizes[i] for i in self.order(domain)]
        few = min(1.0, max(0.0, 2.0 - people / SOME)) if len(sizes) > 1 and sizes[-1] <= FEW_CODES else 0.0
        return PAIRS_OF_FEW * few

    def order(self, domain: Domain) -> tuple[int, ...]:
        """Positions of the columns in the order in which they are drawn: the domain's, the target last.

        Raises:
          ParameterError: The target isn't a column.
        """
        if self.target is not None and self.target not in domain.names:
            raise ParameterError(
                f"There is no column named {self.target!r} to be the target.",
                "A target is a released column of the schema.",
                "Name one of the columns, or none.",
            )
        last = len(domain.names) - 1 if self.target is None else domain.names.index(self.target)
        return (*(i for i in range(len(domain.names)) if i != last), last)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsConfig(TrainedConfig):
    """What synthesizers with an autoregressive network share. Abstract: use :class:`ArConfig` or another subclass.

    Attributes:
      row_steps: Steps of the network; None until an epsilon decides, by :meth:`for_epsilon`.
      hidden: Hidden units of the network.
      row_rate: Highest rate of the network; it falls along a cosine.
      row_bound: The network's clip bound over sqrt(d (d + 1) / 2).
      target_weight: Weight of the target in a record's loss, over that of another column.
    """

    row_steps: int | None = None
    hidden: int = 128
    row_rate: float = 0.02
    row_bound: float = 1.7
    target_weight: float = 2.0

    def __post_init__(self) -> None:
        counts = self._counts(1 if self.row_steps is None else self.row_steps, self.hidden)
        scales = (self.row_rate, self.row_bound, self.target_weight)
        _require_settings(self.name, counts, scales, 0 < self.share_of_codes < 1)

    def for_epsilon(self, epsilon: float) -> Self:
        """These settings with their steps, as in the base."""
        return replace(self, row_steps=paid(epsilon)[0] if self.row_steps is None else self.row_steps)

    def phases(self, domain: Domain, *, people: float) -> tuple[Phase, ...]:
        """The shares of codes, then the network's steps; arguments as in the base."""
        rows = self._rows(domain, people=people)
        return self.start((rows,), people=people), rows

    def _rows(self, domain: Domain, *, people: float) -> Phase:
        d = len(domain.names)
        return Phase(
            label=ROWS,
            steps=decided(self.name, self.row_steps),
            sampling_probability=self.joining(people),
            clip=self.row_bound * math.sqrt(d if people < FEW else d * (d + 1) / 2),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ArConfig(RowsConfig):
    """An autoregressive network alone: its rows are the model."""

    name: ClassVar[str] = "ar"


@dataclass(frozen=True, slots=True, kw_only=True)
class CriticConfig:
    """The critic that tells people from made rows, and weighs the rows.

    Attributes:
      steps: Steps of the critic; None until an epsilon decides.
      hidden: Hidden units.
      pair_scale: Weight of pairs of codes.
      code_scale: Weight of codes.
      pair_rate: Highest rate of the table of pairs, times the noise multiplier.
      rate: Highest rate of the other parameters, times the noise multiplier.
      averaged: Share of the last steps whose parameters are averaged.
      largest_score: Scores are clamped to this before they weigh rows.
    """

    steps: int | None = None
    hidden: int = 64
    pair_scale: float = 4.0
    code_scale: float = 1.0
    pair_rate: float = 0.5
    rate: float = 0.0105
    averaged: float = 0.3
    largest_score: float = 3.0

    def __post_init__(self) -> None:
        scales = (self.pair_scale, self.pair_rate, self.rate, self.largest_score)
        sound = 0 < self.averaged <= 1 and 0 <= self.code_scale < math.inf
        _require_settings("a critic", (1 if self.steps is None else self.steps, self.hidden), scales, sound)

    def for_epsilon(self, epsilon: float) -> "CriticConfig":
        """These settings with the steps that an epsilon pays for, where none were named."""
        return replace(self, steps=paid(epsilon)[1] if self.steps is None else self.steps)

    def phase(self, sampling_probability: float) -> Phase:
        """Its steps; while scores are near zero no gradient passes the bound.

        Raises:
          ParameterError: The steps aren't decided.
        """
        return Phase(
            label=CRITIC,
            steps=decided("a critic", self.steps),
            sampling_probability=sampling_probability,
            clip=0.5 * math.sqrt(self.pair_scale**2 + self.code_scale**2 + 2.2),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ArGanConfig(RowsConfig):
    """An autoregressive network, and a critic that weighs its rows.

    Attributes:
      critic: The critic.
    """

    name: ClassVar[str] = "ar-gan"

    critic: CriticConfig = field(default_factory=CriticConfig)

    def for_epsilon(self, epsilon: float) -> Self:
        """These settings with their steps, as in the base."""
        return replace(RowsConfig.for_epsilon(self, epsilon), critic=self.critic.for_epsilon(epsilon))

    def phases(self, domain: Domain, *, people: float) -> tuple[Phase, ...]:
        """The shares of codes, the network's steps, then the critic's; arguments as in the base."""
        later = self._rows(domain, people=people), self.critic.phase(self.joining(people))
        return self.start(later, people=people), *later


@dataclass(frozen=True, slots=True, kw_only=True)
class GanConfig(TrainedConfig):
    """Purely adversarial: a mixture of products plays against a critic of pairs, and a second critic weighs its rows.

    Of ``FEW`` to ``SOME`` people noise is large beside most pairs: those with the target weigh more, by :meth:`weight`,
    and the second critic, who learns less than the game, takes one in ``FEWER`` of its steps.

    Attributes:
      game_steps: Steps of the game; None until an epsilon decides.
      parts: Parts of the mixture.
      spread: Standard deviation of the logits from which the parts start.
      target_weight: Weight of pairs with the target over that of other pairs, in the game, at least.
      moves: Moves of the mixture between two steps of the critic.
      mixture_rate: Highest rate of the mixture, times the root of the noise multiplier where that is above 1; it falls
        along a cosine.
      forgotten: Share of its table that the critic of pairs forgets in a step at first, times the noise multiplier.
      averaged: Share of the game's last steps whose mixtures are averaged.
      critic: The critic that weighs rows.
    """

    name: ClassVar[str] = "gan"

    game_steps: int | None = None
    parts: int = 1000
    spread: float = 1.0
    target_weight: float = 2.0
    moves: int = 1
    mixture_rate: float = 0.2
    forgotten: float = 0.15
    averaged: float = 0.3
    critic: CriticConfig = field(default_factory=CriticConfig)

    def __post_init__(self) -> None:
        steps = 1 if self.game_steps is None else self.game_steps
        counts = self._counts(steps, self.parts, self.moves)
        scales = (self.spread, self.target_weight, self.mixture_rate, self.forgotten)
        sound = 0 < self.averaged <= 1 and 0 < self.share_of_codes < 1
        _require_settings(self.name, counts, scales, sound)

    def for_epsilon(self, epsilon: float) -> Self:
        """These settings with their steps, as in the base."""
        steps = paid(epsilon)[0] if self.game_steps is None else self.game_steps
        return replace(self, game_steps=steps, critic=self.critic.for_epsilon(epsilon))

    def phases(self, domain: Domain, *, people: float) -> tuple[Phase, ...]:
        """The shares of codes in one step over everybody, the game where there are pairs, and the critic's steps."""
        share, steps = self.joining(people), decided(self.name, self.game_steps)
        game = Phase(label=GAME, steps=steps, sampling_probability=share, clip=ROOM * 0.5)
        critic = self.critic.phase(share)
        if FEW <= people < SOME:
            critic = replace(critic, steps=math.ceil(critic.steps / FEWER))
        later = (*((game,) if len(domain.names) > 1 else ()), critic)
        return self.start(later, people=people), *later

    def weight(self, domain: Domain, *, people: float) -> float:
        """Weight of pairs with the target over that of other pairs, in the game.

        It is ``target_weight``, and of ``FEW`` to ``SOME`` people as much as gives those pairs ``TARGET_SHARE`` of the
        squares of a record's weights, where they'd have less; arguments as in :meth:`pairs`.
        """
        others = max(0, len(domain.names) - 2) / 2  # pairs without the target for each with it
        least = math.sqrt(TARGET_SHARE / (1.0 - TARGET_SHARE) * others) if FEW <= people < SOME else 0.0
        return max(self.target_weight, least)


@dataclass(frozen=True, slots=True, kw_only=True)
class VaeConfig(TrainedConfig):
    """A variational autoencoder: its rows are the model.

    Where there are many codes for each person, shares of codes take more of the plan than ``share_of_codes``,
    ``WIDE codes / people`` up to ``MOST_OF_WIDE``: their errors are in every pair of the rows, whatever was learned.

    Attributes:
      steps: Steps of the networks; None until an epsilon decides.
      hidden: Hidden units of each network.
      numbers: Hidden numbers of a record.
      rate: Highest rate; it falls along a cosine.
      bound: The clip bound over the root of the number of columns.
    """

    name: ClassVar[str] = "vae"

    steps: int | None = None
    hidden: int = 128
    numbers: int = 16
    rate: float = 0.01
    bound: float = 2.0

    def __post_init__(self) -> None:
        counts = self._counts(1 if self.steps is None else self.steps, self.hidden, self.numbers)
        _require_settings(self.name, counts, (self.rate, self.bound), 0 < self.share_of_codes < 1)

    def for_epsilon(self, epsilon: float) -> Self:
        """These settings with their steps, as in the base."""
        return replace(self, steps=sum(paid(epsilon)) if self.steps is None else self.steps)

    def phases(self, domain: Domain, *, people: float) -> tuple[Phase, ...]:
        """The networks' steps; arguments as in the base."""
        rows = Phase(
            label=ROWS,
            steps=decided(self.name, self.steps),
            sampling_probability=self.joining(people),
            clip=self.bound * math.sqrt(len(domain.names)),
        )
        wide = min(MOST_OF_WIDE, WIDE * sum(domain.sizes) / people)
        return self.start((rows,), people=people, least=wide), rows


def paid(epsilon: float) -> tuple[int, int]:
    """Steps of what makes rows, and of the critic, that an epsilon pays for."""
    return next((rows, critic) for least, rows, critic in STEPS if epsilon >= least)


def decided(name: str, steps: int | None) -> int:
    """The steps of a phase.

    Raises:
      ParameterError: Nobody decided them.
    """
    if steps is None:
        raise ParameterError(
            f"These settings of {name} have no number of steps.",
            "It depends on the budget where none is named.",
            "Decide it with for_epsilon(), or name it.",
        )
    return steps


def _require_settings(name: str, counts: tuple[int, ...], scales: tuple[float, ...], sound: bool) -> None:
    if not (sound and min(counts) >= 1 and min(scales) > 0 and all(math.isfinite(scale) for scale in scales)):
        raise ParameterError(
            f"The settings of {name} have the counts {counts}, the scales {scales}, or shares out of range.",
            "Counts are at least 1, scales above 0 and finite, shares from 0 to 1, and some steps are averaged.",
            "Mend the settings.",
        )
