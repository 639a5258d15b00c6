"""Compiled normal noise: the ziggurat, word by word. Importing this module imports numba."""

import math
from collections.abc import Callable
from functools import cache
from typing import Any, cast

import numba  # type: ignore[import-untyped,unused-ignore]
import numpy as np
from numpy.typing import NDArray

from dpsynth.compiling import compiled

STRIPS = 256
BASE = 3.6541528853610088
"""Where the tail begins with 256 strips of equal area (Doornik 2005, An improved ziggurat method to generate normal
random samples); test_the_strips_have_equal_areas_and_close_at_the_top checks it."""
_TO_UNIT = 2.0**-53
_TO_TAIL = 2.0**-63


@cache
def strips() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Right edges of the strips from the base to the top, shape (257,), and the density's height at each, over 1.

    The first edge is that of a rectangle as large as the base strip with its tail.
    """
    tail = math.sqrt(math.pi / 2.0) * math.erfc(BASE / math.sqrt(2.0))
    height = math.exp(-0.5 * BASE * BASE)
    area = BASE * height + tail
    edges = [area / height, BASE]
    while len(edges) < STRIPS:
        top = math.exp(-0.5 * edges[-1] ** 2) + area / edges[-1]
        edges.append(math.sqrt(-2.0 * math.log(top)))
    edges.append(0.0)
    found = np.array(edges)
    return found, np.exp(-0.5 * found * found)


def _fill(words: Any, edges: Any, heights: Any, out: Any, filled: Any) -> Any:
    used, count, size, left = 0, filled, len(out), len(words)
    while count < size and used < left:
        word = words[used]
        strip = np.int64(word & np.uint64(255))
        value = np.float64(word >> np.uint64(11)) * _TO_UNIT * edges[strip]
        taken = used + 1
        if value >= edges[strip + 1]:
            if strip == 0:
                found = False
                while not found:
                    if taken + 2 > left:
                        return count, used
                    beyond = -math.log((np.float64(words[taken] >> np.uint64(1)) + 1.0) * _TO_TAIL) / BASE
                    other = -math.log((np.float64(words[taken + 1] >> np.uint64(1)) + 1.0) * _TO_TAIL)
                    taken += 2
                    found = 2.0 * other > beyond * beyond
                value = BASE + beyond
            else:
                if taken + 1 > left:
                    return count, used
                share = np.float64(words[taken] >> np.uint64(11)) * _TO_UNIT
                taken += 1
                low, high = heights[strip], heights[strip + 1]
                if low + share * (high - low) >= math.exp(-0.5 * value * value):
                    used = taken
                    continue
        out[count] = value * (1.0 - np.float64((word >> np.uint64(7)) & np.uint64(2)))
        count += 1
        used = taken
    return count, used


@cache
def fill() -> Callable[..., tuple[int, int]]:
    """The compiled ``fill(words, edges, heights, out, filled)``: standard normals from place ``filled`` of ``out`` on.

    Returns how many are filled and how many words were used. A number whose words don't suffice isn't begun: whoever
    asks again gives the words that are left first, so that no number is dropped for needing many.
    """
    cells, whole = numba.float64[::1], numba.int64
    pair: Any = numba.types.UniTuple
    signature = pair(whole, 2)(numba.uint64[::1], cells, cells, cells, whole)
    return cast(Callable[..., tuple[int, int]], compiled(_fill, signature))
