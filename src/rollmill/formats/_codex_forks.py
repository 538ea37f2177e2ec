"""How many of a Codex log's first records are another thread's history, replayed.

A fork begins with its own header, then repeats its parent's records with new times. Some versions name the parent,
some only leave the parent's header as a second one. The repeated records are found by comparing payloads.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rollmill.formats import RolloutFile
from rollmill.formats._codex_records import Record
from rollmill.formats._jsonl import open_bytes


def parent_id(header: Record | None, records: Sequence[Record]) -> str | None:
    """The thread this one repeats: named by the header, else the owner of the second header."""
    if header is None or header.payload is None:
        return None
    if header.payload.history_mode == "paginated":
        return None
    if header.payload.forked_from_id:
        return header.payload.forked_from_id
    for record in records:
        if record.type == "session_meta" and record.payload is not None and record.payload.id != header.payload.id:
            return record.payload.id
    return None


def replayed_lines(file: RolloutFile, header: Record, parent: str) -> set[int] | None:
    """The lines that repeat the parent's records, from the one behind the header on. None when the parent's log is
    not in the tree."""
    path = _log_of(file, parent)
    if path is None:
        return None
    file.companions_read += 1
    own, theirs = _payloads(file.path), [payload for _, payload in _payloads(path)]
    lines: set[int] = set()
    at = 0
    for line, payload in own:
        if line <= header.line:
            continue
        found = _next_equal(theirs, payload, at)
        if found is None:
            break
        lines.add(line)
        at = found + 1
    return lines


def _next_equal(theirs: list[Any], payload: Any, at: int) -> int | None:
    """Where the parent says the same next. What a fork leaves out of its copy are never the model's items."""
    for position in range(at, len(theirs)):
        if theirs[position] == payload:
            return position
        if theirs[position][0] in ("response_item", "compacted"):
            return None
    return None


def _log_of(file: RolloutFile, thread: str) -> Path | None:
    names = [name for name in file.tree.stems() if thread in name and name.endswith((".jsonl", ".jsonl.zst"))]
    paths = [path for name in sorted(names) for path in file.tree.named(name) if path != file.path]
    return paths[0] if paths else None


def _payloads(path: Path) -> list[tuple[int, tuple[Any, Any]]]:
    """``(line, (type, payload))`` of every readable record."""
    found = []
    with open_bytes(path) as raw:
        for line, text in enumerate(raw.read().split(b"\n"), 1):
            try:
                value = json.loads(text)
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict):
                found.append((line, (value.get("type"), value.get("payload"))))
    return found
