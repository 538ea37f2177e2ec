"""JSON whose parts may be of any type: opened one level at a time, so that numbers keep their source text.

    {"arguments": {"n": 12345678901234567890123, "x": 1.50}}   →   fields(…)["arguments"] is still those bytes

What is not asked for (token ids, log-probabilities) is skipped and never becomes a Python object. Malformed JSON
raises ``NOT_JSON`` wherever it is met first.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Any

import msgspec
from msgspec import Raw

Source = Raw | bytes | str
NOT_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding raises for bytes that are not JSON, or nested too deep to read."""
MAX_COUNT = 1 << 53
ABSENT = Raw(b"null")
"""The default of a struct's undecoded field, told apart from a null by being this very object."""

_object = msgspec.json.Decoder(dict[str, Raw])
_list = msgspec.json.Decoder(list[Raw])
_text = msgspec.json.Decoder(str)
_any = msgspec.json.Decoder(Raw)
_TYPES = {b"{": "object", b"[": "array", b'"': "string", b"t": "boolean", b"f": "boolean", b"n": "null"}


def document_fields(data: bytes) -> dict[str, Raw]:
    """A whole document's fields; empty when it is JSON but no object."""
    try:
        return _object.decode(data)
    except msgspec.ValidationError:
        return {}


def fields(source: Source | None) -> dict[str, Raw]:
    """An object's fields, undecoded; empty when it is no object."""
    return _object.decode(source) if source is not None and type_of(source) == "object" else {}


def items(source: Source | None) -> list[Raw]:
    """A list's items, undecoded; empty when it is no list."""
    return _list.decode(source) if source is not None and type_of(source) == "array" else []


def text(source: Source | None) -> str | None:
    """A string's text; None when it is no string."""
    if source is None or source is ABSENT:
        return None
    try:
        return _text.decode(source)
    except msgspec.ValidationError:
        return None


def count(source: Source | None) -> int | None:
    """A whole number from 0 to 2**53; None when it is anything else."""
    number = plain(source) if source is not None and type_of(source) == "number" else None
    return number if isinstance(number, int) and 0 <= number <= MAX_COUNT else None


def is_true(source: Source | None) -> bool:
    return source is not None and source is not ABSENT and _start(source)[:4] == b"true"


def is_null(source: Source | None) -> bool:
    return source is None or source is ABSENT or type_of(source) == "null"


def type_of(source: Source) -> str:
    """The JSON type's name, told by the first character."""
    return _TYPES.get(_start(source)[:1], "number")


def _start(source: Source) -> bytes:
    """The first bytes behind white space, without a copy of the rest."""
    start = source[:32].encode() if isinstance(source, str) else bytes(memoryview(source)[:32])
    return start.lstrip() or _bytes(source).lstrip()[:32]


def compact(source: Source) -> str:
    """The JSON text without white space; numbers and escapes as the source has them."""
    return msgspec.json.format(_bytes(source), indent=-1).decode()


def plain(source: Source) -> Any:
    """The value as plain Python that can be written as JSON again: a number too large for that becomes its text."""
    try:
        value = msgspec.json.decode(source)
        msgspec.json.encode(value)
    except (msgspec.ValidationError, OverflowError):
        return json.loads(_bytes(source), parse_int=_int_or_text, parse_float=_float_or_text)
    return value


_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
"""An escape in a JSON string; the group is half a surrogate pair."""


def repaired(data: bytes) -> tuple[bytes, int]:
    """The document with U+FFFD for invalid UTF-8 and for lone surrogates, and how many; without byte-order mark and
    padding, and with their names as texts for the NaN and Infinity that Python writes, where those are in the way."""
    stripped = data.strip(b"\0 \t\r\n").removeprefix(codecs.BOM_UTF8)
    source = stripped.decode("utf-8", "replace")
    replaced = source.count("\ufffd") - stripped.count("\ufffd".encode())
    source, escapes = without_lone_surrogates(source)
    try:
        _any.decode(source)
    except NOT_JSON:
        source = _without_constants(source)
    return source.encode(), replaced + escapes


def without_lone_surrogates(source: str) -> tuple[str, int]:
    """JSON text with U+FFFD for each half of a surrogate pair that stands alone, and how many there were."""
    lone = 0

    def keep_or_replace(escape: re.Match[str]) -> str:
        nonlocal lone
        lone += escape[1] is not None
        return escape[0] if escape[1] is None else "\\ufffd"

    return _ESCAPE.sub(keep_or_replace, source), lone


def _without_constants(source: str) -> str:
    try:
        return json.dumps(json.loads(source, parse_constant=str, parse_float=_float_or_text))
    except (ValueError, RecursionError):
        return source


def _int_or_text(digits: str) -> int | str:
    return int(digits) if len(digits) < 19 else digits


def _float_or_text(digits: str) -> float | str:
    number = float(digits)
    return digits if number in (float("inf"), float("-inf")) else number


def _bytes(source: Source) -> bytes:
    return source.encode() if isinstance(source, str) else bytes(source)
