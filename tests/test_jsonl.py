"""Bytes to numbered records: a block of lines at once gives what line by line gives."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from rollmill.formats import _jsonl
from rollmill.formats._claude_records import Record
from rollmill.formats._jsonl import Block, Log, blocks, read_log
from rollmill.media import NoStore
from tests.writers.decoding import WAYS, decoding_by
from tests.writers.settings import examples


class Numbered(msgspec.Struct):
    a: Any = None
    line: int = _jsonl.private_field(0, "line")


DECODER = msgspec.json.Decoder(Numbered)
CLAUDE = msgspec.json.Decoder(Record)
_PIECES = [
    '{"a":1}',
    '{"a":"}\\n{"}',
    '{"x":{"a":[{}]}}',
    '{"a":"é \\ud83d\\ude00"}',
    '{"a":',
    '{"a":"',
    '"}',
    "}",
    "{",
    "[1]",
    "\n",
    "\r\n",
    " ",
    "\ufeff",
    "\0",
    "\\",
]


def line_by_line(data: bytes) -> Log[Numbered]:
    log: Log[Numbered] = Log()
    ended = data.endswith(b"\n")
    lines = data.removesuffix(b"\n").split(b"\n")
    for number, line in enumerate(lines, 1):
        at_end = number == len(lines) and not ended
        _jsonl._one_by_one(log, Block(number, line + b"\n" * (not at_end)), DECODER, DECODER)
    return log


@examples(300)
@given(pieces=st.lists(st.sampled_from([*_PIECES, "\n", '{"a":1}\n']), min_size=1, max_size=40))
def test_at_once_is_as_line_by_line(tmp_path_factory: pytest.TempPathFactory, pieces: list[str]) -> None:
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    path.write_bytes("".join(pieces).encode())
    expected = line_by_line(path.read_bytes())
    for way in WAYS:
        with decoding_by(way):
            assert read_log(path, DECODER, NoStore()) == expected


@pytest.mark.skipif(
    shutil.which("cc") is None or "ROLLMILL_PURE_PYTHON" in os.environ, reason="no C compiler, or not wanted"
)
def test_the_compiled_decoder_is_there_where_a_compiler_is() -> None:
    """Else everything passes, and is slower."""
    assert "compiled" in WAYS


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("text", "read"),
    [
        (r"\\ud83d\ude00", "\\ud83d\ufffd"),
        (r"\ud83d\\ude00", "\ufffd\\ude00"),
        (r"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (r"\\\ude00", "\\\ufffd"),
    ],
)
def test_half_a_surrogate_pair_beside_what_looks_like_the_other(tmp_path: Path, text: str, read: str, way: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(f'{{"a":"{text}"}}\n')
    with decoding_by(way):
        log = read_log(path, DECODER, NoStore())
    assert [record.a for record in log.records] == [read] and log.replaced_characters == 1


@pytest.mark.parametrize(
    ("data", "ways"),
    [
        (b'{"a":1}\n{"a":2}\n', WAYS),
        (b'{"a":1}{"a":2}\n\n', []),
        (b'{"a":1}{"a":2}\n', []),
        (b'{"a":{}\n,"b":1}{"a":2}\n', []),
        (b'{"a":1} \n{"a":2}\n', ["compiled"]),
        (b'{"b":"}\n{"}{"a":2}\n', []),
        (b'{"a":1}\n{"a":2}', []),
    ],
)
@pytest.mark.parametrize("way", WAYS)
def test_only_an_object_a_line_is_read_at_once(data: bytes, ways: list[str], way: str) -> None:
    with decoding_by(way):
        records = _jsonl._all_at_once(Block(1, data), _jsonl._block_decoder(DECODER, DECODER))
    assert (records is not None) is (way in ways)
    assert records is None or [record.line for record in records] == [1, 2]


@examples(300)
@given(lengths=st.lists(st.integers(0, 24), max_size=20), than=st.sampled_from([2, 7, 8, 9, 16]), ended=st.booleans())
def test_long_lines_are_found(lengths: list[int], than: int, ended: bool) -> None:
    data = b"\n".join(b"x" * length for length in lengths) + b"\n" * ended
    assert Block(1, data).has_longer_lines(than) == any(length > than for length in lengths)


def test_lines_are_numbered_over_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"".join(b'{"a":%d}\n' % n for n in range(1, 200)) + b'{"a":200}')
    monkeypatch.setattr(_jsonl, "CHUNK", 64)
    found = list(blocks(path, NoStore()))
    assert len(found) > 10 and b"".join(block.data[: block.size] for block in found) == path.read_bytes()
    assert [(record.a, record.line) for record in read_log(path, DECODER, NoStore()).records] == [
        (n, n) for n in range(1, 201)
    ]


@examples(300)
@given(
    lengths=st.lists(st.integers(0, 60), max_size=30),
    ended=st.booleans(),
    chunk=st.integers(1, 50),
    long_line=st.integers(20, 80),
    packed=st.booleans(),
)
def test_blocks_are_all_of_the_file_in_whole_lines(
    lengths: list[int], ended: bool, chunk: int, long_line: int, packed: bool
) -> None:
    data = b"\n".join(bytes([65 + n % 26]) * length for n, length in enumerate(lengths)) + b"\n" * ended
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(_jsonl, "CHUNK", chunk)
        patch.setattr(_jsonl, "LONG_LINE", long_line)
        path = Path(folder, "log.jsonl" + ".zst" * packed)
        path.write_bytes(zstandard.compress(data) if packed else data)
        found = list(blocks(path, NoStore()))
    assert b"".join(block.data[: block.size] for block in found) == data
    assert all(block.ended for block in found[:-1])
    assert [block.first for block in found] == [1 + sum(len(b.ends) for b in found[:n]) for n in range(len(found))]


def test_a_line_that_is_cut_off_while_it_is_read_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"a":1}\n{"a":2,"b')
    found = []
    for block in blocks(path, NoStore()):
        found += block.lines()
        path.write_bytes(b'{"a":1}\n')
    assert found == [b'{"a":1}', b'{"a":2,"b']


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"assistant","uuid":"u","message":{"content":[{"type":"tool_use","id":"t","input":{"a":1}}]}}',
        b'{"type":"assistant","uuid":"u","message":{"content":[{"type":"thinking","thinking":"","signature":"abc"}]}}',
        b'{"type":"user","uuid":"u","message":{"content":[]},"toolUseResult":[{"type":"text"}]}',
        b'{"type":"progress","uuid":"u","data":[1]}',
    ],
)
@pytest.mark.parametrize("way", WAYS)
def test_a_claude_record_keeps_no_bytes_around_it(line: bytes, way: str) -> None:
    block = Block(1, line + b"\n")
    users = sys.getrefcount(block.data)
    with decoding_by(way):
        records = _jsonl._all_at_once(block, _jsonl._block_decoder(CLAUDE, CLAUDE))
    still = sys.getrefcount(block.data)
    assert records is not None and still == users
