"""Where rows go: one Parquet file, one JSONL file, or a folder of Parquet parts.

Everything is written aside and renamed when it is whole: under its own name a file is never half-written. Files are
readable by their owner only, for rollouts hold what people typed.
"""

from __future__ import annotations

import atexit
import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Protocol

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from rollmill.errors import ConfigError, RollmillError
from rollmill.rollout import sparse
from rollmill.rows import ROW_SCHEMA

PART_BYTES = 512 << 20
"""A part of a folder ends when its rows reach this size in memory."""
ROW_GROUP_BYTES = 16 << 20
"""A row group ends when its rows reach this size in memory: far below 64 MB, unless one row is more."""
COMPRESSION = "zstd"
COMPRESSION_LEVEL = 1
_NESTED = "messages.list.element."
_WITH_DICTIONARY = [
    "source_kind",
    "root_session_id",
    "cwd",
    "project_path",
    "git_branch",
    _NESTED + "role",
    _NESTED + "content.list.element.type",
    _NESTED + "tool_calls.list.element.type",
    _NESTED + "tool_calls.list.element.function.name",
    _NESTED + "extra.origin",
    _NESTED + "extra.kind",
    _NESTED + "extra.model",
    _NESTED + "extra.thinking",
]


class Output(Protocol):
    """A place that takes batches; ``close`` makes them appear, ``discard`` leaves nothing behind."""

    paths: list[Path]

    def write(self, batch: pa.RecordBatch) -> None: ...
    def close(self) -> None: ...
    def discard(self) -> None: ...


def open_output(path: Path) -> Output:
    """The output that the name asks for: ``.parquet``, ``.jsonl``, or a folder. Raises ``ConfigError`` when it cannot
    be written, before anything is read."""
    is_folder = os.path.isdir(path)
    if path.suffix == ".parquet" and not is_folder:
        return ParquetOutput(path)
    if path.suffix == ".jsonl" and not is_folder:
        return JsonLinesOutput(path)
    if os.path.exists(path) and not is_folder:
        raise ConfigError(f"{path} is there and is no folder; use .parquet, .jsonl, or a folder")
    if path.suffix and not is_folder:
        raise ConfigError(f"{path}: no rows are written as {path.suffix!r}; use .parquet, .jsonl, or a folder")
    return FolderOutput(path)


def media_folder(path: Path) -> Path:
    """Where embedded media of these rows go: beside a file, inside a folder."""
    return path.with_suffix(".media") if path.suffix in (".parquet", ".jsonl") else path / "media"


class _Aside:
    """A file that is written under another name and appears under its own when it is whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.aside = aside_name(path)
        atexit.register(self._remove)  # A signal may end the process before anybody has this to discard it.
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            remove_abandoned(path)
            descriptor = os.open(self.aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as error:
            atexit.unregister(self._remove)
            raise ConfigError(f"{path} cannot be written: {error.strerror}; choose another output") from error
        self.file: IO[bytes] = os.fdopen(descriptor, "wb")

    def keep(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        os.replace(self.aside, self.path)
        atexit.unregister(self._remove)

    def discard(self) -> None:
        self._remove()
        atexit.unregister(self._remove)
        with suppress(OSError):  # What still waits to be written finds no room either.
            self.file.close()

    def _remove(self) -> None:
        with suppress(OSError):
            self.aside.unlink()


def aside_name(path: Path) -> Path:
    """Where this process writes what shall appear as ``path`` when it is whole."""
    return path.with_name(f".{path.name}.writing-{os.getpid()}")


def remove_abandoned(path: Path) -> None:
    """Remove the files or folders that runs which were killed left beside ``path``."""
    for aside in path.parent.glob(f".{glob.escape(path.name)}.writing-*"):
        process = aside.name.rpartition("-")[2]
        if process.isdecimal() and not _is_running(int(process)):
            shutil.rmtree(aside) if aside.is_dir() and not aside.is_symlink() else aside.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """A disk that is full or goes away is an error of the run that the user can fix, told in one message."""
    try:
        yield
    except OSError as error:
        raise RollmillError(
            f"{path} cannot be written: {error.strerror or error}; nothing was left there, make room and run again"
        ) from error


class ParquetOutput:
    """One Parquet file, a row group for about every ``ROW_GROUP_BYTES`` of rows."""

    def __init__(self, path: Path) -> None:
        self.paths = [path]
        self.size = 0
        self._aside = _Aside(path)
        self._writer = pq.ParquetWriter(
            self._aside.file,
            ROW_SCHEMA,
            compression=COMPRESSION,
            compression_level=COMPRESSION_LEVEL,
            use_dictionary=_WITH_DICTIONARY,
            write_statistics=["trace_id", "source_kind", "started_at", "ended_at", "message_count", "tool_call_count"],
        )
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Take a batch; a row group is written when enough of them wait."""
        self._waiting.append(batch)
        self._waiting_bytes += batch.nbytes
        self.size += batch.nbytes
        if self._waiting_bytes >= ROW_GROUP_BYTES:
            self._write_group()

    def _write_group(self) -> None:
        table = pa.Table.from_batches(self._waiting, ROW_SCHEMA)
        if table.num_rows:
            self._writer.write_table(table, row_group_size=table.num_rows)
        self._waiting, self._waiting_bytes = [], 0

    def close(self) -> None:
        self._write_group()
        self._writer.close()
        self._aside.keep()

    def discard(self) -> None:
        with suppress(Exception):
            self._writer.close()
        self._aside.discard()


class JsonLinesOutput:
    """One JSON object a row and line: the 16 columns, nulls inside messages left out, ``source_meta`` as JSON text."""

    def __init__(self, path: Path) -> None:
        self.paths = [path]
        self._aside = _Aside(path)
        self._encode = msgspec.json.Encoder().encode

    def write(self, batch: pa.RecordBatch) -> None:
        for row in batch.to_pylist():
            row["messages"] = sparse(row["messages"])
            self._aside.file.write(self._encode(row) + b"\n")

    def close(self) -> None:
        self._aside.keep()

    def discard(self) -> None:
        self._aside.discard()


class FolderOutput:
    """A folder of Parquet parts, ``part-00000.parquet`` and on, each whole when it appears."""

    def __init__(self, folder: Path) -> None:
        if glob.glob(f"{glob.escape(os.fspath(folder))}/part-*.parquet"):
            raise ConfigError(f"{folder} has rows already; remove its part-*.parquet files, or choose another folder")
        self.folder = folder
        self.paths: list[Path] = []
        self._part: ParquetOutput | None = self._next_part()

    def _next_part(self) -> ParquetOutput:
        return ParquetOutput(self.folder / f"part-{len(self.paths):05d}.parquet")

    def write(self, batch: pa.RecordBatch) -> None:
        self._part = self._part or self._next_part()
        self._part.write(batch)
        if self._part.size >= PART_BYTES:
            self._close_part()

    def _close_part(self) -> None:
        if self._part is not None:
            self._part.close()
            self.paths += self._part.paths
            self._part = None

    def close(self) -> None:
        self._close_part()

    def discard(self) -> None:
        """The parts that are whole stay; a run that begins anew says so."""
        if self._part is not None:
            self._part.discard()
        for path in self.paths:
            path.unlink(missing_ok=True)
