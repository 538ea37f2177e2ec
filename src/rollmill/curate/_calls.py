"""Tool calls with what came of them: the rollout's calls in order, each with its result, and whether it failed.

Whether a call failed is what the source says (``extra.is_error``, an exit code). Where the source has no field for it
but the agent itself writes one fixed sentence around the output, that sentence is read, and nothing else:

    failed in sandbox LinuxSeccomp with execution error: sandbox denied exec error, exit code: 1, stdout: …
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

from rollmill.rollout import Message, ToolCall

REJECTED = (
    "The user doesn't want to proceed with this tool use",  # Claude Code
    "Permission prompt was aborted",
    "exec command rejected by user",  # Codex
    "patch rejected by user",
    "rejected by user",
)
"""How a result begins that a human wrote with a refusal. (Claude Code's "doesn't want to take this action right now"
is not among them: it also stands for calls that were cancelled without anybody being asked.)"""

_GIVEN_UP = re.compile("(?:<tool_use_error>)?(?:Sibling tool call errored|Cancelled: parallel tool call)")
REASON_OF_REJECTION = "the user said:\n"

_FAILED = re.compile(
    "failed in sandbox|execution error:|exec_command failed|unsupported call:|apply_patch verification failed"
    "|error: (?:Failed to|invalid (?:patch|hunk))|<tool_use_error>"
)
_RETURN_CODE = re.compile(r"<returncode>(-?\d+)</returncode>")
_FINISHED = re.compile(r"\[(?:Command finished|The command completed) with exit code (-?\d+)\.?\]")
_STATUS_1 = re.compile(r'"exit_code": ?1[,}]')
_HEADER = re.compile(r"Chunk ID: .*?\nOutput:\n", re.DOTALL)
_EDGE = 300


class Call(Struct, gc=False):
    """One call: the index of its message, its name and arguments, its result's text, and what came of it.

    ``failed`` is None when nothing says so; ``rejected`` when a human refused it, which is no failure of the call.
    ``excused``: it failed, but not by a fault of its own: tests or a build that it ran failed, which is the answer to
    what it asked; or it was given up because a call beside it failed.
    """

    message: int
    name: str
    arguments: str
    result: Message | None = None
    failed: bool | None = None
    rejected: bool = False
    excused: bool = False

    @property
    def said(self) -> str:
        """The result without what differs from run to run (ids and wall times that Codex puts around it)."""
        return _stripped(self.result.text) if self.result else ""


def is_model(message: Message) -> bool:
    """Whether a model wrote the message, in this thread and not as a copy."""
    extra = message.extra
    return message.role == "assistant" and extra.origin in ("model", None) and extra.kind != "copied"


def calls(messages: list[Message]) -> list[Call]:
    """The model's calls in order. A result belongs to the last message that made calls; ids may come again later."""
    found: list[Call] = []
    open_calls: dict[str, list[Call]] = {}
    for index, message in enumerate(messages):
        if message.role == "tool":
            waiting = open_calls.get(message.tool_call_id or "")
            if waiting:
                _answer(waiting.pop(0), message)
        elif message.tool_calls and is_model(message):
            open_calls = {}
            for call, made in _made(index, message.tool_calls):
                found.append(made)
                open_calls.setdefault(call.id, []).append(made)
    return found


def _made(index: int, tool_calls: list[ToolCall]) -> Iterator[tuple[ToolCall, Call]]:
    for call in tool_calls:
        yield call, Call(index, call.function.name, call.function.arguments)


def _answer(call: Call, result: Message) -> None:
    call.result = result
    call.failed = result.extra.is_error
    if call.failed is False:
        return
    text = first_text(result)
    if text.startswith(REJECTED):
        call.failed, call.rejected = None, True
        return
    if call.failed is None:
        call.failed = _failed(text)
    call.excused = bool(call.failed and _GIVEN_UP.match(text))


def first_text(message: Message) -> str:
    """The text of the first text block; an empty string when there is none. No copy is made."""
    for block in message.content:
        if block.type == "text" and block.text:
            return block.text
    return ""


def _failed(text: str) -> bool | None:
    if _FAILED.match(text):
        return True
    code = _RETURN_CODE.match(text)
    if code is None:
        codes = _FINISHED.findall(text, max(0, len(text) - _EDGE))
        return int(codes[-1]) != 0 if codes else None
    return int(code[1]) != 0


def found_nothing(call: Call) -> bool:
    """Whether a call that failed ended with status 1 and no output, as a search does that finds nothing."""
    other = call.result.extra.other if call.result else None
    return bool(other and _STATUS_1.search(other)) and call.said in ("", '{"output":""')


def words_of_rejection(call: Call) -> str:
    """What the human said when they refused the call; an empty string when they said nothing."""
    if not call.rejected or call.result is None:
        return ""
    return first_text(call.result)[:4000].partition(REASON_OF_REJECTION)[2].strip()


def _stripped(text: str) -> str:
    if text.startswith('{"output":'):
        return text.rpartition(',"metadata":')[0] or text
    return _HEADER.sub("", text, count=1) if text.startswith("Chunk ID: ") else text
