r"""Text that a terminal cannot obey: what is written in a rollout is shown, never carried out.

    "\x1b[2Jdone"  →  \x1b[2Jdone     the escape character as four visible ones

A log holds whatever a tool printed: escape sequences that clear the screen, rename the window or fill the clipboard,
characters that turn the reading direction so that code looks like other code, letters that only a model sees.
"""

from __future__ import annotations

import re

UNSAFE = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f"  # C0 controls but tab and newline, and DEL
    "\x80-\x9f"  # C1 controls: one character that does what ESC and another do
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks, embeddings, overrides and isolates of direction
    "\u2028\u2029"  # separators that some programs take for newlines
    "\u180e\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb"  # invisible; joiners stay: scripts and emoji need them
    "\ud800-\udfff"  # halves of characters, which no output can encode
    "\U000e0000-\U000e0fff"  # tags: ASCII that nobody sees
    "]"
)


def visible(text: str) -> str:
    r"""``text`` with every character that acts instead of being seen as ``\x1b``, ``\u202e`` or ``\U000e0041``.

    Tabs and newlines stay; a carriage return stays visible too, unless it only belongs to a newline.
    """
    return UNSAFE.sub(_code, text.replace("\r\n", "\n"))


def one_line(text: str, limit: int = 80) -> str:
    """``text`` visible, on one line of at most ``limit`` characters."""
    line = " ".join(visible(text[: limit * 8]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _code(match: re.Match[str]) -> str:
    number = ord(match.group())
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
