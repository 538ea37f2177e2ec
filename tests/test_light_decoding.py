"""What is cut out of a line before it is decoded changes nothing that is read from it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollmill.formats._claude_records import Record as ClaudeRecord
from rollmill.formats._claude_records import decode_lightly
from rollmill.formats._codex_records import ResponseItemLine, decode_usual

KEYS = st.sampled_from(["toolUseResult", "sourceToolAssistantUUID", "agentId", "uuid", "message", "x", 'a","toolUse'])
ORDERS = st.permutations(["message", "uuid", "timestamp", "toolUseResult"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5) | st.sampled_from(['","', "}", '{"', "\\"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


def seen(record: Any) -> Any:
    """What the reader uses of a record: everything but the twin, of which only the sub-agent's id counts."""
    twin = record.toolUseResult
    record.toolUseResult = getattr(twin, "agentId", None)
    for block in record.blocks():
        block.input, block.signature = bytes(block.input), bytes(block.signature)
    return msgspec.to_builtins(record, builtin_types=(bytes,))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    twin=VALUES, content=VALUES, order=st.permutations(["message", "uuid", "timestamp", "toolUseResult"]), last=VALUES
)
def test_a_claude_line_without_the_twin_says_the_same(twin: Any, content: Any, order: list[str], last: Any) -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": content}
    fields = {"message": {"role": "user", "content": [result]}, "uuid": "u", "timestamp": "2026-01-01T00:00:00.000Z"}
    record = {"parentUuid": "p", "type": "user"} | {k: (fields | {"toolUseResult": twin})[k] for k in order}
    line = json.dumps(record | {"sourceToolAssistantUUID": "a", "slug": last}, separators=(",", ":")).encode()
    try:
        whole = msgspec.json.decode(line, type=ClaudeRecord)
        light = decode_lightly(line)
    except msgspec.MsgspecError:
        return  # The reader takes the slow way with such a line.
    assert seen(light) == seen(whole)


def test_the_twin_really_is_cut() -> None:
    """Of a line that is broken inside the twin, the rest is read."""
    head = b'{"type":"user","uuid":"u","timestamp":"2026-01-01T00:00:00.000Z","message":{"role":"user","content":"hi"}'
    line = head + b',"toolUseResult":{"broken":tru},"sourceToolAssistantUUID":"a"}'
    assert decode_lightly(line).message is not None
    with pytest.raises(msgspec.DecodeError):
        decode_lightly(line.replace(b"broken", b"agentId"))


@pytest.mark.parametrize("ciphertext", ["", "A", "gAAAAB" * 50, 'odd "quoted" text', "back\\slash", "null"])
def test_a_codex_ciphertext_is_passed_over(ciphertext: str) -> None:
    payload = {"type": "reasoning", "summary": [], "encrypted_content": ciphertext, "id": "r"}
    line = json.dumps({"timestamp": "t", "type": "response_item", "payload": payload}, separators=(",", ":")).encode()
    try:
        record = decode_usual(line)
    except msgspec.DecodeError:
        assert '"' in ciphertext or "\\" in ciphertext
        return
    assert isinstance(record, ResponseItemLine)
    assert record.payload.id == "r"
    assert bool(bytes(record.payload.encrypted_content).strip(b'"')) == bool(ciphertext)
