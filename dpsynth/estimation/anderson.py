"""Anderson acceleration, type II: a step from a combination of the last points, by least squares over their updates.

Sources: Anderson 1965; Walker and Ni 2011. Differences of neighbouring points and gradients lie in two ring buffers,
so that a step costs one new row of their Gram matrix and two matrix-vector products.
"""

import numpy as np
from numpy.typing import NDArray

HISTORY = 8

Vector = NDArray[np.float64]


class Mixer:
    """The last steps of a descent."""

    def __init__(self, size: int) -> None:
        self._points = np.empty((HISTORY, size))
        self._gradients = np.empty((HISTORY, size))
        self._gram = np.zeros((HISTORY, HISTORY))
        self._seen = 0

    @property
    def used(self) -> int:
        """Steps remembered."""
        return min(self._seen, HISTORY)

    def forget(self) -> None:
        """Begin anew."""
        self._seen = 0

    def remember(self, step: Vector, change: Vector) -> None:
        """Keep a step and the change of the gradient over it, in place of the oldest."""
        row = self._seen % HISTORY
        self._points[row], self._gradients[row] = step, change
        self._seen += 1
        used = self.used
        self._gram[row, :used] = self._gram[:used, row] = self._gradients[:used] @ change

    def proposal(self, theta: Vector, gradient: Vector, step: float) -> Vector:
        """The accelerated point: where the combined gradient is smallest, and a plain step from there."""
        used = self.used
        if not used:
            return theta - step * gradient
        gram = self._gram[:used, :used].copy()
        gram[np.diag_indices(used)] += 1e-10 * max(float(np.trace(gram)), 1e-300)
        weights = np.linalg.solve(gram, self._gradients[:used] @ gradient)
        moved = theta - weights @ self._points[:used]
        moved -= step * (gradient - weights @ self._gradients[:used])
        return np.asarray(moved)
