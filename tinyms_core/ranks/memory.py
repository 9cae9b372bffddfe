"""Memory of tensors as it is moved between processes: bytes at addresses."""

from __future__ import annotations

#: Bytes of a buffer that comes out of an exchange: enough that its start costs little, small beside a model.
BUCKET_BYTES = 1 << 26

#: However many processes there are, each sends at least so many bytes at a time.
LEAST_BYTES = 1 << 16

#: An exchange is of words of so many bytes.
WORD = 4


def words_for(size: int) -> int:
    """The number of words that hold so many bytes."""
    return -(-size // WORD)
