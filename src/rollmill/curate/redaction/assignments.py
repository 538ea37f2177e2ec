"""Secrets that only their name gives away: ``API_KEY=…``, ``"password": "…"``, ``--token …``.

The pre-filter finds the word (``password``, ``_key``, …). Here the whole name around it, what assigns, and the value
are read, and each must look right: the name must be a secret's (``api_key``, not ``public_key`` or ``max_tokens``),
the value neither code nor a stand-in.
"""

from __future__ import annotations

import re
import string
from typing import NamedTuple

from rollmill.curate.redaction.finding import Finding, Rule, plain, run_before
from rollmill.curate.redaction.secret_names import Kind, name_kind
from rollmill.curate.redaction.shapes import is_public_id, is_stand_in, looks_chosen, looks_generated

KINDS = frozenset({"password", "secret"})
"""What is found by its name alone."""

_WORDS = ("password", "passwd", "passphrase", "passcode", "pwd", "secret", "token", "credential", "apikey")
_ENDS = (
    *("_key -key Key _KEY -KEY -Key ApiKey APIKey PassWord _pass _PASS _Pass Pass".split()),
    *("_pw _PW _auth _AUTH _PAT _dsn _DSN".split()),
)


LONGEST = 512
"""Characters of a secret that only its name gives away."""


def rules() -> list[Rule]:
    words = [form for word in _WORDS for form in (word, word.upper(), word.title())]
    return [
        Rule((*words, *_ENDS), _assigned),
        Rule(("pass=", "pass =", "PASS="), _short),
        Rule(("sig=",), _signature),
        Rule(("login ",), _netrc, in_json=False),
    ]


# A name, what assigns, a value.

_NAME_LETTERS = string.ascii_letters + string.digits + "_.-"
_REST_OF_NAME = r"(?P<rest>[\w-]{0,24})(?:\\*[\"'`]|\*\*)?"  # and what closes it
_SIGN = re.compile(
    _REST_OF_NAME + r"\]?\)?\s{0,40}(?P<sign>:=|=>|==?=?|:(?!:)|,\s{0,4}(?:\\*[\"'])?value(?:\\*[\"'])?:|\s{1,40}value:"
    r"|value=(?=\\*[\"'])|>(?=[^\s<])|,(?=\s?\\*[\"'`]))"
    r"\s{0,20}(?:\*\*\s?)?(?:[|>][+-]?[ \t]{0,8}(?:\r?\n|\\{1,8}n)[ \t]{1,20})?"
)
_NEXT_ARGUMENT = re.compile(_REST_OF_NAME + r"[ ,]\s{0,10}(?=[^\s-])")
_SAYS = (" is ", " was ", "` is ", '" is ', "** is ", " is: ")
_IS = re.compile(_REST_OF_NAME + r"\s(?:is|was)(?:\s+now)?:?\s+(?=\\*[\"'`]?[^\s\"'`]{6})")


class _Assignment(NamedTuple):
    """A name and what gives it a value: ``=``, ``:``, …; a blank for ``--name value``; ``is`` for prose."""

    name: str
    start: int
    end: int
    sign: str


def _assigned(text: str, start: int, end: int) -> Finding | None:
    sign = _SIGN.match(text, end)
    if sign is None and not text.startswith(_SAYS, end) and text.find("--", max(0, start - 64), end) < 0:
        return None  # Most often: the word in code or prose.
    found = _assignment(text, start, end, sign)
    if found is None or (kind := name_kind(found.name)) is None or (found.sign == "is" and kind != "password"):
        return None
    value = _value(text, found.end, text[max(0, found.start - 1) : found.start] in ("?", "&"))
    if value is None or not _fits(kind, found, value, text) or not may_be_secret(value.text):
        return None
    return Finding(kind, value.start, value.end, plain(value.text))


def _short(text: str, start: int, end: int) -> Finding | None:
    """``pass=…`` of a settings file; elsewhere the word says nothing."""
    return _assigned(text, start, start + len("pass"))


def _assignment(text: str, start: int, end: int, found: re.Match[str] | None) -> _Assignment | None:
    if _is_a_word(text, start, end):
        return None
    sign = ""
    begin = _name_start(text, start)
    if found is not None and found["sign"] == "," and not _sets(text, begin):
        found = None
    if found is not None:
        sign = found["sign"]
        if sign == ">" and text[begin - 1 : begin] != "<":
            return None
    elif text.startswith("--", begin):
        found, sign = _NEXT_ARGUMENT.match(text, end), " "
    else:
        found, sign = _IS.match(text, end), "is"
    return found and _Assignment(text[begin : found.end("rest")], begin, found.end(), sign)


_SETTER = re.compile(r"(?:[sS]etenv|[pP]utenv|EnvironmentVariable|setItem|set_var)\(\\*[\"'`]$")


def _sets(text: str, begin: int) -> bool:
    return _SETTER.search(text[max(0, begin - 32) : begin]) is not None


def _is_a_word(text: str, start: int, end: int) -> bool:
    """Whether prose or a call goes on behind, though something like a sign follows."""
    following = text[end : end + 2]
    if following[:1] == "(":
        return True
    is_prose = following[:1] == " " and following[1:].isalpha() and not text.startswith(_SAYS, end)
    return is_prose and text.find("--", max(0, start - 64), end) < 0


def _name_start(text: str, at: int) -> int:
    begin = run_before(text, at, _NAME_LETTERS, 64)
    if begin and text[begin - 1] == "\\" and text[begin] in "nrt":
        return begin + 1  # The letter belongs to the escape before it.
    return begin


# Values

_QUOTED = re.compile(r"(?:[bruf]{1,2}|\$)?(?P<escapes>\\*)(?:''(?=')|\"\"(?=\"))?(?P<mark>[\"'`])")
_INSIDE = {mark: re.compile(rf"(?:[^{mark}\\\n]|\\[^n\n]){{0,513}}(?={mark})") for mark in "\"'`"}
_INSIDE_ESCAPED = {mark: re.compile(rf"[^{mark}\\\n]{{0,513}}(?=\\+{mark})") for mark in "\"'`"}
_BARE = re.compile(r"[^\s\"'`<>\\,;|{}()\[\]]{1,513}")


class _Value(NamedTuple):
    """A value as it stands in the text; ``following`` is the character behind a bare one."""

    text: str
    start: int
    end: int
    quoted: bool
    following: str


def _value(text: str, at: int, in_query: bool) -> _Value | None:
    if opening := _QUOTED.match(text, at):
        inside = (_INSIDE_ESCAPED if opening["escapes"] else _INSIDE)[opening["mark"]].match(text, opening.end())
        if inside:
            return _Value(inside[0], inside.start(), inside.end(), True, "")
        at = opening.end()  # Cut off before its closing quote.
    bare = _BARE.match(text, at)
    if bare is None:
        return None
    value = (bare[0].partition("&")[0] if in_query else bare[0]).rstrip(".:")
    return _Value(value, bare.start(), bare.start() + len(value), False, text[bare.end() : bare.end() + 1])


_CODE = re.compile(r"(?:[A-Za-z_$][\w$]*(?:(?:\??\.|::|->)[A-Za-z_$][\w$]*)+|[A-Za-z_]+|\.{0,2}/.*|[$@&!*].*)$")


def _fits(kind: Kind, found: _Assignment, value: _Value, text: str) -> bool:
    """Whether the value is one that such a name would be given, and no code."""
    if not value.quoted and value.following in ("(", "[", "{"):
        return False
    if not value.quoted and _CODE.match(value.text):
        return kind == "secret" and looks_generated(value.text, 20)
    if kind == "secret" and is_commit(found.name, value.text):
        return False
    if kind == "secret":
        return looks_generated(value.text, least=12 if value.quoted or found.name.isupper() else 16)
    if looks_generated(value.text, least=10):
        return True
    return looks_chosen(value.text) and (value.quoted or _is_setting(found, value, text))


_EXPORT = re.compile(r"(?:-e|--env|export|set|ENV|env|[-+])?\s*$")


def _is_setting(found: _Assignment, value: _Value, text: str) -> bool:
    """Whether a bare password stands in a settings file, a shell line or a query, not in code."""
    if found.sign == ">":
        return value.following == "<"
    if found.sign == "is":
        return any(map(str.isdigit, value.text)) and not value.text.isalnum()
    if found.name.startswith("--"):
        return True
    assigning = text[found.end - 2 : found.end]
    if found.sign == "=" and assigning[-1] == "=":
        before = text[max(0, found.start - 200) : found.start]
        lead = re.split(r"\n|\\n", before)[-1].strip(" \t")
        return found.name.isupper() or before[-1:] in ("?", "&", ";") or _EXPORT.match(lead) is not None
    return found.sign.endswith(":") and assigning[-1].isspace() and value.following in ("", "\n", "\r", "\\")


_NO_SECRET = re.compile(
    r"process\.env|os\.environ|getenv|secrets?\.|vault:|arn:|ssm:|env\.|ENV\[|\(\)|://"  # a reference to one
    r"|^\w{1,4}/\w{1,8}$|^[A-Za-z]:\\|\(\?|\[\w-\w|\]\{\d"  # a choice, a path, a pattern
)
_PROSE = re.compile(
    r"[^\W\d_]+[?*:]|(?=.*\s)(?:(?:[^\W\d_]+[.,!?:;*]{0,3}|\d{1,3}\+?|#\d{1,3})(?:\s|$)){2,8}"  # what a form says
    r"|(?:required|nullable|sometimes|confirmed|string|min|max|minLength|maxLength|min_length|max_length)[|:].*"
)
_PATH = re.compile(r"(?:~|\.{0,2})/\w[\w.-]*/")


def may_be_secret(value: str) -> bool:
    """Whether a value is more than a stand-in, an id, prose, a path, or a reference."""
    if (
        not 6 <= len(value) <= LONGEST
        or value.count(" ") > 3
        or value.count("=") > 3
        or is_stand_in(value)
        or is_public_id(value)
    ):
        return False
    if _PROSE.fullmatch(value):
        return False
    return _NO_SECRET.search(value) is None and (not _PATH.match(value) or looks_generated(value, 30))


def named_secret(name: str, value: str) -> Finding | None:
    """The finding that the whole of ``value`` is a secret, because of the JSON key or argument it stands under."""
    kind = name_kind(name[-80:])
    if kind is None or "\n" in value or not may_be_secret(value) or is_commit(name, value):
        return None
    fits = looks_generated(value, 10) or looks_chosen(value) if kind == "password" else looks_generated(value, 12)
    return Finding(kind, 0, len(value), value) if fits else None


_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SHA_NAME = re.compile(r"(?:^|_|sha|commit|rev|page|etag|state)[_.-]?token$", re.IGNORECASE)
_TOKEN_OF = re.compile(
    r"(?:access|auth|api|bot|github|gh|refresh|secret|user|app|bearer|deploy|personal)[_.-]?token$", re.I
)


def is_commit(name: str, value: str) -> bool:
    """Whether a value called just a token is as long as a git commit's hash and made of the same digits."""
    return _SHA.fullmatch(value) is not None and _SHA_NAME.search(name) is not None and not _TOKEN_OF.search(name)


# Two more that have a form of their own.

_SIGNATURE = re.compile(r"[A-Za-z0-9%+/=_-]{40,120}")


def _signature(text: str, start: int, end: int) -> Finding | None:
    """The signature of a shared-access URL, which is its password."""
    found = _SIGNATURE.match(text, end)
    if found is None or start == 0 or text[start - 1] not in "?&" or not re.search(r"%(?:2B|2F|3D)|[+/=]", found[0]):
        return None
    return Finding("url_signature", found.start(), found.end(), found[0])


_NETRC = re.compile(r"\S{1,100}(?:\s|\\n){1,10}password\s{1,10}([^\s\\]{3,200})")


def _netrc(text: str, start: int, end: int) -> Finding | None:
    """``machine HOST login NAME password …``."""
    found = _NETRC.match(text, end)
    if found is None or "machine" not in text[max(0, start - 200) : start] or is_stand_in(found[1]):
        return None
    return Finding("password", found.start(1), found.end(1), found[1])
