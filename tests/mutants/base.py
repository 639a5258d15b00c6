"""What a mutant is: one wrong line in a shipped file, and the tests that must notice it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """A named fault.

    Attributes:
      name: Room and fault, unique.
      file: The shipped file, relative to the repository.
      old: Text that occurs exactly once in it.
      new: What the fault makes of it.
      tests: Tests (pytest node ids) of which one at least must fail.
      why: What would go wrong.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    why: str
