"""The random sources: the operating system's CSPRNG stretched by AES-256-CTR, one whose key is kept, one for tests."""

import hashlib
import os
import threading
import weakref
from collections.abc import Callable
from typing import NoReturn

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from numpy.typing import NDArray

from dpsynth.errors import Refusal
from dpsynth.noise.tables import CumulativeTable

_BLOCK_WORDS = 1 << 15
_REKEY_WORDS = 1 << 27
_NO_WORDS = np.empty(0, dtype=np.uint64)


def _keystream(key: bytes) -> CipherContext:
    return Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()


class _Words:
    """A buffered stream of 64-bit words, one for several threads; how they are asked for doesn't change them."""

    def __init__(self, key: Callable[[], bytes], rekey_words: int | None = None) -> None:
        self._key, self._rekey_words = key, rekey_words
        self._lock = threading.Lock()
        self._restart()

    def _restart(self) -> None:
        self._cipher = _keystream(self._key())
        self._buffer, self._made = _NO_WORDS, 0

    def take(self, count: int) -> NDArray[np.uint64]:
        """The next ``count`` words; no word is handed out twice."""
        with self._lock:
            return self._take(count)

    def _take(self, count: int) -> NDArray[np.uint64]:
        if self._rekey_words is not None and self._made > self._rekey_words:
            self._restart()
        missing = count - len(self._buffer)
        if missing > 0:
            made = max(missing, _BLOCK_WORDS)
            fresh = np.frombuffer(self._cipher.update(bytes(8 * made)), dtype="<u8").astype(np.uint64, copy=False)
            self._buffer = np.concatenate([self._buffer, fresh]) if len(self._buffer) else fresh
            self._made += made
        words, self._buffer = self._buffer[:count], self._buffer[count:]
        return words


def _refuse_to_copy(kind: str) -> NoReturn:
    raise Refusal(
        f"A {kind} can't be copied or pickled.",
        "Two copies of one stream would add the same noise twice, and subtracting the outputs would remove it.",
        "Make a new random source where it is needed.",
    )


class SystemRandom:
    """Private randomness: AES-256 in counter mode under a 256-bit key from the operating system.

    A new key is taken after a fork, in the child (by a hook, and by comparing process ids at each use), and after each
    gibibyte of stream (a distinguisher's advantage over 2**26 blocks of 128 bits is at most 2**-77). One instance may
    be used by several threads. It can't be copied or pickled, and it has no seed. Restoring a snapshot of the whole
    machine can't be noticed: make the source after the restore.
    """

    private = True

    def __init__(self) -> None:
        self._begin()
        reference = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _begin_again(reference))

    def _begin(self) -> None:
        self._stream = _Words(lambda: os.urandom(32), _REKEY_WORDS)  # its own lock: the old one may be held for ever
        self._owner = os.getpid()

    def _take(self, count: int) -> NDArray[np.uint64]:
        if os.getpid() != self._owner:
            self._begin()
        return self._stream.take(count)

    def draw(self, table: CumulativeTable, size: int) -> NDArray[np.int64]:
        """``size`` independent indices into ``table``, int64, each with exactly the table's probability."""
        return table.lookup(self._take, size)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        _refuse_to_copy("SystemRandom")


def _begin_again(reference: "weakref.ref[SystemRandom]") -> None:
    source = reference()
    if source is not None:
        source._begin()


def draw_key() -> bytes:
    """32 bytes of the operating system's, to be a secret key."""
    return os.urandom(32)


class KeptRandom:
    """Private randomness that comes again: AES-256 in counter mode under a secret key that the caller keeps.

    For coins that a run must see again where it goes on; never for noise, which is drawn once.

    Args:
      key: 32 bytes of the operating system's, as secret as the records.
    """

    private = True

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise ValueError("a key has 32 bytes")
        self._stream = _Words(lambda: key)

    def draw(self, table: CumulativeTable, size: int) -> NDArray[np.int64]:
        """``size`` indices into ``table``, int64, fixed by the key and by the draws made before."""
        return table.lookup(self._stream.take, size)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        _refuse_to_copy("KeptRandom")


class SeededRandom:
    """NOT PRIVATE: the same stream for the same seed, on every platform; for tests and published examples.

    Args:
      seed: Any integer. The key is SHA-256 of its decimal form, so whoever knows the seed can remove the noise.
    """

    private = False

    def __init__(self, seed: int) -> None:
        key = hashlib.sha256(f"dpsynth seeded test stream v1:{int(seed)}".encode()).digest()
        self._stream = _Words(lambda: key)

    def draw(self, table: CumulativeTable, size: int) -> NDArray[np.int64]:
        """``size`` indices into ``table``, int64, fixed by the seed and by the draws made before."""
        return table.lookup(self._stream.take, size)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        _refuse_to_copy("SeededRandom")
