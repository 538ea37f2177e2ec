"""Row values as templates see them: sparse, and plain data only.

    {"role": "user", "content": [{"type": "text", "text": "Hi", "media": null}], "tool_calls": [], "extra": {…}}
    → {"role": "user", "content": "Hi"}

What was left out because it is null or empty can still be asked for by name (``message.tool_call_id`` is none); a
name that never was there is an error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

ROLES = ("system", "developer", "user", "assistant", "tool")
JSON_TEXT = ("source_meta",)
"""Columns whose text is JSON."""
_OPTIONAL: dict[str, Any] = {"reasoning_content": None, "tool_calls": [], "tool_call_id": None}


class Sparse(dict[str, Any]):
    """A mapping without its nulls. ``hidden`` are the names left out, ``source`` the value as the row has it."""

    __slots__ = ("hidden", "source")

    def __init__(self, values: Mapping[str, Any], hidden: Mapping[str, Any], source: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.hidden = hidden
        self.source = source


class SparseMessage(Sparse):
    """One message of a conversation."""

    __slots__ = ()


def view(name: str, value: Any) -> Any:
    """A column's value for templates."""
    if isinstance(value, str):
        return sparse(_parsed(value)) if name in JSON_TEXT else value
    if isinstance(value, Sequence) and value and all(map(is_message, value)):
        return [message(each) for each in value]
    return message(value) if is_message(value) else sparse(value)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def sparse(value: Any) -> Any:
    """``value`` without null keys, at every depth."""
    if isinstance(value, Mapping):
        shown = {str(key): sparse(item) for key, item in value.items() if item is not None}
        return Sparse(shown, dict.fromkeys(str(key) for key, item in value.items() if item is None), value)
    if isinstance(value, list | tuple):
        return [sparse(item) for item in value]
    return value


def is_message(value: Any) -> bool:
    """Whether a value has the shape of a chat message."""
    return isinstance(value, Mapping) and value.get("role") in ROLES and ("content" in value or "tool_calls" in value)


def message(value: Mapping[str, Any]) -> SparseMessage:
    """One message: its content as text when all its blocks are text; no nulls, no ``extra``."""
    if isinstance(value, SparseMessage):
        return value
    shown = {key: sparse(item) for key, item in value.items() if key not in ("content", "extra")}
    shown = {key: item for key, item in shown.items() if item is not None and item != []}
    shown = {"role": value["role"], "content": content(value.get("content")), **shown}
    return SparseMessage(
        shown, {**_OPTIONAL, **dict.fromkeys(value.keys() - shown.keys() - {"extra", *_OPTIONAL})}, value
    )


def content(blocks: Any) -> Any:
    """A message's content: one text when all its blocks are text, else the sparse blocks."""
    if not isinstance(blocks, list | tuple):
        return "" if blocks is None else blocks
    if all(isinstance(block, Mapping) and block.get("type") == "text" for block in blocks):
        return "\n".join(str(block.get("text") or "") for block in blocks)
    return sparse(blocks)


def source(value: Any) -> Any:
    """The value as the row has it, ``extra`` and all: what filters for rollouts read."""
    return value.source if isinstance(value, Sparse) else value


def text_of(value: Any) -> str:
    """The text of a message, a text itself, nothing for none."""
    if isinstance(value, str):
        return value
    blocks = source(value).get("content") if isinstance(value, Mapping) else value
    if isinstance(blocks, str):
        return blocks
    if not isinstance(blocks, list | tuple):
        return ""
    texts = [block.get("text") for block in blocks if isinstance(block, Mapping) and block.get("type") == "text"]
    return "\n".join(text for text in texts if isinstance(text, str))
