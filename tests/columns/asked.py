"""An ``Ask`` that answers from a script, and rows to fill: columns know models by this protocol alone."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from rollmill.columns import Cell, Column
from rollmill.models.types import ModelError, Reply, Usage
from rollmill.rollout import Block, Extra, Function, Message, ToolCall

Answer = str | Reply | ModelError | dict[str, Any]


class Script:
    """Gives its answers in order and keeps what was asked; the last answer is given again and again."""

    def __init__(self, *answers: Answer, row_key: str = "row", hide: Callable[[str], str] | None = None) -> None:
        self.answers = list(answers)
        self.asked: list[list[dict[str, Any]]] = []
        self.schemas: list[dict[str, Any] | None] = []
        self.aliases: list[str] = []
        self.samples: list[int] = []
        self.row_key = row_key
        self._hide = hide

    def shown(self, text: str) -> str:
        return self._hide(text) if self._hide else text

    async def __call__(
        self, alias: str, messages: list[dict[str, Any]], *, schema: dict[str, Any] | None = None, sample: int = 0
    ) -> Reply:
        self.aliases.append(alias)
        self.samples.append(sample)
        self.asked.append(copy.deepcopy(messages))
        self.schemas.append(schema)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, ModelError):
            raise answer
        return answer if isinstance(answer, Reply) else reply(answer)

    @property
    def prompt(self) -> str:
        """The last message of the first call."""
        return str(self.asked[0][-1]["content"])


def reply(answer: str | dict[str, Any], finish_reason: str = "stop", reasoning: str | None = None) -> Reply:
    text = answer if isinstance(answer, str) else json.dumps(answer)
    return Reply(text=text, finish_reason=finish_reason, usage=Usage(), reasoning=reasoning)


def fill(column: Column, row: Mapping[str, Any], *answers: Answer) -> tuple[Cell, Script]:
    """The cell of a row, and what was asked for it."""
    script = Script(*answers or ("",))
    return asyncio.run(column.fill(row, script)), script


def said(role: str, text: str = "", **extra: Any) -> dict[str, Any]:
    """A message as rows have it."""
    calls = extra.pop("calls", [])
    answers = extra.pop("answers", None)
    message = Message(
        role=role,  # type: ignore[arg-type]
        content=[Block("text", text)] if text else [],
        tool_calls=[ToolCall(id, Function(name, json.dumps(arguments))) for id, name, arguments in calls],
        tool_call_id=answers,
        extra=Extra(**extra),
    )
    found: dict[str, Any] = msgspec.to_builtins(message)
    return found


def rollout() -> list[dict[str, Any]]:
    """A short rollout: a request, a failing test, a correction, a fix, tests that pass."""
    return [
        said("user", "Fix the date parser; it fails on leap years.", origin="human"),
        said("assistant", "I look at it.", origin="model", calls=[("c1", "Bash", {"command": "cd app && pytest -q"})]),
        said("tool", "F.\n1 failed, 1 passed in 0.1s", origin="tool", is_error=True, answers="c1"),
        said("assistant", "I delete the test.", origin="model"),
        said("user", "No, do not delete tests. Fix parser.py.", origin="human"),
        said("assistant", "", origin="model", calls=[("c2", "Edit", {"path": "parser.py", "new": "29"})]),
        said("tool", "ok", origin="tool", is_error=False, answers="c2"),
        said("assistant", "", origin="model", calls=[("c3", "Bash", {"command": "pytest -q"})]),
        said("tool", "..\n2 passed in 0.1s", origin="tool", is_error=False, answers="c3"),
        said("assistant", "The parser takes leap years now; both tests pass.", origin="model"),
    ]
