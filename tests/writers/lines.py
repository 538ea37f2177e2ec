"""The lines of a log, whatever its format."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

from hypothesis import strategies as st

_up_to = cache(lambda largest: st.integers(0, largest))
_TEXT = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        ['"quoted"\n\\n', "\u2028\x85\0\x1b[0m", "🦆 é", "<system-reminder>", "data:image/png;base64,AAAA", "line:3"]
    ),
)
ARGUMENTS = st.one_of(
    st.just({}),
    st.dictionaries(
        st.sampled_from(["command", "a b", "é", "#line", "fate"]), st.one_of(_TEXT, st.integers(), st.none())
    ),
    st.just({"deep": [[{"x": [1.5, True]}]], "n": 10**30}),
)


class Lines:
    """The lines of a log, numbered from 1, in one of the ways JSON is written."""

    def __init__(self, draw: Callable[[Any], Any]) -> None:
        self.draw = draw
        self.ascii, self.spaces = self.chance(50), self.chance(50)
        self.end = self.pick(["\n", "\r\n"])
        self.start = b"\xef\xbb\xbf" if self.chance(10) else b""
        self.last_end = "" if self.chance(30) else self.end
        self.written: list[str] = []
        self.record_lines: list[int] = []

    def json(self, value: Any) -> str:
        return json.dumps(value, ensure_ascii=self.ascii, separators=(", ", ": ") if self.spaces else (",", ":"))

    def add(self, record: dict[str, Any]) -> int:
        """The line it stands on."""
        if self.written and self.chance(4):
            self.written.append("")
        self.written.append(self.json(record))
        self.record_lines.append(len(self.written))
        return len(self.written)

    def data(self) -> bytes:
        return self.start + (self.end.join(self.written) + self.last_end).encode()

    def chance(self, percent: int) -> bool:
        return self.number(99) >= 100 - percent

    def pick(self, values: list[Any]) -> Any:
        return values[self.number(len(values) - 1)]

    def number(self, largest: int) -> int:
        return int(self.draw(_up_to(largest)))

    def text(self, number: int) -> str:
        """A text that no other message has, with whatever behind it."""
        return f"t{number} " + self.draw(_TEXT)

    def shuffled(self, values: list[Any]) -> list[Any]:
        left = list(values)
        return [left.pop(self.number(len(left) - 1)) for _ in values]
