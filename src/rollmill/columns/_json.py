"""JSON text out of values, and one JSON value out of a model's reply."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NoReturn
from uuid import UUID

LONGEST_REPLY = 4_000_000
_STARTS = 200
_FENCE = re.compile(r"```[\w.+-]*[ \t]*\r?\n(.*?)```", re.DOTALL)
_THINKING = re.compile(r"\A\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL)
_KINDS = {"object": dict, "array": list}
_AS_IT_IS = (bool, int, float, Decimal, bytes, datetime.date, datetime.time, datetime.timedelta)
_SURROGATE = re.compile("[\ud800-\udfff]")


class NotJson(Exception):
    """A reply without one JSON value; the message says what was found instead."""


def to_json(value: Any, indent: int | None = None) -> str:
    """``value`` as JSON text, characters as they are. Raises ``TypeError`` for what is no data."""
    return json.dumps(value, ensure_ascii=False, indent=indent, default=_plain)


def as_text(value: Any) -> str:
    """A text as it is, anything else as JSON."""
    return value if isinstance(value, str) else to_json(value)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime.date | datetime.time | Decimal | UUID):
        return str(value)
    if isinstance(value, range | set | frozenset):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} cannot be printed")


def clean(value: Any) -> Any:
    """``value`` without halves of characters, which no file can hold; they become U+FFFD."""
    if isinstance(value, str):
        return value if value.isascii() else _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [clean(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): clean(item) for key, item in value.items()}
    return value


def plain(value: Any) -> Any:
    """``value`` as data that a table holds: numpy's values and pydantic's objects as Python's own, sets and tuples as
    lists, keys as text. Raises ``TypeError`` for what is no data."""
    if isinstance(value, str):
        return clean(value)
    if value is None or isinstance(value, _AS_IT_IS):
        return value
    if isinstance(value, Mapping):
        return {clean(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset | range):
        return [plain(item) for item in value]
    if isinstance(value, UUID):
        return str(value)
    if callable(dump := getattr(value, "model_dump", None)):
        return plain(dump(mode="json"))
    if callable(tolist := getattr(value, "tolist", None)):
        return plain(tolist())
    raise TypeError(f"a {type(value).__name__} is no value of a table; give text, numbers, dates, lists or mappings")


def without_thinking(reply: str) -> str:
    """A reply without the thinking that some servers leave in front of it, and without white space around it."""
    return _THINKING.sub("", reply).strip()


def json_in(reply: str, kind: str | None = None) -> Any:
    """The one JSON value of a reply, without the fence and the prose around it. ``kind`` is what the schema wants,
    ``object`` or ``array``, so that a list mark in prose is no value. Raises ``NotJson``."""
    text = without_thinking(reply[:LONGEST_REPLY])
    try:
        return clean(_decode(text))
    except (ValueError, RecursionError) as error:
        first = error
    if len(found := _inside_fences(text, kind) or _inside_prose(text, kind)) == 1:
        return clean(found[0])
    if found:
        raise NotJson(f"the reply holds {len(found)} JSON values where one is wanted")
    raise NotJson(f"the reply holds no whole JSON {kind or 'value'} ({_short(first)})")


def _short(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _decode(text: str) -> Any:
    return _DECODER.decode(text)


def _inside_fences(text: str, kind: str | None) -> list[Any]:
    found = []
    for match in _FENCE.finditer(text):
        try:
            value = _decode(match[1].strip())
        except (ValueError, RecursionError):
            continue
        found += [value] if _wanted(value, kind) else []
    return found


def _inside_prose(text: str, kind: str | None) -> list[Any]:
    """The values that begin somewhere in the text, outermost ones only. Few starts are tried: a reply of nothing
    but brackets would take its length squared."""
    found, at = [], 0
    for _ in range(_STARTS):
        start = _next_start(text, at, kind)
        if start < 0:
            break
        try:
            value, at = _DECODER.raw_decode(text, start)
            found += [value] if _wanted(value, kind) else []
        except (ValueError, RecursionError):
            at = start + 1
    return found


def _next_start(text: str, at: int, kind: str | None) -> int:
    marks = {"object": "{", "array": "["}.get(kind or "", "{[")
    return min((place for mark in marks if (place := text.find(mark, at)) >= 0), default=-1)


def _wanted(value: Any, kind: str | None) -> bool:
    return isinstance(value, _KINDS[kind]) if kind in _KINDS else isinstance(value, dict | list)
