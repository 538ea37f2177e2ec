"""A msgspec decoder's type as a plan for the compiled decoder of lines, where that was built.

``src/quick_lines`` is for speed alone: what it gives is what msgspec gives, and what it does not know it hands to
msgspec. It is not there when no C compiler was at the installation.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect
from msgspec.json import Decoder

from rollmill.formats._raw_json import NOT_JSON

try:
    from rollmill.formats import _quick_lines
except ImportError:
    _quick_lines = None  # type: ignore[assignment]

DecodeLines = Callable[[bytes, int, int], list[Any]]
"""``(data, size, first)`` → the records of the first ``size`` bytes, whole lines, each with its ``line`` set."""

IS_NULL, IS_BOOL, IS_INT, IS_TEXT, IS_LIST, IS_STRUCT, IS_ANY, IS_DICT, IS_RAW = (1 << n for n in range(9))
Node = tuple[int, int, int, int, tuple[int, ...]]
"""Kinds of value, the lowest and the highest integer, the node of a list's items, the structs."""
_PLAIN_NAME = re.compile(r"[\w .:/-]+", re.ASCII)
"""A name that stands in JSON as it is."""


def line_decoder(usual: Decoder[Any], decoder: Decoder[Any]) -> DecodeLines | None:
    """The compiled decoder for the type of ``usual``; lines that it leaves are decoded by ``usual``, and by ``decoder``
    where that refuses them too; it raises what that raises. None when it was not built or cannot make the type."""
    return None if _quick_lines is None else _planned(usual, decoder)


@cache
def _planned(usual: Decoder[Any], decoder: Decoder[Any]) -> DecodeLines | None:
    def decode(line: bytes) -> Any:
        try:
            return usual.decode(line)
        except NOT_JSON:
            return decoder.decode(line)

    try:
        return _quick_lines.Lines(*plan_of(usual.type), msgspec.Raw, decode).decode
    except (TypeError, ValueError):
        return None


def plan_of(wanted: Any) -> tuple[int, tuple[Node, ...], tuple[tuple[Any, ...], ...]]:
    """The number of a type's node, all nodes, all structs."""
    plan = _Plan()
    root = plan.node(inspect.type_info(wanted))
    return root, tuple(plan.nodes), tuple(plan.structs)


class _Plan:
    """The types that a decoder meets: nodes say what a value may be, structs what an object becomes."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.structs: list[tuple[Any, ...]] = []
        self._numbers: dict[type, int] = {}

    def node(self, of: inspect.Type) -> int:
        """The number of the node for a type. Alternatives that the compiled decoder does not know are left out: it
        refuses values of them."""
        kinds, low, high, item = 0, 0, 0, 0
        structs: tuple[int, ...] = ()
        for one in of.types if isinstance(of, inspect.UnionType) else (of,):
            match one:
                case inspect.StructType(array_like=False, forbid_unknown_fields=False) if _has_plain_tag(one):
                    kinds, structs = kinds | IS_STRUCT, (*structs, self._struct(one))
                case inspect.IntType(gt=None, lt=None, multiple_of=None):
                    kinds |= IS_INT
                    low = -(1 << 62) if one.ge is None else one.ge
                    high = 1 << 62 if one.le is None else one.le
                case inspect.ListType(min_length=None, max_length=None):
                    kinds, item = kinds | IS_LIST, self.node(one.item_type)
                case inspect.RawType() if one is of:
                    kinds = IS_RAW
                case _:
                    kinds |= _simple_kind(one)
        self.nodes.append((kinds, low, high, item, structs))
        return len(self.nodes) - 1

    def _struct(self, of: inspect.StructType) -> int:
        if (known := self._numbers.get(of.cls)) is not None:
            return known
        number = self._numbers[of.cls] = len(self.structs)
        self.structs.append(())
        fields = tuple((f.encode_name.encode(), f.name, self.node(f.type), _initial(f)) for f in of.fields)
        tag = (of.tag_field.encode(), str(of.tag).encode()) if of.tag_field is not None else ()
        self.structs[number] = (of.cls, tag, getattr(of.cls, "__post_init__", None), fields)
        return number


def _has_plain_tag(of: inspect.StructType) -> bool:
    """Whether there is no tag, or one whose source can be compared."""
    names = (of.tag_field, of.tag) if of.tag_field is not None else ()
    return all(isinstance(name, str) and _PLAIN_NAME.fullmatch(name) for name in names)


def _simple_kind(of: inspect.Type) -> int:
    match of:
        case inspect.NoneType():
            return IS_NULL
        case inspect.BoolType():
            return IS_BOOL
        case inspect.StrType(min_length=None, max_length=None, pattern=None):
            return IS_TEXT
        case inspect.AnyType():
            return IS_ANY
        case inspect.DictType(min_length=None, max_length=None):
            keys, values = _simple_kind(of.key_type), _simple_kind(of.value_type)
            return IS_DICT if (keys, values) == (IS_TEXT, IS_ANY) else 0
    return 0


def _initial(field: inspect.Field) -> tuple[Any, ...]:
    """The value of a field that is not in the source, in a tuple; an empty one when there is no such value."""
    if field.default is not msgspec.NODEFAULT:
        return (field.default,)
    may_be_unset = not field.required and field.default_factory is msgspec.NODEFAULT
    return (msgspec.UNSET,) if may_be_unset else ()
