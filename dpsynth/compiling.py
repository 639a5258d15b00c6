"""Compiled loops: a function's machine code for one signature, cached where there is room for it. Imports numba."""

import pickle  # for the error of a broken cache alone: nothing is unpickled here
from collections.abc import Callable
from typing import Any

import numba  # type: ignore[import-untyped,unused-ignore]


def compiled(function: Callable[..., Any], signature: Any, **options: Any) -> Any:
    """A function's machine code for one signature.

    It is cached beside the function's file, or in the user's cache folder where the installation can't be written, or
    not at all where neither can be, and compiled anew where the cache is broken: a folder never decides whether a fit
    or a release runs.

    Args:
      function: What to compile; divisions by zero give what NumPy gives.
      signature: Its numba signature.
      options: Of numba's compiler.
    """
    options |= {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(signature, cache=True, **options)(function)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError):
        return numba.njit(signature, **options)(function)
