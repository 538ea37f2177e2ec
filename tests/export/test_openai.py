"""OpenAI: rows keep the published rules of fine-tuning files, which a validator here checks one by one.

The rules are those of the API description's ``FineTuneChatRequestInput`` and of its messages, and of the guides on
supervised fine-tuning and on function calling.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from rollmill.curate.sample import Sample
from rollmill.export import Refused
from tests.export.samples import TOOLS, conversation, model, plain, project, result, row, sample, system, user

NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
KEYS = {
    "system": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "name", "refusal", "tool_calls", "weight"},
    "tool": {"role", "content", "tool_call_id"},
}


def faults(row: Any) -> list[str]:
    """Which of the published rules the row breaks."""
    found = []
    if not isinstance(row.get("messages"), list) or not row["messages"]:
        return ["messages must be a list of at least one"]
    found += [f"unknown key {key}" for key in row.keys() - {"messages", "tools", "parallel_tool_calls"}]
    found += [fault for message in row["messages"] for fault in message_faults(message)]
    found += tool_faults(row)
    found += answer_faults(row["messages"])
    model_messages = [message for message in row["messages"] if message["role"] == "assistant"]
    if not any(message.get("weight", 1) == 1 for message in model_messages):
        found.append("no assistant message to learn")
    if row["messages"][-1]["role"] != "assistant":
        found.append("the last message is not the assistant's")
    return found


def message_faults(message: Any) -> list[str]:
    role = message.get("role")
    if role not in KEYS:
        return [f"unknown role {role!r}"]
    found = [f"unknown key {key} of {role}" for key in message.keys() - KEYS[role]]
    calls = message.get("tool_calls")
    if not isinstance(message.get("content"), str) and not (role == "assistant" and calls):
        found.append(f"{role} without content")
    if message.get("weight", 1) not in (0, 1) or isinstance(message.get("weight"), float):
        found.append("weight must be 0 or 1")
    if calls is not None and not calls:
        found.append("tool_calls is empty")
    for call in calls or []:
        if set(call) != {"id", "type", "function"} or call["type"] != "function" or not call["id"]:
            found.append("a call needs id, type and function")
        if set(call["function"]) != {"name", "arguments"} or not isinstance(call["function"]["arguments"], str):
            found.append("arguments must be a string")
        if not NAME.match(call["function"]["name"]):
            found.append(f"name {call['function']['name']!r}")
    return found


def tool_faults(row: Any) -> list[str]:
    if "tools" not in row:
        return ["parallel_tool_calls without tools"] if "parallel_tool_calls" in row else []
    found = [] if 1 <= len(row["tools"]) <= 128 else ["1 to 128 tools"]
    for tool in row["tools"]:
        if tool.get("type") != "function" or not NAME.match(tool["function"]["name"]):
            found.append(f"tool {tool}")
        if not isinstance(tool["function"].get("parameters", {}), dict):
            found.append("parameters must be an object")
    return found


def answer_faults(messages: list[Any]) -> list[str]:
    found: list[str] = []
    waiting: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                found.append("a result answers no call of the message before it")
            else:
                waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            found.append("calls must be answered directly behind their message")
        waiting = [call["id"] for call in message.get("tool_calls", ())]
        if len(set(waiting)) < len(waiting):
            found.append("call ids must differ")
    return found + (["the last calls are not answered"] if waiting else [])


def refused(one: Sample) -> str:
    with pytest.raises(Refused) as reason:
        project("openai", one)
    return reason.value.kind


def test_a_conversation_row() -> None:
    made = row("openai", conversation())
    assert faults(made) == []
    assert made["messages"][2] == {
        "role": "assistant",
        "content": "Looking.",
        "weight": 1,
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "Bash", "arguments": '{"command": "ls"}'}},
            {"id": "c2", "type": "function", "function": {"name": "Bash", "arguments": '{"command": "cat a.py"}'}},
        ],
    }
    assert made["messages"][4] == {"role": "tool", "content": "x = 1\n", "tool_call_id": "c2"}
    assert "content" not in made["messages"][5]
    assert made["tools"] == TOOLS
    assert made["parallel_tool_calls"] is True


def test_a_row_without_tools_has_no_keys_of_tools() -> None:
    made = row("openai", plain())
    assert faults(made) == []
    assert set(made) == {"messages"}


def test_every_model_message_says_whether_it_counts() -> None:
    one = sample(system("S"), user("A"), model("B", weight=0), user("C"), model("D"))
    made = row("openai", one)
    assert faults(made) == []
    assert [message.get("weight") for message in made["messages"]] == [None, None, 0, None, 1]


def test_reasoning_has_no_field_and_is_counted() -> None:
    projection, (made,) = project("openai", conversation())
    assert "reasoning" not in str(made)
    assert projection.counts["reasoning_left_out"] == 2


def test_arguments_are_the_source_s_text_even_where_they_are_no_json() -> None:
    made = row("openai", sample(user("A"), model("", ("c", "Bash", '{"a": ')), result("c", "bad JSON"), model("B")))
    assert faults(made) == []
    assert made["messages"][1]["tool_calls"][0]["function"]["arguments"] == '{"a": '


@pytest.mark.parametrize(
    ("turns", "kind"),
    [
        ([user("A"), model("", ("c", "Bash", "{}")), user("Stop."), model("B")], "unanswered_call"),
        (
            [user("A"), model("", ("c", "Bash", "{}"), ("d", "Bash", "{}")), result("d", ""), model("B")],
            "unanswered_call",
        ),
        ([user("A"), result("c", "B"), model("C")], "orphan_result"),
        ([user("A"), model("", ("c", "B", "{}")), result("c", ""), result("c", ""), model("C")], "orphan_result"),
        ([user("A"), model("", ("c", "B", "{}"), ("c", "B", "{}")), result("c", ""), model("C")], "call_id"),
        ([user("A"), model("", ("", "B", "{}")), result("", ""), model("C")], "call_id"),
        ([user("A"), model("", ("c", "mcp.x/y", "{}")), result("c", ""), model("C")], "tool_name"),
        ([user("A"), model("", ("c", "x" * 65, "{}")), result("c", ""), model("C")], "tool_name"),
        ([user("A"), model("", ("c", "Bash\n", "{}")), result("c", ""), model("C")], "tool_name"),
        ([user("A"), model("", reasoning="B")], "no_target"),
    ],
)
def test_what_breaks_a_rule_is_refused(turns: Any, kind: str) -> None:
    assert refused(sample(*turns)) == kind


@pytest.mark.parametrize("name", ["container.exec", "search__search.query"])
def test_a_refused_tool_is_named_with_the_targets_that_carry_it(name: str) -> None:
    one = sample(user("A"), model("", ("c", name, "{}")), result("c", ""), model("B"))
    with pytest.raises(Refused) as reason:
        row("openai", one)
    assert str(reason.value) == (
        f"the tool '{name}' was called, and OpenAI takes names of 1 to 64 letters, digits, _ or - only. "
        "--to trl and --to sharegpt carry any name"
    )
    assert row("trl", one)["messages"][1]["tool_calls"][0]["function"]["name"] == name
    assert name in row("sharegpt", one)["conversations"][1]["value"]


@pytest.mark.parametrize(
    ("tools", "kind"),
    [
        ([{"name": "Bash", "input_schema": {}}], "tool_schema"),
        (["Bash"], "tool_schema"),
        ([{"type": "function", "function": {"name": "a", "parameters": []}}], "tool_schema"),
        ([{"type": "function", "function": {"name": "a"}}] * 129, "tool_count"),
    ],
)
def test_tools_that_are_none_are_refused(tools: list[Any], kind: str) -> None:
    assert refused(plain(tools=tools)) == kind


def test_what_cannot_be_carried_without_loss_of_the_rest_is_left_out_and_counted() -> None:
    """A message of reasoning only, and a schema whose name the API does not take, which nobody called."""
    odd = {"type": "function", "function": {"name": "container.exec", "parameters": {"type": "object"}}}
    one = sample(user("A"), model("", reasoning="B"), model("C"), tools=[odd, *TOOLS])
    projection, (made,) = project("openai", one)
    assert faults(made) == []
    assert [message["role"] for message in made["messages"]] == ["user", "assistant"]
    assert made["tools"] == TOOLS
    assert projection.counts == {"reasoning_left_out": 1, "empty_messages_left_out": 1, "tools_left_out": 1}
