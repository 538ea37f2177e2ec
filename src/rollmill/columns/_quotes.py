"""Whether a quoted span stands in a text: word for word, but for white space, quotation marks and an ellipsis."""

from __future__ import annotations

import re

SHORTEST = 8
"""Fewer letters than this prove nothing: they stand in every text."""
_ELLIPSIS = re.compile(r"\.{3,}|…|\[\.\.\.\]|\[…\]")
_SPACE = re.compile(r"(?:\s|\\n|\\t|\\r)+")
_MARKS = str.maketrans({"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "`": "'", "\\": None})
_OUTER = " \t\n\"'"


class Quoted:
    """A text to look for quotes in."""

    def __init__(self, text: str) -> None:
        self._text = _plain(text)

    def holds(self, quote: str) -> bool:
        """Whether the quote stands in the text: its pieces, in their order, one of them long enough to mean it."""
        pieces = [piece for each in _ELLIPSIS.split(_plain(quote)) if (piece := each.strip(_OUTER))]
        if not pieces or max(map(_letters, pieces)) < SHORTEST:
            return False
        at = 0
        for piece in pieces:
            found = self._text.find(piece, at)
            if found < 0:
                return False
            at = found + len(piece)
        return True


def _plain(text: str) -> str:
    """``text`` as it is compared: one kind of quotation mark, single spaces, no escapes of JSON."""
    return _SPACE.sub(" ", text).translate(_MARKS)


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))
