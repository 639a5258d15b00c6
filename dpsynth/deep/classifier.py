"""A classifier of one column by the others: codes to hidden units to the logits of the target's codes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from dpsynth.deep.layers import Tape, code_starts
from dpsynth.noise.base import RandomSource
from dpsynth.noise.normal import draw_normal


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Classifier:
    """Shapes of the network; no parameters. Records stand with their target last.

    Attributes:
      sizes: Codes of each column, the target's last.
      hidden: Hidden units.
      masks: None: every weight is free.
    """

    sizes: tuple[int, ...]
    hidden: int
    masks: Mapping[str, Tensor] = field(default_factory=dict, repr=False)

    def initial(self, *, random: RandomSource) -> dict[str, Tensor]:
        """Parameters to start from: all classes alike, hidden units at random.

        Privacy:
          None; post-processing.
        """
        codes, columns = sum(self.sizes[:-1]), len(self.sizes) - 1
        spread = draw_normal(codes * self.hidden, random=random).reshape(codes, self.hidden)
        return {
            "in": torch.from_numpy((spread / math.sqrt(columns)).astype(np.float32)),
            "in bias": torch.zeros(self.hidden),
            "out": torch.zeros(self.hidden, self.sizes[-1]),
            "bias": torch.zeros(self.sizes[-1]),
        }

    def logits(self, tape: Tape, codes: Tensor) -> Tensor:
        """Logits of the target, shape (records, classes); the last column of ``codes`` isn't read."""
        inner = torch.relu(tape.lookup(codes[:, :-1], code_starts(self.sizes[:-1]), "in", "in bias"))
        return tape.dense(inner, "out", "bias")

    def objective(self, tape: Tape, codes: Tensor) -> Tensor:
        """The logits times the gradient of the cross-entropy: its own gradient is that gradient."""
        logits = self.logits(tape, codes)
        with torch.no_grad():
            slope = torch.softmax(logits, dim=1)
            slope.scatter_add_(1, codes[:, -1:], torch.full((len(codes), 1), -1.0))
        return (logits * slope).sum(dim=1)
