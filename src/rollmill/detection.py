"""Which format a file or folder is of, judged by the shape of its first records and never by its name."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from rollmill.errors import DetectionError
from rollmill.files import FoundFile, walk
from rollmill.formats import formats
from rollmill.formats._jsonl import open_bytes

PREFIX_BYTES = 1 << 20
MAX_RECORDS = 20
MAX_FILES = 20
ENDINGS = (".jsonl", ".json", ".ndjson", ".jsonl.zst", ".json.zst")
"""In a folder, files of these endings are looked at; a file that is named itself may have any."""
HOW = "format=, or --format"


def detect(path: str | os.PathLike[str]) -> str:
    """The name of the one format that a file's first records have, or those of a folder's first files.

    Of a file at most 1 MB is read. Raises ``DetectionError`` when no format fits or more than one does.
    """
    looked_at = Path(os.path.expanduser(path))
    if looked_at.is_dir():
        files = list(islice(filter(_may_hold_rollouts, walk(looked_at)), MAX_FILES))
        what = f"the first {MAX_FILES} JSON files in it" if len(files) == MAX_FILES else f"its {len(files)} JSON files"
        return _one_of(_formats_of(looked_at, files), looked_at, what)
    if not looked_at.exists():
        raise DetectionError(f"{looked_at} does not exist, so its format cannot be told; give a file or folder")
    try:
        records = first_records(looked_at)
    except OSError as error:
        raise DetectionError(f"{looked_at} cannot be read: {error}; check its permissions") from error
    return _one_of(set(_matching(records)), looked_at, _described(records))


def _formats_of(folder: Path, files: list[FoundFile]) -> set[str]:
    found: set[str] = set()
    for file in files:
        with suppress(OSError):
            found.update(_matching(first_records(folder / file.relative_path)))
    return found


def _may_hold_rollouts(file: FoundFile) -> bool:
    return file.skip in ("", "link") and file.name.endswith(ENDINGS)


def _matching(records: list[Any]) -> list[str]:
    return [name for name, module in formats() if module.recognise(records)] if records else []


def _one_of(names: set[str], path: Path, what: str) -> str:
    if len(names) == 1:
        return names.pop()
    known = ", ".join(name for name, _ in formats())
    if names:
        several = ", ".join(sorted(names))
        raise DetectionError(f"{path} fits several formats: {several}; looked at {what}; name one ({HOW})")
    raise DetectionError(
        f"{path} fits no known format ({known}); looked at {what}; if it is one of them, name it ({HOW})"
    )


def _described(records: list[Any]) -> str:
    if not records:
        return "its first 1 MB, in which no JSON value could be read"
    first = records[0]
    keys = (
        f"the first has the keys {', '.join(list(first)[:8])}"
        if isinstance(first, dict)
        else f"the first is {first!r:.80}"
    )
    return f"its first {len(records)} records, {keys}"


def first_records(path: Path) -> list[Any]:
    """The JSON values at a file's start, at most 20: lines of JSONL, or one document. Bytes that are no JSON are passed
    over; a document longer than the prefix is closed where it was cut. Raises ``OSError``."""
    with open_bytes(path) as file:
        prefix = _read(file)
    text = prefix.decode("utf-8-sig", "replace")
    records = list(islice(_values(text), MAX_RECORDS))
    return records if records or len(prefix) < PREFIX_BYTES else _cut_document(text)


def _read(file: BinaryIO) -> bytes:
    """The first bytes; a raw or decompressing file may give fewer at a time than it is asked for."""
    parts: list[bytes] = []
    size = 0
    with _broken_compression_ends():
        while size < PREFIX_BYTES and (part := file.read(PREFIX_BYTES - size)):
            parts.append(part)
            size += len(part)
    return b"".join(parts)


@contextmanager
def _broken_compression_ends() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # By its name: zstandard is imported only where a compressed file is met.
        if type(error).__name__ != "ZstdError":
            raise


_DECODER = json.JSONDecoder()
_VALUE = re.compile(r"[^\s\0]")
_LINE_WITH_VALUE = re.compile(r"(?<=\n)[{\[]")
"""Not indented: after a value that does not decode, the inner lines of a cut document must not pass for records."""


def _values(text: str) -> Iterator[Any]:
    start = _VALUE.search(text)
    while start is not None:
        try:
            value, end = _DECODER.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            start = _LINE_WITH_VALUE.search(text, start.end())
        else:
            yield value
            start = _VALUE.search(text, end)


_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)
_CLOSING = {"[": "]", "{": "}"}


def _cut_document(text: str) -> list[Any]:
    """The one document that ``text`` begins, without the value in which it was cut and with its brackets closed."""
    open_brackets: list[str] = []
    end, closing = 0, ""
    for token in _TOKENS.finditer(text):
        match token.group():
            case "[" | "{" as bracket:
                open_brackets.append(_CLOSING[bracket])
            case "]" | "}" if open_brackets:
                open_brackets.pop()
            case ",":
                end, closing = token.start(), "".join(reversed(open_brackets))
    return list(_values(text[:end] + closing))[:1] if end else []
