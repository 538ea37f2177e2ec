"""Messages as turns to read, for models: who, what they said, the calls, the results, each trimmed in its middle.

    [4] assistant
    The test imports the old name.
    → Bash {"command": "pytest -q"}

    [5] tool · Bash · error
    F.. 1 failed …

Works on messages as rows have them (content blocks, ``extra``) and on plain chat messages.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from rollmill.columns._values import source, text_of

Message = Mapping[str, Any]

_FAILED = re.compile(
    r"\s*(?:<tool_use_error>|error\b|traceback \(most recent|fatal:|bash: |command failed|"
    r"failed in sandbox|(?:process exited with |exit )code:? ?[1-9]|execution error|apply_patch verification failed)",
    re.IGNORECASE,
)
_BEFORE = (
    r"(?:^|[;&|(\n]|\s-m\s|\b(?:run|exec|sudo|time|npx|poetry|uv|bundle|env|python3?|[A-Za-z_]\w{0,40}=\S{0,80}))\s*"
)
_TESTS = re.compile(
    _BEFORE + r"(?:pytest|py\.test|unittest|tox|nox|jest|vitest|mocha|rspec|phpunit|ctest|bats|karma|nosetests"
    r"|go test|cargo (?:nextest|test)|(?:npm|pnpm|yarn|bun|deno)(?: run)? test|make (?:test|check)|mvn \S{0,40} ?test"
    r"|mvn test|mise run test|\.?/?gradlew? \S{0,40} ?test|dotnet test|swift test|mix test|rake test"
    r"|bazel test|flutter test|(?:python3? )?(?:\./)?manage\.py test)\b"
)
_LIKE_A_HEADING = re.compile(r"^(\[\d+\] |\(… )", re.MULTILINE)
"""How a turn, or a note of what was left out, begins: a line of a message that begins so gets a backslash, so that no
tool's output passes for the user's words."""
_LOOKED_AT = 4_000
_LONGEST_ARGUMENTS = 100_000


class Limits(NamedTuple):
    """How many characters of each part of a message are shown."""

    text: int = 20_000
    result: int = 1_500
    arguments: int = 800
    reasoning: int = 0


class Turn(Struct):
    """One message with what is known about it. ``name`` is the called tool's, on results; ``tests`` is set on a
    call of a test runner and on its result."""

    index: int
    message: Message
    role: str
    name: str = ""
    error: bool = False
    human: bool = False
    tests: bool = False

    def shown(self, limits: Limits) -> str:
        """The turn as text."""
        parts = [_LIKE_A_HEADING.sub(r"\\\1", part) for part in self._parts(limits) if part]
        return "\n".join([self._heading(), *parts])

    def _heading(self) -> str:
        words = [self._speaker(), self.name, "error" if self.error else ""]
        return f"[{self.index}] " + " · ".join(word for word in words if word)

    def _speaker(self) -> str:
        return "harness" if self.role == "user" and not self.human else self.role

    def _parts(self, limits: Limits) -> Iterator[str]:
        reasoning = self.message.get("reasoning_content")
        if limits.reasoning and isinstance(reasoning, str) and reasoning:
            yield f"(thinking) {trimmed(reasoning, limits.reasoning)}"
        yield trimmed(text_of(self.message).strip(), limits.result if self.role == "tool" else limits.text)
        yield from (f"({kind})" for kind in _other_blocks(self.message))
        for call in calls(self.message):
            yield f"→ {call.name} {trimmed(call.arguments, limits.arguments)}"


class Call(NamedTuple):
    """One tool call: its id, the tool's name, the arguments as text."""

    id: str
    name: str
    arguments: str


def calls(message: Message) -> list[Call]:
    """The calls of a message."""
    found, made = [], message.get("tool_calls")
    for call in made if isinstance(made, list | tuple) else ():
        function = call.get("function") if isinstance(call, Mapping) else None
        if isinstance(function, Mapping):
            arguments = function.get("arguments")
            text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False, default=str)
            found.append(Call(str(call.get("id") or ""), str(function.get("name") or "?")[:200], text))
    return found


def _other_blocks(message: Message) -> list[str]:
    blocks = message.get("content")
    if not isinstance(blocks, list | tuple):
        return []
    return [str(b.get("type"))[:40] for b in blocks if isinstance(b, Mapping) and b.get("type") != "text"]


def trimmed(text: str, limit: int) -> str:
    """``text``, or its first two thirds and its last third within ``limit`` characters, and what lies between."""
    if len(text) <= limit:
        return text
    head = limit * 2 // 3
    tail = limit - head
    return f"{text[:head]}\n… {len(text) - limit:,} characters left out …\n{text[len(text) - tail :]}"


def turns(messages: Sequence[Any]) -> list[Turn]:
    """The messages as turns, results with the name of the tool they answer."""
    found: list[Turn] = []
    called: dict[str, tuple[str, bool]] = {}
    for index, item in enumerate(messages):
        message = source(item)
        if not isinstance(message, Mapping):
            continue
        turn = _turn(index, message, called)
        found.append(turn)
        for call in calls(message):
            tests = is_test_run(call)
            turn.tests = turn.tests or tests
            called[call.id] = (call.name, tests)
    return found


def _turn(index: int, message: Message, called: Mapping[str, tuple[str, bool]]) -> Turn:
    role = str(message.get("role") or "?")[:20]
    if role != "tool":
        return Turn(index, message, role, human=role == "user" and _by_human(message))
    name, tests = called.get(str(message.get("tool_call_id") or ""), ("", False))
    return Turn(index, message, role, name, _failed(message), tests=tests)


def _extra(message: Message) -> Mapping[str, Any]:
    extra = message.get("extra")
    return extra if isinstance(extra, Mapping) else {}


def _by_human(message: Message) -> bool:
    extra = _extra(message)
    return extra.get("origin") in ("human", "parent_agent", None) and extra.get("kind") in (None, "queued", "command")


def _failed(message: Message) -> bool:
    """Whether a result is a failure: what the source says, else how the text begins."""
    says = _extra(message).get("is_error")
    return bool(says) if says is not None else bool(_FAILED.match(text_of(message)[:200]))


def is_test_run(call: Call) -> bool:
    """Whether a call runs tests: its command begins with a test runner, alone or behind another command."""
    return bool(_TESTS.search(command(call)[:_LOOKED_AT]))


def command(call: Call) -> str:
    """The shell command of a call; an empty string when it has none."""
    if len(call.arguments) > _LONGEST_ARGUMENTS:
        return ""
    try:
        arguments = json.loads(call.arguments)
    except (ValueError, RecursionError):
        return ""
    value = (arguments.get("command") or arguments.get("cmd")) if isinstance(arguments, dict) else None
    if isinstance(value, list):
        value = str(value[-1]) if value and value[0] in ("bash", "sh", "zsh") else " ".join(map(str, value))
    return value if isinstance(value, str) else ""
