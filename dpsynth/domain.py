"""Vocabulary of discrete data: domains and cliques. Shape arithmetic only."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dpsynth.errors import ParameterError

Clique = tuple[str, ...]
"""Attribute names in domain order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """The public, finite domain of a coded table: attribute ``names[i]`` takes codes ``0 .. sizes[i] - 1``."""

    names: tuple[str, ...]
    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        bad = [s for s in self.sizes if s < 1]
        if len(self.names) != len(self.sizes) or len(set(self.names)) != len(self.names) or bad or not self.names:
            raise ParameterError(
                f"A domain of {len(self.names)} names and {len(self.sizes)} sizes can't be used.",
                "It needs at least one attribute, different names, and a size of at least 1 for each.",
                "Check the schema that it was made from.",
            )

    @classmethod
    def of(cls, sizes: Mapping[str, int]) -> "Domain":
        """A domain from a mapping of names to sizes, in its order."""
        return cls(names=tuple(sizes), sizes=tuple(sizes.values()))

    def size(self, name: str) -> int:
        """Number of codes of one attribute."""
        return self.sizes[self.names.index(name)]

    def clique(self, names: Iterable[str]) -> Clique:
        """The clique of these attributes, in domain order; raises ParameterError for a name it doesn't have."""
        wanted = set(names)
        if not wanted <= set(self.names):
            raise ParameterError(
                "A clique names an attribute that the domain doesn't have.",
                f"The domain has {len(self.names)} attributes.",
                "Use names of declared columns.",
            )
        return tuple(n for n in self.names if n in wanted)

    def shape(self, clique: Clique) -> tuple[int, ...]:
        """Sizes of a clique's attributes."""
        return tuple(self.size(n) for n in clique)

    def cells(self, clique: Clique) -> int:
        """Number of cells of a clique's marginal; exact, however large."""
        return math.prod(self.shape(clique))
