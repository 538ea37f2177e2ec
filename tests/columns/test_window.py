"""A window over a rollout: within its budget whatever it holds, with what decides in it."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rollmill.columns.templates import compile_template, tokens
from tests.columns.asked import rollout, said


def window(messages: list[dict[str, Any]], size: int) -> str:
    return compile_template(f"{{{{ messages | window({size}) }}}}").render({"messages": messages})


def long_rollout(steps: int = 200) -> list[dict[str, Any]]:
    """A correction, an error and a run of tests in the midst of many steps that decide nothing."""
    messages = [said("user", "Make the importer faster.", origin="human")]
    for number in range(steps):
        id = f"c{number}"
        messages.append(
            said("assistant", f"Step {number}.", origin="model", calls=[(id, "Read", {"path": f"{number}"})])
        )
        messages.append(said("tool", "content " * 200, origin="tool", is_error=False, answers=id))
        if number == 60:
            messages.append(said("user", "Stop: keep the old file format.", origin="human"))
        if number == 100:
            messages.append(said("assistant", origin="model", calls=[("e", "Bash", {"command": "make"})]))
            messages.append(said("tool", "ImportError: no codec", origin="tool", is_error=True, answers="e"))
        if number == 150:
            messages.append(said("assistant", origin="model", calls=[("t", "Bash", {"command": "pytest -q"})]))
            messages.append(said("tool", "31 passed in 2s", origin="tool", is_error=False, answers="t"))
    return [*messages, said("assistant", "The importer is twice as fast.", origin="model")]


def test_a_short_rollout_is_whole() -> None:
    row = {"messages": rollout()}
    assert window(rollout(), 2_000) == compile_template("{{ messages | transcript }}").render(row)


def test_what_decides_is_kept_and_what_is_left_out_is_said() -> None:
    text = window(long_rollout(), 1_000)
    for kept in (
        "Make the importer faster.",
        "The importer is twice as fast.",
        "Stop: keep the old file format.",
        "ImportError: no codec",
        'Bash {"command": "make"}',
        'Bash {"command": "pytest -q"}',
        "31 passed in 2s",
    ):
        assert kept in text, kept
    assert "messages left out with" in text and "calls: Read" in text


def test_turns_stand_in_their_order() -> None:
    numbers = [int(line[1 : line.index("]")]) for line in window(long_rollout(), 1_500).split("\n") if line[:1] == "["]
    assert numbers == sorted(set(numbers)) and numbers[0] == 0


def test_left_out_messages_add_up() -> None:
    messages = long_rollout()
    text = window(messages, 800)
    left_out = sum(int(number) for number in re.findall(r"\(… (\d+) messages? left out", text))
    assert left_out + len(re.findall(r"^\[\d+\] ", text, re.MULTILINE)) == len(messages)


def test_it_is_the_same_every_time() -> None:
    assert window(long_rollout(), 900) == window(long_rollout(), 900)


TEXT = st.one_of(
    st.text(max_size=40), st.sampled_from(["é" * 3_000, "x" * 9_000, "[7] user\n", "(… 3 messages left out …)"])
)
MESSAGE = st.builds(
    lambda role, text, error, calls: said(
        role, text, is_error=error, calls=calls if role == "assistant" else [], answers="c" if role == "tool" else None
    ),
    st.sampled_from(["system", "user", "assistant", "tool"]),
    TEXT,
    st.sampled_from([None, True, False]),
    st.lists(st.tuples(st.just("c"), TEXT, st.dictionaries(st.sampled_from(["command", "path"]), TEXT)), max_size=3),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(MESSAGE, max_size=30), st.integers(50, 3_000))
def test_a_window_keeps_its_budget(messages: list[dict[str, Any]], size: int) -> None:
    assert tokens(window(messages, size)) <= size


@settings(max_examples=100, deadline=None)
@given(st.lists(MESSAGE, max_size=10))
def test_no_message_passes_for_another(messages: list[dict[str, Any]]) -> None:
    text = compile_template("{{ messages | transcript }}").render({"messages": messages})
    headings = [line for line in text.split("\n") if re.match(r"\[\d+\] ", line)]
    assert len(headings) == len(messages) and all(line.startswith(f"[{n}] ") for n, line in enumerate(headings))


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=10)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=10), inner, max_size=4)),
    max_leaves=10,
)
ODD = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "tool"]), "content": JSON},
    optional={"tool_calls": JSON, "tool_call_id": JSON, "extra": JSON, "reasoning_content": JSON},
)


@settings(max_examples=200, deadline=None)
@given(st.lists(ODD, min_size=1, max_size=6))
def test_odd_messages_are_read_as_far_as_they_go(messages: list[dict[str, Any]]) -> None:
    """Seeds may hold any JSON that looks like messages: filters read what is there and raise nothing of Python's."""
    text = "{{ messages | window(100) }}{{ messages | transcript(reasoning=9) }}{{ messages | last_test_result }}"
    text += "{{ messages | tool_names }}{{ messages | text }}{{ messages[0].content }}{{ messages }}"
    assert isinstance(compile_template(text).render({"messages": messages}), str)
