"""Secrets, and rollouts that say them, for the tests of redaction."""

from __future__ import annotations

import json

from rollmill.curate.redaction import Redactor
from rollmill.rollout import Block, Extra, Function, Media, Message, Rollout, SourceMeta, ToolCall

TOKEN = "ghp_" + "Zk3RtY8wQp1LmN6vXc2BhJ5sDf9GaE4uTi7o"
PASSWORD = "Falcon#2291"


def rollout(text: str, arguments: str | None = None) -> Rollout:
    """A rollout that says ``text`` in every place that can say anything."""
    call = ToolCall("call_1", Function("Bash", json.dumps({"command": text}) if arguments is None else arguments))
    media = Media(url=f"https://files.test/a?x={text}")
    blocks = [Block("text", text), Block("search_result", json.dumps({"hits": [text]})), Block(text, media=media)]
    messages = [
        Message("user", [Block("text", text)]),
        Message(
            "assistant", blocks, text, [call], extra=Extra(id="msg_1", model=text, other=json.dumps({"note": text}))
        ),
        Message("tool", [Block("text", text)], tool_call_id="call_1"),
    ]
    meta = SourceMeta(
        "test/1", title=text, models=[text], labels={text: text}, tools=[{"description": text}], other={"git": [text]}
    )
    meta.fidelity.notes = [text]
    meta.fidelity.companions_missing = [text]
    return Rollout("t1", "test", text, None, None, False, text, text, text, None, None, messages, meta)


def said(redactor: Redactor, *texts: str) -> list[str]:
    """What becomes of the texts of a row, each a message."""
    row = rollout("")
    row.messages = [Message("user", [Block("text", text)]) for text in texts]
    redactor.rollout(row)
    return [message.text for message in row.messages]
