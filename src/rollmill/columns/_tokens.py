"""How many tokens a text is, by estimate: its UTF-8 bytes divided by four, rounded up.

English prose and code are 3.5 to 4.5 bytes a token with today's tokenizers; other scripts take fewer tokens than this
says, long numbers and base64 more. Nothing is downloaded for it.
"""

from __future__ import annotations

BYTES_PER_TOKEN = 4


def size(text: str) -> int:
    """The UTF-8 bytes of ``text``."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def tokens(text: str) -> int:
    """The estimated tokens of ``text``."""
    return -(-size(text) // BYTES_PER_TOKEN)


def cut(text: str, max_bytes: int) -> str:
    """The longest beginning of ``text`` of at most so many UTF-8 bytes, no character cut in two."""
    return text.encode("utf-8", "replace")[: max(max_bytes, 0)].decode("utf-8", "ignore")
