"""Learn the encoding: noisy histograms of fine codes, charged, then bins and merged labels made of them."""

from accountant.price import Coordinate
from accountant.spend import Side, Spend
from dpsynth.domain import Domain
from dpsynth.encode import Encoder
from dpsynth.encode.histograms import bins_for
from dpsynth.mechanisms.histograms import measure_histograms
from dpsynth.mechanisms.shares import sigmas
from dpsynth.noise.base import RandomSource
from dpsynth.sources import MemorySource


def learn_encoding(
    encoder: Encoder,
    source: MemorySource,
    *,
    amount: int,
    synthesizer_amount: int,
    coordinate: Coordinate,
    spend: Spend,
    random: RandomSource,
    sides: tuple[Side, ...] = (Side.TRAINING,),
) -> Encoder:
    """The encoder with the bins, spikes and merged labels that noisy histograms show.

    Args:
      encoder: The declared encoding, which says what may be learned.
      source: Finely coded records. Private.
      amount: Budget of the histograms, in units of the coordinate; 0 where nothing is learned.
      synthesizer_amount: What is left for the synthesizer; decides how many bins are worth having.
      coordinate: The ledger's coordinate.
      spend: Charged before each draw.
      random: Source of the noise.
      sides: Whose records ``source`` holds.

    Privacy:
      Spends what :func:`dpsynth.mechanisms.histograms.measure_histograms` spends, at most ``amount``; merges are made
      of its outputs alone.
      Checked by: tests/oracles/test_histograms.py::test_merges_read_nothing_but_accounted_outputs

    Raises:
      BudgetExceeded: A charge was refused.
    """
    if not encoder.learned:
        return encoder
    apart = {name: encoder.apart[name] for name in encoder.learned}
    found = measure_histograms(
        source,
        encoder.blocks(),
        apart,
        amount=amount,
        coordinate=coordinate,
        spend=spend,
        random=random,
        sides=sides,
    )
    sums = [float((h.cells if h.blocks is None else h.blocks).sum()) for h in found.values()]
    rows = max(1.0, sum(sums) / len(sums))
    (sigma,) = sigmas([synthesizer_amount], coordinate=coordinate, sensitivity=source.max_rows)
    return encoder.merge(found, bins=bins_for(rows, sigma))


def smallest_domain(encoder: Encoder) -> Domain:
    """The domain with the fewest codes that each attribute can have once everything is found out: for plans."""
    sizes = dict(zip(encoder.domain.names, encoder.largest_domain.sizes, strict=True))
    for name, column in zip(encoder.domain.names, encoder.columns, strict=True):
        if name in encoder.learned:
            sizes[name] = 1 + encoder.apart[name]
        if name in encoder.open:
            sizes[name] = column.size
    return Domain(names=encoder.domain.names, sizes=tuple(sizes.values()))


def recoded(source: MemorySource, encoder: Encoder) -> MemorySource:
    """Finely coded records in the domain of an encoder with merges."""
    if not encoder.merges:
        return source
    return source.recode(encoder.domain, {name: merge.groups for name, merge in encoder.merges.items()})
