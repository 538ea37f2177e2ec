"""A reply as checked data, with one turn for the model to put right what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rollmill.columns._json import NotJson, json_in, to_json
from rollmill.columns._llm import Conversation, Failed
from rollmill.columns._turns import trimmed

_SHOWN_SCHEMA = 20_000
_SHOWN_ERROR = 1_500


class Misfit(Exception):
    """A value that is not what was asked for. ``value`` is what can be kept of it when the second try is no better."""

    def __init__(self, text: str, value: Any = None) -> None:
        super().__init__(text)
        self.value = value


async def repaired(talk: Conversation, kind: str | None, check: Callable[[Any], Any], schema: Mapping[str, Any]) -> Any:
    """The checked value of the next reply, or of the one after it, which has seen what was wrong with the first.

    ``check`` gives the value, or raises ``Misfit``. When the second reply is no better, what can be kept of the two is
    kept, the later first. Raises ``Failed`` when that is nothing.
    """
    try:
        return _value(await talk.reply(), kind, check)
    except NotJson as error:
        kept, wrong = None, str(error)
    except Misfit as error:
        kept, wrong = error.value, str(error)
    talk.say(_complaint(wrong, schema))
    try:
        return await _second(talk, kind, check)
    except Failed:
        if kept is None:
            raise
        return kept


async def _second(talk: Conversation, kind: str | None, check: Callable[[Any], Any]) -> Any:
    text = await talk.reply()
    try:
        return _value(text, kind, check)
    except NotJson as error:
        raise Failed("invalid_json", str(error), text) from None
    except Misfit as error:
        if error.value is not None:
            return error.value
        raise Failed("wrong_shape", str(error), text) from None


def _value(text: str, kind: str | None, check: Callable[[Any], Any]) -> Any:
    return check(json_in(text, kind))


def _complaint(error: str, schema: Mapping[str, Any]) -> str:
    wanted = to_json(schema)
    shown = f"\n\nThe JSON schema it has to fit:\n{wanted}" if len(wanted) <= _SHOWN_SCHEMA else ""
    return (
        f"That reply cannot be used: {trimmed(error, _SHOWN_ERROR)}{shown}\n\n"
        "Send the whole JSON value again with this put right: the JSON alone, no words and no fence around it."
    )
