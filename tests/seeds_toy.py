"""A rollout format of the tests' own: each line of a file is a rollout, ``{"id": "t1", "text": "hello"}``.

A line ``BAD`` spoils the file, ``SKIP`` gives no row, ``BUG`` is a mistake of the parser.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rollmill.errors import UnreadableFile
from rollmill.formats import FormatDefaults, RolloutFile
from rollmill.rollout import Block, Message, Rollout, SourceMeta

DEFAULTS = FormatDefaults("~/.toy/runs", "*.jsonl*", "TOY_HOME", "runs")


def is_handled_file(relative_path: str) -> bool:
    return not relative_path.endswith("history.jsonl")


def recognise(records: list[Any]) -> bool:
    return any(isinstance(record, dict) and "toy" in record for record in records)


def parse_file(file: RolloutFile) -> Iterator[Rollout]:
    for number, line in enumerate(file.path.read_text().splitlines(), 1):
        match line:
            case "BAD":
                raise UnreadableFile("not_json", "not JSON", number)
            case "SKIP":
                file.skip = "no_messages"
            case "BUG":
                raise KeyError("a parser's mistake")
            case _:
                yield rollout(json.loads(line), file)


def rollout(record: dict[str, Any], file: RolloutFile) -> Rollout:
    nothing: dict[str, Any] = dict.fromkeys(
        ["root_session_id", "agent_id", "cwd", "project_path", "git_branch", "started_at", "ended_at"]
    )
    messages = [Message("assistant", [Block("text", record.get("text", "hello"))])]
    return Rollout(
        trace_id=record["id"],
        source_kind="codex",
        source_path=str(file.path),
        is_sidechain=False,
        messages=messages,
        source_meta=SourceMeta("toy/1"),
        **nothing,
    )


def write(path: Path, *lines: str | int) -> Path:
    """A file with one rollout for each line; a number is a rollout of that id."""
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = [json.dumps({"toy": 1, "id": f"t{line}"}) if isinstance(line, int) else line for line in lines]
    path.write_text("".join(text + "\n" for text in texts))
    return path
