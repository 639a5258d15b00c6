"""What a verification refuses."""

from accountant.errors import Refusal


class VerificationFailed(Refusal):
    """A release folder isn't what its publisher signed, or doesn't add up. Nothing in it should be believed."""
