"""ATIF: what a golden folder cannot say. Random trajectories come back as they were written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollmill.detection import detect
from rollmill.errors import UnreadableFile
from rollmill.files import Tree
from rollmill.formats import RolloutFile, load_format
from rollmill.formats.atif import is_handled_file, parse_file
from rollmill.media import MediaFolder
from rollmill.rollout import RECORD_CLASSES, Rollout
from tests.golden import FOLDER
from tests.writers import examples, parsed

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(TEXT, JSON, max_size=3)


def read(document: Any) -> list[Rollout]:
    return parsed("atif", json.dumps(document).encode(), "trajectory.json")


@st.composite
def agent_steps(draw: st.DrawFn) -> dict[str, Any]:
    """A step of an agent whose calls, all but some, are answered in any order."""
    ids = draw(st.lists(st.text("abcdef", min_size=1, max_size=2), unique=True, max_size=3))
    answered = draw(st.permutations(ids))[: draw(st.integers(0, len(ids)))]
    return {
        "source": "agent",
        "message": draw(TEXT),
        "reasoning_content": draw(st.none() | TEXT),
        "tool_calls": [{"tool_call_id": i, "function_name": "f", "arguments": draw(ARGUMENTS)} for i in ids],
        "observation": {"results": [{"source_call_id": i, "content": f"result {i}"} for i in answered]},
        "metrics": {"prompt_tokens": draw(st.integers(0, 10**6)), "completion_tokens": draw(st.integers(0, 99))},
        "is_copied_context": draw(st.sampled_from([None, False, True])),
    }


SAID = st.fixed_dictionaries({"source": st.sampled_from(["user", "system"]), "message": TEXT})


@st.composite
def trajectories(draw: st.DrawFn) -> dict[str, Any]:
    steps = draw(st.lists(agent_steps() | SAID, min_size=1, max_size=6))
    for number, step in enumerate(steps, 1):
        step["step_id"] = number
    return {"schema_version": "ATIF-v1.7", "session_id": "s", "agent": {"name": "a", "version": "1"}, "steps": steps}


@examples(150)
@given(trajectories())
def test_a_trajectory_comes_back_as_it_was_written(document: dict[str, Any]) -> None:
    (row,) = read(document)
    said = [m for m in row.messages if m.role != "tool"]
    assert [m.text for m in said] == [step["message"] for step in document["steps"]]
    for message, step in zip(said, document["steps"], strict=True):
        assert message.reasoning_content == (step.get("reasoning_content") or None)
        calls = step.get("tool_calls", [])
        assert [(c.id, json.loads(c.function.arguments)) for c in message.tool_calls] == [
            (call["tool_call_id"], call["arguments"]) for call in calls
        ]
        answered = {result["source_call_id"] for result in step.get("observation", {"results": []})["results"]}
        behind = row.messages[row.messages.index(message) + 1 :][: len(answered)]
        assert [m.tool_call_id for m in behind] == [c["tool_call_id"] for c in calls if c["tool_call_id"] in answered]
        assert [m.text for m in behind] == [f"result {m.tool_call_id}" for m in behind]


@examples(100)
@given(trajectories())
def test_copied_steps_are_kept_and_counted_apart(document: dict[str, Any]) -> None:
    (row,) = read(document)
    copied = [bool(step.get("is_copied_context")) for step in document["steps"]]
    records = row.source_meta.fidelity.records
    assert (records.replayed, records.used, records.metadata) == (sum(copied), len(copied) - sum(copied), 1)
    own = [step["metrics"] for step in document["steps"] if "metrics" in step and not step["is_copied_context"]]
    assert row.source_meta.usage.input_tokens == (sum(m["prompt_tokens"] for m in own) if own else None)


@examples(200)
@given(JSON, JSON, JSON)
def test_any_values_are_read_or_refused(steps: Any, step: Any, agent: Any) -> None:
    inner = {"source": "agent", "message": step, "tool_calls": [step], "observation": step, "metrics": step}
    for document in (
        {"schema_version": "ATIF-v1.7", "steps": steps, "agent": agent, "subagent_trajectories": steps},
        {"agent": agent, "steps": [step, inner, inner | {"observation": {"results": [step, {"content": step}]}}]},
        {"agent": agent, "steps": [inner], "subagent_trajectories": [{"steps": [step, inner], "trajectory_id": step}]},
    ):
        try:
            rows = read(document)
        except UnreadableFile:
            continue
        for row in rows:
            records = row.source_meta.fidelity.records
            assert records.total == sum(getattr(records, name) for name in RECORD_CLASSES)
            assert row.source_meta.fidelity.records.total == rows[0].source_meta.fidelity.records.total


@examples(200)
@given(st.binary(max_size=60) | st.binary(max_size=9).map(lambda tail: b'{"agent":{},"steps":[{"source":"user"' + tail))
def test_any_bytes_give_rows_or_a_documented_error(data: bytes) -> None:
    try:
        parsed("atif", data, "trajectory.json")
    except UnreadableFile as problem:
        assert problem.kind in ("not_json", "not_a_rollout")


def test_too_deep_nesting_is_no_crash() -> None:
    deep = b'{"agent":{},"steps":[{"source":"user","message":' + b"[" * 100_000 + b"]" * 100_000 + b"}]}"
    with pytest.raises(UnreadableFile) as problem:
        parsed("atif", deep, "trajectory.json")
    assert problem.value.kind == "not_json"


def test_arguments_keep_the_numbers_they_were_written_with() -> None:
    data = b"""{"agent": {}, "steps": [{"source": "agent", "tool_calls": [{"tool_call_id": "c", "function_name": "f",
        "arguments": {"big": 123456789012345678901234567890, "exact": 1.10, "huge": 1e999}}]}]}"""
    (row,) = parsed("atif", data, "trajectory.json")
    arguments = row.messages[0].tool_calls[0].function.arguments
    assert arguments == '{"big":123456789012345678901234567890,"exact":1.10,"huge":1e999}'


def test_the_numbers_only_python_writes_become_their_names() -> None:
    (row,) = read({"agent": {}, "final_metrics": float("nan"), "steps": [{"source": "user", "message": "q"}]})
    assert row.source_meta.other == {"final_metrics": "NaN"}


def test_nothing_outside_the_root_is_read(tmp_path: Path) -> None:
    """A trial's result beside the root's ``agent`` folder: noted as missing, not opened."""
    agent = tmp_path / "trial" / "agent"
    agent.mkdir(parents=True)
    (tmp_path / "trial" / "result.json").write_text('{"verifier_result": {"rewards": {"reward": 1}}}')
    (agent / "trajectory.json").write_text('{"agent": {}, "steps": [{"source": "user", "message": "q"}]}')
    (inside,) = parse_file(RolloutFile(agent / "trajectory.json", "trial/agent/trajectory.json", Tree(tmp_path)))
    (outside,) = parse_file(RolloutFile.alone(agent / "trajectory.json"))
    assert inside.source_meta.labels["reward"] == 1
    assert outside.source_meta.labels == {}
    assert outside.source_meta.fidelity.companions_missing == ["result.json"]


def test_a_result_that_is_no_result_gives_no_labels(tmp_path: Path) -> None:
    agent = tmp_path / "job" / "trial" / "agent"
    agent.mkdir(parents=True)
    (agent / "trajectory.json").write_text('{"agent": {}, "steps": [{"source": "user", "message": "q"}]}')
    file = RolloutFile(agent / "trajectory.json", "job/trial/agent/trajectory.json", Tree(tmp_path))
    odd = [
        "",
        "[",
        "7",
        '{"verifier_result": 7}',
        '{"stats": {"evals": {"e": 7, "f": {"reward_stats": {"reward": {"x": [7]}}}}}}',
    ]
    for text in odd:
        (agent.parent / "result.json").write_text(text)
        (agent.parent.parent / "result.json").write_text(text)
        (row,) = parse_file(file)
        assert row.source_meta.labels == {}


def test_a_sub_agent_in_a_flat_list_belongs_to_the_one_that_called_it() -> None:
    """Harbor resolves every reference against the root's list, so a grandchild may lie beside its parent."""

    def calling(trajectory_id: str) -> dict[str, Any]:
        result = {"source_call_id": "c", "subagent_trajectory_ref": [{"trajectory_id": trajectory_id}]}
        return {
            "source": "agent",
            "message": "",
            "tool_calls": [{"tool_call_id": "c", "function_name": "spawn", "arguments": {}}],
            "observation": {"results": [result]},
        }

    child = {"trajectory_id": "child", "agent": {}, "steps": [calling("grandchild")]}
    grandchild = {"trajectory_id": "grandchild", "agent": {}, "steps": [{"source": "agent", "message": "done"}]}
    root = {"trajectory_id": "root", "agent": {}, "steps": [calling("child")]}
    rows = read(root | {"subagent_trajectories": [child, grandchild]})
    assert [row.trace_id for row in rows] == ["root", "child", "grandchild"]
    assert [[c.agent_id for c in row.source_meta.children] for row in rows] == [["child"], ["grandchild"], []]
    assert rows[2].source_meta.parent is not None and rows[2].source_meta.parent.trace_id == "child"


def test_embedded_images_go_to_the_store(tmp_path: Path) -> None:
    situation = FOLDER / "atif/multimodal/input"
    file = RolloutFile(situation / "trajectory.json", "trajectory.json", Tree(situation), media=MediaFolder(tmp_path))
    parse_file(file)
    (stored,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert stored.suffix == ".png"


def test_harbors_other_files_are_no_trajectories() -> None:
    assert is_handled_file("job/trial/agent/trajectory.cont-1.json")
    assert not any(map(is_handled_file, ["job/result.json", "job/trial/config.json", "job/trial/lock.json", "x.jsonl"]))


@pytest.mark.parametrize("path", sorted((FOLDER / "atif").glob("[!_]*/input/**/*.json")), ids=lambda p: p.name)
def test_every_trajectory_is_told_from_all_other_formats(path: Path) -> None:
    if is_handled_file(path.name):
        assert detect(path) == "atif"
    assert not load_format("atif").recognise([{"type": "user", "message": {"role": "user"}, "agent": {}}])
