"""Refusals: errors a person can act on, in three sentences: what was refused, why, what to do next."""


class Refusal(Exception):  # noqa: N818 - a refusal is a decision, not a fault
    """A request that was refused before anything was done; ends a command with exit code 2.

    Args:
      what: What was refused, with the given and the expected public figure.
      why: The state that explains it. Never a record value, a count of real records or an undeclared category.
      next_step: The reader's next move.
    """

    def __init__(self, what: str, why: str, next_step: str) -> None:
        super().__init__(f"{what} {why} {next_step}")
        self.what, self.why, self.next_step = what, why, next_step


class BudgetExceeded(Refusal):
    """A filter or a ledger scope can't afford the price; nothing was recorded or drawn."""


class UnsupportedEvent(Refusal):
    """An event has no price in the coordinate asked for, or mixes adjacencies."""


class LedgerError(Refusal):
    """A ledger can't be used as asked: missing, locked, read-only, or declared for other data."""


class LedgerTampered(Refusal):
    """A ledger, its chain or its witness doesn't agree with itself."""


class IdempotencyConflict(Refusal):
    """An idempotency key was used before with another plan, or its run never finished."""


class ParameterError(Refusal):
    """A public parameter is outside its range."""


class MissingExtra(Refusal):
    """An optional dependency isn't installed: run the line that the message gives."""
