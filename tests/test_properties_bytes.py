# ruff: noqa: E501 - records stay on one line each, as in a log
"""Whatever bytes a file holds: only documented errors come out, and the ledger adds up."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollmill.errors import UnreadableFile
from rollmill.files import Tree
from rollmill.formats import RolloutFile, format_names, load_format
from rollmill.rollout import RECORD_CLASSES, Rollout
from rollmill.rows import record_batch
from tests.writers.claude import ClaudeLog, claude_logs
from tests.writers.claude_thread import SESSION
from tests.writers.codex import THREAD, CodexLog, codex_logs
from tests.writers.picture import PNG_BASE64
from tests.writers.reading import count_records, parsed
from tests.writers.settings import examples

FORMATS = format_names()
LINE_FORMATS = [name for name in ("claude_code", "codex") if name in FORMATS]


def read(format_name: str, data: bytes, name: str | None = None, **options: Any) -> list[Rollout]:
    """The rows, which must fit the schema and have a ledger that adds up; none where the file is refused."""
    try:
        rows = parsed(format_name, data, name, **options)
    except (UnreadableFile, OSError):
        return []
    record_batch(rows)
    for row in rows:
        json.dumps(row.to_row(), allow_nan=False).encode()
        counts = row.source_meta.fidelity.records
        assert counts.total == sum(getattr(counts, name) for name in RECORD_CLASSES)
        assert all(getattr(counts, name) >= 0 for name in RECORD_CLASSES)
    return rows


# Bytes

_PIECES = [
    b"{", b"}", b"[", b"]", b'"', b":", b",", b"\n", b"\r\n", b"\0", b"\xff", b"\xef\xbb\xbf", b"null", b"1e999", b"NaN",
    b"-0", b"1" * 400, b'"\\ud800"', b'"type"', b'"user"', b'"message"', b'"payload"', b'"content"', b'"session"',
    b'{"type":"user","message":{"content":"x"}}', b'{"type":"response_item","payload":{"type":"message","role":"user"}}',
    b'{"messages":[{"role":"user","content":"x"}]}', b'{"schema_version":"ATIF-v1.6","steps":[]}', b"[" * 2000, b"\x28\xb5\x2f\xfd",
]  # fmt: skip
_SOUP = st.lists(st.one_of(st.sampled_from(_PIECES), st.binary(max_size=6)), max_size=14).map(b"".join)
_NAMES = ["rollout-1.jsonl", "rollout-1.json", "rollout-1.jsonl.zst", "agent-1.jsonl", "trajectory.json"]


@pytest.mark.parametrize("format_name", FORMATS)
@examples(80)
@given(st.one_of(_SOUP, st.binary(max_size=60)), st.sampled_from(_NAMES))
def test_any_bytes_give_rows_or_a_documented_error(format_name: str, data: bytes, name: str) -> None:
    for row in read(format_name, data, name):
        if name.endswith(".jsonl") and format_name in LINE_FORMATS:
            assert row.source_meta.fidelity.records.total == count_records(data)


@st.composite
def damaged(draw: st.DrawFn, log: ClaudeLog | CodexLog) -> bytes:
    """The log's bytes with some of them overwritten, left out, doubled or put in."""
    data = log.lines.data()
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        to = at + draw(st.integers(0, 40))
        piece = draw(st.one_of(st.sampled_from(_PIECES), st.binary(max_size=5), st.just(data[at:to])))
        data = data[:at] + piece + data[draw(st.sampled_from([at, at + len(piece), to])) :]
    return data


@examples(80)
@given(st.data())
def test_a_damaged_claude_log_is_read_and_every_record_counted(data: st.DataObject) -> None:
    damage = data.draw(damaged(data.draw(claude_logs)))
    for row in read("claude_code", damage, branches="all"):
        assert row.source_meta.fidelity.records.total == count_records(damage)


@examples(80)
@given(st.data())
def test_a_damaged_codex_log_is_read_and_every_record_counted(data: st.DataObject) -> None:
    damage = data.draw(damaged(data.draw(codex_logs)))
    for row in read("codex", damage):
        assert row.source_meta.fidelity.records.total == count_records(damage)


# Fields

_deep: Any = 1
for _ in range(400):
    _deep = [_deep] if len(str(_)) % 2 else {"a": _deep}
_STRANGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.just(10**400),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.sampled_from(
        ["\ud800", "a\udfffb", "\udfff\ud800", "\0", "line:1", PNG_BASE64, "data:image/png;base64,!!", "data:", "user"]
    ),
    st.just([]),
    st.just({}),
    st.just([None, 1, "x", {}, []]),
    st.just([[["x"]]]),
    st.just({"type": None, "text": 1, "content": {"a": []}, "source": "x", "id": []}),
    st.just([{"type": 1, "text": {"a": 1}}, {"type": "tool_use"}, {"type": "tool_result"}, "x", None]),
    st.just(_deep),
)
_CLAUDE_BASES: list[dict[str, Any]] = [
    {"type": "user", "uuid": "a", "parentUuid": None, "timestamp": "2026-01-01T00:00:00Z", "message": {"content": "hi"}},
    {"type": "assistant", "uuid": "b", "parentUuid": "a", "message": {"id": "m", "model": "x", "content": [
        {"type": "thinking", "thinking": "t"}, {"type": "text", "text": "yo"},
        {"type": "tool_use", "id": "c", "name": "n", "input": {}}], "usage": {"input_tokens": 1, "output_tokens": 2}}},
    {"type": "user", "uuid": "c", "parentUuid": "b", "toolUseResult": {"agentId": "z"}, "message": {"content": [
        {"type": "tool_result", "tool_use_id": "c", "is_error": False, "content": [{"type": "text", "text": "r"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG_BASE64}}]}]}},
    {"type": "attachment", "uuid": "d", "parentUuid": "c", "attachment": {"type": "queued_command", "prompt": "q"}},
    {"type": "progress", "uuid": "e", "parentUuid": "d", "data": {"type": "agent_progress", "agentId": "z"}},
    {"type": "system", "uuid": "f", "parentUuid": None, "logicalParentUuid": "e", "subtype": "compact_boundary"},
    {"type": "summary", "summary": "s", "leafUuid": "f"},
]  # fmt: skip
_CODEX_BASES: list[dict[str, Any]] = [
    {"type": "session_meta", "payload": {"id": THREAD, "cwd": "/w", "git": {"branch": "b"}, "base_instructions": {"text": "s"},
        "source": {"subagent": {"thread_spawn": {"parent_thread_id": "p"}}}, "dynamic_tools": [{}], "history_base": {}}},
    {"type": "turn_context", "payload": {"model": "m", "cwd": "/w"}},
    {"type": "response_item", "payload": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"},
        {"type": "input_image", "image_url": "data:image/png;base64," + PNG_BASE64}]}},
    {"type": "event_msg", "payload": {"type": "user_message", "message": "hi"}},
    {"type": "response_item", "payload": {"type": "reasoning", "summary": [{"type": "summary_text", "text": "t"}],
        "content": [{"type": "reasoning_text", "text": "u"}], "encrypted_content": "x"}},
    {"type": "response_item", "payload": {"type": "function_call", "name": "spawn_agent", "arguments": "{}", "call_id": "c"}},
    {"type": "event_msg", "payload": {"type": "token_count", "info": {"total_token_usage": {"input_tokens": 1, "total_tokens": 1},
        "last_token_usage": {"input_tokens": 1, "output_tokens": 1}}}},
    {"type": "response_item", "payload": {"type": "function_call_output", "call_id": "c", "output": "{\"agent_id\":\"z\"}"}},
    {"type": "response_item", "payload": {"type": "custom_tool_call", "name": "p", "input": "raw", "call_id": "d"}},
    {"type": "response_item", "payload": {"type": "local_shell_call", "action": {"type": "exec"}, "call_id": "e"}},
    {"type": "response_item", "payload": {"type": "image_generation_call", "id": "i", "result": PNG_BASE64}},
    {"type": "response_item", "payload": {"type": "tool_search_output", "call_id": "f", "tools": [{}]}},
    {"type": "compacted", "payload": {"message": "m", "replacement_history": [{"type": "message", "role": "user",
        "content": [{"type": "input_text", "text": "new"}]}]}},
    {"type": "event_msg", "payload": {"type": "thread_rolled_back", "num_turns": 1}},
    {"type": "event_msg", "payload": {"type": "item_completed", "item": {"type": "AgentMessage", "id": "x", "content": [
        {"type": "Text", "text": "m"}]}}},
]  # fmt: skip
_CHAT_BASES: list[dict[str, Any]] = [
    {"id": "i", "reward": 1, "tools": [{}], "messages": [
        {"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "q"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64," + PNG_BASE64}}]},
        {"role": "assistant", "content": "<think>t</think>a", "reasoning_content": "r", "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "out"}]},
    {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"},
        {"from": "function_call", "value": "{\"name\":\"f\",\"arguments\":{}}"}, {"from": "observation", "value": "o"}]},
    {"prompt": "p", "completion": "c"},
    {"trajectory": [{"role": "user", "content": "q"}], "response": {"choices": [{"message": {"role": "assistant", "content": "a"}}]}},
]  # fmt: skip
_ATIF_BASES: list[dict[str, Any]] = [
    {"schema_version": "ATIF-v1.6", "session_id": "s", "agent": {"name": "a", "version": "1", "model_name": "m",
        "tool_definitions": [{}]}, "notes": "n", "final_metrics": {"total_steps": 3}, "steps": [
            {"step_id": 1, "source": "user", "message": "q", "timestamp": "2026-01-01T00:00:00Z"},
            {"step_id": 2, "source": "agent", "message": [{"type": "text", "text": "a"}, {"type": "image", "source": {
                "media_type": "image/png", "path": "x.png"}}], "reasoning_content": "r", "metrics": {"prompt_tokens": 1,
                "completion_tokens": 2, "cached_tokens": 1}, "tool_calls": [{"tool_call_id": "c", "function_name": "f",
                "arguments": {"a": 1}}], "observation": {"results": [{"source_call_id": "c", "content": "o",
                "subagent_trajectory_ref": [{"session_id": "t"}]}]}},
            {"step_id": 3, "source": "system", "message": "m", "is_copied_context": True}],
        "subagent_trajectories": [{"trajectory_id": "t", "steps": [{"step_id": 1, "source": "user", "message": "q"}]}]},
]  # fmt: skip
_BASES = {
    "claude_code": _CLAUDE_BASES,
    "codex": _CODEX_BASES,
    "chat_completion_jsonl": _CHAT_BASES,
    "atif": _ATIF_BASES,
}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to every part of a JSON value, itself first."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """``value`` with ``new`` at the path."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(value[path[0]], path[1:], new)
    return copy


@st.composite
def strange_records(draw: st.DrawFn, bases: list[dict[str, Any]]) -> list[Any]:
    """Records of a format with values of the wrong type, or strange ones of the right type, at some places."""
    records: list[Any] = list(bases)
    for _ in range(draw(st.integers(1, 3))):
        number = draw(st.integers(0, len(records) - 1))
        path = draw(st.sampled_from(list(places(records[number]))))
        records[number] = changed(records[number], path, draw(_STRANGE))
    return records


def as_lines(records: list[Any]) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


@pytest.mark.parametrize("format_name", [name for name in _BASES if name in FORMATS])
@examples(150)
@given(st.data())
def test_fields_of_any_type_are_read(format_name: str, data: st.DataObject) -> None:
    records = data.draw(strange_records(_BASES[format_name]))
    if format_name == "atif":
        read(format_name, json.dumps(records[0]).encode(), "trajectory.json")
        return
    lines = as_lines(records)
    for row in read(format_name, lines, branches=data.draw(st.sampled_from(["live", "all"]))):
        if format_name in LINE_FORMATS:
            assert row.source_meta.fidelity.records.total == count_records(lines)
            assert row.source_meta.fidelity.records.unreadable == 0


@pytest.mark.parametrize("format_name", LINE_FORMATS)
@examples(80)
@given(st.data())
def test_one_odd_field_spoils_its_own_record_only(format_name: str, data: st.DataObject) -> None:
    """A strange value below a record's ``message`` or ``payload`` changes no message of the records before it in a
    conversation without one that looks back (rollback, compaction)."""
    bases = [
        r
        for r in _BASES[format_name]
        if "thread_rolled_back" not in str(r) and r["type"] not in ("compacted", "summary")
    ]
    number = data.draw(st.integers(2, len(bases) - 1))
    inner = [path for path in places(bases[number]) if len(path) > 1 and path[0] in ("message", "payload")]
    if not inner:
        return
    odd = list(bases)
    odd[number] = changed(bases[number], data.draw(st.sampled_from(inner)), data.draw(_STRANGE))
    if odd[number].get("payload", {}).get("type") in ("user_message", "message", "thread_rolled_back"):
        return
    rows, whole = read(format_name, as_lines(odd)), read(format_name, as_lines(bases))
    lines = range(1, number + 1)
    assert rows
    for ours, theirs in zip(rows, whole, strict=False):
        before = [(m.role, m.extra.line) for m in ours.messages if m.extra.line in lines and m.role != "tool"]
        assert before == [(m.role, m.extra.line) for m in theirs.messages if m.extra.line in lines and m.role != "tool"]


@examples(80)
@given(
    st.recursive(
        _STRANGE, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    st.sampled_from(["rollout-1.json", "rollout-1.jsonl"]),
)
@pytest.mark.parametrize("format_name", FORMATS)
def test_any_json_document_gives_rows_or_a_documented_error(format_name: str, value: Any, name: str) -> None:
    read(format_name, json.dumps(value).encode(), name)
    read(format_name, json.dumps({"session": value, "items": [value]}).encode(), name)
    read(format_name, json.dumps({"session": {}, "items": value}).encode(), name)
    read(format_name, json.dumps({"messages": value, "steps": value}).encode(), name)


_HOSTILE = st.dictionaries(
    st.sampled_from(
        [
            "line",
            "#line",
            "fate",
            "#fate",
            "line-0123456789abcdef",
            "fate-0123456789abcdef",
            "__class__",
            "records",
            "self",
        ]
    ),
    st.one_of(st.integers(), st.text(max_size=3), st.just("used"), st.none(), st.just({})),
    max_size=5,
)


@pytest.mark.parametrize("format_name", LINE_FORMATS)
@examples(40)
@given(st.data())
def test_keys_of_the_readers_own_change_nothing(format_name: str, data: st.DataObject) -> None:
    plain = _BASES[format_name]
    hostile = []
    for record in plain:
        keys = data.draw(_HOSTILE)
        record = {**keys, **record, **{key: value for key, value in keys.items() if key not in record}}
        for name in ("message", "payload"):
            if name in record:
                record[name] = {**keys, **record[name]}
        hostile.append(record)
    ours, theirs = read(format_name, as_lines(hostile)), read(format_name, as_lines(plain))
    assert [(r.messages, r.source_meta) for r in ours] == [(r.messages, r.source_meta) for r in theirs]


@pytest.mark.parametrize("depth", [200, 900, 1100, 5000, 200_000])
@pytest.mark.parametrize("format_name", LINE_FORMATS)
def test_deep_nesting_costs_its_own_line_only(format_name: str, depth: int) -> None:
    bases = as_lines(_BASES[format_name])
    deep = b'{"type":"user","x":' + b"[" * depth + b"]" * depth + b"}\n"
    rows = read(format_name, deep + bases)
    assert [row.message_count for row in rows] == [row.message_count for row in read(format_name, bases)]
    assert rows[0].source_meta.fidelity.records.total == count_records(bases) + 1


# What is opened

_opened: list[str] | None = None


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _opened is not None and isinstance(arguments[0], str | bytes):
        _opened.append(arguments[0] if isinstance(arguments[0], str) else arguments[0].decode())


sys.addaudithook(_note)


@contextmanager
def opened_below(folder: Path) -> Iterator[set[str]]:
    """The files below ``folder`` that are opened meanwhile."""
    global _opened
    found: set[str] = set()
    _opened = []
    try:
        yield found
    finally:
        names, _opened = _opened, None
        found.update(Path(name).relative_to(folder).as_posix() for name in names if name.startswith(str(folder)))


def claude_home(folder: Path) -> None:
    texts = {
        f"{SESSION}.jsonl": as_lines(_CLAUDE_BASES)
        + as_lines(
            [
                {"type": "assistant", "uuid": "g", "parentUuid": "f", "message": {"id": "m2", "content": [
                    {"type": "tool_use", "id": "big", "name": "n", "input": {}}]}},
                {"type": "user", "uuid": "h", "parentUuid": "g", "message": {"content": [
                    {"type": "tool_result", "tool_use_id": "big",
                     "content": "<persisted-output>\nFull output saved to: /x/tool-results/big.txt\n\nPreview"}]}},
            ]
        ),
        f"{SESSION}/tool-results/big.txt": b"whole",
        f"{SESSION}/tool-results/other.txt": b"other",
        f"{SESSION}/subagents/agent-z.jsonl": as_lines(_CLAUDE_BASES[:2]),
        f"{SESSION}/subagents/agent-z.meta.json": b'{"toolUseId":"c"}',
        f"{SESSION}/subagents/agent-y.jsonl": as_lines(_CLAUDE_BASES[:2]),
        f"{SESSION}/subagents/agent-y.meta.json": b"{}",
        "other.jsonl": as_lines(_CLAUDE_BASES),
        "history.jsonl": b"{}",
    }  # fmt: skip
    for name, data in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "companions"),
    [
        (f"{SESSION}.jsonl", {f"{SESSION}/tool-results/big.txt"}),
        (f"{SESSION}/subagents/agent-z.jsonl", {f"{SESSION}/subagents/agent-z.meta.json"}),
        ("other.jsonl", set()),
    ],
)
def test_a_claude_log_opens_itself_and_what_it_names(tmp_path: Path, name: str, companions: set[str]) -> None:
    claude_home(tmp_path)
    file = RolloutFile(tmp_path / name, name, Tree(tmp_path))
    with opened_below(tmp_path) as opened:
        rows = list(load_format("claude_code").parse_file(file))
    assert rows and opened == {name} | companions
    assert rows[0].source_meta.fidelity.companions_read == len(companions)


def test_an_index_is_opened_once_for_all_files(tmp_path: Path) -> None:
    claude_home(tmp_path)
    (tmp_path / "sessions-index.json").write_text(
        json.dumps({"entries": [{"sessionId": SESSION, "projectPath": "/p"}]})
    )
    tree = Tree(tmp_path)
    with opened_below(tmp_path) as first:
        rows = list(load_format("claude_code").parse_file(RolloutFile(tmp_path / "other.jsonl", "other.jsonl", tree)))
    with opened_below(tmp_path) as second:
        rows = list(
            load_format("claude_code").parse_file(RolloutFile(tmp_path / f"{SESSION}.jsonl", f"{SESSION}.jsonl", tree))
        )
    assert first == {"other.jsonl", "sessions-index.json"}
    assert second == {f"{SESSION}.jsonl", f"{SESSION}/tool-results/big.txt"}
    assert rows[0].project_path == "/p"


def test_a_codex_log_opens_itself_and_the_parent_of_a_fork(tmp_path: Path) -> None:
    parent, other = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
    names = {thread: f"rollout-2026-03-01T00-00-00-{thread}.jsonl" for thread in (THREAD, parent, other)}
    (tmp_path / names[parent]).write_bytes(as_lines(_CODEX_BASES[1:4]))
    (tmp_path / names[other]).write_bytes(as_lines(_CODEX_BASES))
    fork = [{"type": "session_meta", "payload": {"id": THREAD, "forked_from_id": parent}}, *_CODEX_BASES[1:6]]
    (tmp_path / names[THREAD]).write_bytes(as_lines(fork))
    for name, expected in ((names[other], {names[other]}), (names[THREAD], {names[THREAD], names[parent]})):
        with opened_below(tmp_path) as opened:
            rows = list(load_format("codex").parse_file(RolloutFile(tmp_path / name, name, Tree(tmp_path))))
        assert rows and opened == expected
        assert rows[0].source_meta.fidelity.companions_read == len(expected) - 1
