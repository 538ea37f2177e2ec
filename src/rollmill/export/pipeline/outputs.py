"""The folder of an export: a file for each split, the card, the manifest, and what was dropped.

It is written under another name beside its place, readable by its owner only, and renamed when it is whole. Whatever
ends the run before that leaves nothing under the final name, and what it leaves aside the next run removes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from hashlib import file_digest
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

import msgspec

from rollmill.engine.outputs import aside_name, remove_abandoned
from rollmill.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

MANIFEST, CARD, DROPPED = "manifest.json", "README.md", "dropped.jsonl"
ROW_GROUP_BYTES = 16 << 20
MADE_BY = "rollmill export"

Row = dict[str, Any]


class Writer(Protocol):
    """Takes the rows of one split."""

    path: Path
    rows: int

    def write(self, row: Row) -> int: ...
    def close(self) -> None: ...


class JsonLines:
    """One JSON object a line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self._file = _owners_file(path)
        self._encode = msgspec.json.Encoder().encode

    def write(self, row: Row) -> int:
        """Write a row; its size in bytes comes back."""
        self.rows += 1
        return self._file.write(self._encode(row) + b"\n")

    def close(self) -> None:
        _sync(self._file)


class Parquet:
    """Row groups of some megabytes, with the target's schema."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        import pyarrow.parquet as pq

        self.path = path
        self.rows = 0
        self._schema = schema
        self._file = _owners_file(path)
        self._writer = pq.ParquetWriter(self._file, schema, compression="zstd")
        self._waiting: list[Row] = []
        self._bytes = 0

    def write(self, row: Row) -> int:
        """Take a row; its size as JSON, about, comes back."""
        size = len(msgspec.json.encode(row))
        self.rows += 1
        self._waiting.append(row)
        self._bytes += size
        if self._bytes >= ROW_GROUP_BYTES:
            self._write_group()
        return size

    def _write_group(self) -> None:
        from rollmill.export._columns import record_batch

        if self._waiting:
            self._writer.write_batch(record_batch(self._waiting, self._schema))
        self._waiting, self._bytes = [], 0

    def close(self) -> None:
        self._write_group()
        self._writer.close()
        _sync(self._file)


def _owners_file(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()


class ExportFolder:
    """The folder while it is written. ``keep`` makes it appear, ``discard`` leaves nothing behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder = Path(os.path.realpath(folder))
        refuse_other_content(folder)
        self.aside = aside_name(folder)
        self._writers: dict[str, Writer] = {}
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            remove_abandoned(folder)
            shutil.rmtree(self.aside, ignore_errors=True)
            self.aside.mkdir(mode=0o700)
        except OSError as error:
            raise ConfigError(f"{folder} cannot be written: {error.strerror}; choose another with -o") from error

    def writer(self, name: str, make: Callable[[Path], Writer]) -> Writer:
        """The writer of that file, made when it is first asked for."""
        if name not in self._writers:
            self._writers[name] = make(self.aside / name)
        return self._writers[name]

    def close_writers(self) -> dict[str, Writer]:
        """Bring what was written to the disk; the writers by their files' names come back."""
        for writer in self._writers.values():
            writer.close()
        return self._writers

    def write(self, name: str, text: str) -> None:
        """Write one whole file of text."""
        with _owners_file(self.aside / name) as file:
            file.write(text.encode())

    def sha256(self, name: str) -> str:
        """The hash of a file that is written."""
        with (self.aside / name).open("rb") as file:
            return file_digest(file, "sha256").hexdigest()

    def keep(self) -> None:
        """Put the folder in its place, and an older export that lies there away."""
        if not self.folder.exists():
            os.replace(self.aside, self.folder)
            return
        # Not by the name of what is written: what a killed run leaves here is whole, and not for the next to remove.
        old = self.folder.with_name(f".{self.folder.name}.before-{os.getpid()}")
        os.replace(self.folder, old)
        try:
            os.replace(self.aside, self.folder)
        except OSError:
            os.replace(old, self.folder)
            raise
        shutil.rmtree(old, ignore_errors=True)

    def discard(self) -> None:
        """Remove what was written."""
        shutil.rmtree(self.aside, ignore_errors=True)


def refuse_other_content(folder: Path) -> None:
    """Raise ``ConfigError`` when ``folder`` is there and holds anything but an export of ours."""
    if not os.path.lexists(folder):
        return
    names = set(os.listdir(folder)) if folder.is_dir() else {folder.name}
    own = _own_names(folder)
    if names and not own:
        raise ConfigError(f"{folder} is there already and is no export; choose another folder with -o")
    if others := sorted(names - own):
        raise ConfigError(
            f"{folder} holds {others[0]!r} besides an export, which would be lost; choose another folder with -o"
        )


class _Split(msgspec.Struct):
    file: str = ""


class _Manifest(msgspec.Struct):
    made_by: str = ""
    splits: dict[str, _Split] = {}


def _own_names(folder: Path) -> set[str]:
    """The files that an export in this folder says to be its own; none when there is no export."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=_Manifest)
    except (OSError, msgspec.MsgspecError, UnicodeError):
        return set()
    if not manifest.made_by.startswith(MADE_BY):
        return set()
    return {MANIFEST, CARD, DROPPED, *(split.file for split in manifest.splits.values())}
