"""ATIF: what a golden folder cannot say. Random trajectories come back as they were written."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rollmill
from rollmill.detection import detect
from rollmill.errors import UnreadableFile
from rollmill.files import Tree
from rollmill.formats import RolloutFile, load_format
from rollmill.formats.atif import is_handled_file, parse_file
from rollmill.media import MediaFolder
from rollmill.rollout import RECORD_CLASSES, Parent, Rollout
from tests.golden import FOLDER
from tests.writers.picture import PNG_BASE64, PNG_SHA256
from tests.writers.reading import parsed
from tests.writers.settings import examples

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
    for name in ("trajectory.json", "train.jsonl"):
        try:
            parsed("atif", data, name)
        except UnreadableFile as problem:
            assert problem.kind in ("not_json", "not_a_rollout")


@examples(50)
@given(st.lists(trajectories() | JSON | st.binary(max_size=9).filter(lambda data: b"\n" not in data), max_size=4))
def test_lines_give_what_each_would_give_as_a_document(values: list[Any]) -> None:
    lines = [value if isinstance(value, bytes) else json.dumps(value).encode() for value in values]
    alone = []
    for line in lines:
        with suppress(UnreadableFile):
            alone += parsed("atif", line, "trajectory.json")
    try:
        rows = parsed("atif", b"\n".join(lines), "train.jsonl")
    except UnreadableFile:
        rows = []
    assert [row.messages for row in rows] == [row.messages for row in alone]
    assert len({row.trace_id for row in rows}) == len(rows)
    for row in rows:
        records = row.source_meta.fidelity.records
        assert records.total == sum(getattr(records, name) for name in RECORD_CLASSES)


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
    assert not any(map(is_handled_file, ["job/result.json", "job/trial/config.json", "job/trial/lock.json", "x.md"]))


def test_the_logs_that_agents_leave_in_harbors_folders_are_no_trajectories(tmp_path: Path) -> None:
    agent = tmp_path / "trial" / "agent"
    agent.mkdir(parents=True)
    (agent / "trajectory.json").write_text(json.dumps(asking("a")))
    (agent / "session.jsonl").write_text(json.dumps(asking("b")) + "\n")
    rollouts = rollmill.read(tmp_path, "atif")
    assert [row.trace_id for row in rollouts] == ["a"]
    assert rollouts.summary.skipped == {"pattern": 1}
    assert [row.trace_id for row in rollmill.read(tmp_path, "atif", file_pattern="*.jsonl")] == ["b"]


def asking(trajectory_id: str, text: str = "q", **more: Any) -> dict[str, Any]:
    steps = [{"source": "user", "message": text}, {"source": "agent", "message": f"about {text}"}]
    return {"schema_version": "ATIF-v1.7", "trajectory_id": trajectory_id, "agent": {}, "steps": steps, **more}


def test_each_line_is_a_document() -> None:
    documents = [asking("a"), asking("b", "é"), asking("c", subagent_trajectories=[asking("d")]), asking("e", steps=[])]
    rows = parsed("atif", b"\n".join(json.dumps(one).encode() for one in documents), "train.jsonl")
    assert [(row.trace_id, row.messages[0].text) for row in rows] == [("a", "q"), ("b", "é"), ("c", "q"), ("d", "q")]
    assert rows[3].source_meta.parent == Parent("c")
    for row in rows:
        records = row.source_meta.fidelity.records
        assert (records.total, records.metadata, records.used) == (13, 5, 8)
        assert not row.source_meta.fidelity.torn_tail


def test_a_broken_line_is_counted_and_the_others_are_read() -> None:
    good = json.dumps(asking("a", "\ud800")).encode()  # half a surrogate pair, said twice, which is mended
    lines = [
        good,
        b'{"agent": {}, "steps": [{"source"',
        b"",
        b'{"messages": []}',
        b"[]",
        json.dumps(asking("b")).encode(),
        good[:90],
    ]
    rows = parsed("atif", b"\n".join(lines), "train.jsonl")
    assert [row.trace_id for row in rows] == ["a", "b"]
    for row in rows:
        fidelity = row.source_meta.fidelity
        assert (fidelity.records.total, fidelity.records.unknown, fidelity.records.unreadable) == (10, 2, 2)
        assert (fidelity.unreadable_lines, fidelity.torn_tail, fidelity.replaced_characters) == ([2, 7], True, 2)
        assert fidelity.unknown_types == {"no ATIF document": 2}


def test_lines_without_ids_of_their_own_go_by_their_number() -> None:
    nameless = {"session_id": "s", "agent": {}, "steps": asking("")["steps"], "subagent_trajectories": [asking("")]}
    rows = parsed("atif", b"\n".join([json.dumps(nameless).encode()] * 3), "train.jsonl")
    assert [row.trace_id for row in rows] == ["s", "s:1", "s:2", "s:1:2", "s:3", "s:1:3"]
    assert [row.source_meta.parent for row in rows[1::2]] == [Parent("s"), Parent("s:2"), Parent("s:3")]
    assert {row.root_session_id for row in rows} == {"s"}


@pytest.mark.parametrize(
    ("data", "kind"), [(b'{"a": 1}\n{\n', "not_a_rollout"), (b"{\n}\n", "not_json"), (b'"\0"', "not_json")]
)
def test_lines_of_which_none_is_a_document_are_refused(data: bytes, kind: str) -> None:
    with pytest.raises(UnreadableFile) as problem:
        parsed("atif", data, "train.jsonl")
    assert problem.value.kind == kind


def test_lines_are_told_from_rows_of_chats_and_images_in_them_are_stored(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    source = {"media_type": "image/png", "path": f"data:image/png;base64,{PNG_BASE64}"}
    steps = [{"source": "user", "message": [{"type": "image", "source": source}]}]
    path.write_text(json.dumps(asking("a", steps=steps)) + "\n" + json.dumps(asking("b")) + "\n")
    assert detect(path) == "atif"
    first, _ = rollmill.read(path, media=tmp_path / "media")
    assert first.messages[0].content[0].media is not None
    assert first.messages[0].content[0].media.sha256 == PNG_SHA256
    assert len([each for each in (tmp_path / "media").rglob("*") if each.is_file()]) == 1
    path.write_text(json.dumps({"messages": [{"role": "user", "content": "q"}], "agent": {}}) + "\n")
    assert detect(path) == "chat_completion_jsonl"


@pytest.mark.parametrize("path", sorted((FOLDER / "atif").glob("[!_]*/input/**/*.json")), ids=lambda p: p.name)
def test_every_trajectory_is_told_from_all_other_formats(path: Path) -> None:
    if is_handled_file(path.name):
        assert detect(path) == "atif"
    assert not load_format("atif").recognise([{"type": "user", "message": {"role": "user"}, "agent": {}}])
