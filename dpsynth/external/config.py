"""What the operator declares about an outside synthesizer: the command and the guarantee that it claims."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accountant.adjacency import Adjacency, PrivacyUnit
from accountant.errors import UnsupportedEvent
from accountant.events import ApproxDP
from dpsynth.errors import ParameterError

PLACEHOLDERS = ("{train}", "{domain}", "{out}", "{epsilon}", "{delta}", "{rows}")
"""What is replaced in each argument of the command."""

_KEYS = frozenset({"command", "claim", "environment", "timeout_seconds"})
_CLAIM_KEYS = frozenset({"epsilon", "delta", "adjacency", "unit", "max_rows", "row_count_private"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalConfig:
    """A command that makes synthetic rows, and its claim.

    Attributes:
      command: Program and arguments, with :data:`PLACEHOLDERS`; run without a shell.
      claim_epsilon: The epsilon that the tool claims, believed and charged.
      claim_delta: The delta that it claims.
      unit: Whom the claim protects; ``column`` is the schema's id column, or None where it protects one row.
      row_count_private: Whether the claim covers the number of training rows, too.
      environment: Names of the environment variables that the command may see.
      timeout_seconds: When the command is ended. Running time isn't part of any claim: take a generous one.
    """

    command: tuple[str, ...]
    claim_epsilon: float
    claim_delta: float
    unit: PrivacyUnit = field(default_factory=PrivacyUnit)
    row_count_private: bool = True
    environment: tuple[str, ...] = ("PATH", "LANG", "LC_ALL")
    timeout_seconds: float = 3600.0

    def __post_init__(self) -> None:
        given = " ".join(self.command)
        if not self.command or "{train}" not in given or "{out}" not in given or not self.timeout_seconds > 0:
            raise ParameterError(
                "The command of the outside synthesizer can't be run.",
                "It needs a program, the placeholders {train} and {out}, and a timeout above zero.",
                "Write it as a list, for example [my-tool, '{train}', '{out}'].",
            )
        self.event()

    def event(self) -> ApproxDP:
        """The event that the run is charged as; raises ParameterError for a claim out of range."""
        return ApproxDP(epsilon=self.claim_epsilon, delta=self.claim_delta, adjacency=self.unit.adjacency)

    def to_json(self) -> dict[str, Any]:
        """The declaration as JSON values, all public, for the plan's hash and the certificate."""
        return {
            "command": list(self.command),
            "event": self.event().to_json(),
            "unit": self.unit.describe(),
            "row_count_private": self.row_count_private,
            "environment": list(self.environment),
        }


def require_matching_claim(config: ExternalConfig, unit: PrivacyUnit) -> None:
    """Refuse a claim that speaks of other people, another adjacency, or a public row count.

    Args:
      config: The claim.
      unit: The privacy unit of the ledger's scope.

    Raises:
      UnsupportedEvent: They differ. A claim about rows says nothing about people with several rows.
    """
    if config.unit != unit:
        raise UnsupportedEvent(
            f"The outside synthesizer protects {config.unit.describe()}.",
            f"The ledger protects {unit.describe()}, and a claim about one says nothing about the other.",
            "Use a tool with a claim about the ledger's unit, or a ledger with the tool's unit.",
        )
    if not config.row_count_private:
        raise UnsupportedEvent(
            "The outside synthesizer treats the number of training rows as public.",
            "Here it is private: adding a person changes it, and the split's coins move people.",
            "Use a tool whose claim covers the row count, and set row_count_private.",
        )


def load_external_config(path: Path) -> ExternalConfig:
    """Read a claims file (YAML).

    Raises:
      ParameterError: The file is missing, isn't YAML, or has other keys than it should; names the keys.
    """
    import yaml

    try:
        body = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as fault:
        raise _bad(path, f"The file can't be read as YAML ({type(fault).__name__}).") from None
    top = _mapping(path, "the file", body, _KEYS, required={"command", "claim"})
    claim = _mapping(path, "claim", top["claim"], _CLAIM_KEYS, required={"epsilon", "delta"})
    try:
        return ExternalConfig(
            command=_texts(path, "command", top["command"]),
            claim_epsilon=_number(path, "claim.epsilon", claim["epsilon"]),
            claim_delta=_number(path, "claim.delta", claim["delta"]),
            unit=_unit(claim),
            row_count_private=claim.get("row_count_private", False) is True,
            environment=_texts(path, "environment", top.get("environment", ["PATH", "LANG", "LC_ALL"])),
            timeout_seconds=_number(path, "timeout_seconds", top.get("timeout_seconds", 3600)),
        )
    except (TypeError, ValueError):
        raise _bad(path, "A value of it has the wrong type or form.") from None


def _unit(claim: Mapping[str, Any]) -> PrivacyUnit:
    column = claim.get("unit")
    return PrivacyUnit(
        column=None if column in (None, "row") else str(column),
        max_rows=int(claim.get("max_rows", 1)),
        adjacency=Adjacency(claim.get("adjacency", "add-remove")),
    )


def _mapping(path: Path, where: str, value: Any, known: frozenset[str], required: set[str]) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not required <= set(value) or not set(value) <= known:
        must, may = ", ".join(sorted(required)), ", ".join(sorted(known - required))
        raise _bad(path, f"Expected in {where}: the keys {must}, perhaps {may}, and no others.")
    return value


def _texts(path: Path, where: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise _bad(path, f"Expected in {where}: a list of texts, with quoted placeholders such as '{{train}}'.")
    return tuple(value)


def _number(path: Path, where: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _bad(path, f"Expected in {where}: a number.")
    return float(value)


def _bad(path: Path, why: str) -> ParameterError:
    return ParameterError(
        f"The outside synthesizer's file {path} can't be used.",
        why,
        "Declare `command: [...]` and `claim: {epsilon, delta, adjacency, unit, row_count_private}` in it.",
    )
