"""Conversations that are known, written as Claude Code writes them, read back as they were."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollmill.rollout import Rollout
from tests.writers.claude import ClaudeLog, claude_logs, linear_claude_logs
from tests.writers.claude_thread import SESSION
from tests.writers.meant import in_order, seen, usage_sum
from tests.writers.reading import count_records, ledger, parsed, readable
from tests.writers.settings import examples


def read(log: ClaudeLog, **options: str) -> list[Rollout]:
    rows = parsed("claude_code", log.lines.data(), **options)
    return [msgspec.structs.replace(row, source_path="") for row in rows]


def sidechain_rows(log: ClaudeLog, rows: list[Rollout]) -> list[Rollout]:
    named = {row.trace_id: row for row in rows if row.is_sidechain}
    return [named[f"{SESSION}:{(side.side or {}).get('agentId', side.first_uuid)}"] for side in log.sides]


@examples(150)
@given(claude_logs)
def test_the_live_branch_is_exactly_what_was_meant(log: ClaudeLog) -> None:
    main, *others = read(log)
    assert [seen(message) for message in main.messages] == [message.seen() for message in log.live]
    assert main.trace_id == SESSION and main.agent_id is None and not main.is_sidechain
    assert len(others) == len(log.sides)


@examples(80)
@given(claude_logs)
def test_each_call_is_answered_once_and_directly(log: ClaudeLog) -> None:
    """A weaker statement than the one above, made without the order the writer kept."""
    for row in read(log, branches="all"):
        expected: list[str] = []
        answers = {message.tool_call_id for message in row.messages if message.role == "tool"}
        for message in row.messages:
            if message.role == "tool":
                assert expected and message.tool_call_id == expected.pop(0)
            else:
                assert not expected
                expected = [call.id for call in message.tool_calls if call.id in answers]
        assert not expected


@examples(80)
@given(claude_logs)
def test_sums_and_segments(log: ClaudeLog) -> None:
    main = read(log)[0]
    meta, live = main.source_meta, log.live
    assert meta.usage == usage_sum(live)
    assert meta.models == list(dict.fromkeys(message.model for message in live if message.model))
    compactions = [n for n, message in enumerate(live) if message.kind == "compact_summary"]
    assert [(s.index, s.reason, s.first_message) for s in meta.segments] == [
        (0, "start", 0),
        *((index, "compaction", first) for index, first in enumerate(compactions, 1)),
    ]
    fidelity = meta.fidelity
    assert fidelity.compactions == len(compactions)
    assert fidelity.api_errors == len(log.main.on_branch)
    assert fidelity.unanswered_calls == sum(
        call[0] not in message.results for message in live for call in message.calls if call[3] == "function"
    )
    assert (fidelity.orphan_results, fidelity.gaps) == (0, 0)
    assert main.started_at is not None and main.started_at <= (main.ended_at or "")


@examples(80)
@given(claude_logs)
def test_sidechains_are_rows_of_their_own(log: ClaudeLog) -> None:
    rows = read(log)
    for side, row in zip(log.sides, sidechain_rows(log, rows), strict=True):
        assert [seen(message) for message in row.messages] == [message.seen() for message in in_order(side.live)]
        assert row.agent_id == (side.side or {}).get("agentId")
        assert row.source_meta.parent is not None and row.source_meta.parent.trace_id == SESSION
        assert row.source_meta.usage == usage_sum(side.live)


@examples(120)
@given(claude_logs)
def test_every_record_has_one_class(log: ClaudeLog) -> None:
    data = log.lines.data()
    rows = parsed("claude_code", data)
    expected = {"total": count_records(data), **log.classes()}
    assert expected["total"] == len(log.lines.record_lines)
    assert [ledger(row) for row in rows] == [expected] * len(rows)


@examples(100)
@given(claude_logs)
def test_each_abandoned_message_is_on_a_branch(log: ClaudeLog) -> None:
    live_only, everything = read(log), read(log, branches="all")
    branches = [row for row in everything if "#b" in row.trace_id]
    assert [row for row in everything if row not in branches] == live_only
    assert [row.trace_id for row in branches] == [f"{SESSION}#b{n}" for n in range(1, len(branches) + 1)]
    given_up = in_order(log.abandoned)
    found = [seen(message) for row in branches for message in row.messages]
    without_segment = [{**message, "segment": 0} for message in found]
    for message in given_up:
        assert {**message.seen(), "segment": 0} in without_segment
    lost = live_only[0].source_meta.fidelity.abandoned_usage
    assert lost == (usage_sum(given_up) if any(message.usage for message in given_up) else None)
    for row in branches:
        lines = [message.extra.line for message in row.messages]
        assert any(message.extra.line in {line for m in given_up for line in m.lines} for message in row.messages), (
            lines
        )


@examples(80)
@given(linear_claude_logs, st.data())
def test_a_cut_changes_nothing_before_it(log: ClaudeLog, data: st.DataObject) -> None:
    """A linear log (nothing rewound, no result later than the next message), cut after any byte: its messages are the
    first ones of the whole log's. Only the last model message may have fewer blocks and an older token count, and any
    of its results may be missing."""
    whole_bytes = log.lines.data()
    cut_at = data.draw(st.integers(0, len(whole_bytes)))
    cut_bytes = whole_bytes[:cut_at]
    whole = parsed("claude_code", whole_bytes)[0].messages
    rows = readable("claude_code", cut_bytes)
    cut = rows[0].messages if rows else []
    last = max((n for n, message in enumerate(cut) if message.role == "assistant"), default=len(cut))
    assert cut[:last] == whole[:last]
    if last < len(cut):
        assert cut[last].extra.id == whole[last].extra.id and cut[last].extra.line == whole[last].extra.line
        assert all(block in whole[last].content for block in cut[last].content)
        assert all(call in whole[last].tool_calls for call in cut[last].tool_calls)
        behind = iter(whole[last + 1 :])
        assert all(any(message == other for other in behind) for message in cut[last + 1 :])
    if rows:
        assert ledger(rows[0])["total"] == count_records(cut_bytes)


@pytest.mark.parametrize("cut", range(1, 6))
def test_the_last_line_may_be_cut_anywhere(cut: int) -> None:
    prompt = b'{"type":"user","uuid":"a","parentUuid":null,"message":{"content":"hi"}}\n'
    answer = (
        b'{"type":"assistant","uuid":"b","parentUuid":"a","message":{"id":"m","content":[{"type":"text","text":"yo"}]}}'
    )
    (row,) = parsed("claude_code", prompt + answer[: len(answer) * cut // 6])
    assert [message.text for message in row.messages] == ["hi"]
    assert row.source_meta.fidelity.torn_tail and row.source_meta.fidelity.unreadable_lines == [2]


# Found by the tests above, each in its smallest form

PROMPT: dict[str, Any] = {"type": "user", "uuid": "u", "parentUuid": None, "message": {"content": "hi"}}


def said(uuid: str, parent: str, *blocks: dict[str, Any]) -> dict[str, Any]:
    """A line of the message ``m``."""
    return {"type": "assistant", "uuid": uuid, "parentUuid": parent, "message": {"id": "m", "content": list(blocks)}}


def call(name: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": name, "name": "n", "input": {}}


def results(uuid: str, parent: str, **texts: str) -> dict[str, Any]:
    blocks = [{"type": "tool_result", "tool_use_id": name, "content": text} for name, text in texts.items()]
    return {"type": "user", "uuid": uuid, "parentUuid": parent, "message": {"content": blocks}}


def row_of(*records: dict[str, Any]) -> Rollout:
    (row,) = parsed("claude_code", b"".join(json.dumps(record).encode() + b"\n" for record in records))
    return row


def test_a_prompt_queued_behind_a_branching_message_is_kept() -> None:
    queued = {"type": "attachment", "uuid": "q", "parentUuid": "c"}
    queued["attachment"] = {"type": "queued_command", "prompt": "stop!"}
    text = {"type": "text", "text": "z"}
    row = row_of(
        PROMPT,
        said("a", "u", call("x")),
        said("b", "a", call("y")),
        results("r", "a", x="out"),
        said("c", "r", text),
        queued,
    )
    assert [message.text for message in row.messages] == ["hi", "z", "out", "stop!"]


def test_the_first_of_two_results_of_a_call_counts() -> None:
    row = row_of(PROMPT, said("a", "u", call("x")), results("r", "a", x="first"), results("s", "a", x="second"))
    assert [message.text for message in row.messages] == ["hi", "", "first"]


def test_a_record_that_says_several_results_again_is_a_duplicate() -> None:
    row = row_of(
        PROMPT, said("a", "u", call("x"), call("y")), results("r", "a", x="1", y="2"), results("s", "r", x="1", y="2")
    )
    assert ledger(row) == {"total": 4, "used": 3, "duplicate": 1}


@pytest.mark.parametrize("block", [{"type": "thinking", "thinking": ""}, {"type": "redacted_thinking", "data": "x"}])
def test_thinking_without_text_is_said_once(block: dict[str, str]) -> None:
    row = row_of(PROMPT, said("a", "u", block), said("b", "a", block, {"type": "text", "text": "x"}))
    assert row.messages[1].extra.block_order is None


def test_a_user_record_without_message_has_one_class() -> None:
    row = row_of(PROMPT, {"type": "user", "uuid": "v", "parentUuid": "u", "message": None})
    counts = ledger(row)
    assert counts.pop("total") == sum(counts.values())


def test_a_byte_order_mark_alone_is_no_record() -> None:
    (row,) = parsed("claude_code", b"\xef\xbb\xbf\n" + json.dumps(PROMPT).encode())
    assert ledger(row) == {"total": 1, "used": 1}


@pytest.mark.parametrize("value", [{}, [], {"a": 1}, 5])
def test_a_type_that_is_no_text_spoils_its_own_line(value: object) -> None:
    row = row_of(PROMPT, {"type": value})
    assert ledger(row) == {"total": 2, "used": 1, "unknown": 1}


@pytest.mark.parametrize("kind", [[], {}, None, 3])
def test_a_result_block_of_any_type_is_kept(kind: object) -> None:
    odd: Any = [{"type": kind, "source": {}}]
    row = row_of(PROMPT, said("a", "u", call("x")), results("r", "a", x=odd))
    assert len(row.messages[2].content) == 1


def test_a_lone_surrogate_in_a_strange_block_is_replaced() -> None:
    row = row_of(PROMPT, said("a", "u", {"type": "odd", "x": "\ud800"}))
    assert json.loads(row.messages[1].content[0].text or "")["x"] == "\ufffd"


@pytest.mark.parametrize("place", ["timestamp", "message", "toolUseResult", "content"])
def test_a_number_that_only_python_writes_spoils_its_own_line(place: str) -> None:
    """``NaN`` and ``Infinity`` are no JSON; writers in Python make them all the same."""
    odd = {**PROMPT, "uuid": "v", "parentUuid": "u", place: float("inf")}
    if place == "content":
        odd["message"] = {"content": float("nan")}
    counts = ledger(row_of(PROMPT, odd))
    assert counts.pop("total") == sum(counts.values()) == 2


QUEUED = {"type": "queued_command", "prompt": "x"}


@pytest.mark.parametrize(
    "records",
    [
        [{"type": "new", "uuid": "v"}, {**PROMPT, "uuid": "v"}],
        [{"type": "user", "uuid": "v", "message": None}, {**PROMPT, "uuid": "v"}],
        [PROMPT, {"type": "new", "uuid": "v", "attachment": QUEUED}],
        [PROMPT, {"type": "user", "uuid": "v", "message": None, "attachment": QUEUED}],
    ],
)
def test_an_unknown_record_has_one_class(records: list[dict[str, Any]]) -> None:
    counts = ledger(row_of(*records))
    assert counts.pop("total") == sum(counts.values())
