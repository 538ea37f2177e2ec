"""Agent traces on the Hub: exactly the features that ``datasets`` knows, and every weight."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.export.samples import TOOLS, conversation, model, plain, project, row, sample, user, write


def test_the_features_are_those_that_datasets_knows() -> None:
    pytest.importorskip("datasets", reason="the datasets library has the features")
    from datasets import Features
    from datasets.packaged_modules.json.json import AGENT_TRACES_FEATURES

    projection, _ = project("hub", plain())
    assert Features.from_arrow_schema(projection.schema()) == AGENT_TRACES_FEATURES


def test_datasets_reads_the_file_as_it_is_and_not_as_a_raw_log(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="the datasets library proves the file")
    from datasets.packaged_modules.json.json import AGENT_TRACES_FEATURES

    write(tmp_path / "export", "hub", "parquet", conversation())
    data = datasets.load_dataset(str(tmp_path / "export"), split="train", cache_dir=str(tmp_path / "cache"))
    assert data.features == AGENT_TRACES_FEATURES
    assert data[0]["messages"][2]["tool_calls"][0]["function"]["arguments"] == {"command": "ls"}


def test_a_row() -> None:
    one = sample(
        user("Reminder.", origin="harness"),
        user("Fix it.", timestamp="2026-01-31T10:00:00Z"),
        model("A", reasoning="B", learns_reasoning=False),
        user("Go on."),
        model("C", weight=0.25),
        tools=TOOLS,
    )
    made = row("hub", one)
    assert made | {"metadata": None} == {
        "harness": "claude_code",
        "session_id": "s",
        "prompt": "Fix it.",
        "messages": [
            {"role": "user", "content": "Reminder."},
            {"role": "user", "content": "Fix it."},
            {"role": "assistant", "content": "A", "reasoning_content": "B", "weight": 1.0, "reasoning_weight": 0.0},
            {"role": "user", "content": "Go on."},
            {"role": "assistant", "content": "C", "weight": 0.25},
        ],
        "tools": TOOLS,
        "metadata": None,
        "sent_at": "2026-01-31T10:00:00Z",
        "num_user_messages": 2,
        "num_tool_calls": 0,
        "trace": None,
        "file_path": "projects/a/s.jsonl",
    }
    assert made["metadata"]["sample_id"] == "s/0"


def test_calls_and_results_are_tied_by_id_and_name() -> None:
    messages = row("hub", conversation())["messages"]
    assert messages[2]["tool_calls"][1] == {
        "id": "c2",
        "type": "function",
        "function": {"name": "Bash", "arguments": {"command": "cat a.py"}},
    }
    assert messages[4] == {"role": "tool", "content": "x = 1\n", "tool_call_id": "c2", "name": "Bash"}
