"""JSON text with some of its strings replaced, and every other byte as it was.

Only string literals are taken out and put back: numbers keep their digits, objects their order and their repeated
keys, and no depth of nesting is too much.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Callable

from rollmill.curate.redaction.secret_names import name_kind

_LITERAL = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"(\s*:)?', re.DOTALL)
_REST = re.compile(r"[\s\d+\-.eE{}\[\]:,truefalsn]*")

Replace = Callable[[str, str], str]
"""A string's new text: given the string, and the name it stands under (empty for keys and for what has none)."""


def replaced(text: str, replace: Replace, places: list[int] | None = None) -> str | None:
    """The JSON text with its strings, keys too, passed through ``replace``; None when it is no JSON.

    With ``places``, which are in order, only strings that hold one of them, and those named by such a string.
    """
    pieces: list[str] = []
    names = _Names()
    at = 0
    for literal in _LITERAL.finditer(text):
        start, end = literal.span(1)
        between = text[at : start - 1]
        if not _REST.fullmatch(between):
            return None
        at, quoted = literal.end(), literal[1]
        name = names.name_of(quoted, literal[2] is not None, between)
        if places is None or name or _any_between(places, start, end):
            if (value := _decoded(quoted)) is None:
                return None
            if (new := replace(value, name)) != value:
                pieces += [between, '"', json.dumps(new, ensure_ascii=text.isascii())[1:-1], text[end:at]]
                continue
        pieces.append(text[start - 1 - len(between) : at])
    if not _REST.fullmatch(text, at):
        return None
    return "".join(pieces) + text[at:]


def _any_between(places: list[int], start: int, end: int) -> bool:
    at = bisect_left(places, start)
    return at < len(places) and places[at] < end


class _Names:
    """Under which name each string stands, told one after the other: its key; in ``["--password", "…"]`` the
    argument before it; in ``{"name": "PASSWORD", "value": "…"}`` the name that the object gives."""

    def __init__(self) -> None:
        self.key = self.given = self.before = ""

    def name_of(self, value: str, is_key: bool, between: str) -> str:
        if is_key:
            self.key, name = value, ""
        elif "," in between and (self.key == "" or ":" not in between):
            name = self.before if self.before.startswith("-") else ""
        else:
            name = self.given if self.key in ("value", "Value", "default") and self.given else self.key
        if not is_key and self.key in ("name", "Name", "key", "Key"):
            self.given = value
        if "}" in between or "{" in between:
            self.given = ""
        self.before = value
        return name if name and name_kind(name[-80:]) else ""


def _decoded(literal: str) -> str | None:
    if "\\" not in literal:
        return literal
    try:
        value = json.loads(f'"{literal}"', strict=False)
    except ValueError:
        return None
    return str(value)
