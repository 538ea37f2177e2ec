"""Text of a row between two marks that it cannot write itself.

    <<<rollout 6f0c9a41d2b35e78
    …whatever the text says…
    6f0c9a41d2b35e78 rollout>>>

The mark is the first of a fixed row of marks that does not occur in the text, so no text can close its fence, whatever
its writer knows. The same text has the same mark, which keeps prompts, and a provider's cache of them, the same. It is
no hash of the text: with one, whoever gets the text without its secrets could try secrets until the hash fits.
"""

from __future__ import annotations

import hashlib
from itertools import count

from rollmill.columns._json import as_text

_DIGITS = 16


class Passage(str):
    """Text of a rollout that is fenced when it is printed into a prompt."""

    __slots__ = ()


class Fenced(str):
    """Text that has its fence."""

    __slots__ = ()


def fenced(value: object, label: str = "text") -> Fenced:
    """``value`` (a text, or data as JSON) between two lines that it cannot close."""
    if isinstance(value, Fenced):
        return value
    text = as_text(value)
    mark = _mark(text.lower())
    return Fenced(f"<<<{label} {mark}\n{text}\n{mark} {label}>>>")


def _mark(text: str) -> str:
    """The first mark that the text does not hold."""
    marks = (hashlib.sha256(b"rollmill %d" % number).hexdigest()[:_DIGITS] for number in count())
    return next(mark for mark in marks if mark not in text)
