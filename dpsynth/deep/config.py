"""Settings of the DP-SGD synthesizers: frozen, public, without torch; steps, batches and bounds by public formulas."""

import math
from dataclasses import dataclass, replace

from dpsynth.deep.plan import Phase
from dpsynth.domain import Domain
from dpsynth.errors import ParameterError

ROWS, CRITIC = "rows", "critic"
"""Labels of the phases: the network that makes rows, and the critic of them."""

STEPS = ((6.0, 400, 300), (2.0, 300, 300), (0.0, 300, 200))
"""From an epsilon on: steps of the network and of the critic."""

MOST_ROWS = 2_000_000
"""Rows of a pool, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArGanConfig:
    """An autoregressive network, and a critic that weighs its rows.

    Attributes:
      row_steps: Steps of the network; None until an epsilon decides, by :meth:`for_epsilon`.
      critic_steps: Steps of the critic; the same.
      batch: Expected people of a batch.
      hidden: Hidden units of the network.
      row_rate: Highest rate of the network; it falls along a cosine.
      row_bound: The network's clip bound over sqrt(d (d + 1) / 2).
      centred_after: Share of the network's steps after which its inputs are centred on its own rows; 0 for never.
      critic_hidden: Hidden units of the critic.
      pair_scale: Weight of the critic's pairs.
      code_scale: Weight of the critic's codes.
      pair_rate: Highest rate of the table of pairs, times the noise multiplier.
      critic_rate: Highest rate of the critic's other parameters, times the noise multiplier.
      averaged: Share of the critic's last steps whose parameters are averaged.
      largest_score: Scores are clamped to this before they weigh rows.
      pool: Rows that are made, over the people that are trained on; ``MOST_ROWS`` at most.
      codes: Largest sum of the columns' sizes: weights of pairs grow with its square.
      target: A column that is drawn last, given all others; None for the last of the domain.
      people: Declared magnitude of the people that are trained on; a release's plan sets it from the schema.
      noise_multiplier: Of every step; a release's plan sets it from the budget.
      delta: Additive delta of the plan's event; a release's plan sets it from the ledger's share for claims.
    """

    row_steps: int | None = None
    critic_steps: int | None = None
    batch: int = 2048
    hidden: int = 128
    row_rate: float = 0.02
    row_bound: float = 1.7
    centred_after: float = 0.1
    critic_hidden: int = 64
    pair_scale: float = 4.0
    code_scale: float = 1.0
    pair_rate: float = 0.5
    critic_rate: float = 0.0105
    averaged: float = 0.3
    largest_score: float = 3.0
    pool: int = 4
    codes: int = 2_000
    target: str | None = None
    people: int | None = None
    noise_multiplier: float | None = None
    delta: float | None = None

    def __post_init__(self) -> None:
        steps = tuple(n for n in (self.row_steps, self.critic_steps) if n is not None)
        counts = (*steps, self.batch, self.hidden, self.critic_hidden, self.pool, self.codes)
        scales = (self.row_rate, self.row_bound, self.pair_scale, self.pair_rate, self.critic_rate, self.largest_score)
        shares_fit = 0 < self.averaged <= 1 and 0 <= self.centred_after < 1
        sound = min(counts) >= 1 and min(scales) > 0 and self.code_scale >= 0 and shares_fit
        if not (sound and all(math.isfinite(s) for s in (*scales, self.code_scale))):
            raise ParameterError(
                f"The settings of ar-gan have the counts {counts}, the scales {scales} and the shares "
                f"{(self.averaged, self.centred_after)}.",
                "Counts are at least 1, scales above 0 and finite, shares from 0 to 1, and some steps are averaged.",
                "Mend the settings.",
            )

    def for_epsilon(self, epsilon: float) -> "ArGanConfig":
        """These settings with the steps that an epsilon pays for, where none were named: more as noise falls."""
        rows, critic = next(steps for least, *steps in STEPS if epsilon >= least)
        return replace(
            self,
            row_steps=rows if self.row_steps is None else self.row_steps,
            critic_steps=critic if self.critic_steps is None else self.critic_steps,
        )

    def phases(self, domain: Domain, *, people: float) -> tuple[Phase, Phase]:
        """What is run, by public formulas: the network's steps, then the critic's.

        Args:
          domain: The public domain.
          people: Declared magnitude of the people that are trained on.

        Raises:
          ParameterError: The steps aren't decided.
        """
        if self.row_steps is None or self.critic_steps is None:
            raise ParameterError(
                "These settings of ar-gan have no number of steps.",
                "It depends on the budget where none is named.",
                "Decide it with for_epsilon(), or name both.",
            )
        share, d = min(1.0, self.batch / people), len(domain.names)
        critic = 0.5 * math.sqrt(self.pair_scale**2 + self.code_scale**2 + 2.2)
        return (
            Phase(
                label=ROWS,
                steps=self.row_steps,
                sampling_probability=share,
                clip=self.row_bound * math.sqrt(d * (d + 1) / 2),
            ),
            Phase(label=CRITIC, steps=self.critic_steps, sampling_probability=share, clip=critic),
        )

    def pool_rows(self, people: float) -> int:
        """Rows of the pool for a declared number of people."""
        return max(1, min(round(self.pool * people), MOST_ROWS))

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

