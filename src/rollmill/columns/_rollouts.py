"""The filters made for rollouts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rollmill.columns._fence import Passage
from rollmill.columns._meter import TemplateError, meter
from rollmill.columns._turns import Limits, Turn, calls, command, trimmed, turns
from rollmill.columns._values import is_message, text_of
from rollmill.columns._window import window as _window


def transcript(
    messages: Any, result: int = 1_500, arguments: int = 800, text: int = 20_000, reasoning: int = 0
) -> Passage:
    """All messages as turns to read. The numbers are the characters shown of a result, a call's arguments, a text,
    and the readable thinking (0: none)."""
    running, shown = meter(), []
    limits = Limits(text, result, arguments, reasoning)
    for turn in turns(_listed(messages, "transcript")):
        shown.append(part := turn.shown(limits))
        running.grow(len(part))
    return Passage("\n\n".join(shown))


def window(messages: Any, tokens: int = 8_000) -> Passage:
    """The messages that matter within a number of tokens, and what was left out (``_window``)."""
    return Passage(_window(_listed(messages, "window"), tokens))


def text(value: Any) -> str:
    """The text of a message; those of several, one below the other."""
    if isinstance(value, str) or value is None or is_message(value):
        return text_of(value) if value is not None else ""
    return "\n\n".join(found for each in _listed(value, "text") if (found := text_of(each)))


def tool_names(messages: Any) -> list[str]:
    """The names of the called tools, each once, in the order of their first call."""
    return list(
        dict.fromkeys(call.name for turn in turns(_listed(messages, "tool_names")) for call in calls(turn.message))
    )


def last_test_result(messages: Any, characters: int = 1_500) -> str:
    """The last command that ran tests, whether it failed, and its trimmed output; an empty text when none did."""
    found = turns(_listed(messages, "last_test_result"))
    results = [turn for turn in found if turn.tests and turn.role == "tool"]
    if not results:
        return ""
    last = results[-1]
    ending = "error" if last.error else "no error"
    return (
        f"$ {trimmed(_command_of(last, found), 300)}\n({ending})\n{trimmed(text_of(last.message).strip(), characters)}"
    )


def _command_of(result: Turn, found: Sequence[Turn]) -> str:
    wanted = result.message.get("tool_call_id")
    made = [call for turn in found[: result.index] for call in calls(turn.message) if call.id == wanted]
    return command(made[-1]) if made else ""


def _listed(value: Any, name: str) -> Sequence[Any]:
    if isinstance(value, Mapping):
        return [value]
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TemplateError(f"the filter `{name}` reads messages, not a {type(value).__name__}: `messages | {name}`")
    return value


FILTERS: dict[str, Callable[..., Any]] = {
    "transcript": transcript,
    "window": window,
    "text": text,
    "tool_names": tool_names,
    "last_test_result": last_test_result,
}
