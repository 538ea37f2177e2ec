"""Canonical samples, and how messages and samples are known again."""

from __future__ import annotations

from rollmill.curate.sample import Sample
from rollmill.curate.samples import build_sample, content_of, copy_keys, digest, estimated_tokens, sample_digest
from rollmill.curate.segments import contexts
from rollmill.rollout import Message, Parent, Rollout, Segment
from tests.curate.test_segments import human, model, result, rollout, summary, system

LONG_ID = "msg_01BmXH28pQwDkT5yZr7NfA"


def only(row: Rollout, mode: str = "trajectory", summaries: bool = False) -> Sample:
    (context,) = contexts(row, mode).contexts  # type: ignore[arg-type]
    return build_sample(row, context, mode, "task", summaries)  # type: ignore[arg-type]


def same(one: Message, other: Message) -> bool:
    """Whether one is known again as a copy of the other."""
    keys = [set(copy_keys(message, digest(content_of(message)))) for message in (one, other)]
    return not keys[0].isdisjoint(keys[1])


def key(sample: Sample, row: Rollout) -> bytes:
    (context,) = contexts(row).contexts
    return sample_digest(sample.turns, context, [digest(content_of(message)) for message in row.messages])


def test_the_turns_and_where_they_are_from() -> None:
    row = rollout([system(), human(), model("a", "c", line=3), result("c"), model("b", line=5), human("bye")])
    row.source_meta.parent = Parent("above")
    sample = only(row)
    assert [(turn.index, turn.weight, turn.reason) for turn in sample.turns] == [
        (0, 0, "context"),
        (1, 0, "context"),
        (2, 1, "model"),
        (3, 0, "context"),
        (4, 1, "model"),
    ]
    assert (sample.row_id, sample.parent_row_id, sample.system_source) == ("t", "above", "recorded")
    assert (sample.source.first_line, sample.source.last_line) == (3, 5)


def test_only_thinking_in_full_is_learnt() -> None:
    kinds = ("full", "summary", "empty", "encrypted", None)
    row = rollout([human(), *(model("x", thinking="hm", line=i) for i, _ in enumerate(kinds))])
    for message, kind in zip(row.messages[1:], kinds, strict=True):
        message.extra.thinking = kind  # type: ignore[assignment]
    assert [turn.reasoning for turn in only(row).turns[1:]] == [True, False, False, False, False]
    assert [turn.reasoning for turn in only(row, summaries=True).turns[1:]] == [True, True, False, False, False]


def test_what_a_compaction_kept_of_a_turn_is_its_text() -> None:
    messages = [human(), model("a", "c1", thinking="hm"), result("c1"), model("b")]
    messages += [summary('{"kept_messages":[0,1]}'), model("c")]
    row = rollout(messages, [Segment(0, "start", 0), Segment(1, "compaction", 4)])
    sample = build_sample(row, contexts(row).contexts[1], "trajectory", "task")
    kept = sample.turns[1]
    assert (kept.message.text, kept.message.tool_calls, kept.message.reasoning_content) == ("a", [], None)
    assert (kept.weight, kept.reason) == (0, "earlier or copied turn")
    # The row itself is as it was.
    assert row.messages[1].tool_calls and row.messages[1].reasoning_content


def test_a_copy_is_known_by_its_id() -> None:
    first = model("a", id=LONG_ID, timestamp="2026-01-01T00:00:00Z")
    assert same(model("a", id=LONG_ID, timestamp="2026-02-01T00:00:00Z"), first), "written again in a resumed session"
    assert same(model("a and a call", id=LONG_ID, timestamp="2026-01-01T00:00:00Z"), first), "cut off in one log"
    assert not same(model("b", id=LONG_ID, timestamp="2026-03-01T00:00:00Z"), first), "a placeholder for an id"
    assert not same(model("a", id="msg_another_one_long"), first)


def test_short_ids_are_unique_only_with_their_time() -> None:
    step = model("Let me look.", id="2", timestamp="2026-01-01T00:00:00Z")
    assert same(model("Let me look.", id="2", timestamp="2026-01-01T00:00:00Z"), step)
    assert not same(model("Let me look.", id="2", timestamp="2026-01-01T00:00:01Z"), step)
    assert not same(model("Let me look.", id="2"), model("Let me look.", id="2"))


def test_samples_that_say_and_learn_the_same() -> None:
    rows = [rollout([human(), model()]), rollout([human(), model(line=9)], trace_id="other")]
    one, again = map(only, rows)
    assert key(one, rows[0]) == key(again, rows[1])
    again.turns[1].weight = 0.5
    assert key(one, rows[0]) != key(again, rows[1])
    third = rollout([human(), model("x")])
    assert key(one, rows[0]) != key(only(third), third)


def test_an_estimate_of_tokens() -> None:
    assert estimated_tokens(only(rollout([human("a" * 40), model("é" * 20)]))) == 20
