"""Every reply that was paid for, on the disk before its row moves on.

One SQLite file (WAL, ``synchronous=FULL``), one thread that writes. Replies that arrive while it writes are committed
together with the next ones, so that a commit's price is shared. ``await journal.put(…)`` returns when the reply would
outlive a power cut. Requests are not stored, only their keys. The keys are in memory, eight bytes each for those of
earlier runs, so that a reply which is not there costs no look at the disk.

A damaged file is kept aside under another name, and every reply that can still be read goes into a new one.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

import msgspec

from rollmill.errors import RollmillError
from rollmill.models.known import KnownKeys
from rollmill.models.offloop import BIG, off_loop
from rollmill.models.recovery import Recovered, connected, opened
from rollmill.models.types import Model, ModelError, Reply, Request

GROUP = 1024
"""Replies of one commit at most."""
PAUSE = 0.005
"""Seconds that a commit waits for company. Short against any model, long against a fast disk's sync; two, in place of
five, cost a twentieth more of the processor and were no quicker."""


class JournalError(RollmillError):
    """The journal cannot be read or written: the disk is full, the folder is not writable, …"""


class _Written(NamedTuple):
    key: bytes
    reply: bytes
    column: str
    model: str
    created: float
    done: asyncio.Future[None]


class Journal:
    """The replies of a run folder. One process has it open at a time; its lock is the run folder's."""

    def __init__(self, path: Path | str, pause: float = PAUSE) -> None:
        self.path = Path(path)
        self.asking: dict[str, asyncio.Future[Reply]] = {}
        """Requests in flight by key, so that identical ones are asked once."""
        self.damaged = 0
        """Replies that were there and could not be read; they are asked again."""
        connection, self.recovered = _opened(self.path)
        self._known = KnownKeys(key for (key,) in connection.execute("SELECT key FROM replies NOT INDEXED"))
        connection.close()
        self._pause = pause
        self._queue: queue.SimpleQueue[_Written | None] = queue.SimpleQueue()
        self._failed: JournalError | None = None
        self._reader = ThreadPoolExecutor(1, "journal-reader")
        self._reading: sqlite3.Connection | None = None
        self._writer = threading.Thread(target=self._write, name="journal-writer", daemon=True)
        self._writer.start()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, key: str) -> bool:
        """Whether the key may be there; wrong about one key in 2⁶⁴, and then ``get`` knows better."""
        return bytes.fromhex(key) in self._known

    async def get(self, key: str) -> Reply | None:
        """The reply that was kept under the key, or None."""
        raw = bytes.fromhex(key)
        if raw not in self._known:
            return None
        return await asyncio.get_running_loop().run_in_executor(self._reader, self._read, raw)

    async def put(self, key: str, reply: Reply, column: str = "", model: str = "") -> None:
        """Returns when the reply is on the disk. Raises ``JournalError`` when it cannot be kept."""
        if self._failed is not None:
            raise self._failed
        done = asyncio.get_running_loop().create_future()
        kept = msgspec.json.encode(reply)
        self._queue.put(_Written(bytes.fromhex(key), kept, column, model, time.time(), done))
        await done

    async def close(self) -> None:
        """Writes what is still to be written, and closes the file."""
        await asyncio.to_thread(self.close_now)

    def close_now(self) -> None:
        """``close`` where no event loop runs."""
        if self._writer.is_alive():
            self._queue.put(None)
            self._writer.join()
        self._reader.submit(self._close_reading)
        self._reader.shutdown()

    def _close_reading(self) -> None:
        if self._reading is not None:
            self._reading.close()

    def _read(self, key: bytes) -> Reply | None:
        try:
            if self._reading is None:
                self._reading = connected(self.path)
            found = self._reading.execute("SELECT check_sum, reply FROM replies WHERE key = ?", (key,)).fetchone()
            return self._checked(*found) if found else None
        except sqlite3.DatabaseError:
            self.damaged += 1
            return None

    def _checked(self, check_sum: int, kept: bytes) -> Reply | None:
        if zlib.crc32(kept) != check_sum:
            self.damaged += 1
            return None
        reply = msgspec.json.decode(kept, type=Reply)
        reply.from_journal = True
        return reply

    def _write(self) -> None:
        """The writer thread: whatever has come, in one commit, until None comes."""
        connection = connected(self.path)
        group: list[_Written] = []
        open_for_more = True
        while open_for_more:
            group, open_for_more = self._next_group(waits=not group)
            if group:
                self._answer(group, self._commit(connection, group))
        connection.close()

    def _next_group(self, waits: bool) -> tuple[list[_Written], bool]:
        """What has come after a pause. It waits for the first one only when nothing came lately: waking this thread
        costs whoever has a reply more than handing it over."""
        group: list[_Written] = []
        if waits:
            first = self._queue.get()
            if first is None:
                return [], False
            group = [first]
        time.sleep(self._pause)
        while len(group) < GROUP and not self._queue.empty():
            more = self._queue.get()
            if more is None:
                return group, False
            group.append(more)
        return group, True

    def _commit(self, connection: sqlite3.Connection, group: Sequence[_Written]) -> JournalError | None:
        if self._failed is not None:
            return self._failed
        try:
            with connection:
                connection.executemany(_INSERT, map(_row, group))
        except sqlite3.Error as error:
            self._failed = JournalError(_explained(self.path, error))
            return self._failed
        self._known.add(each.key for each in group)
        return None

    def _answer(self, group: Sequence[_Written], failed: JournalError | None) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits, and the replies are kept
            group[0].done.get_loop().call_soon_threadsafe(_settle, group, failed)


_INSERT = (
    "INSERT INTO replies (key, check_sum, column_name, model, created, reply) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (key) DO UPDATE SET check_sum = excluded.check_sum, reply = excluded.reply"
)


def _row(each: _Written) -> tuple[bytes, int, str, str, float, bytes]:
    return each.key, zlib.crc32(each.reply), each.column, each.model, each.created, each.reply


def _settle(group: Sequence[_Written], failed: JournalError | None) -> None:
    for each in group:
        if each.done.done():
            continue
        if failed is None:
            each.done.set_result(None)
        else:
            each.done.set_exception(failed)
            each.done.exception()  # whoever waited may be gone


def _opened(path: Path) -> tuple[sqlite3.Connection, Recovered | None]:
    try:
        return opened(path)
    except sqlite3.Error as error:
        raise JournalError(_explained(path, error)) from error
    except OSError as error:
        raise JournalError(f"the journal {path} cannot be opened: {error.strerror}; look at its folder") from error


def _explained(path: Path, error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorname", "") or ""
    if code.startswith("SQLITE_FULL"):
        return f"the disk of {path} is full: free some space and run again; every reply in the journal is kept"
    if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return f"the journal {path} cannot be written ({error}): make its folder writable and run again"
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return f"the journal {path} is damaged ({error}): run again, and what is intact is taken over"
    if code.startswith("SQLITE_BUSY"):
        return f"the journal {path} is in use by another process: wait for that run to end"
    if code.startswith("SQLITE_IOERR"):
        return (
            f"the journal {path} cannot be written ({error}): is the disk full, or is there a limit on the size of "
            "files? Every reply in it is kept"
        )
    return f"the journal {path} cannot be written ({error}); what is in it is kept"


class Journaled:
    """A ``Model`` that asks another one only what the journal does not know. ``on_kept`` is told of a request whose
    reply was kept before that reply is read: while the disk is slow, others may already fail."""

    def __init__(self, model: Model, journal: Journal, on_kept: Callable[[Request], None] | None = None) -> None:
        self.model = model
        self.journal = journal
        self._on_kept = on_kept

    async def complete(self, request: Request) -> Reply:
        """The reply, on the disk. One that was kept, or is being asked at this moment, is ``from_journal``."""
        key = await _key(request)
        while (other := self.journal.asking.get(key)) is not None:
            await asyncio.wait([other])
            if not other.cancelled():
                return _again(other.result())
        asked = self.journal.asking[key] = asyncio.get_running_loop().create_future()
        try:
            reply = await self._known_or_asked(key, request)
            asked.set_result(reply)
        except BaseException as error:
            _give_up(asked, error)
            raise
        finally:
            del self.journal.asking[key]
        return reply

    async def close(self) -> None:
        """Closes the model; the journal is closed by whoever opened it."""
        await self.model.close()

    async def _known_or_asked(self, key: str, request: Request) -> Reply:
        if key in self.journal:
            if self._on_kept is not None:
                self._on_kept(request)
            if (kept := await self.journal.get(key)) is not None:
                return kept
        reply = await self.model.complete(request)
        try:
            await self.journal.put(key, reply, request.column, request.model)
        except JournalError as error:
            raise ModelError("journal", str(error), fatal=True) from error
        return reply


async def _key(request: Request) -> str:
    """A big request is hashed off the event loop: many of them at once would hold it up."""
    return request.key() if request.size < BIG else await off_loop(request.key)


def _again(reply: Reply) -> Reply:
    return msgspec.structs.replace(reply, from_journal=True)


def _give_up(asked: asyncio.Future[Reply], error: BaseException) -> None:
    """Others that wait for the same get the same error; when the asking one was cancelled, the next of them asks."""
    if isinstance(error, Exception):
        asked.set_exception(error)
        asked.exception()
    else:
        asked.cancel()
