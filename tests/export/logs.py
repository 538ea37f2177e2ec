"""Small Claude Code sessions, record by record, for whole exports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Record = dict[str, Any]


def user(text: str) -> Record:
    return {"type": "user", "message": {"role": "user", "content": text}}


def model(number: int, text: str = "", call: str | None = None, **arguments: str) -> Record:
    """A message of the model whose id is its number; with ``call``, the id of a Bash call too."""
    blocks: list[Record] = [{"type": "text", "text": text}] if text else []
    if call:
        blocks.append({"type": "tool_use", "id": call, "name": "Bash", "input": arguments or {"command": "ls"}})
    message = {"id": f"msg_01{number:022d}", "role": "assistant", "model": "claude-x", "content": blocks}
    return {"type": "assistant", "message": message}


def result(call: str, text: str = "ok") -> Record:
    block = {"type": "tool_result", "tool_use_id": call, "content": text}
    return {"type": "user", "message": {"role": "user", "content": [block]}}


def session(folder: Path, number: int, records: list[Record], cwd: str = "/home/u/project") -> None:
    """Write the records as the session of that number, one after the other."""
    name = f"{number:08d}-0000-4000-8000-000000000000"
    lines = []
    for place, record in enumerate(records):
        head = {"sessionId": name, "cwd": cwd, "version": "2.0.0", "isSidechain": False, "uuid": f"{number}-{place}"}
        parent = {"parentUuid": f"{number}-{place - 1}" if place else None}
        lines.append(json.dumps({**record, **head, **parent, "timestamp": f"2026-01-01T00:00:{place:02d}.000Z"}))
    path = folder / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
