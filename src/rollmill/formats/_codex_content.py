"""Codex's content parts and tool outputs: text, images, and what an output tells of how its command ended.

{"type":"function_call_output","call_id":"call_9zGk…","output":"Chunk ID: 933ab2\\nWall time: 0.6960 seconds\\n
 Process exited with code 0\\nOriginal token count: 345\\nOutput:\\n…"}
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from rollmill.formats import RolloutFile
from rollmill.formats._codex_records import Part, Record
from rollmill.formats._conversation import json_text
from rollmill.formats._jsonl import source_objects
from rollmill.formats._lift import embedded, linked
from rollmill.rollout import Block

_EXIT_CODE = re.compile(
    r"Exit code: (-?\d+)\n|(?:Chunk ID: .*\n)?(?:Wall time: .*\n)?Process exited with code (-?\d+)\n"
)


class _Metadata(msgspec.Struct):
    exit_code: int | None = None


class _OutputEnvelope(msgspec.Struct):
    metadata: _Metadata | None = None


class _Spawned(msgspec.Struct):
    agent_id: str | None = None


_decode_envelope = msgspec.json.Decoder(_OutputEnvelope).decode
_decode_spawned = msgspec.json.Decoder(_Spawned).decode


def exit_code(text: str) -> int | None:
    """The exit code where each of the three shapes has it, never from the output itself."""
    if text.startswith('{"output":'):
        try:
            metadata = _decode_envelope(text).metadata
        except (msgspec.MsgspecError, RecursionError):
            return None
        return metadata.exit_code if metadata else None
    found = _EXIT_CODE.match(text)
    return int(found[1] or found[2]) if found else None


def spawned_agent(text: str) -> str | None:
    """The sub-agent that the output of a ``spawn_agent`` call names."""
    try:
        return _decode_spawned(text).agent_id
    except (msgspec.MsgspecError, RecursionError):
        return None


def without_empty(blocks: list[Block]) -> list[Block]:
    """The blocks without text blocks that have no text."""
    return [block for block in blocks if block.type != "text" or block.text]


class Blocks:
    """Makes blocks of one file's parts. What no field fits gets its source JSON at the end, from the file."""

    def __init__(self, file: RolloutFile) -> None:
        self.file = file
        self.undecodable_media = 0
        self.odd: list[tuple[Block, Record, tuple[Any, ...]]] = []

    def of(self, record: Record, content: str | Part | list[Part] | None, path: tuple[Any, ...]) -> list[Block]:
        if isinstance(content, str):
            return [Block("text", content)]
        if isinstance(content, Part):
            return [self.one(record, content, path)]
        return [self.one(record, part, (*path, n)) for n, part in enumerate(content or ())]

    def one(self, record: Record, part: Part, path: tuple[Any, ...]) -> Block:
        if part.text is not None and part.image_url is None:
            return Block("text", part.text)
        original: dict[str, Any]
        url = part.image_url.get("url") if isinstance(part.image_url, dict) else part.image_url
        if isinstance(url, str):
            media = linked(url, self.file.media)
            original = {"type": part.type, "image_url": url}
        elif part.data is not None and part.type in ("image", "audio"):
            media = embedded(part.data, part.mimeType, self.file.media)
            original = {"type": part.type, "data": part.data, "mimeType": part.mimeType}
        else:
            block = Block(part.type or "json")
            self.odd.append((block, record, path))
            return block
        self.undecodable_media += media is None
        return Block("audio" if part.type == "audio" else "image", None if media else json_text(original), media)

    def spell_out_odd(self) -> None:
        """Give the blocks that no field fits their source JSON. They are rare, so the file is read again for them."""
        if not self.odd:
            return
        sources = self._sources({record.line for _, record, _ in self.odd})
        for block, record, path in self.odd:
            block.text = json_text(_at(next(iter(sources.get(record.line, [])), None), path))

    def _sources(self, numbers: set[int]) -> dict[int, list[Any]]:
        if not self.file.path.name.endswith(".json"):
            return source_objects(self.file.path, numbers, self.file.media)
        items = json.loads(self.file.path.read_bytes())["items"]
        return {number: [items[number - 1]] for number in numbers}


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    """What lies at a path below a record's payload; None when nothing does."""
    if isinstance(value, dict):
        value = value.get("payload", value)
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value
