"""Where literals stand in texts, in characters: many short texts at once, a long one by windows.

A call into the compiled search costs as much as some hundred bytes of text, and most texts of a rollout are short.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ahocorasick_rs import BytesAhoCorasick

WINDOW = 1 << 20
"""This many bytes are searched at a time, so that a text made of nothing but hits stays small in memory."""

Hit = tuple[int, int, int]
"""Which literal, where it starts, where it ends."""


class Literals:
    """Literals to look for; ``places`` says which stand where, overlapping ones too."""

    def __init__(self, literals: Sequence[str], dense: bool) -> None:
        """``dense``: many literals, for which the larger and faster automaton pays."""
        from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind

        encoded = [literal.encode() for literal in literals]
        self._longest = max(map(len, encoded))
        self._lengths = list(map(len, literals))
        self._automaton: BytesAhoCorasick = BytesAhoCorasick(
            encoded, matchkind=MatchKind.Standard, implementation=Implementation.DFA if dense else None
        )

    def places(self, text: str) -> list[Hit] | Iterator[Hit]:
        """The hits in one text, by where they end."""
        data = text.encode("utf-8", "replace")
        found = self._in_bytes(data)
        return found if len(data) == len(text) else self._in_characters(found, data)

    def places_in(self, texts: Sequence[str]) -> Iterator[tuple[int, list[Hit]]]:
        """The index of each text that has hits, and its hits."""
        for first, datas in _batches(texts):
            if len(datas) == 1:
                if found := list(self.places(texts[first])):
                    yield first, found
                continue
            ends = list(accumulate(len(data) + 1 for data in datas))
            hits = self._in_bytes(b"\0".join(datas))
            for index, found in _by_text(hits, ends):
                data = datas[index]
                is_ascii = len(data) == len(texts[first + index])
                yield first + index, found if is_ascii else list(self._in_characters(found, data))

    def _in_bytes(self, data: bytes) -> list[Hit] | Iterator[Hit]:
        if len(data) <= WINDOW:
            return self._automaton.find_matches_as_indexes(data, overlapping=True)
        return self._by_windows(memoryview(data))

    def _by_windows(self, data: memoryview) -> Iterator[Hit]:
        for begin in range(0, len(data), WINDOW):
            start = max(0, begin - self._longest + 1)  # A literal may cross from one window into the next.
            for which, first, end in self._automaton.find_matches_as_indexes(
                data[start : begin + WINDOW], overlapping=True
            ):
                if end + start > begin:
                    yield which, first + start, end + start

    def _in_characters(self, hits: Iterable[Hit], data: bytes) -> Iterator[Hit]:
        """Hits counted in characters instead of bytes. What a literal ends with is a whole character."""
        at = counted = 0
        for which, _, end in hits:
            counted += len(data[at:end].decode())
            at = end
            yield which, counted - self._lengths[which], counted


def _batches(texts: Sequence[str]) -> Iterator[tuple[int, list[bytes]]]:
    """The texts in UTF-8, about a window of them at a time, each time with the index of the first."""
    first = size = 0
    for index, text in enumerate(texts):
        size += len(text) + 1
        if size >= WINDOW and index > first:
            yield first, [each.encode("utf-8", "replace") for each in texts[first:index]]
            first, size = index, len(text) + 1
    yield first, [each.encode("utf-8", "replace") for each in texts[first:]]


def _by_text(hits: Iterable[Hit], ends: list[int]) -> Iterator[tuple[int, list[Hit]]]:
    """Hits in joined texts, text by text, with places counted from its own beginning."""
    index, end, begin = -1, 0, 0
    found: list[Hit] = []
    for which, start, stop in hits:
        if stop > end:
            if found:
                yield index, found
            index = bisect_right(ends, start)
            begin, end = ends[index - 1] if index else 0, ends[index]
            found = []
        found.append((which, start - begin, stop - begin))
    if found:
        yield index, found
