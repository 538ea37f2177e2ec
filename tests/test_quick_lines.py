"""The compiled decoder of lines gives what msgspec gives, or leaves a line to it."""

from __future__ import annotations

import gc
import json
import sys
import typing
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from rollmill.formats import _claude_records, _codex_records, _typed_lines
from tests import golden
from tests.writers.settings import examples

_quick_lines = pytest.importorskip("rollmill.formats._quick_lines", reason="no C compiler was at the installation")


class Left(Exception):
    """Raised in msgspec's place: the compiled decoder left the line to it."""


T = TypeVar("T")


class Numbered(Struct):
    text: str = ""
    line: int = 0


class Small(Struct, gc=False):
    text: str | None = None
    count: Annotated[int, Meta(ge=0, le=99)] | None = None


class Told(Struct, tag_field="kind", tag="told"):
    kind: ClassVar[str] = "told"
    needed: bool
    small: Small | None = None


class Untold(Struct, tag_field="kind", tag="untold", rename={"text": "a text"}):
    text: str = "none"


class Refusing(Struct):
    text: str | None = None

    def __post_init__(self) -> None:
        if self.text == "refuse":
            raise ValueError("refused")


class Line(Struct):
    text: str | None = None
    flag: bool | None = None
    number: int = 7
    real: float | None = None
    any: Any = None
    raw: Raw = Raw(b"")
    names: dict[str, Any] | str | None = None
    texts: list[str] | str | None = None
    smalls: list[Small | None] | Small | None = None
    either: Told | Untold | None = None
    refusing: Refusing | None = None
    unset: str | UnsetType | None = UNSET
    line: int = msgspec.field(default=0, name="line-private")


class Unknown(Struct):
    """What the compiled decoder has no plan for; it reads the rest."""

    text: str = ""
    choice: Literal["a"] = "a"
    number: Annotated[int, Meta(gt=3)] = 4
    short: Annotated[str, Meta(max_length=2)] = ""
    texts: Annotated[list[str], Meta(max_length=2)] | None = None
    line: int = 0


class Tagged(Struct, tag=1):
    text: str = ""
    line: int = 0


class OddlyTagged(Struct, tag="a\\b"):
    text: str = ""
    line: int = 0


class Particular(Struct):
    raw: Raw | None = None
    names: dict[Annotated[str, Meta(min_length=2)], Any] | None = None
    line: int = 0


class Generic(Struct, typing.Generic[T]):
    value: T
    line: int = 0


class Computed(Numbered):
    @property
    def text(self) -> str:  # type: ignore[override]
        return "computed"


class Made(Struct):
    made: list[int] = msgspec.field(default_factory=list)
    line: int = 0


Many = msgspec.defstruct("Many", [(f"field_{number}", int, 0) for number in range(65)])
DECODER = msgspec.json.Decoder(Line)


def leave(_: bytes) -> Any:
    raise Left


@cache
def alone(decoder: msgspec.json.Decoder[Any]) -> Any:
    return _quick_lines.Lines(*_typed_lines.plan_of(decoder.type), Raw, leave)


def quick(decoder: msgspec.json.Decoder[Any], line: bytes) -> Any:
    """The record by the compiled decoder alone. Raises ``Left``."""
    (record,) = alone(decoder).decode(line + b"\n", len(line) + 1, 0)
    return record


def told(value: Any) -> Any:
    """A value with the types of all its parts, and with what == does not tell apart."""
    if isinstance(value, Struct):
        return type(value), [told(getattr(value, name)) for name in value.__struct_fields__]
    if isinstance(value, list):
        return [told(item) for item in value]
    if isinstance(value, dict):
        return [(told(key), told(item)) for key, item in value.items()]
    if isinstance(value, str):
        return value, sys.getsizeof(value[:0] + value) if value.isascii() else value.encode("utf-8", "surrogatepass")
    return type(value), bytes(value) if isinstance(value, Raw) else value


def agree(decoder: msgspec.json.Decoder[Any], line: bytes) -> bool:
    """Whether the compiled decoder read the line; then msgspec must read the same from it."""
    try:
        record = quick(decoder, line)
    except Left:
        return False
    assert told(record) == told(decoder.decode(line)), line
    return True


READ = [
    b"{}",
    b'{"text":null,"flag":true,"number":-12,"any":[1,{"a":[]},{},"x",null,false],"raw":[1.50,"\\u0041"]}',
    b'{"text":"","names":{"a":1,"b":{"c":"\\n"},"a":2},"texts":["a","","\xc3\xa9"],"smalls":[{"count":99},null]}',
    b'{"smalls":{"text":"x"},"names":"x","texts":"x","unset":null,"unknown":{"a":[1e5,-0.5E-3,"\\"]}"]}}',
    b'{"either":{"kind":"told","needed":true,"small":{"text":"x"}}}',
    b'{"either":{"needed":false,"x":[{}],"kind":"told"}}',
    b'{"either":{"kind":"untold","a text":"x","text":"y"}}',
    b'{"either":{"kind":"untold","kind":"untold"}}',
    b'{ "text" :\t"a" , "flag":false }\r ',
    b'{"text":"first","text":"second"}',
    b'{"text":"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20ac\\ud83d\\ude00"}',
    b'{"text":"\\u0000"}',
    b'{"refusing":{"text":"accept"}}',
    b'{"unknown":"\xff\xfe"}',
    b'{"any":' + b"[" * 150 + b"]" * 150 + b"}",
    b'{"number":100000000000000000}',
]
LEFT = [
    b"",
    b"[]",
    b'"x"',
    b" {}",
    b"{}x",
    b"{}{}",
    b'{"text":"a}',
    b'{"text":1}',
    b'{"flag":"true"}',
    b'{"flag":tru}',
    b'{"number":true}',
    b'{"number":1.0}',
    b'{"number":01}',
    b'{"number":-}',
    b'{"number":1e3}',
    b'{"number":12345678901234567890}',
    b'{"real":1.5}',
    b'{"any":1.5}',
    b'{"any":-0}',
    b'{"any":' + b"[" * 300 + b"]" * 300 + b"}",
    b'{"unknown":' + b"[" * 300 + b"]" * 300 + b"}",
    b'{"text":"\\ud83d"}',
    b'{"text":"\\ude00\\ud83d"}',
    b'{"text":"\\ud83d\\u0041"}',
    b'{"text":"\\x"}',
    b'{"text":"\\u12g4"}',
    b'{"unknown":"\\x"}',
    b'{"unknown":"a\tb"}',
    b'{"unknown":1.}',
    b'{"unknown":[1,]}',
    b'{"unknown":{"a"}}',
    b'{"text":"\xff"}',
    b'{"text":"\xc0\x80"}',
    b'{"text":"\xed\xa0\x80"}',
    b'{"text":"\xf4\x90\x80\x80"}',
    b'{"text":"\xe2\x82"}',
    b'{"te\\u0078t":"a"}',
    b'{"smalls":[{"count":100}]}',
    b'{"smalls":[{"count":-1}]}',
    b'{"either":{"needed":true}}',
    b'{"either":{"kind":"other"}}',
    b'{"either":{"kind":"told"}}',
    b'{"either":{"kind":"told","needed":true,"kind":"untold"}}',
    b'{"either":{}}',
    b'{"refusing":{"text":"refuse"}}',
    b'{"text":"a",}',
    b'{"text" "a"}',
    b"{,}",
]


@pytest.mark.parametrize("line", READ)
def test_what_is_plain_is_read_as_msgspec_reads_it(line: bytes) -> None:
    assert agree(DECODER, line)


@pytest.mark.parametrize("line", LEFT)
def test_what_is_not_plain_is_left_to_msgspec(line: bytes) -> None:
    assert not agree(DECODER, line)


@pytest.mark.parametrize(
    ("line", "read"),
    [
        (b'{"text":"x"}', True),
        (b'{"text":"x","choice":"a"}', False),
        (b'{"text":"x","number":5}', False),
        (b'{"text":"x","short":"ab"}', False),
        (b'{"text":"x","texts":["x"]}', False),
    ],
)
def test_a_type_without_a_plan_is_left_to_msgspec(line: bytes, read: bool) -> None:
    assert agree(msgspec.json.Decoder(Unknown), line) is read
    assert msgspec.json.decode(line, type=Unknown).text == "x"


@pytest.mark.parametrize(
    ("wanted", "line", "read"),
    [
        (Tagged, b'{"type":"1"}', False),
        (Tagged, b'{"type":1}', False),
        (OddlyTagged, b'{"type":"a\\b"}', False),
        (OddlyTagged, b'{"type":"a\\\\b"}', False),
        (Particular, b'{"raw":1}', False),
        (Particular, b'{"raw":null}', True),
        (Particular, b'{"names":{"a":1}}', False),
    ],
)
def test_a_type_that_looks_plainer_than_it_is(wanted: type[Any], line: bytes, read: bool) -> None:
    assert agree(msgspec.json.Decoder(wanted), line) is read


@pytest.mark.parametrize("wanted", [Generic[int], Computed, Many])
def test_a_type_that_cannot_be_made_has_no_compiled_decoder(wanted: Any) -> None:
    decoder = msgspec.json.Decoder(wanted)
    assert _typed_lines.line_decoder(decoder, decoder) is None


@pytest.mark.parametrize(
    ("root", "node", "field"),
    [
        (1, (8, 0, 0, 0, ()), 0),
        (0, (16, 0, 0, 1, ()), 0),
        (0, (32, 0, 0, 0, (1,)), 0),
        (0, (32, 0, 0, 0, ()), 0),
        (0, (32, 0, 0, 0, (0,)), 1),
    ],
)
def test_a_plan_names_only_what_it_has(root: int, node: tuple[Any, ...], field: int) -> None:
    struct = (Numbered, (), None, ((b"text", "text", field, ()),))
    with pytest.raises(ValueError, match="names what it does not have"):
        _quick_lines.Lines(root, (node,), (struct,), Raw, leave)


def test_a_default_that_is_made_anew_is_left_to_msgspec() -> None:
    decoder = msgspec.json.Decoder(Made)
    assert agree(decoder, b'{"made":[]}') and not agree(decoder, b"{}")


@pytest.mark.parametrize("ending", ['"', "\\n", "\\u00e9", "\\\\", "é", "€", "😀", "\\ud83d\\ude00", "é\\n€"])
@pytest.mark.parametrize("filling", ["a", "é", "€", "😀", "\\n", "\\\\"])
def test_wherever_a_character_stands(filling: str, ending: str) -> None:
    for length in range(140):
        text = filling * length + ("" if ending == '"' else ending)
        for line in (f'{{"text":"{text}"}}', f'{{"unknown":"{text}","any":"{text}{text}"}}'):
            assert agree(DECODER, line.encode())


_TEXTS = st.text(st.characters(codec="utf-8"), max_size=90) | st.sampled_from(['\\"' * 40, "\n" * 70, "a" * 64])
_PLAIN = st.none() | st.booleans() | st.integers(-(10**17), 10**17) | _TEXTS
_ANY = st.recursive(_PLAIN, lambda v: st.lists(v, max_size=4) | st.dictionaries(_TEXTS, v, max_size=4), max_leaves=8)
_ODD = _ANY | st.floats(allow_nan=False) | st.integers(-(10**20), 10**20)
_SMALL = st.fixed_dictionaries({}, optional={"text": _TEXTS, "count": st.integers(0, 99) | st.none(), "x": _ODD})
_TOLD = st.fixed_dictionaries({"x": _ANY, "kind": st.just("told"), "needed": st.booleans()}, optional={"small": _SMALL})
_UNTOLD = st.fixed_dictionaries({"kind": st.just("untold")}, optional={"a text": _TEXTS, "kind ": _TEXTS})
_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "text": _TEXTS,
    "flag": st.booleans() | st.none(),
    "number": st.integers(-(10**17), 10**17),
    "any": _ANY,
    "raw": _ODD,
    "names": st.dictionaries(_TEXTS, _ANY, max_size=3) | _TEXTS,
    "texts": st.lists(_TEXTS, max_size=4),
    "smalls": st.lists(_SMALL | st.none(), max_size=3) | _SMALL,
    "either": _TOLD | _UNTOLD | st.none(),
    "refusing": _SMALL,
    "unknown": _ODD,
}
_SPOILING = [b'"', b"\\", b"\\u", b"\\ud8", b"{", b"}", b"[", b",", b"\xff", b"\xe2", b"\0", b"0", b""]


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """A line as it should be, or with a value of another type, or spoilt in one or two places."""
    names = draw(st.lists(st.sampled_from(list(_FIELDS)), max_size=5, unique=True))
    value = {name: draw(_FIELDS[name]) for name in names}
    if draw(st.integers(0, 5)) == 0:
        value[draw(st.sampled_from(list(_FIELDS)))] = draw(_ODD)
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", "\t:\r")]))
    line = bytearray(json.dumps(value, ensure_ascii=draw(st.booleans()), separators=separators).encode())
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        at = draw(st.integers(0, len(line)))
        line[at : at + draw(st.integers(0, 2))] = draw(st.sampled_from(_SPOILING))
    return bytes(line)


@examples(1000)
@given(line=lines())
def test_it_never_says_what_msgspec_does_not_say(line: bytes) -> None:
    agree(DECODER, line)


@pytest.mark.parametrize(
    ("format_name", "decoder"),
    [("claude_code", msgspec.json.Decoder(_claude_records.Record)), ("codex", _codex_records.USUAL)],
)
def test_the_lines_of_real_logs_are_read(format_name: str, decoder: msgspec.json.Decoder[Any]) -> None:
    """A line that is left is read more slowly."""
    folders = [folder for folder in golden.situations() if folder.parent.name == format_name]
    paths = [path for folder in folders for path in folder.rglob("*.jsonl")]
    lines = [line for path in paths for line in path.read_bytes().splitlines() if is_read(decoder, line)]
    assert len(lines) > 500 and sum(agree(decoder, line) for line in lines) > 0.98 * len(lines)


def is_read(decoder: msgspec.json.Decoder[Any], line: bytes) -> bool:
    try:
        decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def test_lines_are_numbered_and_left_ones_too() -> None:
    decode_lines = _typed_lines.line_decoder(DECODER, DECODER)
    assert decode_lines is not None
    data = b'{"text":"a"}\n{"real":1.5}\n{"text":"c"}\n{"text":"not of these'
    records = decode_lines(data, data.rindex(b"\n") + 1, 41)
    assert [(record.line, record.text, record.real) for record in records] == [
        (41, "a", None),
        (42, None, 1.5),
        (43, "c", None),
    ]


def test_what_msgspec_says_of_a_left_line_is_raised() -> None:
    decode_lines = _typed_lines.line_decoder(DECODER, DECODER)
    assert decode_lines is not None
    with pytest.raises(msgspec.ValidationError, match=r"Expected `str \| null`, got `int`"):
        decode_lines(b'{}\n{"text":1}\n', 14, 1)


@pytest.mark.parametrize("data", [b"", b"{}", b"{}\n{}"])
def test_only_whole_lines_are_taken(data: bytes) -> None:
    decode_lines = _typed_lines.line_decoder(DECODER, DECODER)
    assert decode_lines is not None
    with pytest.raises(ValueError, match="no whole lines"):
        decode_lines(data, len(data), 1)


def test_short_texts_are_shared_and_long_ones_are_not() -> None:
    decode_lines = _typed_lines.line_decoder(DECODER, DECODER)
    assert decode_lines is not None
    data = json.dumps({"texts": ["a folder", "a folder", "x" * 65, "x" * 65]}).encode() + b"\n"
    ((short, again, long, another),) = (record.texts for record in decode_lines(data, len(data), 1))
    assert short is again and long == another and long is not another


def test_memory_stays_as_it_was() -> None:
    """Nothing is kept of what was read, and nothing of what was refused half-way."""
    everything = [*READ, *(line for line in LEFT if line)]
    blocks = []
    for _ in range(20):
        for line in everything:
            agree(DECODER, line)
        gc.collect()
        blocks.append(sys.getallocatedblocks())
    assert blocks[-1] - blocks[5] < 100
