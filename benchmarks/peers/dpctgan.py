"""smartnoise-synth's DPCTGAN on coded training rows, run in an environment of its own; writes synthetic codes.

The peer's code is untouched; its package asks for ``packaging`` without saying so, which its environment therefore has.
All columns are told to be categorical and ``preprocessor_eps`` is 0: nothing is spent on bounds, and the categories are
those that the rows have. Without ``--epochs`` all else is its default (300 epochs, a noise multiplier of 5): it stops
before the first epoch at whose start its count is above epsilon. Since that rule is all that epsilon decides, trainings
to several epsilons are one training that stops sooner or later. With ``--epochs`` it is given so many and, as a user
with little time would, the smallest noise with which its own count stays within epsilon. After ``--cpu-seconds`` its
training is interrupted where it is, and rows are drawn from its generator as that then is. Its noise is seeded by the
system: ``--seed`` fixes its choice of rows alone. Epsilon is what it counts, which its conditions, drawn from raw
frequencies, are no part of.
"""

import argparse
import json
import signal
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

ALPHAS = [*(1 + x / 10 for x in range(1, 100)), *range(12, 64)]
"""The orders of its accountant."""
BATCH, STOCK_NOISE, STEPS_AN_ITERATION = 500, 5.0, 2
"""Its defaults; both the made and the real half of an iteration are a step that it counts."""
LEAST_NOISE, MOST_NOISE = 0.2, 100.0


def main() -> None:
    """Fit, sample as many rows as there were, say what it took and what its accountant counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path, help="coded training rows")
    parser.add_argument("domain", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--epsilon", type=float, required=True)
    parser.add_argument("--delta", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--cpu-seconds", type=float, required=True)
    parser.add_argument("--epochs", type=int)
    given = parser.parse_args()
    import_module("torch").set_num_threads(1)
    import_module("snsynth.pytorch.nn.dpctgan")  # its import isn't training
    began = time.process_time()
    names = list(json.loads(given.domain.read_text()))
    real = pd.read_parquet(given.table)[names].astype(int)
    np.random.seed(given.seed)
    iterations = len(real) // BATCH
    counted = partial(count_epsilon, rate=BATCH / len(real), delta=given.delta)
    noise, settings = STOCK_NOISE, {}
    if given.epochs is not None:
        steps = STEPS_AN_ITERATION * iterations * given.epochs
        noise = least_noise(lambda noise: counted(noise, steps=steps), given.epsilon)
        settings = {"epochs": given.epochs, "sigma": noise}
    budget = {"epsilon": given.epsilon, "delta": given.delta}
    made = import_module("snsynth").Synthesizer.create("dpctgan", **budget, verbose=False, **settings)
    fit = partial(made.fit, real, categorical_columns=names, preprocessor_eps=0.0)
    ended = within(given.cpu_seconds, fit)
    trained = time.process_time() - began
    pd.DataFrame(made.sample(len(real)), columns=names).astype(int).to_parquet(given.out)
    epochs = len(made.loss_d_list) + (not ended)
    said = {
        "version": version("smartnoise-synth"),
        "ended": ended,
        "cpu_seconds": time.process_time() - began,
        "training_cpu_seconds": trained,
        "noise_multiplier": noise,
        "epochs_begun": epochs,
        "epsilon_seen": made.epsilon_list[-1],
        "epsilon_spent": counted(noise, steps=STEPS_AN_ITERATION * iterations * epochs),
    }
    print(json.dumps(said))


def count_epsilon(noise: float, *, steps: int, rate: float, delta: float) -> float:
    """What the peer's accountant counts after so many steps."""
    analysis = import_module("opacus.privacy_analysis")
    divergence = analysis.compute_rdp(rate, noise, steps, ALPHAS)
    return float(analysis.get_privacy_spent(ALPHAS, divergence, delta)[0])


def least_noise(counted: Callable[[float], float], epsilon: float) -> float:
    """The smallest noise multiplier, to a thousandth, at which the count stays within epsilon."""
    low, high = LEAST_NOISE, MOST_NOISE
    if counted(high) > epsilon:
        raise ValueError(f"no noise up to {MOST_NOISE:g} stays within epsilon {epsilon:g}")
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (low, middle) if counted(middle) <= epsilon else (middle, high)
    return high


def within(seconds: float, work: Callable[[], object]) -> bool:
    """Whether work ended within so many CPU seconds of this process; if not, it was interrupted where it was."""

    def stop(*_: object) -> None:
        raise _OutOfTime

    before = signal.signal(signal.SIGPROF, stop)
    # Again every second: an exception in a destructor would be lost.
    signal.setitimer(signal.ITIMER_PROF, seconds, 1.0)
    try:
        work()
    except _OutOfTime:
        return False
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)
    return True


class _OutOfTime(BaseException):
    """Passes through whatever handles ordinary exceptions."""


if __name__ == "__main__":
    main()
