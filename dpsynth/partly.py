"""The line where a part of each row is public: everybody's public part is kept, private columns are drawn given it.

The synthesizer reads training people alone, and its measurements are charged to them. Its model is then asked for a
private part for every row, held out or not: the public part of both sides is in the table, so the attacks compare
people of both sides with a table that holds a row of theirs. Without that, everybody in training would be nearer to it
than anybody held out, and an honest table would fail.
"""

import numpy as np

from dpsynth.drawing import DrawnTable
from dpsynth.encode import Codes, Encoder
from dpsynth.errors import ParameterError
from dpsynth.external import ExternalConfig
from dpsynth.measurement import Measurement
from dpsynth.mechanisms.partial import EXACT
from dpsynth.noise.seeds import draw_seed
from dpsynth.runs import Run
from dpsynth.samples.kept import PublicPart, complete_public
from dpsynth.sampling import generator
from dpsynth.sources import MemorySource
from dpsynth.synthesizers import fit_model


def make_partly(
    run: Run, part: PublicPart, encoder: Encoder, training: MemorySource, *, strangers: int
) -> tuple[tuple[Measurement, ...], DrawnTable, Codes]:
    """Measure training people, estimate, and draw a private part for every row of the table.

    Args:
      run: The run, whose plan says what the synthesizer may spend.
      part: The public columns of all rows.
      encoder: The encoding.
      training: Records of the people that the synthesizer learns from. Private.
      strangers: Rows at most that tell the gate how near a stranger is to the table.

    Returns:
      What was measured with noise, the table, in an order that isn't the records', and coded rows of strangers: public
      parts of the same table with other private parts, drawn once more.

    Privacy:
      Spends what the synthesizer spends, on training people alone. The order of the records says nothing: which row of
      the table is whose is told by public columns alone.
      Checked by: tests/dpsynth/test_partly_release.py::test_training_people_pay_for_measurements_and_both_for_the_gate
    """
    made = run.plan.synthesizer
    if isinstance(made, ExternalConfig):
        raise ParameterError(
            "An outside synthesizer was planned where a part of each row is public.",
            "It gives rows of its own, and none for a public part that is kept.",
            "Leave the synthesizer out.",
        )
    with run.told.stage("Measuring and estimating") as stage:
        fitted = fit_model(
            training,
            made,
            amount=run.plan.synthesizer_amount,
            coordinate=run.plan.coordinate,
            spend=run.reservation,
            random=run.random,
            told=stage,
        )
    with run.told.stage("Sampling"):
        rng = generator(draw_seed(run.random))
        everybody, some = rng.permutation(part.rows), rng.permutation(part.rows)[:strangers]
        whole, apart = (
            complete_public(fitted.model, part, np.asarray(at, np.int64), encoder=encoder, rng=rng)
            for at in (everybody, some)
        )
        table = encoder.with_surrogates(whole.table.cast(part.structure.arrow))
        noisy = tuple(m for m in fitted.measurements if m.sigma > EXACT)
        return noisy, DrawnTable(codes=whole.codes, table=table), apart.codes
