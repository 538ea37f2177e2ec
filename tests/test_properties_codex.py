"""Threads that are known, written as Codex writes them, read back as they were."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rollmill.rollout import Rollout
from tests.writers.codex import THREAD, CodexLog, codex_logs, linear_codex_logs
from tests.writers.meant import in_order, seen, usage_sum
from tests.writers.reading import count_records, ledger, parsed, readable
from tests.writers.settings import examples


def read(log: CodexLog) -> Rollout:
    (row,) = parsed("codex", log.lines.data()) or [None]
    assert row is not None
    return row


def is_empty(log: CodexLog) -> bool:
    """Whether all was rolled back: such a thread gives no row."""
    return not any(m.role == "assistant" or m.origin == "human" for m in log.messages)


@examples(70)
@given(codex_logs)
def test_the_conversation_is_exactly_what_was_meant(log: CodexLog) -> None:
    if is_empty(log):
        assert parsed("codex", log.lines.data()) == []
        return
    row = read(log)
    assert [seen(message) for message in row.messages] == [message.seen() for message in log.messages]
    assert row.trace_id == THREAD


@examples(40)
@given(codex_logs)
def test_sums_and_segments(log: CodexLog) -> None:
    if is_empty(log):
        return
    row, messages = read(log), log.messages
    meta = row.source_meta
    assert meta.usage == usage_sum(messages)
    assert meta.models == list(dict.fromkeys(message.model for message in messages if message.model))
    compactions = [n for n, message in enumerate(messages) if message.kind == "compact_summary"]
    assert [(s.index, s.reason, s.first_message) for s in meta.segments] == [
        (0, "start", 0),
        *((index, "compaction", first) for index, first in enumerate(compactions, 1)),
    ]
    assert meta.fidelity.compactions == len(compactions)
    given_up = in_order(log.abandoned)
    assert meta.fidelity.abandoned_usage == (usage_sum(given_up) if any(m.usage for m in given_up) else None)
    assert meta.fidelity.unanswered_calls == sum(
        call[0] not in message.results for message in messages for call in message.calls if call[3] == "function"
    )
    assert meta.fidelity.orphan_results == 0


@examples(40)
@given(codex_logs)
def test_a_summary_names_the_messages_it_keeps(log: CodexLog) -> None:
    if is_empty(log):
        return
    messages, read_ones = log.messages, read(log).messages
    for summary, kept in log.kept:
        if not any(summary is message for message in messages):
            continue
        at = next(n for n, message in enumerate(messages) if message is summary)
        told = json.loads(read_ones[at].extra.other or "{}")
        assert told["encrypted"] is False
        assert [messages[n].text for n in told["kept_messages"]] == [
            m.text for m in kept if any(m is x for x in messages)
        ]


@examples(60)
@given(codex_logs)
def test_every_record_has_one_class(log: CodexLog) -> None:
    if is_empty(log):
        return
    data = log.lines.data()
    expected = {"total": count_records(data), **log.classes()}
    assert expected["total"] == len(log.lines.record_lines)
    assert ledger(read(log)) == expected


@examples(40)
@given(linear_codex_logs, st.data())
def test_a_cut_changes_nothing_before_it(log: CodexLog, data: st.DataObject) -> None:
    """A log without rollbacks, cut after any byte: its messages are the first ones of the whole log's. The last model
    message may lack items and tokens, its results may be missing. A prompt whose ``user_message`` event is cut off
    while the log has others may pass for injected text, and the first text of a kind may stand in the event that told
    it before the item did; nothing else changes."""
    whole_bytes = log.lines.data()
    cut_bytes = whole_bytes[: data.draw(st.integers(0, len(whole_bytes)))]
    whole = read(log).messages
    rows = readable("codex", cut_bytes)
    cut = rows[0].messages if rows else []
    last = max((n for n, message in enumerate(cut) if message.role == "assistant"), default=len(cut))
    prompts = [n for n, message in enumerate(cut) if message.role == "user"]
    for number, (ours, theirs) in enumerate(zip(cut[:last], whole, strict=False)):
        if prompts and number == prompts[-1] and ours.extra.kind == "injected":
            assert ours.text == theirs.text
        else:
            assert ours == theirs
    if last < len(cut):
        ours, theirs = cut[last], whole[last]
        assert (ours.extra.line or 0) <= (theirs.extra.line or 0) and ours.content == theirs.content[
            : len(ours.content)
        ]
        assert ours.tool_calls == theirs.tool_calls[: len(ours.tool_calls)]
    if rows:
        assert ledger(rows[0])["total"] == count_records(cut_bytes)


# Found by reading and by the tests above, each in its smallest form


def line(kind: str, **payload: Any) -> bytes:
    return json.dumps({"type": kind, "payload": payload}).encode() + b"\n"


def item(role: str, *texts: str) -> bytes:
    return line("response_item", type="message", role=role, content=[{"type": "input_text", "text": t} for t in texts])


def typed(text: str) -> bytes:
    return line("event_msg", type="user_message", message=text)


HEADER = line("session_meta", id=THREAD)


def test_a_rollback_takes_a_whole_prompt_back() -> None:
    """One item with injected text between two typed parts is one turn."""
    log = HEADER + item("user", "one") + typed("one") + item("assistant", "a")
    log += (
        item("user", "two", "<environment_context>x", "three") + typed("two") + typed("three") + item("assistant", "b")
    )
    (row,) = parsed("codex", log + line("event_msg", type="thread_rolled_back", num_turns=1))
    assert [message.text for message in row.messages] == ["one", "a"]


def test_two_compactions_in_a_row_keep_both_summaries() -> None:
    log = HEADER + item("user", "one") + item("assistant", "a")
    (row,) = parsed("codex", log + line("compacted", message="first") + line("compacted", message="second"))
    assert [message.text for message in row.messages] == ["one", "a", "first", "second"]


def test_a_lone_surrogate_in_a_strange_output_is_replaced() -> None:
    output = [{"type": "odd", "x": "\ud800"}]
    log = HEADER + item("user", "one") + line("response_item", type="function_call_output", call_id="c", output=output)
    (row,) = parsed("codex", log)
    assert json.loads(row.messages[1].content[0].text or "")["x"] == "\ufffd"
