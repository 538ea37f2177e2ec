"""Canonical samples for the tests of the export targets, and the files their rows become."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from rollmill.curate.sample import Sample, Source, Turn
from rollmill.export import FileType, Projection, Settings, load_target
from rollmill.export._columns import record_batch
from rollmill.rollout import Block, Extra, Function, Message, Role, ToolCall

TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "Bash",
            "description": "Runs a command.",
            "parameters": {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
        },
    },
    {
        "type": "function",
        "function": {
            "name": "Edit",
            "parameters": {"type": "object", "properties": {"path": {"type": "string"}, "lines": {"type": "array"}}},
        },
    },
]

Call = tuple[str, str, str]


def turn(role: Role, text: str | list[Block], **extra: Any) -> Turn:
    blocks = text if isinstance(text, list) else [Block("text", text)] if text else []
    return Turn(Message(role, blocks, extra=Extra(**extra)), 0)


def system(text: str) -> Turn:
    return turn("system", text, origin="harness")


def user(text: str | list[Block], **extra: Any) -> Turn:
    return turn("user", text, **{"origin": "human", **extra})


def model(
    text: str | list[Block] = "",
    *calls: Call,
    reasoning: str | None = None,
    weight: float = 1.0,
    learns_reasoning: bool = True,
    **extra: Any,
) -> Turn:
    """A model message; calls are (id, name, arguments)."""
    made = turn("assistant", text, **{"origin": "model", **extra})
    made.message.tool_calls = [ToolCall(call_id, Function(name, arguments)) for call_id, name, arguments in calls]
    made.message.reasoning_content = reasoning
    if reasoning and "thinking" not in extra:
        made.message.extra.thinking = "full" if learns_reasoning else "summary"
    made.weight, made.reason = weight, "model" if weight else "context"
    made.reasoning = learns_reasoning and weight > 0 and reasoning is not None
    return made


def result(call_id: str, text: str | list[Block]) -> Turn:
    made = turn("tool", text, origin="tool")
    made.message.tool_call_id = call_id
    return made


def sample(*turns: Turn, tools: list[Any] | None = None, **fields: Any) -> Sample:
    for index, each in enumerate(turns):
        each.index = index
    source = Source("claude_code", "projects/a/s.jsonl", "s", root_session_id="s", models=["m-1"], first_line=1)
    return Sample(
        **{
            "sample_id": "s/0",
            "row_id": "s",
            "parent_row_id": None,
            "segment_index": 0,
            "segment_reason": "start",
            "mode": "trajectory",
            "task_id": "t",
            "turns": list(turns),
            "source": source,
            "tools": tools,
            "tools_source": "recorded" if tools else "absent",
            "labels": {"resolved": True},
            "signals": {"human_turns": 1},
            **fields,
        }
    )


def conversation(**fields: Any) -> Sample:
    """A task with reasoning, two calls side by side, an edit and an answer."""
    return sample(
        system("You help."),
        user("Fix it."),
        model(
            "Looking.",
            ("c1", "Bash", '{"command": "ls"}'),
            ("c2", "Bash", '{"command": "cat a.py"}'),
            reasoning="First look.",
        ),
        result("c1", "a.py"),
        result("c2", "x = 1\n"),
        model("", ("c3", "Edit", '{"path": "a.py", "lines": [1, 2.5, null], "deep": {"a": {"b": "c"}}}')),
        result("c3", ""),
        model("Done."),
        user("Thanks. Explain?"),
        model("It was a one.", reasoning="Say why."),
        tools=TOOLS,
        **fields,
    )


def plain(**fields: Any) -> Sample:
    """A question and an answer, without tools."""
    return sample(user("Hello?"), model("Hello."), **fields)


def project(target: str, *samples: Sample, **settings: Any) -> tuple[Projection, list[dict[str, Any]]]:
    """The run's projection and its rows."""
    projection = load_target(target).projection(Settings(**settings))
    for each in samples:
        projection.survey(each)
    return projection, [projection.row(each) for each in samples]


def rows(target: str, *samples: Sample, **settings: Any) -> list[Any]:
    """The rows as a reader of the JSON lines sees them."""
    return [msgspec.json.decode(msgspec.json.encode(row)) for row in project(target, *samples, **settings)[1]]


def row(target: str, one: Sample, **settings: Any) -> Any:
    return rows(target, one, **settings)[0]


def write(folder: Path, target: str, file_type: FileType, *samples: Sample, card: bool = True, **settings: Any) -> Path:
    """A folder as an export leaves it: rows as the split ``train``, and a card that says which columns there are."""
    import pyarrow.parquet as pq
    import yaml

    from rollmill.export._columns import features

    projection, made = project(target, *samples, file_type=file_type, **settings)
    folder.mkdir(parents=True, exist_ok=True)
    schema = projection.schema()
    path = folder / f"train.{file_type}"
    if file_type == "jsonl":
        path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in made))
    else:
        with pq.ParquetWriter(path, schema) as writer:
            writer.write_batch(record_batch(made, schema))
    if card:
        front = {
            "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": path.name}]}],
            "dataset_info": {"features": features(schema)},
        }
        (folder / "README.md").write_text(f"---\n{yaml.safe_dump(front)}---\n", encoding="utf-8")
    return path
