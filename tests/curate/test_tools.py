"""Tool schemas from calls, from a catalogue, from the row; system prompts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rollmill.curate.samples import build_sample
from rollmill.curate.segments import contexts
from rollmill.curate.tools import Catalogue, InferredTools, Outfit, system_catalogue, tool_catalogue
from rollmill.errors import ConfigError
from rollmill.rollout import Block, Extra, Function, Message, Rollout, ToolCall
from tests.curate.test_segments import human, rollout, system

READ = {"type": "function", "function": {"name": "Read", "parameters": {"type": "object", "properties": {}}}}


def calling(*calls: tuple[str, str], kind: str = "claude_code", version: str | None = None) -> Rollout:
    made = [ToolCall(f"c{i}", Function(name, arguments)) for i, (name, arguments) in enumerate(calls)]
    answers = [Message("tool", [Block("text", "ok")], tool_call_id=call.id) for call in made]
    row = rollout([human(), Message("assistant", [], tool_calls=made, extra=Extra(origin="model")), *answers])
    row.source_kind, row.source_meta.agent_version = kind, version
    return row


def inferred(*rows: Rollout) -> InferredTools:
    tools = InferredTools()
    for row in rows:
        tools.add(row)
    return tools


def outfitted(row: Rollout, outfit: Outfit) -> Any:
    sample = build_sample(row, contexts(row).contexts[0], "trajectory", "task")
    outfit.give(sample, row)
    return sample


def test_names_types_and_what_is_always_there() -> None:
    row = calling(
        ("Edit", '{"path": "a", "line": 1, "all": true, "deep": {"x": 1}}'),
        ("Edit", '{"path": "b", "line": 1.5, "note": null, "lines": [1, 2]}'),
    )
    (tool,) = inferred(row).schemas(calling())
    assert tool["function"] == {
        "name": "Edit",
        "description": "Edit",
        "parameters": {
            "type": "object",
            "properties": {
                "all": {"type": "boolean"},
                "deep": {"type": "object"},
                "line": {"type": "number"},
                "lines": {"type": "array", "items": {}},
                "note": {"type": "null"},
                "path": {"type": "string"},
            },
            "required": ["line", "path"],
        },
    }


def test_an_argument_of_several_types() -> None:
    (tool,) = inferred(calling(("T", '{"a": "x"}'), ("T", '{"a": [1]}'))).schemas(calling())
    assert tool["function"]["parameters"]["properties"] == {"a": {"type": ["array", "string"], "items": {}}}


def test_agents_do_not_share_tools_and_projects_do_not_share_servers() -> None:
    tools = inferred(calling(("Bash", "{}"), ("mcp__db__query", "{}")), calling(("shell", "{}"), kind="codex"))
    names = [tool["function"]["name"] for tool in tools.schemas(calling())]
    assert names == ["Bash"]
    assert len(tools.schemas(calling(("mcp__db__query", "{}")))) == 2
    assert [tool["function"]["name"] for tool in tools.schemas(calling(kind="codex"))] == ["shell"]


def test_versions_and_sub_agents_have_tools_of_their_own() -> None:
    child = calling(("Glob", "{}"), version="2.1.3")
    child.is_sidechain = True
    tools = inferred(calling(("LS", "{}"), version="1.0.9"), calling(("Task", "{}"), version="2.1.30"), child)
    assert [tool["function"]["name"] for tool in tools.schemas(calling(version="2.1.1"))] == ["Task"]
    assert [tool["function"]["name"] for tool in tools.schemas(calling(version="1.0.1"))] == ["LS"]
    assert [tool["function"]["name"] for tool in tools.schemas(child)] == ["Glob"]


def test_a_call_that_failed_or_was_never_answered_shows_no_tool() -> None:
    row = calling(("Invented", "{}"), ("Bash", '{"cmd": 1}'), ("Bash", '{"command": "ls"}'), ("Open", "{}"))
    row.messages[2].extra.is_error = row.messages[3].extra.is_error = True
    row.messages.pop()
    (tool,) = inferred(row).schemas(row)
    assert tool["function"]["name"] == "Bash"
    assert tool["function"]["parameters"]["required"] == ["command"]


def test_what_hostile_logs_call() -> None:
    bad = calling(("a b<script>", "{}"), ("T", "[1]"), ("T", "no json"), ("T", '{"a\\u0000": 1, "b": 2}'), ("T", "{}"))
    (tool,) = inferred(bad).schemas(calling())
    assert tool["function"] == {
        "name": "T",
        "description": "T",
        "parameters": {"type": "object", "properties": {"b": {"type": "integer"}}},
    }
    many = calling(("T", json.dumps({f"a{i}": i for i in range(1000)})))
    assert len(inferred(many).schemas(calling())[0]["function"]["parameters"]["properties"]) == 100


def test_recorded_then_catalogue_then_inferred_then_none(tmp_path: Path) -> None:
    catalogue = tmp_path / "tools.json"
    catalogue.write_text(json.dumps({"claude_code": {"2.1": [READ]}}))
    row = calling(("Bash", "{}"), version="2.1.126")
    other = calling(("Bash", "{}"), version="2.10.3")
    outfit = Outfit(inferred(row, other), tool_catalogue(catalogue))
    assert (outfitted(row, outfit).tools, outfitted(row, outfit).tools_source) == ([READ], "catalogue")
    assert outfitted(other, outfit).tools_source == "inferred"
    silent = rollout([human(), Message("assistant", [Block("text", "hi")], extra=Extra(origin="model"))])
    assert (outfitted(silent, outfit).tools, outfitted(silent, outfit).tools_source) == (None, "absent")
    row.source_meta.tools = [{"name": "Grep", "input_schema": {"type": "object"}}]
    assert outfitted(row, outfit).tools_source == "recorded"
    assert outfitted(row, outfit).tools == [
        {"type": "function", "function": {"name": "Grep", "description": "Grep", "parameters": {"type": "object"}}}
    ]


@pytest.mark.parametrize(
    ("version", "entry"),
    [("2.1.126", "2.1.126"), ("2.1.127", "2.1"), ("2.10.0", "*"), (None, "*"), ("2.1-beta", "2.1")],
)
def test_the_longest_version_that_fits(version: str | None, entry: str) -> None:
    catalogue = Catalogue(Path("x"), {"claude_code": {name: name for name in ("*", "2.1", "2.1.126")}})
    assert catalogue.find(calling(version=version)) == entry
    assert catalogue.find(calling(version=version, kind="codex")) is None
    child = calling(version=version)
    child.is_sidechain = True
    assert catalogue.find(child) is None, "a sub-agent has other tools than the agent that started it"


def test_a_system_prompt_is_given_where_there_is_none(tmp_path: Path) -> None:
    prompt = tmp_path / "system.md"
    prompt.write_text("You are careful.")
    outfit = Outfit(InferredTools(), system=system_catalogue(prompt))
    sample = outfitted(calling(("Bash", "{}")), outfit)
    assert sample.system_source == "given"
    first = sample.turns[0]
    assert (first.message.role, first.message.text, first.index, first.weight) == ("system", "You are careful.", -1, 0)
    row = calling(("Bash", "{}"))
    row.messages.insert(0, system())
    assert outfitted(row, outfit).system_source == "recorded"
    assert [turn.message.role for turn in outfitted(row, outfit).turns].count("system") == 1


@pytest.mark.parametrize(
    "text", ["{", "[1]", '{"claude_code": [1]}', '{"claude": {"*": []}}', '{"claude_code": {"*": [{"x": 1}]}}', "3"]
)
def test_a_catalogue_of_another_shape(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tools.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"tools\.json"):
        tool_catalogue(path)
    with pytest.raises(ConfigError, match=r"tools\.json"):
        system_catalogue(path)
