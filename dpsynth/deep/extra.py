"""The extras ``gan`` and ``opacus``: where torch or opacus is needed and missing, the refusal says how to get it."""

from importlib.util import find_spec

from dpsynth.errors import MissingExtra

INSTALL, INSTALL_OPACUS = "pip install 'dpsynth[gan]'", "pip install 'dpsynth[opacus]'"


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


def require_opacus() -> None:
    """Refuse where opacus isn't installed; loads nothing.

    Raises:
      MissingExtra: It isn't; the message gives the line that installs it.
    """
    if find_spec("opacus") is None:
        raise MissingExtra(
            "A module can't be trained through opacus here.",
            "It finds the norms of gradients by ghost clipping, and it isn't installed.",
            f"Install it with {INSTALL_OPACUS}, or use train_module(), which needs torch alone.",
        )
