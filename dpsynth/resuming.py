"""A release whose training is written down: what must be the same where it goes on, and where it can't go on any more.

A release that is interrupted goes on with the same people on the same sides: the key of their coins is in the folder of
checkpoints before anything is charged, and is removed, with all that was trained, once the verdict is drawn. Whoever
reads it knows who was trained on: the folder is to be guarded like the ledger. Numbers of people are measured once, and
written down. Of the training those steps are run that nobody took (``dpsynth.deep.checkpoints``). After it nothing is
drawn twice: a run that may have drawn its verdict doesn't go on, and stays charged.
"""

import numpy as np

from accountant.canonical import sha256_hex
from accountant.spend import BOTH_SIDES
from dpsynth.certificate.commitment import commit
from dpsynth.errors import ParameterError
from dpsynth.external import ExternalConfig
from dpsynth.gate.totals import Totals
from dpsynth.gate.totals import label as counted
from dpsynth.noise.base import RandomSource
from dpsynth.noise.random import KeptRandom, draw_key
from dpsynth.plan import ReleasePlan
from dpsynth.records import CodedRecords
from dpsynth.runs import Run

SPLIT, TOTALS = "split", "totals"
"""States of a release beside those of its training."""


def require_resumable(plan: ReleasePlan, *, seeded: bool) -> None:
    """Refuse checkpoints of what keeps none.

    Raises:
      ParameterError: The synthesizer measures or runs outside, or the run is a test with a seed.
    """
    made = plan.synthesizer
    if seeded or isinstance(made, ExternalConfig) or made.train is None:
        raise ParameterError(
            f"A release with {plan.synthesizer_name} keeps no checkpoints here.",
            "Only a training is written down, and a seeded run would draw the same noise twice.",
            "Leave the folder of checkpoints out.",
        )


def settled_commitment(run: Run, records: CodedRecords) -> tuple[str, bytes, RandomSource]:
    """The commitment to the records, its key, and the source of the split's coins: the same ones where a run goes on.

    Privacy:
      Charges nothing. Coins under a fresh key are as good as fresh coins; the key never leaves the checkpoints.
      Checked by: tests/dpsynth/deep/test_resuming.py::test_killed_anywhere_a_release_pays_once_and_splits_once

    Raises:
      ParameterError: The records aren't those of the run that goes on, or what was charged wasn't written down.
    """
    if run.checkpoints is None:
        key = draw_key()
        return commit(records.blocks_of_bytes(), key=key), key, run.random
    found = run.checkpoints.kept(SPLIT, _mark(run))
    if not found:
        if run.reservation.state.steps:
            raise _lost("who was on which side")
        found = {name: np.frombuffer(draw_key(), dtype=np.uint8) for name in ("split key", "key")}
    key = found["key"].tobytes()
    commitment = commit(records.blocks_of_bytes(), key=key)
    if "commitment" not in found:
        found["commitment"] = np.frombuffer(bytes.fromhex(commitment), dtype=np.uint8)
        run.checkpoints.keep(SPLIT, _mark(run), 0, found)
    if found["commitment"].tobytes().hex() != commitment:
        raise ParameterError(
            "This release can't go on with this table.",
            "It isn't the one with which it was begun: other records, or the same in another order.",
            "Give the table as it was.",
        )
    return commitment, key, KeptRandom(found["split key"].tobytes())


def kept_totals(run: Run) -> Totals | None:
    """The noisy numbers of people, where the run that goes on has measured them; None where they are to be measured.

    Raises:
      ParameterError: They were charged and weren't written down, or the verdict may have been drawn.
    """
    if run.checkpoints is None:
        return None
    _require_before_the_verdict(run)
    found = run.checkpoints.kept(TOTALS, _mark(run))
    if found:
        people, sigmas = found["people"].tolist(), found["sigmas"].tolist()
        return Totals(training=people[0], holdout=people[1], training_sigma=sigmas[0], holdout_sigma=sigmas[1])
    if run.reservation.state.steps:
        run.checkpoints.forget_all()
        raise _lost("the numbers of people")
    return None


def keep_totals(run: Run, totals: Totals) -> Totals:
    """Write the noisy numbers of people down, where the run is; returns them."""
    if run.checkpoints is not None:
        sigmas = np.array([totals.training_sigma, totals.holdout_sigma])
        arrays = {"people": np.array([totals.training, totals.holdout]), "sigmas": sigmas}
        run.checkpoints.keep(TOTALS, _mark(run), 0, arrays)
    return totals


def forget_run(run: Run) -> None:
    """Remove what was kept of a run that has its verdict, or can't go on: model, numbers, who was on which side.

    Raises:
      OutputError: The disk refused.
    """
    if run.checkpoints is not None:
        run.checkpoints.forget_all()


def _require_before_the_verdict(run: Run) -> None:
    known = {*(counted(side) for side in BOTH_SIDES), f"training of {run.plan.synthesizer_name}"}
    if any(step.label not in known for step in run.reservation.state.steps):
        forget_run(run)
        raise ParameterError(
            "This release can't go on.",
            "It was charged for its gate, so its verdict may have been drawn, and a verdict is drawn once.",
            "End it with `dpsynth ledger reconcile`, and begin a new release, which is charged anew.",
        )


def _lost(what: str) -> ParameterError:
    return ParameterError(
        f"This release can't go on: {what} wasn't written down.",
        "It was interrupted between a charge and the writing of what was paid for, and nothing is drawn twice.",
        "End it with `dpsynth ledger reconcile`, and begin a new release, which is charged anew.",
    )


def _mark(run: Run) -> str:
    return sha256_hex(run.plan.to_json())
