"""What a rule is and what it finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Finding:
    """A secret in a text: its kind and where it is. ``secret`` is what it stands for, with escapes undone, so that
    one secret is one whatever text quotes it; it is not shown when a finding is printed. ``parts`` are pieces of it
    that give it away by themselves: the lines of a key."""

    kind: str
    start: int
    end: int
    secret: str = field(default="", repr=False)
    parts: tuple[str, ...] = field(default=(), repr=False)


Check = Callable[[str, int, int], Finding | None]
"""Looks at a text around one hit of a literal (where it starts, where it ends)."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Kinds of secrets that can only be where one of ``literals`` is.

    ``in_json``: the check finds them in JSON text as well, where quotes and line breaks are escaped; it need not know
    how much of them.
    """

    literals: tuple[str, ...]
    check: Check
    in_json: bool = True


def plain(text: str) -> str:
    """``text`` as it was before it was quoted: without the backslashes of quotes, slashes and backslashes."""
    if "\\" not in text:
        return text
    for escaped in ('"', "'", "/", "\\"):
        text = text.replace("\\" + escaped, escaped)
    return text


def run_before(text: str, at: int, letters: str, most: int) -> int:
    """Where the run of ``letters`` that ends at ``at`` begins, at most ``most`` characters before."""
    # A regular expression would try every start; stripping goes backwards.
    return at - most + len(text[at - most : at].rstrip(letters)) if at >= most else len(text[:at].rstrip(letters))
