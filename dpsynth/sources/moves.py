"""How far one unit moves which marginals, in words: for plans and certificates."""

import itertools
from dataclasses import dataclass

from accountant.adjacency import PrivacyUnit, moved_by
from dpsynth.domain import Clique, Domain
from dpsynth.sources.bounding import rows_in_one_cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """How far one unit moves some marginals. Public.

    Attributes:
      holding: The distinct attributes that these marginals hold; none for all that hold no set of another move.
      sensitivity: The L2 norm, in rows, rounded up.
    """

    holding: Clique
    sensitivity: float

    def in_words(self) -> str:
        """As one clause."""
        which = f"with {' and '.join(self.holding)}" if self.holding else "others"
        return f"{which}: {self.sensitivity:.6g}"


def moves_of(domain: Domain, distinct: tuple[str, ...], unit: PrivacyUnit) -> tuple[Move, ...]:
    """What each set of distinct attributes is worth to the marginals that hold it; the last move is that of all others.

    Args:
      domain: The domain of the codes in which a unit's rows are distinct.
      distinct: Names of these attributes; none where rows are bounded in number alone.
      unit: The privacy unit.

    Returns:
      Moves by falling number of attributes, those that say nothing left out; none where no attribute is distinct.
    """
    names, found = domain.clique(distinct), list[Move]()
    if not names:
        return ()
    others = _moved(domain, names, (), unit)
    for ways in range(len(names), 0, -1):
        for held in itertools.combinations(names, ways):
            sensitivity = _moved(domain, names, held, unit)
            if sensitivity < others:
                found.append(Move(holding=held, sensitivity=sensitivity))
    return (*found, Move(holding=(), sensitivity=others))


def _moved(domain: Domain, distinct: Clique, held: Clique, unit: PrivacyUnit) -> float:
    return moved_by(unit.max_rows, unit.adjacency, in_one_cell=rows_in_one_cell(domain, distinct, held))
