"""ATIF: Harbor's own models take every document, and our reader reads the messages back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

import rollmill
from rollmill.curate.sample import Sample
from rollmill.export import Refused
from rollmill.formats import RolloutFile
from rollmill.formats.atif import parse_file
from rollmill.rollout import Block, Rollout, Usage
from tests.export.samples import TOOLS, conversation, model, plain, project, result, row, sample, system, user, write
from tests.export.test_targets import HOSTILE


def full() -> Sample:
    """Everything a document can hold at once."""
    made = sample(
        system("You help."),
        user("Before.", kind="copied"),
        model("Copied.", weight=0, kind="copied"),
        user([Block("text", "Two"), Block("text", "parts")], timestamp="2026-01-31T10:00:00.500Z"),
        model(
            "Looking.",
            ("c1", "Bash", '{"command": "ls"}'),
            ("c2", "Bash", '{"n": 1.50}'),
            reasoning="Because.",
            model="m-2",
            timestamp="2026-01-31T10:00:01Z",
            usage=Usage(100, 80, 5, 20, 3),
        ),
        result("c1", "a.py"),
        result("c2", [Block("text", "b"), Block("text", "c")]),
        user("disk is nearly full", origin="harness", kind="observation"),
        model("", origin="harness", weight=0, kind="dispatch"),
        model("In short.", reasoning="A summary.", learns_reasoning=False, usage=Usage(output_tokens=7)),
        tools=TOOLS,
    )
    made.source.agent_version = "2.1.0"
    return made


def back(one: Sample, folder: Path) -> Rollout:
    """The document as our reader reads it."""
    path = folder / "trajectory.json"
    path.write_bytes(msgspec.json.encode(row("atif", one)))
    (rollout,) = parse_file(RolloutFile.alone(path))
    assert rollout.source_meta.fidelity.notes == []
    assert rollout.source_meta.fidelity.unknown_types == {}
    return rollout


def said(message: Any) -> tuple[Any, ...]:
    calls = [(call.id, call.function.name, msgspec.json.decode(call.function.arguments)) for call in message.tool_calls]
    return (message.role, message.content, message.reasoning_content, calls, message.tool_call_id)


@pytest.mark.parametrize("one", [full(), conversation(), plain()], ids=["full", "conversation", "plain"])
def test_our_reader_reads_the_same_messages(one: Sample, tmp_path: Path) -> None:
    messages = back(one, tmp_path).messages
    summary = "A summary."
    wanted = [said(turn.message) for turn in one.turns]
    assert [said(message) for message in messages] == [
        (role, content, None if reasoning == summary else reasoning, calls, call_id)
        for role, content, reasoning, calls, call_id in wanted
    ]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_our_reader_reads_hostile_text_back(text: str, tmp_path: Path) -> None:
    arguments = msgspec.json.encode({text: text}).decode()
    one = sample(user(text), model(text, ("c", text, arguments)), result("c", text), model(text, reasoning=text))
    assert [said(message) for message in back(one, tmp_path).messages] == [said(turn.message) for turn in one.turns]


def test_the_rest_comes_back_too(tmp_path: Path) -> None:
    rollout = back(full(), tmp_path)
    assert rollout.trace_id == "s/0"
    assert rollout.root_session_id == "s"
    assert rollout.source_meta.tools == TOOLS
    assert rollout.source_meta.agent_version == "2.1.0"
    kinds = [message.extra.kind for message in rollout.messages]
    assert kinds == [None, "copied", "copied", None, None, None, None, "observation", "dispatch", None]
    looking = rollout.messages[4].extra
    assert (looking.model, looking.timestamp) == ("m-2", "2026-01-31T10:00:01Z")
    assert looking.usage == Usage(100, 80, None, 20, None)


def test_a_document() -> None:
    made = row("atif", full())
    assert made["schema_version"] == "ATIF-v1.7"
    assert made["agent"] == {"name": "claude_code", "version": "2.1.0", "model_name": "m-1", "tool_definitions": TOOLS}
    assert made["final_metrics"] == {
        "total_prompt_tokens": 100,
        "total_completion_tokens": 27,
        "total_cached_tokens": 80,
        "total_steps": 7,
    }
    assert made["extra"]["rollmill"]["sample_id"] == "s/0"
    assert made["steps"][4] == {
        "step_id": 5,
        "timestamp": "2026-01-31T10:00:01Z",
        "source": "agent",
        "message": "Looking.",
        "model_name": "m-2",
        "extra": {"weight": 1.0, "weight_reason": "model"},
        "reasoning_content": "Because.",
        "metrics": {
            "prompt_tokens": 100,
            "completion_tokens": 20,
            "cached_tokens": 80,
            "extra": {"cache_write_tokens": 5, "reasoning_tokens": 3},
        },
        "tool_calls": [
            {"tool_call_id": "c1", "function_name": "Bash", "arguments": {"command": "ls"}},
            {"tool_call_id": "c2", "function_name": "Bash", "arguments": {"n": 1.5}},
        ],
        "observation": {
            "results": [
                {"source_call_id": "c1", "content": "a.py"},
                {"source_call_id": "c2", "content": [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]},
                {"content": "disk is nearly full"},
            ]
        },
    }
    assert made["steps"][5] == {"step_id": 6, "source": "agent", "message": "", "llm_call_count": 0}


def test_the_lines_of_an_export_are_read_back(tmp_path: Path) -> None:
    write(tmp_path, "atif", "jsonl", conversation(), plain(sample_id="s/1"))
    path = tmp_path / "train.jsonl"
    assert rollmill.detect(path) == "atif"
    first, second = rollmill.read(path)
    assert (first.trace_id, second.trace_id) == ("s/0", "s/1")
    assert list(map(said, first.messages)) == [said(turn.message) for turn in conversation().turns]
    assert [message.text for message in second.messages] == ["Hello?", "Hello."]


def test_what_does_not_count_is_marked_as_copied() -> None:
    made = row("atif", sample(user("A"), model("B", weight=0), user("C"), model("D")))
    assert [step.get("is_copied_context") for step in made["steps"]] == [None, True, None, None]


def test_a_summary_of_reasoning_is_not_reasoning() -> None:
    projection, (made,) = project("atif", full())
    assert "reasoning_content" not in made["steps"][6]
    assert made["steps"][6]["extra"]["thinking"] == "summary"
    assert projection.counts["reasoning_moved_to_extra"] == 1


@pytest.mark.parametrize(
    ("turns", "kind"),
    [
        ([user("A"), result("c", "B"), model("C")], "orphan_result"),
        ([result("c", "B"), model("C")], "orphan_result"),
        ([user("A"), model("", ("c", "B", "{}")), user("D"), result("c", ""), model("C")], "orphan_result"),
        ([user("A"), model("", ("c", "B", "{}"), ("c", "B", "{}")), model("C")], "call_id"),
    ],
)
def test_what_harbor_would_not_take_is_refused(turns: Any, kind: str) -> None:
    with pytest.raises(Refused) as reason:
        project("atif", sample(*turns))
    assert reason.value.kind == kind


SAMPLES = {
    "full": full(),
    "conversation": conversation(),
    "plain": plain(),
    "unanswered": sample(user("A"), model("", ("c", "B", "{}")), user("Stop."), model("C")),
    "placeholder": sample(user([Block("image", "{}")]), model("A cat.")),
    **{name: sample(user(text), model(text, ("c", text, "{}")), result("c", text)) for name, text in HOSTILE.items()},
}


@pytest.mark.parametrize("one", SAMPLES.values(), ids=SAMPLES.keys())
def test_harbor_s_models_validate_the_documents(one: Sample) -> None:
    harbor = pytest.importorskip("harbor.models.trajectories", reason="Harbor's own models prove the documents")
    encoded = msgspec.json.encode(row("atif", one, media="placeholder"))
    document = harbor.Trajectory.model_validate_json(encoded)
    assert document.to_json_dict() == msgspec.json.decode(encoded)
