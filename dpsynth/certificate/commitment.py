"""A hiding commitment to the data: it says nothing without its key, and with the key it fixes the data."""

import hmac
from collections.abc import Iterable

from dpsynth.errors import ParameterError

KEY_BYTES = 32


def commit(records: Iterable[bytes], *, key: bytes) -> str:
    """HMAC-SHA256 of the records under a fresh key.

    Args:
      records: The data in blocks of bytes; block borders don't matter.
      key: 32 fresh random bytes, used once, then kept in the annex only.

    Returns:
      64 hexadecimal digits. Without the key they are as good as random, so they may be published.

    Raises:
      ParameterError: The key hasn't 32 bytes.
    """
    if len(key) != KEY_BYTES:
        raise ParameterError(
            f"A commitment key has {len(key)} bytes.", f"It has {KEY_BYTES}, fresh for each release.", "Draw a new key."
        )
    digest = hmac.new(key, digestmod="sha256")
    for block in records:
        digest.update(block)
    return digest.hexdigest()
