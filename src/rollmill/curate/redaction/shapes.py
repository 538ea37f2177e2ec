"""What a value looks like: made by a generator, chosen by a person, a stand-in, or code.

Code is full of ``password = get_password()`` and of keys like ``your-api-key``. A name alone therefore proves nothing;
these tests decide on the value. They are cheap and know no language: the share of neighbouring characters of
different classes (lower, upper, digit, other) is about 0.6 in base64 and below 0.25 in words and identifiers.
"""

from __future__ import annotations

import re
from itertools import pairwise

_STAND_IN = re.compile(
    r"x{5,}|\*{3,}|\.{3}|…|\$\{|\$\(|\{\{|\}\}|%\(|%s|<|>|^\$|example|placeholder|redacted|replace[-_]"
    r"|not[-_ ]?a[-_ ]?real|change[-_ ]?(?:me|it|this)|your[-_ ]|[-_ ]here\b|(?:_|\b)insert[-_]"
    r"|my[-_](?:\w+[-_])?(?:key|token|secret|password)|0123456789|1234567890|abcdefgh",
    re.IGNORECASE,
)
_TOKEN_STAND_IN = re.compile(
    r"x{6,}|\*{3,}|\.{3}|…|\$\{|example|placeholder|changeme|redacted|your[-_]|dummy|<|>|not[-_]?real"
    r"|123456789|abcdefghij|a1b2c3d4e5|(?:test|fake|mock)[-_]?(?:key|token|secret)",
    re.IGNORECASE,
)
_COMMON_WORDS = (
    r"my|the|new|old|a|some|super|top|test|testing|temp|user|admin|root|db|database|postgres|mysql|mongo|redis|rabbit|default|demo"
    r"|fake|mock|dummy|sample|good|bad|wrong|correct|invalid|valid|strong|weak|secure|foo|bar|baz|hello|world|p|key|token|api"
    r"|guest|local|dev|client|auth|abc|qwerty|letmein|welcome|pass(?:word|phrase|wd)?|pwd|pw|secret|value|string|text|hash"
    r"|none|null|true|false|undefined"
)
_COMMON = re.compile(rf"(?:(?:{_COMMON_WORDS})[-_ ]?){{0,8}}\d{{0,4}}[!.]?$", re.IGNORECASE)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_IDS = re.compile(r"(?:toolu|call|msg|chatcmpl|resp|req|run|thread|fc|rs|item|step|srvtoolu)[-_][\w-]+$")
_PUBLIC = re.compile(r"(?:sha\d{1,3}|md5)[-:]|pk_(?:live|test)_|phc_", re.IGNORECASE)
_SIGNS = re.compile(r"[^A-Za-z0-9]+")
_HEX = re.compile(r"(?=(?:[a-f]*\d){3})(?=(?:\d*[a-f]){3})[0-9a-f]+|(?=(?:[A-F]*\d){3})(?=(?:\d*[A-F]){3})[0-9A-F]+")
_CLASSES = str.maketrans(
    {
        chr(c): "l" if chr(c).islower() else "u" if chr(c).isupper() else "d" if chr(c).isdigit() else "o"
        for c in range(128)
    }
)


def is_stand_in(value: str) -> bool:
    """Whether a value that somebody assigned is an obvious stand-in: ``YOUR_API_KEY``, ``${TOKEN}``, ``changeme``."""
    return _STAND_IN.search(value) is not None or _COMMON.match(value) is not None or _few_letters(value)


def is_token_stand_in(token: str) -> bool:
    """The same for a token with its provider's prefix, where chance makes words: only what cannot be chance."""
    return _TOKEN_STAND_IN.search(token, 0, 160) is not None or _few_letters(token)


def _few_letters(value: str) -> bool:
    return len(value) >= 8 and len(set(value)) <= 3 + len(value) // 16


def is_public_id(value: str) -> bool:
    """Whether it is an id that is no secret: a UUID, a call or message id, a marked content hash, a public key."""
    return _UUID.fullmatch(value) is not None or _IDS.match(value) is not None or _PUBLIC.match(value) is not None


def mixture(value: str) -> float:
    """The share of neighbouring characters of different classes, 0 to 1."""
    if len(value) < 2:
        return 0.0
    classes = value.translate(_CLASSES)
    return sum(a != b for a, b in pairwise(classes)) / (len(value) - 1)


def looks_generated(value: str, least: int = 16) -> bool:
    """Whether a program made it: long enough, and letters and digits (or both cases) well mixed."""
    if len(value) < least or not value.isascii() or is_public_id(value):
        return False
    body = _SIGNS.sub("", _UUID.sub("", value))
    if len(body) < max(8, 0.8 * len(value)):
        return False
    if _HEX.fullmatch(body):
        return len(body) >= 24 or mixture(body) >= 0.28
    digits = sum(map(str.isdigit, body))
    if digits < 2 and (len(body) < 20 or mixture(body) < 0.4):
        return False  # Names in camel case come to a third.
    return digits < len(body) and mixture(body) >= 0.28 and len(set(body)) >= min(10, len(body) // 2)


def looks_chosen(value: str) -> bool:
    """Whether a person chose it as a password: a letter, and a digit or a sign that prose and code do not have."""
    if not 6 <= len(value) <= 128 or is_public_id(value):
        return False
    has_letter = any(map(str.isalpha, value))
    return has_letter and (any(map(str.isdigit, value)) or any(sign in value for sign in "!@#$%^&*?~"))


_WORD = r"(?:[a-z]+|[A-Z][a-z]+|[A-Z]+)"
_WORD_AND_DIGITS = re.compile(rf"{_WORD}(?:[ _.-]{_WORD}){{0,4}}[ _.-]?\d{{0,4}}")


def is_word_and_digits(value: str) -> bool:
    """Whether it reads like a name of code or data, said for other reasons too: ``student1``, ``my_app2024``."""
    return _WORD_AND_DIGITS.fullmatch(value) is not None
