"""What of Codex's files is not one JSONL log: the TypeScript CLI's document, and the index of thread names.

{"session":{"timestamp":"2025-08-23T11:03:20.415Z","id":"0418f71e-…","instructions":""},"items":[{"role":"user",…}]}
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from rollmill.errors import UnreadableFile
from rollmill.files import Tree
from rollmill.formats import RolloutFile
from rollmill.formats._codex_records import Document, Record
from rollmill.formats._jsonl import Log, open_bytes
from rollmill.formats._lift import Lifter

INDEX_NAME = "session_index.jsonl"


def read_document(file: RolloutFile) -> Log[Record]:
    """The TypeScript CLI's document as records: its header as the first, then its items, numbered from 1."""
    with open_bytes(file.path) as raw:
        data = Lifter(file.media).lift(raw.read())
    try:
        document = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"), type=Document)
    except msgspec.ValidationError as error:
        raise UnreadableFile("not_a_rollout", f"not a Codex document: {error}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableFile("not_json", f"not JSON: {error}") from error
    if document.session is None or document.items is None:
        raise UnreadableFile("not_a_rollout", "no session and items in it")
    log: Log[Record] = Log()
    log.records.append(Record(type="session_meta", payload=document.session))
    for number, item in enumerate(document.items, 1):
        log.records.append(Record(type="response_item", payload=item, line=number))
    return log


class IndexEntry(Struct):
    """A line of ``session_index.jsonl``."""

    id: str | None = None
    thread_name: str | None = None


def thread_names(tree: Tree) -> dict[str, str]:
    """The names the session index gives, last one wins. The index lies in the tree, or beside ``sessions``."""
    beside = tree.root.parent / INDEX_NAME
    paths = [*tree.named(INDEX_NAME), *([beside] if beside.is_file() and _is_sessions(tree) else [])]
    names: dict[str, str] = {}
    for path in paths:
        for line in _lines_of(path):
            try:
                entry = msgspec.json.decode(line, type=IndexEntry)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                continue
            if entry.id and entry.thread_name:
                names[entry.id] = entry.thread_name
    return names


def _is_sessions(tree: Tree) -> bool:
    return tree.root.name in ("sessions", "archived_sessions")


def _lines_of(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().split(b"\n")
    except OSError:
        return []
