"""Contexts over random rollouts: every message of the model is learnt once, and only where it really stood."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollmill.curate.segments import MODES, Contexts, contexts, from_model, unanswered
from rollmill.rollout import Block, Extra, Function, Message, Parent, Rollout, Segment, SourceMeta, ToolCall


def rollout(messages: list[Message], segments: list[Segment] | None = None, **row: object) -> Rollout:
    meta = SourceMeta("test/1", segments=segments or [Segment(0, "start", 0)])
    fields = dict.fromkeys(("root_session_id", "agent_id", "cwd", "project_path", "git_branch", "started_at"))
    values = {**fields, "ended_at": None, "trace_id": "t", "source_kind": "test", "source_path": "f", **row}
    return Rollout(**{"is_sidechain": False, **values}, messages=messages, source_meta=meta)  # type: ignore[arg-type]


def human(text: str = "do it") -> Message:
    return Message("user", [Block("text", text)], extra=Extra(origin="human"))


def model(text: str = "done", *calls: str, thinking: str | None = None, **extra: object) -> Message:
    called = [ToolCall(call, Function("Bash", "{}")) for call in calls]
    return Message(
        "assistant",
        [Block("text", text)],
        thinking,
        called,
        extra=Extra(origin="model", **extra),  # type: ignore[arg-type]
    )


def result(call: str) -> Message:
    return Message("tool", [Block("text", "ok")], tool_call_id=call, extra=Extra(origin="tool"))


def system(kind: str | None = "base_instructions") -> Message:
    return Message("system", [Block("text", "you are")], extra=Extra(origin="harness", kind=kind))


def summary(other: str | None = None) -> Message:
    return Message(
        "user", [Block("text", "so far")], extra=Extra(origin="harness", kind="compact_summary", other=other)
    )


def shape(found: Contexts) -> list[tuple[tuple[int, ...], list[int], str]]:
    return [(c.messages, sorted(c.targets), c.reason) for c in found.contexts]


@st.composite
def turns(draw: st.DrawFn, number: int) -> list[Message]:
    """One turn: a prompt, an answer without calls, or one with calls of which some are answered."""
    kind = draw(st.sampled_from(["human", "model", "calls", "copied", "dispatch", "system"]))
    if kind == "human":
        return [human()]
    if kind == "system":
        return [system("developer")]
    if kind == "dispatch":
        return [Message("assistant", [], extra=Extra(origin="harness", kind="dispatch"))]
    if kind == "copied":
        return [model(kind="copied")]
    ids = [f"c{number}.{i}" for i in range(draw(st.integers(1, 3)) if kind == "calls" else 0)]
    answered = [call for call in ids if draw(st.integers(0, 4))]
    thinking = draw(st.sampled_from([None, "hm"]))
    return [model("x", *ids, thinking=thinking), *map(result, answered)]


@st.composite
def rollouts(draw: st.DrawFn) -> Rollout:
    messages = [system()] if draw(st.booleans()) else []
    segments = [Segment(0, "start", 0)]
    for number in range(draw(st.integers(0, 14))):
        if messages and draw(st.integers(0, 5)) == 0:
            segments.append(Segment(len(segments), "compaction", len(messages)))
            kept = [i for i, m in enumerate(messages) if m.role != "tool" and draw(st.integers(0, 3)) == 0]
            messages.append(summary(f'{{"kept_messages":{kept}}}'))
        messages += draw(turns(number))
    return rollout(messages, segments)


@pytest.mark.parametrize("mode", MODES)
@given(row=rollouts())
def test_each_message_of_the_model_is_a_target_once_and_in_order(mode: str, row: Rollout) -> None:
    found = contexts(row, mode)  # type: ignore[arg-type]
    learnt = [i for context in found.contexts for i in context.messages if i in context.targets]
    wrote = [i for i, m in enumerate(row.messages) if from_model(m)]
    assert learnt == sorted(set(learnt))
    assert set(learnt) <= set(wrote)
    assert not any(row.messages[i].extra.kind == "copied" for i in learnt)
    assert len(wrote) == len(learnt) + found.copied + found.cut
    # What is cut has unanswered calls, or stands behind one that has.
    assert found.cut == 0 or any(unanswered(row.messages, i) for i in wrote)


@pytest.mark.parametrize("mode", MODES)
@given(row=rollouts())
def test_a_context_is_one_the_model_saw(mode: str, row: Rollout) -> None:
    bounds = [segment.first_message for segment in row.source_meta.segments] + [len(row.messages)]
    for context in contexts(row, mode).contexts:  # type: ignore[arg-type]
        first, end = bounds[context.index], bounds[context.index + 1]
        again = [i for i in context.messages if i < first]
        own = [i for i in context.messages if i >= first]
        assert list(context.messages) == again + own
        assert own == list(range(first, own[-1] + 1)), "the segment's own messages are a prefix of it, without a hole"
        assert own[-1] < end
        assert own[-1] in context.targets, "a sample ends with what is learnt"
        assert not unanswered(row.messages, own[-1])
        assert not context.targets.intersection(again)
        assert max(Counter(context.messages).values()) == 1


def test_the_whole_context_up_to_the_last_answered_call() -> None:
    row = rollout([human(), model("a", "c1"), result("c1"), model("b", "c2"), human("stop"), model("c", "c3")])
    found = contexts(row)
    # The call c2 was never answered, but the conversation went on; the calls that hang at the end are cut back,
    # and with them what the model never got an answer to.
    assert shape(found) == [((0, 1), [1], "start")]
    assert (found.cut, found.copied) == (2, 0)


def test_results_behind_the_last_turn_are_cut_and_cost_no_target() -> None:
    row = rollout([human(), model("a", "c1"), result("c1")])
    assert shape(contexts(row)) == [((0, 1), [1], "start")]
    assert contexts(row).cut == 0


def test_one_sample_for_each_call_with_all_before_it() -> None:
    row = rollout([human(), model("a", "c1"), result("c1"), model("b"), human(), model("c")])
    assert shape(contexts(row, "per_turn")) == [
        ((0, 1), [1], "start"),
        ((0, 1, 2, 3), [3], "start"),
        ((0, 1, 2, 3, 4, 5), [5], "start"),
    ]


def test_earlier_thinking_is_gone_where_a_new_question_came() -> None:
    row = rollout([human(), model("a", "c1", thinking="hm"), result("c1"), model("b", thinking="so"), human(), model()])
    first, second = contexts(row, "per_user_turn").contexts
    assert (first.messages, first.targets, first.stripped) == ((0, 1, 2, 3), {1, 3}, frozenset())
    assert (second.messages, second.targets, second.stripped) == ((0, 1, 2, 3, 4, 5), {5}, {1, 3})


def test_a_compaction_begins_anew_with_the_system_prompt_and_what_was_kept() -> None:
    messages = [system(), system("developer"), human("one"), model("a"), human("two"), model("b", "c1"), result("c1")]
    messages += [summary('{"kept_messages":[4,2,3]}'), human("three"), model("c")]
    row = rollout(messages, [Segment(0, "start", 0), Segment(1, "compaction", 7)])
    before, after = contexts(row).contexts
    assert before.messages == (0, 1, 2, 3, 4, 5)
    assert (after.messages, after.targets, after.reason) == ((0, 2, 3, 4, 7, 8, 9), {9}, "compaction")
    assert after.texts == {3}


def test_a_context_that_is_only_ciphertext_says_so() -> None:
    messages = [human(), model(), summary('{"kept_messages":[],"encrypted":true}'), model("b")]
    row = rollout(messages, [Segment(0, "start", 0), Segment(1, "compaction", 2)])
    assert [context.whole for context in contexts(row).contexts] == [True, False]


def test_why_a_row_begins() -> None:
    one = [human(), model()]
    fork = rollout(one)
    fork.source_meta.forked_from = "other"
    child = rollout(one, is_sidechain=True)
    child.source_meta.parent = Parent("p")
    rows = [rollout(one), rollout(one, trace_id="t#b1"), child, fork]
    assert [contexts(row).contexts[0].reason for row in rows] == ["start", "branch", "subagent", "fork"]
    assert contexts(rollout([])).contexts == []


def test_what_another_row_has_is_context() -> None:
    row = rollout([human(), model("old", id="msg_1"), human(), model("new", id="msg_2")])
    found = contexts(row, is_copy=lambda index: row.messages[index].extra.id == "msg_1")
    assert shape(found) == [((0, 1, 2, 3), [3], "start")]
    assert found.copied == 1
