"""Opening a journal's file: made when it is new, checked when it is old, rescued into a new one when it is damaged."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from rollmill.errors import ConfigError

VERSION = 1
_TABLE = """
CREATE TABLE IF NOT EXISTS replies (
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,
    check_sum INTEGER NOT NULL,
    column_name TEXT NOT NULL,
    model TEXT NOT NULL,
    created REAL NOT NULL,
    reply BLOB NOT NULL
)
"""
_COLUMNS = "id, key, check_sum, column_name, model, created, reply"
_MOST_TRIED = 1_000_000
_Row = tuple[int, bytes, int, str, str, float, bytes]


class Recovered(Struct, frozen=True):
    """What was done about a damaged file: where it lies now, and how many replies were taken over."""

    aside: Path
    replies: int
    reason: str

    @property
    def text(self) -> str:
        *_, reason = self.reason.splitlines() or [""]  # before it stands in which database
        return (
            f"the journal was damaged ({reason}): {self.replies} replies were taken over into a new one; "
            f"the damaged file is {self.aside}"
        )


def connected(path: Path) -> sqlite3.Connection:
    """A connection that is never quicker than safe."""
    connection = sqlite3.connect(path, timeout=5.0, check_same_thread=False)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=4000", "temp_store=MEMORY"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def opened(path: Path) -> tuple[sqlite3.Connection, Recovered | None]:
    """The connection to a sound file, and what was recovered when it was not sound before.

    Raises ``ConfigError`` for a file of another version, ``OSError`` and ``sqlite3.Error`` for what no recovery helps.
    """
    try:
        return _sound(path), None
    except sqlite3.DatabaseError as error:
        if not _is_damage(error):
            raise
        recovered = _take_over(path, str(error))
        return _sound(path), recovered


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    name = getattr(error, "sqlite_errorname", None) or ""
    return isinstance(error, _Damaged) or name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))


class _Damaged(sqlite3.DatabaseError):
    pass


def _sound(path: Path) -> sqlite3.Connection:
    _private(path)
    connection = connected(path)
    try:
        _check_version(connection, path)
        connection.execute(_TABLE)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.commit()
        if (said := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise _Damaged(str(said))
    except BaseException:
        connection.close()
        raise
    return connection


def _private(path: Path) -> None:
    """Readable by its owner only, from its first byte; the files that SQLite puts beside it take after it."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | getattr(os, "O_CLOEXEC", 0), 0o600))
    if os.name == "posix" and path.stat().st_mode & 0o077:
        path.chmod(0o600)


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found > VERSION:
        raise ConfigError(
            f"the journal {path} is of version {found}, this Rollmill knows {VERSION}: use the newer one, "
            "or another run folder"
        )


def _take_over(path: Path, reason: str) -> Recovered:
    """The damaged file is copied aside; the new one is put in its place when it is whole."""
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}")
    for suffix in ("", "-wal"):
        with suppress(FileNotFoundError):
            shutil.copy2(f"{path}{suffix}", f"{aside}{suffix}")
    fresh = path.with_name(f"{path.name}.recovering")
    _remove(fresh)
    count = _fill(fresh, aside)
    _remove(path, keep=path)
    os.replace(fresh, path)
    return Recovered(aside, count, reason)


def _remove(path: Path, keep: Path | None = None) -> None:
    for suffix in ("", "-wal", "-shm"):
        if Path(f"{path}{suffix}") != keep:
            Path(f"{path}{suffix}").unlink(missing_ok=True)


def _fill(fresh: Path, damaged: Path) -> int:
    """How many replies went from the damaged file into the fresh one, which is closed and in one piece after it."""
    connection = _sound(fresh)
    count = 0
    with connection:
        for row in intact(damaged):
            count += connection.execute("INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?, ?, ?, ?)", row).rowcount
    connection.close()
    return count


def intact(path: Path) -> Iterator[_Row]:
    """Every reply of a damaged file that can still be read, and is what was written."""
    try:
        connection = sqlite3.connect(path)
    except sqlite3.Error:
        return
    with suppress(sqlite3.Error):
        connection.execute("PRAGMA writable_schema = ON")  # else a file shorter than it says is not read at all
        for row in _readable(connection):
            if _is_whole(row):
                yield row
    connection.close()


def _readable(connection: sqlite3.Connection) -> Iterator[_Row]:
    """From the front to the damage, from the end back to it, and what lies between one by one."""
    first = last = None
    with suppress(sqlite3.Error):
        for row in connection.execute(f"SELECT {_COLUMNS} FROM replies ORDER BY id"):
            yield row
            first = row[0]
        return
    with suppress(sqlite3.Error):
        for row in connection.execute(f"SELECT {_COLUMNS} FROM replies ORDER BY id DESC"):
            yield row
            last = row[0]
    start = (first or 0) + 1
    for number in range(start, min(last or start + 10_000, start + _MOST_TRIED)):
        with suppress(sqlite3.Error):
            yield from connection.execute(f"SELECT {_COLUMNS} FROM replies WHERE id = ?", (number,))


def _is_whole(row: _Row) -> bool:
    _, key, check_sum, *_, reply = row
    return isinstance(key, bytes) and len(key) == 32 and isinstance(reply, bytes) and zlib.crc32(reply) == check_sum
