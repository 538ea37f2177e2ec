"""What a log means: its messages as the writer meant them, and those that were read in the same terms."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from rollmill.rollout import Message, Usage
from tests.writers.picture import PNG_SHA256


@dataclass
class Meant:
    """One message as it was meant, with the records (their lines) it stands in."""

    role: str
    text: str = ""
    id: str | None = None
    origin: str = ""
    kind: str | None = None
    segment: int = 0
    lines: list[int] = field(default_factory=list)
    reasoning: str | None = None
    thinking: str | None = None
    calls: list[tuple[str, str, Any, str]] = field(default_factory=list)
    answers: str | None = None
    results: dict[str, Meant] = field(default_factory=dict)
    is_error: bool | None = None
    usage: Usage | None = None
    model: str | None = None
    part: int | None = None
    order: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    images: int = 0
    repeats: list[int] = field(default_factory=list)
    """Lines that say again what another of its lines says."""

    def seen(self) -> dict[str, Any]:
        ranks = [("thinking", "text", "call").index(kind) for kind in self.order]
        return {
            "role": self.role,
            "text": self.text,
            "id": self.id,
            "origin": self.origin,
            "kind": self.kind,
            "segment": self.segment,
            "line": min(self.lines),
            "reasoning": self.reasoning,
            "thinking": self.thinking,
            "calls": self.calls,
            "answers": self.answers,
            "is_error": self.is_error,
            "usage": self.usage,
            "model": self.model,
            "part": self.part,
            "block_order": None if ranks == sorted(ranks) else ",".join(self.order),
            "images": self.images,
        }


def seen(message: Message) -> dict[str, Any]:
    """A message that was read, in the terms of ``Meant.seen``."""
    extra = message.extra
    pictures = [block.media for block in message.content if block.type == "image"]
    assert all(media is not None and media.sha256 == PNG_SHA256 for media in pictures)
    return {
        "role": message.role,
        "text": message.text,
        "id": extra.id,
        "origin": extra.origin,
        "kind": extra.kind,
        "segment": extra.segment,
        "line": extra.line,
        "reasoning": message.reasoning_content,
        "thinking": extra.thinking,
        "calls": [
            (call.id, call.function.name, json.loads(call.function.arguments), call.type) for call in message.tool_calls
        ],
        "answers": message.tool_call_id,
        "is_error": extra.is_error,
        "usage": extra.usage,
        "model": extra.model,
        "part": extra.part,
        "block_order": extra.block_order,
        "images": len(pictures),
    }


def in_order(messages: list[Meant]) -> list[Meant]:
    """The messages with the results of each behind it, in the order of its calls."""
    return [
        each
        for message in messages
        for each in (message, *(message.results[c[0]] for c in message.calls if c[0] in message.results))
    ]


def usage_sum(messages: list[Meant]) -> Usage:
    total = Usage()
    for name in Usage.__struct_fields__:
        stated = [n for m in messages if m.usage is not None and (n := getattr(m.usage, name)) is not None]
        setattr(total, name, sum(stated) if stated else None)
    return total
