"""Private keys in PEM, OpenPGP, SSH2 and PuTTY armour, whole or cut off, also where a text quotes them.

A key in a JSON string has ``\n`` for its line breaks, in a string inside a string ``\\n``; a tool that shows a file
puts line numbers or diff signs before its lines; a log cuts a key off. So a key is read line by line from its head,
as long as the lines look like its body.
"""

from __future__ import annotations

import re
import string

from rollmill.curate.redaction.finding import Finding, Rule, run_before

LEAST_BODY = 32
"""Characters of base64 a body has at least: code that only names the head of a key has none."""

_HEAD = re.compile(
    r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    r"|---- BEGIN SSH2 (?:[A-Z]{1,12} ){0,2}PRIVATE KEY ----|Private-Lines: \d{1,4}"
)
_END = re.compile(
    r"-----END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    r"|---- END SSH2 (?:[A-Z]{1,12} ){0,2}PRIVATE KEY ----|Private-MAC: [0-9a-f]{1,128}"
)
_BREAK = re.compile(r"(?:\\+r)?\\+n|\r?\n|\r")
_MARGIN = r"(?:\s|\\+t){0,40}(?:\d{1,7}\s*(?:→|\\+u2192|\\+t|\t|\||:|-)\s*)?[-+>#*\"' \t]{0,8}"
_LINE = re.compile(
    _MARGIN
    + r"(?:(?P<body>[A-Za-z0-9+/]{1,4096}={0,3}|=[A-Za-z0-9+/]{4})"
    + r"|(?:Proc-Type|DEK-Info|Comment|Version|Hash|X-[\w-]+): [^\n\\]{0,100})?"
)
_LINE_END = re.compile(r"[\"',+ \t]{0,4}")
_TAIL = string.ascii_letters + string.digits + "+/=\\ \t\r\n→|>\"',:"
_LONGEST_TAIL = 8000


def rules() -> list[Rule]:
    return [
        Rule(("-----BEGIN ", "---- BEGIN SSH2 ", "Private-Lines: "), _from_head, in_json=False),
        Rule(("-----END ",), _without_head, in_json=False),
    ]


def _from_head(text: str, start: int, end: int) -> Finding | None:
    head = _HEAD.match(text, start)
    if head is None:
        return None
    at, body = head.end(), []
    end = at
    while not (foot := _END.match(text, _after_margin(text, at))):
        line = _next_line(text, at)
        if line is None:
            break
        body.append(line["body"] or "")
        if line["body"]:
            end = line.end("body")
        following = _LINE_END.match(text, line.end())
        at = following.end() if following else line.end()
    return _finding(start, foot.end() if foot else end, body)


_MARGINS = re.compile(_MARGIN)


def _after_margin(text: str, at: int) -> int:
    """Where a line's own text begins, when ``at`` is the break before it."""
    line = _BREAK.match(text, at)
    if line is None:
        return at
    margin = _MARGINS.match(text, line.end())
    begin = margin.end() if margin else line.end()
    while begin > line.end() and text[begin - 1] == "-":
        begin -= 1  # The margin took the dashes of the foot for a diff's.
    return begin


def _next_line(text: str, at: int) -> re.Match[str] | None:
    """The line that begins at ``at``, a break before it included; None when it is no line of a key."""
    broken = _BREAK.match(text, at)
    if text.startswith("-----BEGIN", _after_margin(text, at)):
        return None
    line = _LINE.match(text, broken.end() if broken else at)
    if line is None or line.end() == at or not (broken or line["body"]):
        return None
    if line["body"] is None and line.end() < len(text) and not _BREAK.match(text, line.end()):
        return None
    return line


def _without_head(text: str, start: int, end: int) -> Finding | None:
    """The end of a key whose beginning is not in the text."""
    foot = _END.match(text, start)
    if foot is None or text.rfind("-----BEGIN ", max(0, start - 20_000), start) >= 0:
        return None
    begin = run_before(text, start, _TAIL, _LONGEST_TAIL)
    tail = text[begin:start].lstrip("\\ \t\r\n→|>\"',:")
    return _finding(start - len(tail), foot.end(), re.split(r"(?:\\+[nr]|[^A-Za-z0-9+/=])+", tail))


def _finding(start: int, end: int, lines: list[str]) -> Finding | None:
    body = "".join(lines)
    looks_real = len(body) >= LEAST_BODY and len(set(body)) >= 12
    return Finding("private_key", start, end, body, tuple(lines)) if looks_real else None
