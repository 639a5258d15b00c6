"""The extra ``gan``: where torch is needed and missing, the refusal says how to get it."""

from importlib.util import find_spec

from dpsynth.errors import MissingExtra

INSTALL = "pip install 'dpsynth[gan]'"


def require_torch() -> None:
    """Refuse where torch isn't installed; loads nothing.

    Raises:
      MissingExtra: It isn't; the message gives the line that installs it.
    """
    if find_spec("torch") is None:
        raise MissingExtra(
            "A synthesizer trained by DP-SGD can't run here.",
            "It needs torch, which isn't installed.",
            f"Install it with {INSTALL}, or choose another synthesizer.",
        )
