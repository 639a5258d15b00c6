"""What a run leaves to its operator, for the annex: exact figures of real people. Nothing public is made of them."""

from collections.abc import Mapping, Sequence

from dpsynth.attacks.guessing import SideGuesses, guess_members
from dpsynth.attacks.improbable import by_chance
from dpsynth.attacks.nearest import prepare
from dpsynth.gate import GateResult
from dpsynth.gate.annex import GateAnnex
from dpsynth.gate.one_run import audit_split, confidential_json
from dpsynth.runs import Run
from dpsynth.sources import Codes, MemorySource


def audited(
    run: Run, training: MemorySource, holdout: MemorySource, synthetic: Codes, compared: MemorySource | None
) -> Mapping[str, object]:
    """The audit by the split's coins, from exact counts: for the annex, after the verdict, which it can't change.

    Nobody who was held out was learned from, whether they were tested or compared with. It looks at the first table
    that was made: whether there is another one, the verdict decides, which read the people who were held out. Where
    only private parts of rows are protected there is none: whether a row was learned from isn't what the claim bounds.
    """
    if run.kept is not None:
        return {"one_run_audit": "none: the claim doesn't speak of who was learned from, so coins can't contradict it"}
    share, budget = run.gated[0].holdout_share, run.plan.budget
    table = prepare(synthetic, training.domain.sizes)
    chance = by_chance(table)
    sides = (side for side in (training, holdout, compared) if side is not None)
    inside, *held = (guess_members(side.blocks(), table, chance) for side in sides)
    outside = SideGuesses(people=sum(s.people for s in held), guessed=sum(s.guessed for s in held))
    bound = audit_split(inside, outside, holdout_share=share, delta=budget.delta)
    told = confidential_json(
        bound,
        epsilon=budget.epsilon,
        training=inside,
        holdout=outside,
        one_key=run.plan.unit.column is not None,
    )
    return {"one_run_audit": told}


def figures(outcome: GateResult, found: Sequence[GateAnnex], words: bytes) -> Mapping[str, object]:
    """What the gate found exactly in each attempt, and what an outside synthesizer said."""
    *failed, exact = [one.confidential_json() for one in found] or [{}]
    said = {"outside synthesizer said": words.decode(errors="replace")} if words else {}
    earlier = {"failed attempts": failed} if failed else {}
    return {"gate": exact, "verdict": outcome.verdict.name, **earlier, **said}
