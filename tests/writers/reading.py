"""Written bytes read back by the parsers, and what their ledgers are held against."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rollmill.errors import UnreadableFile
from rollmill.formats import RolloutFile, load_format
from rollmill.rollout import RECORD_CLASSES, Rollout
from tests.writers.claude_thread import SESSION
from tests.writers.codex import THREAD


@contextmanager
def written(name: str, data: bytes, **options: Any) -> Iterator[RolloutFile]:
    """``data`` as the only file of a folder, ready to parse."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(data)
        file = RolloutFile.alone(path)
        for option, value in options.items():
            setattr(file, option, value)
        yield file


def parsed(format_name: str, data: bytes, name: str | None = None, **options: Any) -> list[Rollout]:
    """The rows of a file with these bytes."""
    usual = {"codex": f"rollout-2026-03-01T23-26-47-{THREAD}.jsonl", "claude_code": f"{SESSION}.jsonl"}
    with written(name or usual.get(format_name, "rows.jsonl"), data, **options) as file:
        return list(load_format(format_name).parse_file(file))


def readable(format_name: str, data: bytes) -> list[Rollout]:
    """The rows; none where the file is no rollout."""
    try:
        return parsed(format_name, data)
    except UnreadableFile:
        return []


def ledger(rollout: Rollout) -> dict[str, int]:
    """The record classes that are not empty, with the total."""
    counts = rollout.source_meta.fidelity.records
    return {name: n for name in ("total", *RECORD_CLASSES) if (n := getattr(counts, name))}


_VALUES = json.JSONDecoder(parse_int=str, parse_float=str)


def count_records(data: bytes) -> int:
    """How many records a log has: the JSON values of each line, and each rest of a line that is none."""
    count = 0
    for line in data.split(b"\n"):
        if not line.strip():
            continue
        text = line.strip(b"\0 \t\r").removeprefix(b"\xef\xbb\xbf").strip(b"\0 \t\r").decode("utf-8", "replace")
        count += not text
        while text:
            count += 1
            try:
                text = text[_VALUES.raw_decode(text)[1] :].lstrip("\0 \t\r")
            except (ValueError, RecursionError):
                break
    return count
