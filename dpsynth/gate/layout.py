"""What is declared of a table's columns, as the attacks see it: public facts, and merges that were accounted for."""

from dpsynth.attacks.layout import Layout
from dpsynth.encode import Encoder


def layout_of(encoder: Encoder) -> Layout:
    """The layout of the attributes of an encoding: sizes, scales, what others know, and secrets.

    A declared column that is no attribute (it isn't read, say) is left out.
    """
    place, table = {name: i for i, name in enumerate(encoder.domain.names)}, encoder.schema
    known = (tuple(sorted(place[name] for name in names if name in place)) for names in table.known)
    return Layout(
        sizes=encoder.domain.sizes,
        ordered=encoder.scales,
        known=tuple(columns for columns in known if columns),
        secrets=tuple(place[name] for name in table.secrets if name in place),
    )
