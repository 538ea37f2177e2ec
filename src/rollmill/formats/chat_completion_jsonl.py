r"""Chat completions: one conversation a line, in any of the dialects that data sets and completion logs write.

    {"id":"row-1","messages":[{"role":"user","content":"List both."},{"role":"assistant","content":null,"tool_calls":[
     {"id":"c1","type":"function","function":{"name":"ls","arguments":"{\"path\": \"/a\"}"}}]}],"tools":[…],"reward":1}

This format is the exception to tolerance: it is a data set, and half a data set is worse than none. One bad line
refuses the whole file, which is one problem with its line; other files go on. ``_chat_rows`` reads a row,
``_chat`` its messages.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

import msgspec
from msgspec import Raw

from rollmill.errors import UnreadableFile
from rollmill.formats import FormatDefaults, RolloutFile
from rollmill.formats._chat import BadRow
from rollmill.formats._chat_rows import Row, readable
from rollmill.formats._jsonl import blocks
from rollmill.formats._lift import Lifter
from rollmill.formats._raw_json import NOT_JSON, items, type_of
from rollmill.media import MediaStore, NoStore
from rollmill.rollout import Fidelity, Rollout

DEFAULTS = FormatDefaults(None, "*.jsonl")

KEPT_WHOLE = 1 << 25
"""Rows of files up to this size are kept until the last line is read; a bigger file is read twice."""

_any = msgspec.json.Decoder(Raw)


def is_handled_file(relative_path: str) -> bool:
    """JSON Lines, and JSON documents of one row or a list of rows."""
    return PurePosixPath(relative_path).name.endswith((".jsonl", ".json", ".ndjson"))


def recognise(records: list[Any]) -> bool:
    """A first row with a list of messages that have a role, or with a prompt and its completion."""
    first = records[0] if records else None
    if isinstance(first, list):
        first = first[0] if first else None
    if not isinstance(first, dict):
        return False
    spoken = [first.get(name) for name in ("messages", "conversations", "trajectory", "traj")]
    return any(map(_is_conversation, spoken)) or ("prompt" in first and "completion" in first)


def _is_conversation(value: Any) -> bool:
    first = value[0] if isinstance(value, list) and value else None
    return isinstance(first, dict) and isinstance(first.get("role", first.get("from")), str)


def parse_file(file: RolloutFile) -> Iterable[Rollout]:
    """One rollout a row, once the whole file is known to be good.

    Raises ``OSError``, and ``UnreadableFile`` (``bad_row``, with its line) for a line that is not JSON, a row that is
    no object, a row without messages, and a message that no dialect knows."""
    is_small = file.path.stat().st_size <= KEPT_WHOLE
    kept = list(_rollouts(file, file.media)) if is_small else []
    whole = Fidelity()
    for rollout in kept if is_small else _rollouts(file, NoStore()):
        whole.records.total += 1
        whole.replaced_characters += rollout.source_meta.fidelity.replaced_characters
    whole.records.used = whole.records.total
    if not whole.records.total:
        file.skip = "no_messages"
    return _with_ledger(kept if is_small else _rollouts(file, file.media), whole)


def _with_ledger(rollouts: Iterable[Rollout], whole: Fidelity) -> Iterator[Rollout]:
    """The rollouts, each with what the ledger says of the whole file."""
    for rollout in rollouts:
        rollout.source_meta.fidelity.records = whole.records
        rollout.source_meta.fidelity.replaced_characters = whole.replaced_characters
        yield rollout


def _rollouts(file: RolloutFile, media: MediaStore) -> Iterator[Rollout]:
    for line, source, replaced in _sources(file, media):
        try:
            rollout = Row(file, line, source, replaced, media).rollout()
        except (BadRow, *NOT_JSON) as error:
            raise UnreadableFile(
                "bad_row", f"{file.path}, line {line}: {error}; one bad row refuses the whole file", line
            ) from error
        yield rollout


def _sources(file: RolloutFile, media: MediaStore) -> Iterator[tuple[int, bytes, int]]:
    """Each row's line, its JSON, and the characters already replaced in it; in a document its position for the line.
    A ``.json`` file that is no document is taken for lines."""
    if file.path.name.endswith(".json"):
        data = Lifter(media).lift(file.path.read_bytes().removeprefix(codecs.BOM_UTF8))
        if (rows := _document_rows(data)) is not None:
            yield from rows
            return
    for block in blocks(file.path, media):
        for number, line in enumerate(block.lines(), block.first):
            row = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            if row.strip():
                yield number, row, 0


def _document_rows(data: bytes) -> list[tuple[int, bytes, int]] | None:
    """The document's elements, or itself; None when the bytes are no JSON document. What was replaced anywhere in it
    is told with the first."""
    try:
        _, fixed, replaced = readable(data, _any)
        rows = [bytes(row) for row in items(fixed)] if type_of(fixed) == "array" else [fixed]
    except NOT_JSON:
        return None
    return [(number, row, 0 if number > 1 else replaced) for number, row in enumerate(rows, 1)]
