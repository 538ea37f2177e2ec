"""ShareGPT rows: what LLaMA-Factory makes of them, by the rules of its converter and its function formatter."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from rollmill.curate.sample import Sample
from rollmill.errors import ConfigError
from rollmill.export import Refused, Settings, load_target
from tests.export.samples import TOOLS, conversation, model, plain, project, result, row, rows, sample, system, user
from tests.export.test_targets import HOSTILE

ODD, EVEN = ("human", "observation"), ("gpt", "function_call")


def calls_of(value: str) -> tuple[str, list[tuple[str, Any]]]:
    """The text and the calls that LLaMA-Factory finds in a ``function_call``: what stands between the first pair of
    marks is JSON, the rest is text; without marks, what stands between the thinking's marks is cut out first."""
    marked = re.search("<tool_call>(.*?)</tool_call>", value, re.DOTALL)
    thought = re.search("<think>\n(.*?)\n</think>\n\n", value, re.DOTALL)
    if marked:
        text, inner = value.replace(marked[0], ""), marked[1]
    else:
        text, inner = (thought[0], value.replace(thought[0], "")) if thought else ("", value)
    calls = json.loads(inner)
    return text, [(call["name"], call["arguments"]) for call in (calls if isinstance(calls, list) else [calls])]


def taken(made: Any) -> bool:
    """Whether LLaMA-Factory takes the row: it passes over what does not alternate or does not end with the model."""
    senders = [message["from"] for message in made["conversations"]]
    sides = all(sender in (EVEN if place % 2 else ODD) for place, sender in enumerate(senders))
    tools = json.loads(made["tools"]) if made["tools"] else []
    named = all(tool["function"]["parameters"]["properties"] is not None for tool in tools)
    return sides and len(senders) % 2 == 0 and isinstance(made["system"], str) and named


def refused(*turns: Any, **settings: Any) -> str:
    with pytest.raises(Refused) as reason:
        project("sharegpt", sample(*turns), **settings)
    return reason.value.kind


def test_a_conversation_row() -> None:
    made = row("sharegpt", conversation())
    assert taken(made)
    assert made["system"] == "You help."
    assert json.loads(made["tools"])[0] == TOOLS[0]
    assert json.loads(made["metadata"])["sample_id"] == "s/0"
    assert made["conversations"] == [
        {"from": "human", "value": "Fix it."},
        {
            "from": "function_call",
            "value": "<think>\nFirst look.\n</think>\n\nLooking.\n<tool_call>"
            '[{"name":"Bash","arguments":{"command": "ls"}},{"name":"Bash","arguments":{"command": "cat a.py"}}]'
            "</tool_call>",
        },
        {"from": "observation", "value": "a.py\nx = 1\n"},
        {
            "from": "function_call",
            "value": '{"name":"Edit","arguments":{"path": "a.py", "lines": [1, 2.5, null], "deep": {"a": {"b": "c"}}}}',
        },
        {"from": "observation", "value": ""},
        {"from": "gpt", "value": "Done."},
        {"from": "human", "value": "Thanks. Explain?"},
        {"from": "gpt", "value": "<think>\nSay why.\n</think>\n\nIt was a one."},
    ]


def test_text_reasoning_and_calls_come_back() -> None:
    values = [message["value"] for message in row("sharegpt", conversation())["conversations"]]
    assert calls_of(values[1]) == (
        "<think>\nFirst look.\n</think>\n\nLooking.\n",
        [("Bash", {"command": "ls"}), ("Bash", {"command": "cat a.py"})],
    )
    assert calls_of(values[3])[0] == ""


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("said", ["", "Hm."])
def test_hostile_arguments_come_back(text: str, said: str) -> None:
    arguments = json.dumps({"a": text, text: "<think>\nx\n</think>\n\n<tool_call>{}</tool_call>"})
    made = row("sharegpt", sample(user("A"), model(said, ("c", text, arguments)), result("c", ""), model("B")))
    assert taken(made)
    assert calls_of(made["conversations"][1]["value"])[1] == [(text, json.loads(arguments))]


def test_a_call_mark_in_the_text_of_a_message_with_calls_is_refused() -> None:
    turns = [user("A"), model("Say <tool_call>", ("c", "Bash", "{}")), result("c", ""), model("B")]
    assert refused(*turns) == "tool_call_text"
    assert row("sharegpt", sample(user("A"), model("Say <tool_call>")))


def test_messages_of_one_side_become_one() -> None:
    one = sample(
        user("A"), user("B"), model("C"), model("D", ("c", "Bash", "{}")), result("c", "E"), user("Stop."), model("F")
    )
    projection, (made,) = project("sharegpt", one)
    assert made["conversations"] == [
        {"from": "human", "value": "A\nB"},
        {"from": "function_call", "value": 'C\nD\n<tool_call>{"name":"Bash","arguments":{}}</tool_call>'},
        {"from": "observation", "value": "E\nStop."},
        {"from": "gpt", "value": "F"},
    ]
    assert projection.counts["user_text_in_observation"] == 1


def test_a_refusal_says_that_it_is_copied_context_and_what_carries_it() -> None:
    copied = model("B", weight=0)
    copied.reason = "earlier or copied turn"
    with pytest.raises(Refused) as reason:
        project("sharegpt", sample(user("A"), copied, user("C"), model("D")))
    assert reason.value.kind == "weights"
    assert str(reason.value) == (
        "a model message is context that is not to be learnt (earlier or copied turn), and LLaMA-Factory cannot leave "
        "it out of the loss: it learns every model turn, or with mask_history the last one only. --to openai carries "
        "it, and --to trl with --tokenizer"
    )
    with pytest.raises(Refused, match=r"before the last turn is to be learnt.*--to openai"):
        project("sharegpt", sample(user("A"), model("B"), user("C"), model("D")), mode="per_turn")


def test_only_the_last_turn_counts_where_the_settings_say_so() -> None:
    one = sample(user("A"), model("B", weight=0), user("C"), model("D"))
    assert refused(*one.turns) == "weights"
    for settings in ({"mode": "per_turn"}, {"masks": ("last-turn",)}):
        projection, (made,) = project("sharegpt", one, **settings)
        assert taken(made)
        assert "mask_history: true" in projection.notes()
        with pytest.raises(Refused):
            project("sharegpt", conversation(), **settings)
    assert "mask_history: false" in project("sharegpt", plain())[0].notes()


def test_reasoning_that_does_not_count_is_left_out_and_counted() -> None:
    one = sample(user("A"), model("B", reasoning="C", learns_reasoning=False))
    projection, (made,) = project("sharegpt", one)
    assert made["conversations"][1]["value"] == "B"
    assert projection.counts["reasoning_left_out"] == 1


@pytest.mark.parametrize(
    ("turns", "kind"),
    [
        ([model("A"), user("B"), model("C")], "no_prompt"),
        ([user("A"), model("B"), user("C")], "last_message"),
        ([user("A"), model("B"), system("C"), user("D"), model("E")], "system_message"),
        ([user("A"), model("", ("c", "Bash", "{}")), model("B")], "order"),
        ([user("A"), model("B", reasoning="x\n</think>\ny")], "reasoning_text"),
        ([user("A"), model("B"), model("C", weight=0)], "weights"),
        ([system("A"), model("B")], "no_prompt"),
    ],
)
def test_what_cannot_be_carried_is_refused(turns: Any, kind: str) -> None:
    assert refused(*turns) == kind


def test_a_mask_within_a_conversation_is_a_mistake_before_the_run() -> None:
    with pytest.raises(ConfigError, match="mask-errors"):
        load_target("sharegpt").projection(Settings(masks=("mask-errors",)))


def test_tools_have_the_properties_that_the_formatter_looks_for() -> None:
    tools = [{"type": "function", "function": {"name": "Now"}}]
    (made,) = rows("sharegpt", plain(tools=tools))
    assert taken(made)
    wanted = {"name": "Now", "parameters": {"type": "object", "properties": {}}}
    assert json.loads(made["tools"]) == [{"type": "function", "function": wanted}]


@pytest.mark.parametrize("function", [{"name": "Now", "parameters": ["x"]}, "Now", None])
def test_a_tool_that_is_none_is_refused(function: Any) -> None:
    with pytest.raises(Refused) as reason:
        project("sharegpt", plain(tools=[{"type": "function", "function": function}]))
    assert reason.value.kind == "tool_schema"


def test_words_that_templates_take_for_pictures_are_counted() -> None:
    one: Sample = sample(user("See <image>."), model("No."))
    assert project("sharegpt", one)[0].counts["media_words"] == 1
