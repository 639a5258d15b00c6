"""What is declared of a table's columns, as the attacks see it; public facts only."""

from dpsynth.attacks.layout import Layout
from dpsynth.encode import Encoder


def layout_of(encoder: Encoder) -> Layout:
    """The layout of the attributes of an encoding: sizes, scales, what others know, and secrets."""
    place, table = {name: i for i, name in enumerate(encoder.domain.names)}, encoder.schema
    return Layout(
        sizes=encoder.domain.sizes,
        ordered=encoder.scales,
        known=tuple(tuple(sorted(place[name] for name in names)) for names in table.known),
        secrets=tuple(place[name] for name in table.secrets),
    )
