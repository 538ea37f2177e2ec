"""Running the command line in tests, and a small session to give it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple


class Ran(NamedTuple):
    """What came of a command."""

    status: int
    out: str
    err: str


Run = Callable[..., Ran]


def process(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    """Starts a command line in a process of its own."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen([sys.executable, "-m", "rollmill", *map(str, arguments)], **pipes)


def session(
    folder: Path,
    name: str = "11111111-0000-4000-8000-000000000000.jsonl",
    text: str = "hello",
    call_id: str | None = None,
) -> Path:
    """A small Claude Code session in which everything that can be text is ``text``, call ids included."""
    call_id = call_id or "toolu_" + text
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    base = {"sessionId": path.stem, "cwd": text, "gitBranch": text, "version": "2.0.0", "isSidechain": False}
    call = {"type": "tool_use", "id": call_id, "name": text, "input": {text: text}}
    result = {"type": "tool_result", "tool_use_id": call_id, "content": text}
    content = [{"type": "thinking", "thinking": text, "signature": ""}, {"type": "text", "text": text}, call]
    records = [
        {"type": "user", "message": {"role": "user", "content": text}},
        {"type": "assistant", "message": {"id": "msg_1", "role": "assistant", "model": text, "content": content}},
        {"type": "user", "message": {"role": "user", "content": [result]}},
    ]
    for number, record in enumerate(records):
        record |= {**base, "uuid": f"u{number}", "parentUuid": f"u{number - 1}" if number else None}
        record["timestamp"] = f"2026-01-01T00:00:0{number}.000Z"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path
