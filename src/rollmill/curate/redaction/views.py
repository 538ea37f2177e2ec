"""A text as a person sees it: without the escape sequences of a terminal, ``\\u0040`` and ``\\/`` undone.

Findings are made in the view and then placed in the text itself.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from rollmill.curate.redaction.finding import Finding

STARTS = ("\\u00", "\\/", "\x1b", "\\x1b", "\\033", "\\e[")
"""Where none of these is, a text is its own view."""

_ESC = r"(?:\x1b|\\{1,8}u001[bB]|\\{1,8}x1[bB]|\\{1,8}033|\\{1,8}e(?=\[))"
_SEEN = re.compile(
    rf"(?P<colour>{_ESC}\[[0-?]{{0,40}}[ -/]{{0,4}}[@-~]|{_ESC}[()][A-Z0-9])"
    rf"|(?P<other>{_ESC}\](?:8;[^;\x07\x1b]{{0,100}};|\d{{1,4}};)|{_ESC}\\{{1,8}}|\x07)"
    r"|\\+u00(?P<code>[2-7][0-9a-fA-F])|(?P<slash>\\+/)"
)

_MAY_BEGIN = re.compile(r"\x1b|\x07|\\\\*(?:u00|x1[bB]|033|e\[|/)")
"""What ``_SEEN`` can begin with: alternatives of single first letters, which ``re`` looks for many times faster."""
_LONGEST = 200
"""No sequence goes on further behind its beginning."""


def may_hide(text: str) -> bool:
    """Whether a terminal's sequences could stand in a text."""
    return "\x1b" in text


class View(NamedTuple):
    """A seen text, and where its parts stand in the real one: pairs of (place here, place there), in order."""

    text: str
    places: tuple[tuple[int, int], ...] = ()

    def placed(self, findings: list[Finding]) -> list[Finding]:
        """The findings in this view, in the text it was made from."""
        if not self.places:
            return findings
        return [
            Finding(each.kind, self._start(each.start), self._end(each.end), each.secret, each.parts)
            for each in findings
        ]

    def _start(self, at: int) -> int:
        seen, real = self.places[bisect_right(self.places, at, key=_seen) - 1]
        return real + at - seen

    def _end(self, at: int) -> int:
        first = bisect_left(self.places, at, key=_seen)
        if first == len(self.places) or self.places[first][0] != at:
            first -= 1
        seen, real = self.places[first]
        return real + at - seen


def _seen(pair: tuple[int, int]) -> int:
    return pair[0]


def view_of(text: str) -> View:
    """The text as it is seen."""
    pieces: list[str] = []
    places, at, length = [(0, 0)], 0, 0
    for start, end, letter in _unseen(text):
        pieces += [text[at:start], letter]
        length += start - at
        places += [(length, start), (length + len(letter), end)]
        at, length = end, length + len(letter)
    return View("".join(pieces) + text[at:], tuple(places)) if pieces else View(text)


def _unseen(text: str) -> Iterator[tuple[int, int, str]]:
    """Every place that looks other than it is written: from, to, and the letter that is seen there, if any."""
    for found in _sequences(text):
        letter = ""
        if found["code"]:
            letter = chr(int(found["code"], 16))
        elif found["slash"]:
            letter = "/"
        elif found["other"]:
            letter = "\n"
        if letter not in ('"', "\\"):
            yield found.start(), found.end(), letter


def _sequences(text: str) -> Iterator[re.Match[str]]:
    at = 0
    while begun := _MAY_BEGIN.search(text, at):
        found = _SEEN.search(text, begun.start(), begun.end() + _LONGEST)
        if found is None or found.start() >= begun.end():
            at = begun.end()
        else:
            yield found
            at = found.end()
