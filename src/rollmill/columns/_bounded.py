"""The operators, methods and filters of templates, each with a bound on what it makes.

Everything here is a list of what is allowed. What is not on it (``center``, ``ljust``, ``str.format``, ``attr``, …)
is not there, because one call of it could fill the memory or reach what is no data.
"""

from __future__ import annotations

import operator
import random as _random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

from rollmill.columns._fence import Fenced, Passage, fenced
from rollmill.columns._json import as_text, to_json
from rollmill.columns._meter import TemplateError, meter
from rollmill.columns._values import SparseMessage

MAX_RANGE = 100_000
_MAX_BITS = 20_000
_MAX_WIDTH = 200
_FORMAT = re.compile(r"%(?:%|(?:\(\w{1,40}\))?[-+ #0]{0,5}\d{0,3}(?:\.\d{0,3})?[sdifgGeExXor])")

STRING_METHODS = frozenset(
    "upper lower title capitalize swapcase casefold strip lstrip rstrip split rsplit splitlines partition rpartition "
    "startswith endswith find rfind index rindex count removeprefix removesuffix isdigit isalpha isalnum isnumeric "
    "isspace islower isupper join replace".split()
)
MAPPING_METHODS = frozenset("get items keys values".split())
LIST_METHODS = frozenset("count index".split())
LOOP_NAMES = frozenset(
    "index index0 first last length revindex revindex0 depth depth0 previtem nextitem cycle changed".split()
)
DATE_NAMES = frozenset("year month day hour minute second date isoformat weekday".split())


class Absent:
    """What stands for a name that is not there; its text is an error."""

    __slots__ = ()


# What grows


def each(items: Iterable[Any], characters: int) -> Iterator[Any]:
    """The items of a loop, counted; ``characters`` is the text that its body writes each time."""
    running = meter()
    for item in items:
        running.grow(characters)
        yield item


def weighed(value: Any) -> Any:
    """A list or mapping that a template wrote, after a walk over all of it: one that holds itself many times over
    is small in memory, but endless to print or compare."""
    waiting = [value]
    running = meter()
    while waiting:
        item = waiting.pop()
        running.step()
        if isinstance(item, Mapping):
            waiting += item.values()
        elif isinstance(item, list | tuple):
            waiting += item
        elif isinstance(item, range):
            running.grow(len(item))
        elif isinstance(item, Absent):
            str(item)
    return value


def joined(parts: Iterable[Any], between: str = "") -> str:
    """The texts of the parts, joined; refused before they fill the memory."""
    running, texts = meter(), []
    for part in parts:
        texts.append(text := printed(part))
        running.grow(len(text) + len(between))
    return between.join(texts)


def written(pieces: Iterable[str]) -> str:
    """What a template, or a part of it, wrote."""
    return joined(pieces)


def printed(value: Any) -> str:
    """A value as a template writes it: text as it is, nothing for none, lists and mappings as JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float | Absent):
        return str(value)
    if isinstance(value, Iterator):
        raise TemplateError("a filter such as `map` gives items one by one; write `| list` or `| join(', ')` behind it")
    return to_json(value)


def for_prompt(value: Any) -> str:
    """A value as a prompt has it: passages and messages of a rollout stand in a fence."""
    if isinstance(value, Passage):
        return fenced(value, "rollout")
    if isinstance(value, SparseMessage):
        return fenced(value, "message")
    if isinstance(value, list) and value and all(isinstance(item, SparseMessage) for item in value):
        return fenced(value, "messages")
    return printed(value)


def binop(sign: str, left: Any, right: Any) -> Any:
    """``left sign right`` when it stays small."""
    meter().step()
    if sign == "%" and isinstance(left, str):
        raise TemplateError("`%` does not format text here; write \"{{ '%.2f' | format(number) }}\"")
    if sign == "*":
        _check_product(left, right)
    if sign == "**":
        _check_power(left, right)
    if sign == "+" and isinstance(left, str) and isinstance(right, str):
        meter().grow(len(left) + len(right))
    result = OPERATORS[sign](left, right)
    return weighed(result) if isinstance(result, list | tuple) else result


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "**": operator.pow,
    "%": operator.mod,
}


def _check_product(left: Any, right: Any) -> None:
    for many, times in ((left, right), (right, left)):
        if isinstance(many, str | list | tuple) and isinstance(times, int):
            meter().grow(len(many) * max(times, 0))
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > _MAX_BITS:
        raise TemplateError("the template multiplies numbers that grow too large")


def _check_power(base: Any, exponent: Any) -> None:
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * abs(exponent) > _MAX_BITS:
        raise TemplateError("the template raises a number to a power that grows too large")


# Methods of texts that can grow


def join(self: str, items: Iterable[Any]) -> str:
    return joined(items, self)


def replaced(text: str, old: str, new: str, count: int | None = None) -> str:
    """``text`` with ``new`` for ``old``, everywhere or the first ``count`` times."""
    text, old, new = printed(text), printed(old), printed(new)
    times = text.count(old) if count is None else min(text.count(old), count)
    meter().grow(len(text) + times * max(len(new) - len(old), 0))
    return text.replace(old, new, -1 if count is None else count)


GROWING: dict[str, Callable[..., Any]] = {"join": join, "replace": replaced}


# Functions


def small_range(*args: int) -> range:
    """``range`` of at most 100,000 numbers."""
    numbers = range(*args)
    if numbers and (numbers[-1] - numbers[0]) // numbers.step >= MAX_RANGE:
        raise TemplateError(f"range() gives at most {MAX_RANGE:,} numbers here")
    return numbers


def mapping(*args: Any, **kwargs: Any) -> Any:
    return weighed(dict(*args, **kwargs))


# Filters


def format_numbers(pattern: str, *args: Any, **kwargs: Any) -> str:
    """``'%.2f of %d' | format(a, b)``: plain conversions of texts and numbers, no width from the outside."""
    if "%" in _FORMAT.sub("", pattern):
        raise TemplateError(f"the filter `format` takes plain conversions such as %s, %d, %.2f, not {pattern[:80]!r}")
    values: Any = {k: _scalar(v) for k, v in kwargs.items()} or tuple(map(_scalar, args))
    meter().grow(1000 * pattern.count("%"))
    return str(pattern % values)


def _scalar(value: Any) -> Any:
    return value if isinstance(value, int | float) else printed(value)


def indented(text: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    """Every line but the first (with ``first`` that too) moved in by ``width`` spaces or that text."""
    text = printed(text)
    margin = " " * min(int(width), _MAX_WIDTH) if isinstance(width, int) else width[:_MAX_WIDTH]
    lines = text.splitlines()
    meter().grow(len(text) + len(lines) * len(margin))
    moved = "\n".join(
        margin + line if (line or blank) and (first or number) else line for number, line in enumerate(lines)
    )
    return moved + "\n" if text.endswith("\n") else moved


def rounded(value: float, precision: int = 0, method: str = "common") -> float:
    """The number with so many decimals, ``method`` ``common``, ``ceil`` or ``floor``."""
    import math

    if not 0 <= precision <= 15 or method not in ("common", "ceil", "floor"):
        raise TemplateError("the filter `round` takes 0 to 15 decimals and the methods common, ceil and floor")
    if method == "common":
        return round(value, precision)
    turned: float = getattr(math, method)(value * 10**precision) / 10**precision
    return turned


def batches(items: Iterable[Any], count: int, fill: Any = None) -> Iterator[list[Any]]:
    """The items in lists of ``count``; the last is filled up when ``fill`` is given."""
    kept = list(items)
    if not 1 <= count <= MAX_RANGE:
        raise TemplateError(f"the filter `batch` takes 1 to {MAX_RANGE:,} items a list")
    for at in range(0, len(kept), count):
        batch = kept[at : at + count]
        yield batch + [fill] * (count - len(batch) if fill is not None else 0)


def json_text(value: Any, indent: int | None = None) -> str:
    """The value as JSON, on one line or indented."""
    return to_json(value, None if indent is None else max(0, min(indent, 8)))


def drawn(items: Sequence[Any]) -> Any:
    """One of the items, drawn by the row: the same one whenever the row is made again."""
    running = meter()
    running.draws += 1
    if not items:
        raise TemplateError("the filter `random` has nothing to draw from")
    digest = sha256(f"{running.seed}\0{running.draws}".encode("utf-8", "surrogatepass")).digest()
    return _random.Random(digest).choice(list(items) if isinstance(items, Mapping) else items)


def summed(items: Iterable[Any], attribute: str | None = None, start: Any = 0) -> Any:
    """The sum of numbers, or of one attribute of the items."""
    if not isinstance(start, int | float):
        raise TemplateError("the filter `sum` adds numbers")
    return sum((item[attribute] if attribute is not None else item for item in items), start)


def fence_filter(value: Any, label: str = "text") -> Fenced:
    """The value between two lines that it cannot close itself."""
    return fenced(value if isinstance(value, str) else as_text(value), label)


FILTERS: dict[str, Callable[..., Any]] = {
    "join": lambda items, d="", attribute=None: joined(_picked(items, attribute), printed(d)),
    "replace": replaced,
    "format": format_numbers,
    "indent": indented,
    "round": rounded,
    "batch": batches,
    "tojson": json_text,
    "sum": summed,
    "string": printed,
    "fenced": fence_filter,
    "_each": each,
    "_weighed": weighed,
    "_joined": joined,
}
JINJA_FILTERS = (
    "abs capitalize count d default dictsort first float groupby int items last length list lower map max min reject "
    "rejectattr reverse select selectattr sort title trim truncate unique upper wordcount"
).split()
"""The library's own filters that make nothing larger than what they are given."""


def _picked(items: Iterable[Any], attribute: str | None) -> Iterable[Any]:
    return items if attribute is None else (item[attribute] for item in items)
