"""Rows that were written to Parquet or JSONL, back as ``Rollout``s."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from rollmill.errors import ConfigError, SeedReaderError
from rollmill.rollout import COLUMNS, Rollout

ROW_KEYS = {"trace_id", "source_kind", "messages", "source_meta"}
FIRST_LINE = 1 << 26


def row_files(path: Path) -> list[Path]:
    """The files of rows that ``path`` is or holds (a folder of parts); none when it is something else.

    Raises ``ConfigError`` for a folder in which some files are rows and others are not: read as rollouts, its rows
    would lose all that was known of them.
    """
    files = sorted(chain(path.glob("*.parquet"), path.glob("*.jsonl"))) if path.is_dir() else [path]
    rows = [file for file in files if file.is_file() and _holds_rows(file)]
    if rows and len(rows) < len(files):
        others = [file.name for file in files if file not in rows]
        raise ConfigError(
            f"{path} has files of rows ({rows[0].name}) and others ({', '.join(others[:5])}); give one of them, "
            f"or move the others away"
        )
    return rows


def _holds_rows(file: Path) -> bool:
    if file.suffix == ".parquet":
        return True
    if file.suffix not in (".jsonl", ".json", ".ndjson"):
        return False
    with file.open("rb") as lines:
        return ROW_KEYS.issubset(_keys(lines.readline(FIRST_LINE)))


def _keys(line: bytes) -> dict[str, msgspec.Raw]:
    try:
        return msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return {}


class StoredRollouts(Iterator[Rollout]):
    """The rows of the files as rollouts, with ``trace`` only those whose trace_id has it somewhere.

    Raises ``SeedReaderError`` for a file that cannot be read, ``ConfigError`` for rows of another shape.
    """

    def __init__(self, files: list[Path], trace: str | None = None) -> None:
        self.bytes_total = sum(file.stat().st_size for file in files)
        self.bytes_done = 0
        self._files = files
        self._rollouts = self._all(files, trace)

    def __next__(self) -> Rollout:
        return next(self._rollouts)

    def holds(self, path: Path) -> bool:
        """Whether ``path`` is one of the files."""
        return os.path.isfile(path) and any(path.samefile(file) for file in self._files)

    def _all(self, files: list[Path], trace: str | None) -> Iterator[Rollout]:
        for file in files:
            before = self.bytes_done
            for row, done in _parquet_rows(file, trace) if file.suffix == ".parquet" else _jsonl_rows(file, trace):
                self.bytes_done = before + done
                yield _rollout(row, file)
            self.bytes_done = before + file.stat().st_size


Row = tuple[dict[str, Any], int]
"""A row, and about how many bytes of its file it and those before it are."""


def _parquet_rows(file: Path, trace: str | None) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    try:
        rows = ds.dataset(file, format="parquet")
        if missing := [name for name in COLUMNS if name not in rows.schema.names]:
            raise ConfigError(
                f"{file} holds no rollouts: it lacks the columns {', '.join(missing)}; give a file that rollmill wrote"
            )
        wanted = None if trace is None else pc.match_substring(ds.field("trace_id"), trace)
        share, number = file.stat().st_size / max(rows.count_rows(), 1), 0
        for batch in rows.to_batches(columns=list(COLUMNS), filter=wanted, batch_size=16, batch_readahead=0):
            for row in batch.to_pylist():
                number += 1
                yield row, int(number * share)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise SeedReaderError(f"{file} cannot be read as Parquet: {error}") from error


def _jsonl_rows(file: Path, trace: str | None) -> Iterator[Row]:
    done = 0
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                done += len(line)
                if line.strip() and (trace is None or _has(line, trace)):
                    yield _decoded(line, file, number), done
    except OSError as error:
        raise SeedReaderError(f"{file} cannot be read: {error}") from error


def _has(line: bytes, trace: str) -> bool:
    try:
        return trace in msgspec.json.decode(_keys(line).get("trace_id", b'""'), type=str)
    except msgspec.MsgspecError:
        return False


def _decoded(line: bytes, file: Path, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SeedReaderError(f"{file}, line {number} is no JSON: {error}") from error
    if not isinstance(row, dict):
        raise ConfigError(f"{file}, line {number} is no row; docs/rows.md describes rows")
    return row


def _rollout(row: dict[str, Any], file: Path) -> Rollout:
    """A row as a rollout: keys that were left out are null, ``source_meta`` may be JSON text."""
    row = {**dict.fromkeys(COLUMNS), **row}
    try:
        if isinstance(row["source_meta"], str):
            row["source_meta"] = msgspec.json.decode(row["source_meta"])
        return msgspec.convert(row, Rollout)
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{file} holds a row of another shape: {error}; docs/rows.md describes rows") from error
