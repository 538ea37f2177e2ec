"""How many of a Codex log's first records are another thread's history, replayed.

A fork begins with its own header, then repeats its parent's records with new times. Some versions name the parent,
some only leave the parent's header as a second one. The repeated records are found by comparing payloads, record by
record and only as far as they repeat.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from rollmill.formats import RolloutFile
from rollmill.formats._codex_records import Record
from rollmill.formats._jsonl import blocks
from rollmill.media import NoStore

LOOKED_THROUGH = 20
"""A copy begins among so many first records, with one of so many first records of the parent."""
PAUSE_SECONDS = 5.0
"""A copy is written at once: after a longer pause, with a time that is not the parent's, somebody typed."""


class Line(NamedTuple):
    """A record reduced to what a copy repeats; ``time`` is no part of that."""

    number: int
    kind: Any
    payload: Any
    time: Any


def parent_id(headers: Sequence[Record]) -> str | None:
    """The thread that the one of the first header repeats: named there, else the owner of another header."""
    threads = [header.payload for header in headers if header.payload is not None]
    if not threads or threads[0].history_mode == "paginated":
        return None
    others = (thread.id for thread in threads if thread.id != threads[0].id)
    return threads[0].forked_from_id or next(others, None)


def replayed_lines(file: RolloutFile, header: Record, parent: str) -> set[int] | None:
    """The numbers of the lines that repeat the parent's records. None when the parent's log is not in the tree."""
    path = _log_of(file, parent)
    if path is None:
        return None
    file.companions_read += 1
    own = (line for line in _lines(file.path) if line.number > header.line)
    theirs = _lines(path)
    beginning = _beginning(own, theirs)
    if beginning is None:
        return set()
    mine, parents = beginning
    return {line.number for line in _repeated(chain(mine, own), chain(parents, theirs))}


def _beginning(own: Iterator[Line], theirs: Iterator[Line]) -> tuple[list[Line], list[Line]] | None:
    """Both logs from where the copy begins; None when it begins nowhere near their starts."""
    mine, parents = list(islice(own, LOOKED_THROUGH)), list(islice(theirs, LOOKED_THROUGH))
    for at, line in enumerate(mine):
        for start, other in enumerate(parents):
            if _same(line, other):
                return mine[at:], parents[start:]
    return None


def _repeated(own: Iterator[Line], theirs: Iterator[Line]) -> list[Line]:
    """The own lines that are repeated; of a turn that goes on in words of its own, none."""
    found: list[Line] = []
    turn = 0
    before: Line | None = None
    for line in own:
        if _is_prompt(line):
            turn = len(found)
        other = _next_same(line, theirs)
        if other is None or _somebody_typed(before, line, other):
            next_item = next((later for later in chain([line], own) if later.kind == "response_item"), None)
            return found if next_item is None or _is_prompt(next_item) else found[:turn]
        found.append(line)
        before = line
    return found


def _next_same(line: Line, theirs: Iterator[Line]) -> Line | None:
    """The parent's record that says the same next. What a fork leaves out of its copy are never the model's items."""
    for other in theirs:
        if _same(line, other):
            return other
        if other.kind in ("response_item", "compacted"):
            return None
    return None


def _same(line: Line, other: Line) -> bool:
    return bool(line.kind == other.kind and line.payload == other.payload)


def _is_prompt(line: Line) -> bool:
    return isinstance(line.payload, dict) and line.payload.get("role") in ("user", "developer")


def _somebody_typed(before: Line | None, line: Line, other: Line) -> bool:
    if before is None or line.time == other.time:
        return False
    try:
        pause = datetime.fromisoformat(line.time) - datetime.fromisoformat(before.time)
    except (TypeError, ValueError):
        return False
    return pause.total_seconds() > PAUSE_SECONDS


def _log_of(file: RolloutFile, thread: str) -> Path | None:
    names = [name for name in file.tree.names() if thread in name and name.endswith((".jsonl", ".jsonl.zst"))]
    paths = [path for name in sorted(names) for path in file.tree.named(name) if path != file.path]
    return paths[0] if paths else None


def _lines(path: Path) -> Iterator[Line]:
    """Every readable record, images taken out."""
    for block in blocks(path, NoStore()):
        for number, text in enumerate(block.lines(), block.first):
            try:
                value = json.loads(text)
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict):
                yield Line(number, value.get("type"), _without_id(value.get("payload")), value.get("timestamp"))


def _without_id(payload: Any) -> Any:
    """An item without its own id, which a copy may be given anew; a header keeps it, there it names the thread."""
    if isinstance(payload, dict) and payload.get("type") and "id" in payload:
        return {key: value for key, value in payload.items() if key != "id"}
    return payload
