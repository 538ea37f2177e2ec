"""What a Codex compaction keeps of the conversation before it.

    {"type":"compacted","payload":{"message":"","replacement_history":[{"type":"message","role":"user",…},…]}}

From such a record on the model's context is the replacement history: earlier messages said again, a summary, sometimes
only ciphertext.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
from msgspec import Raw

from rollmill.formats._codex_records import Item, Part, is_encrypted
from rollmill.rollout import Message

_decode_items = msgspec.json.Decoder(list[Item]).decode


@dataclass
class Replacement:
    """``kept``: the earlier messages it says again. ``news``: items that say something new, with their positions."""

    kept: list[Message] = field(default_factory=list)
    news: list[tuple[Item, int]] = field(default_factory=list)
    encrypted: bool = False


def replacement(history: Raw, summary: str, messages: Sequence[Message]) -> Replacement:
    """A replacement history compared with the messages before it. The summary itself is no news."""
    found = Replacement()
    items = _items(history)
    known = _by_text(messages, {_role(item) for item in items})
    for position, item in enumerate(items):
        found.encrypted = found.encrypted or is_encrypted(item.encrypted_content)
        if item.type != "message" or not item.role:
            continue
        texts = [item.content] if isinstance(item.content, str) else [p.text or "" for p in item.content or ()]
        text = "".join(texts)
        if earlier := known.get((_role(item), text)):
            found.kept += earlier.pop(0) if len(earlier) > 1 else earlier[0]
        elif not (summary and summary in text):
            found.news.append((item, position))
    return found


def _items(history: Raw) -> list[Item]:
    try:
        return _decode_items(history) if len(history) else []
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []


def _role(item: Item) -> str | None:
    return "system" if item.role == "developer" else item.role


def _by_text(messages: Sequence[Message], roles: set[str | None]) -> dict[tuple[str | None, str], list[list[Message]]]:
    """Which messages of the roles said a text: one whole, one of an assistant's texts, or the parts of one user record
    together."""
    known: dict[tuple[str | None, str], list[list[Message]]] = {}
    records: dict[tuple[str, int | None], list[Message]] = {}
    for message in messages:
        if message.role not in roles:
            continue
        records.setdefault((message.role, message.extra.line), []).append(message)
        for block in message.content if message.role == "assistant" and len(message.content) > 1 else ():
            known.setdefault((message.role, block.text or ""), []).append([message])
    for (role, _), parts in records.items():
        whole = "".join([block.text or "" for part in parts for block in part.content])
        known.setdefault((role, whole), []).append(parts)
    return known


def parts_of(item: Item) -> list[Part]:
    """An item's content as parts; plain text is one."""
    return [Part("input_text", item.content)] if isinstance(item.content, str) else item.content or []
