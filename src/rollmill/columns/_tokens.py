"""How many tokens a text is: by the tokenizer that a run names (``_tokenizer``), else by estimate.

The estimate is a text's UTF-8 bytes divided by four, rounded up. English prose and code are 3.5 to 4.5 bytes a token
with today's tokenizers; other scripts take fewer tokens than this says, long numbers and base64 more. Nothing is
downloaded either way.
"""

from __future__ import annotations

from typing import Protocol

BYTES_PER_TOKEN = 4


class Measure(Protocol):
    """Texts measured in units, of which ``per_token`` make a token."""

    per_token: int

    def size(self, text: str) -> int:
        """The units of ``text``."""
        ...

    def cut(self, text: str, most: int) -> str:
        """The longest beginning of ``text`` of at most so many units, no character cut in two."""
        ...


class Estimate:
    """UTF-8 bytes."""

    per_token = BYTES_PER_TOKEN

    def size(self, text: str) -> int:
        return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))

    def cut(self, text: str, most: int) -> str:
        return text.encode("utf-8", "replace")[: max(most, 0)].decode("utf-8", "ignore")


_measure: Measure = Estimate()
"""Of all runs in this process: whatever thread renders a template, its tokens are counted alike."""


def measure() -> Measure:
    """What tokens are counted by now."""
    return _measure


def use(other: Measure) -> None:
    """Count by another measure from now on."""
    global _measure
    _measure = other


def tokens(text: str) -> int:
    """The tokens of ``text``."""
    return -(-_measure.size(text) // _measure.per_token)
