"""Content blocks of Claude Code: text, media, tool results, and whatever later versions bring.

{"type":"tool_result","tool_use_id":"toolu_01…","content":"<persisted-output>\\nOutput too large (30KB). …"}
"""

from __future__ import annotations

import re
from typing import Any

from rollmill.formats import RolloutFile
from rollmill.formats._claude_records import ContentBlock, Record, Source
from rollmill.formats._conversation import json_text
from rollmill.formats._jsonl import source_objects
from rollmill.formats._lift import embedded
from rollmill.rollout import Block, Media

_MEDIA_TYPES = {"image": "image", "document": "file", "audio": "audio"}
_PERSISTED = "<persisted-output>"
_SAVED_AS = re.compile(r"saved to: .*?([^/\\\n]+)\s*(?:\n|$)")


class Blocks:
    """Makes blocks of one log's. What no field fits gets its source JSON at the end, from the file."""

    def __init__(self, file: RolloutFile, session_id: str) -> None:
        self.file = file
        self.session_id = session_id
        self.truncated_outputs = 0
        self.undecodable_media = 0
        self.odd_blocks: list[tuple[Block, Record, int]] = []

    def of(self, block: ContentBlock, record: Record, position: int) -> Block:
        """A text or media block, or any other with its source JSON."""
        if block.type == "text":
            return Block("text", block.text or "")
        if block.type in _MEDIA_TYPES and block.source is not None:
            return self._media(block.type, block.source, None, (record, position))
        return self._odd(Block(block.type or "json"), record, position)

    def _media(self, kind: str, source: Source, original: str | None, place: tuple[Record, int] | None = None) -> Block:
        name = _MEDIA_TYPES[kind]
        if source.type == "text" and source.data is not None:
            return Block("text", source.data)
        if source.data is not None:
            media = embedded(source.data, source.media_type, self.file.media)
        else:
            media = Media(media_type=source.media_type, url=source.url) if source.url else None
        if media is not None:
            return Block(name, None, media)
        self.undecodable_media += 1
        return Block(name, original) if place is None else self._odd(Block(name), *place)

    def _odd(self, block: Block, record: Record, position: int) -> Block:
        self.odd_blocks.append((block, record, position))
        return block

    def spell_out_odd(self) -> None:
        """Give the blocks that no field fits their source JSON. They are rare, so the file is read again for them."""
        if not self.odd_blocks:
            return
        sources = source_objects(self.file.path, {record.line for _, record, _ in self.odd_blocks}, self.file.media)
        for block, record, position in self.odd_blocks:
            block.text = json_text(_source_block(sources.get(record.line, []), record, position))

    def of_result(self, content: Any) -> list[Block]:
        if isinstance(content, str):
            text = self._whole_output(content) if content.startswith(_PERSISTED) else content
            return [Block("text", text)] if text else []
        if isinstance(content, list):
            return [self._result_block(item) for item in content]
        return [] if content is None else [Block("json", json_text(content))]

    def _result_block(self, item: Any) -> Block:
        if isinstance(item, dict):
            kind, text, source = item.get("type"), item.get("text"), item.get("source")
            if kind == "text" and isinstance(text, str):
                return Block("text", self._whole_output(text) if text.startswith(_PERSISTED) else text)
            if isinstance(kind, str) and kind in _MEDIA_TYPES and isinstance(source, dict):
                return self._media(kind, _source(source), json_text(item))
            return Block(kind if isinstance(kind, str) and kind else "json", json_text(item))
        return Block("text", item) if isinstance(item, str) else Block("json", json_text(item))

    def _whole_output(self, preview: str) -> str:
        """The spilled output's own file instead of its preview, when it is there."""
        name = found[1] if (found := _SAVED_AS.search(preview)) else ""
        folders = [folder for folder in self.file.path.parents if folder.name == self.session_id]
        session = folders[0] if folders else self.file.path.parent / self.session_id
        data = self.file.companion(session / "tool-results" / name, f"tool-results/{name}") if name else None
        self.truncated_outputs += data is None
        return preview if data is None else data.decode("utf-8", "replace")


def _source(fields: dict[str, Any]) -> Source:
    texts = {key: fields.get(key) for key in ("type", "media_type", "data", "url")}
    return Source(**{key: value if isinstance(value, str) else None for key, value in texts.items()})


def _source_block(objects: list[Any], record: Record, position: int) -> Any:
    """The block as the log has it. Several records may share a line."""
    for value in objects:
        if isinstance(value, dict) and (value.get("uuid") == record.uuid or len(objects) == 1):
            holder = value.get("message") or value.get("attachment") or {}
            blocks = holder.get("content", holder.get("prompt"))
            if isinstance(blocks, list) and position < len(blocks):
                return blocks[position]
    return None
