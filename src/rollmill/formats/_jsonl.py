"""Bytes to numbered records, whatever state the file is in.

    {"type":"user",…}\\n{"type":"assistant",…}{"type":"summary",…}\\n{"type":"assi

The fast way is one typed msgspec decode for a block of lines, where each line is sure to be one record; else one per
line. A line that refuses it is looked at closely: two records fused on one line, a byte-order mark, NUL padding,
invalid UTF-8, a lone surrogate, a field of an unexpected type. What still cannot be read is counted with its line, and
the rest of the file goes on.
"""

from __future__ import annotations

import codecs
import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from io import SEEK_CUR, FileIO
from operator import sub
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Generic, Protocol, TypeVar

import msgspec

from rollmill.errors import UnreadableFile
from rollmill.formats._lift import Lifter, LongLine
from rollmill.formats._raw_json import NOT_JSON, without_lone_surrogates
from rollmill.formats._typed_lines import DecodeLines, line_decoder
from rollmill.media import MediaStore
from rollmill.rollout import Fidelity, Records

CHUNK = 1 << 17
"""So many bytes are read, split and decoded before the next: few enough to stay in the processor's cache."""
LONG_LINE = 1 << 20
"""A line that has not ended by here goes piece by piece through the search for media."""
MAX_UNREADABLE_LINES = 100
LIFT_FROM = 1 << 16
"""Lines from this length on are searched for base64 media before they are decoded, …"""
LIFT_FROM_IN_BIG_FILES = 1 << 12
"""… and shorter ones too in files so big that their images would fill the memory."""
BIG_FILE = 1 << 26


_PRIVATE = os.urandom(8).hex()


def private_field(default: Any, name: str) -> Any:
    """A struct field that the reader sets and no log can: its JSON name differs in every process."""
    return msgspec.field(default=default, name=f"{name}-{_PRIVATE}")


class Numbered(Protocol):
    """A record that knows its line."""

    line: int


T = TypeVar("T", bound=Numbered)
TokenCount = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
"""A figure that fits every column it is added up into; a log's larger one is no count."""


@dataclass
class Log(Generic[T]):
    """The readable records of one file in order, each with its line, and the count of what was not readable."""

    records: list[T] = field(default_factory=list)
    unreadable: int = 0
    unreadable_lines: list[int] = field(default_factory=list)
    other_values: dict[str, int] = field(default_factory=dict)
    torn_tail: bool = False
    replaced_characters: int = 0
    misfits: int = 0
    lifted: bool = False

    def ledger(self) -> Fidelity:
        """A fidelity ledger that has what the reading knows; the records themselves still have to be classed."""
        unknown = sum(self.other_values.values())
        return Fidelity(
            records=Records(unknown=unknown, unreadable=self.unreadable),
            unknown_types=dict(self.other_values),
            unreadable_lines=self.unreadable_lines[:MAX_UNREADABLE_LINES],
            torn_tail=self.torn_tail,
            replaced_characters=self.replaced_characters,
            notes=[f"{self.misfits} values of an unexpected type left out"] if self.misfits else [],
        )


class Block:
    """Neighbouring lines of a file, whole but perhaps the last of all. ``first`` is the number of the first line;
    ``data`` holds them up to ``size``, and perhaps the beginning of the next line behind that. ``lifted`` says whether
    base64 media were taken out of long lines (``_lift``), so that memory follows the text of a line, not its images."""

    __slots__ = ("_ends", "_line_count", "data", "first", "lifted", "size")

    def __init__(self, first: int, data: bytes, size: int | None = None, lifted: bool = False) -> None:
        self.first = first
        self.data = data
        self.size = len(data) if size is None else size
        self.lifted = lifted
        self._ends: list[int] | None = None
        self._line_count: int | None = None

    @property
    def line_count(self) -> int:
        """How many lines have ended; known without a look once they are decoded."""
        return len(self.ends) if self._line_count is None else self._line_count

    @line_count.setter
    def line_count(self, count: int) -> None:
        self._line_count = count

    @property
    def ends(self) -> list[int]:
        """Where the line breaks are."""
        if self._ends is None:
            self._ends = []
            find, append, size = self.data.find, self._ends.append, self.size
            end = find(b"\n", 0, size)
            while end >= 0:
                append(end)
                end = find(b"\n", end + 1, size)
        return self._ends

    @property
    def ended(self) -> bool:
        """Whether a newline ends the last line."""
        return self.data.endswith(b"\n", 0, self.size)

    def lines(self) -> list[bytes]:
        return self.data[: self.size].removesuffix(b"\n").split(b"\n")

    def is_an_object_a_line(self) -> bool:
        """Whether each line begins and ends as a JSON object does. A JSON text has no line break in a string, and none
        between ``}`` and ``{`` inside a value: so if all of it can be read and has as many values as lines, each line
        is one value."""
        data, opens, closes = self.data, ord("{"), ord("}")
        if not data.startswith(b"{") or not data.endswith(b"}\n", 0, self.size):
            return False
        return all(data[end - 1] == closes and data[end + 1] == opens for end in self.ends[:-1])

    def has_longer_lines(self, than: int) -> bool:
        """Whether a line is longer than this. None is where each half of such a length has an end: a few looks, in
        place of one for each line."""
        half, at, last = than // 2, 0, self.size - than // 2
        while at <= last and self.data.find(b"\n", at, at + half) >= 0:
            at += half
        if self.size <= than or at > last:
            return False
        longest: int = max(map(sub, [*self.ends, self.size], [-1, *self.ends])) - 1
        return longest > than


DecodeBlock = Callable[[Block], list[T] | None]
TRIES = 3
"""After so many blocks that could not be decoded at once, a file is decoded line by line: each try costs time."""


def read_log(
    path: Path,
    decoder: msgspec.json.Decoder[T],
    media: MediaStore,
    usual: msgspec.json.Decoder[Any] | None = None,
) -> Log[T]:
    """Every record of a JSONL file. Raises ``OSError`` when it cannot be opened or read, ``UnreadableFile`` when it
    is compressed and not readable at all. ``usual`` decodes usual records quicker and refuses the others."""
    log: Log[T] = Log()
    tries = TRIES
    decode_block = _block_decoder(usual or decoder, decoder)
    for block in blocks(path, media):
        log.lifted = log.lifted or block.lifted
        records = _all_at_once(block, decode_block) if tries else None
        if records is not None:
            log.records += records
        else:
            tries -= tries > 0
            _one_by_one(log, block, decoder, usual or decoder)
    return log


def _block_decoder(usual: msgspec.json.Decoder[T], decoder: msgspec.json.Decoder[T]) -> DecodeBlock[T]:
    """The quickest way to decode lines that is installed."""
    decode_lines = line_decoder(usual, decoder)
    return partial(_by_msgspec, usual) if decode_lines is None else partial(_compiled, decode_lines)


def _all_at_once(block: Block, decode_block: DecodeBlock[T]) -> list[T] | None:
    """The records of a block with one on each line, which is quicker than line by line; None of any other block."""
    try:
        return decode_block(block)
    except NOT_JSON:
        return None


def _compiled(decode_lines: DecodeLines, block: Block) -> list[Any] | None:
    if not block.ended:
        return None
    records = decode_lines(block.data, block.size, block.first)
    block.line_count = len(records)
    return records


def _by_msgspec(decoder: msgspec.json.Decoder[T], block: Block) -> list[T] | None:
    if not block.is_an_object_a_line():
        return None
    records = decoder.decode_lines(memoryview(block.data)[: block.size])
    if len(records) != len(block.ends):
        return None
    for number, record in enumerate(records, block.first):
        record.line = number
    return records


def _one_by_one(log: Log[T], block: Block, decoder: msgspec.json.Decoder[T], usual: msgspec.json.Decoder[Any]) -> None:
    decode, append = usual.decode, log.records.append
    lines = block.lines()
    for number, line in enumerate(lines, block.first):
        try:
            record = decode(line)
        except NOT_JSON:
            last = not block.ended and number == block.first + len(lines) - 1
            _salvage(log, line, number, decoder, last)
        else:
            record.line = number
            append(record)


def open_bytes(path: Path) -> BinaryIO:
    """The file's bytes, decompressed when its name ends in ``.zst``."""
    file = open(path, "rb", buffering=0)
    if not path.name.endswith(".zst"):
        return file
    import zstandard

    return zstandard.ZstdDecompressor().stream_reader(file, closefd=True, read_across_frames=True)


def blocks(path: Path, media: MediaStore) -> Iterator[Block]:
    """All lines of a file in order, about a hundred kilobytes at a time."""
    with open_bytes(path) as file:
        yield from _blocks(file, os.stat(path).st_size, Lifter(media))


def _blocks(file: BinaryIO, size: int, lifter: Lifter) -> Iterator[Block]:
    lift_from = LIFT_FROM_IN_BIG_FILES if size > BIG_FILE else LIFT_FROM
    seekable = isinstance(file, FileIO) and file.seekable()
    number, rest, again, long_line = 1, b"", b"", None
    for chunk in _chunks(file, min(CHUNK, size + 1) if seekable else CHUNK):
        again = b""
        if long_line is not None:
            head, newline, chunk = chunk.partition(b"\n")
            long_line.feed(head)
            if not newline:
                continue
            yield Block(number, long_line.finish() + newline, lifted=long_line.lifted)
            number, long_line = number + 1, None
        end = chunk.rfind(b"\n") + 1
        if not end:
            rest += chunk
        else:
            block = Block(number, rest + chunk[:end]) if rest else Block(number, chunk, end)
            if seekable:  # The beginning of a line is read again with the line: that is cheaper than joining the two.
                rest, again = b"", chunk[end:]
                file.seek(end - len(chunk), SEEK_CUR)
            else:
                rest = chunk[end:]
            yield _without_media(block, lifter, lift_from)
            number += block.line_count
        if len(rest) > LONG_LINE:
            long_line, rest = LongLine(lifter, rest), b""
    if long_line is not None:
        yield Block(number, long_line.finish(), lifted=long_line.lifted)
    elif rest or again:  # ``again`` is still there when somebody cut the file short meanwhile.
        yield _without_media(Block(number, rest or again), lifter, lift_from)


def _without_media(block: Block, lifter: Lifter, lift_from: int) -> Block:
    """The block with the media of its long lines lifted; the block itself when there are none."""
    if not block.has_longer_lines(lift_from):
        return block
    lines = block.lines()
    light = [lifter.lift(line) if len(line) > lift_from else line for line in lines]
    if all(a is b for a, b in zip(light, lines, strict=True)):
        return block
    return Block(block.first, b"\n".join(light) + b"\n" * block.ended, lifted=True)


def _chunks(file: BinaryIO, chunk_size: int) -> Iterator[bytes]:
    started = False
    while True:
        try:
            chunk = file.read(chunk_size)
        except OSError:
            raise
        except Exception as error:
            if type(error).__name__ != "ZstdError":
                raise
            if started:
                return
            raise UnreadableFile("bad_zst", f"not a readable zstd file: {error}") from error
        if not chunk:
            return
        started = True
        yield chunk


# The slow way: one line that the typed decoder refused.

_PADDING = "\0 \t\r\n"
_PLAIN = json.JSONDecoder()
_JSON_TYPES = {list: "array", str: "string", int: "number", float: "number", bool: "boolean", type(None): "null"}


def _salvage(log: Log[T], line: bytes, number: int, decoder: msgspec.json.Decoder[T], last: bool) -> None:
    """Take from a refused line every record that can be read; count the rest of it as unreadable."""
    if (record := _decoded(line, decoder)) is not None:
        record.line = number
        log.records.append(record)
        return
    text = _text(log, line)
    if not text and b"\0" in line:
        log.unreadable += 1
        log.unreadable_lines.append(number)
    position = 0
    while position < len(text):
        try:
            value, end = _PLAIN.raw_decode(text, position)
        except (ValueError, RecursionError):
            log.unreadable += 1
            log.unreadable_lines.append(number)
            log.torn_tail = log.torn_tail or last
            return
        _keep(log, value, text[position:end], number, decoder)
        position = _past_padding(text, end)


def _text(log: Log[Any], line: bytes) -> str:
    """The line as text: no byte-order mark, no padding, U+FFFD for invalid UTF-8."""
    stripped = line.strip(_PADDING.encode()).removeprefix(codecs.BOM_UTF8).strip(_PADDING.encode())
    text = stripped.decode("utf-8", "replace")
    log.replaced_characters += text.count("\ufffd") - stripped.count("\ufffd".encode())
    return text


def _past_padding(text: str, position: int) -> int:
    while position < len(text) and text[position] in _PADDING:
        position += 1
    return position


def _keep(log: Log[T], value: Any, source: str, number: int, decoder: msgspec.json.Decoder[T]) -> None:
    if not isinstance(value, dict):
        name = _JSON_TYPES[type(value)]
        log.other_values[name] = log.other_values.get(name, 0) + 1
        return
    record = _decoded(source, decoder)
    if record is None:
        source, surrogates = without_lone_surrogates(source)
        log.replaced_characters += surrogates
        record = _decoded(source, decoder)
    if record is None:
        record = decoder.decode(_fitting(log, _finite(log, source), lambda part: _fits(part, decoder)))
    record.line = number
    log.records.append(record)


def _decoded(source: str | bytes, decoder: msgspec.json.Decoder[T]) -> T | None:
    try:
        return decoder.decode(source)
    except NOT_JSON:
        return None


def _finite(log: Log[Any], source: str) -> bytes:
    """The record as strict JSON: ``NaN`` and ``Infinity``, which some writers put down, become null and are noted."""
    try:
        _fields_of(source)
        return source.encode()
    except (msgspec.MsgspecError, RecursionError):
        return json.dumps(json.loads(source, parse_constant=partial(_misfit, log), parse_float=_finite_number)).encode()


def _misfit(log: Log[Any], _: str) -> None:
    log.misfits += 1


def _finite_number(text: str) -> float | None:
    return number if math.isfinite(number := float(text)) else None


def _fits(part: bytes, decoder: msgspec.json.Decoder[Any]) -> bool:
    return _decoded(part, decoder) is not None


Fits = Callable[[bytes], bool]
_encode = msgspec.json.Encoder().encode
_fields_of = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_items_of = msgspec.json.Decoder(list[msgspec.Raw]).decode


def _fitting(log: Log[Any], source: bytes, fits: Fits) -> bytes:
    """A JSON object without what is not of the expected type, at any depth; what stays is byte for byte the source.
    How many values had to go is noted in the log."""
    kept: dict[str, msgspec.Raw] = {}
    for key, value in _fields_of(source).items():
        part = _fitting_value(log, value, partial(_fits_at, fits, key))
        if part is not None:
            kept[key] = part
    return _encode(kept)


def _fitting_value(log: Log[Any], value: msgspec.Raw, fits: Fits) -> msgspec.Raw | None:
    """The value, or what of it fits, for an object or array in which only something does not; None of nothing."""
    source = bytes(value)
    if fits(source):
        return value
    before = log.misfits
    if source.startswith(b"{") and fits(b"{}"):
        return msgspec.Raw(_fitting(log, source, fits))
    if source.startswith(b"[") and fits(b"[]"):
        items = (_fitting_value(log, item, partial(_fits_inside, fits)) for item in _items_of(source))
        part = _encode([item for item in items if item is not None])
        if fits(part):
            return msgspec.Raw(part)
    log.misfits = before + 1
    return None


def _fits_at(fits: Fits, key: str, value: bytes) -> bool:
    return fits(b"{%s:%s}" % (_encode(key), value))


def _fits_inside(fits: Fits, value: bytes) -> bool:
    return fits(b"[%s]" % value)


def source_objects(path: Path, numbers: set[int], media: MediaStore) -> dict[int, list[Any]]:
    """The JSON values on the given lines, as plain Python: for the rare record of which more is needed than the
    typed decoder keeps. Reads the file once more."""
    found: dict[int, list[Any]] = {}
    for block in blocks(path, media):
        first, lines = block.first, block.lines()
        for number in sorted(n for n in numbers if first <= n < first + len(lines)):
            text, _ = without_lone_surrogates(_text(Log(), lines[number - first]))
            found[number] = list(_values(text))
    return found


def _values(text: str) -> Iterator[Any]:
    position = 0
    while position < len(text):
        try:
            value, end = _PLAIN.raw_decode(text, position)
        except (ValueError, RecursionError):
            return
        yield value
        position = _past_padding(text, end)
