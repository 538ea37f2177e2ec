"""Rollouts made by hand, a line for each message, for tests that say what must be seen in them."""

from __future__ import annotations

import json
from typing import Any

from rollmill.rollout import Block, Extra, Function, Message, Rollout, SourceMeta, ToolCall

CORRECTIONS = [
    "No, not that file.",
    "no. use the other one",
    "that's wrong, the total is 7",
    "Don't hard code the roles, I want the roles to be determined by the domain",
    "let's not leave _all_ the tests to the very end...",
    "claude stop is not correct, that is at the end of the assistant's turn.",
    "I think you broke something: opk-gui\nTraceback (most recent call last):",
    "it does not clear the sessions created inside .git",
    "revert that",
    "Undo the last change please",
    "ok, but that's not what I asked for",
    "why did you delete the test?",
    "still failing",
    "Stop.",
    "You didn’t run the tests",
    "wrong file",
    "this still has the same bug",
    "hm, this is wrong: 2 + 2 is 4",
    "don't touch that",
    "The tests pass. Please revert this though",
]
"""What people type when something is to be put right."""


def human(text: str, kind: str | None = None) -> Message:
    """What a human typed."""
    return _message("user", text, origin="human", kind=kind)


def harness(kind: str, text: str = "") -> Message:
    """What the agent's program put in."""
    return _message("user", text, origin="harness", kind=kind)


def model(text: str = "", *calls: tuple[str, Any], **extra: Any) -> Message:
    """A model message, its calls as pairs of a tool's name and arguments; their ids are ``0``, ``1``, …"""
    message = _message("assistant", text, origin="model", **extra)
    message.tool_calls = [
        ToolCall(str(number), Function(name, arguments if isinstance(arguments, str) else json.dumps(arguments)))
        for number, (name, arguments) in enumerate(calls)
    ]
    return message


def result(text: str = "", is_error: bool | None = None, call: int = 0) -> Message:
    """The answer to a call of the model message before."""
    message = _message("tool", text, origin="tool", is_error=is_error)
    message.tool_call_id = str(call)
    return message


def bash(command: str, output: str = "", is_error: bool | None = False) -> list[Message]:
    """A model message that runs a command, and what came of it."""
    return [model("", ("Bash", {"command": command})), result(output, is_error)]


def edit(path: str, old: str, new: str, is_error: bool | None = None) -> list[Message]:
    """A model message that edits a file, and what came of it."""
    return [model("", ("Edit", {"file_path": path, "old_string": old, "new_string": new})), result("done", is_error)]


def rollout(*messages: Message | list[Message], meta: dict[str, Any] | None = None, **columns: Any) -> Rollout:
    """A rollout of these messages; ``meta`` are fields of its ``source_meta``."""
    flat = [each for one in messages for each in (one if isinstance(one, list) else [one])]
    own: dict[str, Any] = {
        "trace_id": "t-1",
        "source_kind": "claude_code",
        "source_path": "/logs/t-1.jsonl",
        "root_session_id": "t-1",
        "agent_id": None,
        "is_sidechain": False,
        "cwd": "/home/ann/shop",
        "project_path": "/home/ann/shop",
        "git_branch": "main",
        "started_at": "2026-01-01T10:00:00Z",
        "ended_at": "2026-01-01T10:01:30Z",
    }
    return Rollout(**{**own, **columns}, messages=flat, source_meta=SourceMeta(parser="test/1", **(meta or {})))


def _message(role: Any, text: str, **extra: Any) -> Message:
    return Message(role, [Block("text", text)] if text else [], extra=Extra(**extra))
