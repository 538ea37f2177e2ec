"""The rows under way: read ahead in a thread, filled as many at a time as keep the endpoints busy, put into parts.

Rows go into parts in the order of the seed, and a part is written when all of its rows are there. What is held in
memory is bounded by the rows in flight and by ``HELD_BYTES`` of rows that wait for their part.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from typing import Any, NamedTuple, Protocol

from rollmill.engine.fill import FilledRow, Filler, Stop, Stopped
from rollmill.engine.progress import Progress
from rollmill.engine.seedrows import SeedRow
from rollmill.engine.store import PartFacts

PART_ROWS = 2000
PART_BYTES = 16 << 20
"""A part ends with so many rows, or when their texts reach this size."""
HELD_BYTES = 48 << 20
"""No row is begun while the rows that wait for their part have more text than this."""
READ_ROWS, READ_BYTES = 256, 4 << 20
"""What is read ahead, at a time."""
FEWEST_IN_FLIGHT = 32
SPARE, SPARE_OF_BIG = 1.3, 1.04
"""Rows in flight for each call that the endpoints take: some are between two calls, or wait for the disk. Fewer when
rows are big, for each holds its text and its prompt."""
FLYING_BYTES = 16 << 20
"""Rows in flight of more text than this are big."""
TICK = 0.25


Width = Callable[[bool], int]
"""How many rows may be in flight, given whether they are big."""


@dataclass
class Part:
    """Rows that go into one file. ``known`` is what a part of an earlier run says of itself."""

    index: int
    known: PartFacts | None
    rows: list[SeedRow] = field(default_factory=list)
    filled: dict[int, FilledRow] = field(default_factory=dict)
    size: int = 0
    left: int = 0
    is_closed: bool = False
    is_as_it_was: bool = False
    """Whether the part of the earlier run has the same rows."""

    def add(self, row: SeedRow) -> int:
        """Takes a row; its number in the part."""
        self.rows.append(row)
        self.size += row.size
        self.left += 1
        return len(self.rows) - 1

    @property
    def is_full(self) -> bool:
        return len(self.rows) >= PART_ROWS or self.size >= PART_BYTES

    def done(self) -> list[FilledRow]:
        """The filled rows in the seed's order."""
        return [self.filled[number] for number in sorted(self.filled)]


def rows_hash(rows: list[SeedRow]) -> str:
    """A hash of the rows' keys, contents and passes."""
    found = blake2b(digest_size=16)
    for row in rows:
        found.update(f"{len(row.key)} {row.key}\n{row.pass_number}\n".encode("utf-8", "surrogatepass") + row.digest)
    return found.hexdigest()


def facts_of(plan_hash: str, filled: list[FilledRow]) -> PartFacts:
    """What the part of these rows says of itself."""
    causes = Counter(row.cause for row in filled if row.cause)
    return PartFacts(
        plan_hash=plan_hash,
        rows_hash=rows_hash([row.seed for row in filled]),
        rows=len(filled),
        complete=len(filled) - causes.total(),
        problems=sum(len(row.problems) for row in filled),
        causes=dict(causes),
        skipped_cells=sum(len(row.skipped) for row in filled),
        unanswered_cells=sum(row.unanswered for row in filled),
    )


class Shelf(Protocol):
    """Where parts go, and what is known of those that are there. Called from a thread of its own."""

    def facts(self, index: int) -> PartFacts | None: ...
    def keep(self, index: int, facts: PartFacts) -> None: ...
    def write(self, index: int, filled: list[FilledRow]) -> None: ...


class Window:
    """Takes the seed's rows through the filler and onto the shelf."""

    def __init__(self, filler: Filler, shelf: Shelf, progress: Progress, stop: Stop, width: Width) -> None:
        self._filler, self._shelf, self._progress, self._stop = filler, shelf, progress, stop
        self._width = width
        self._tasks: set[asyncio.Task[None]] = set()
        self._writing: set[asyncio.Task[None]] = set()
        self._open: dict[int, Part] = {}
        self._held = self._flying = 0
        self._left: int | None = None
        """Rows still to come, once that is known."""
        self._change = asyncio.Event()
        self._failure: BaseException | None = None
        self._reader = ThreadPoolExecutor(1, "seed-reader")
        self._writer = ThreadPoolExecutor(1, "part-writer")
        self.unfinished = 0
        self.parts = 0

    async def work(self, rows: Iterator[SeedRow]) -> None:
        """Until every row is in a part, or the run is stopped and what is in flight has come back. What goes wrong is
        raised at the end, when what is in flight has come back."""
        self._stop.on_change(self._wake)
        try:
            try:
                await self._admit_all(rows)
            except Exception as error:
                self._fail(error)
            await self._finish()
        except asyncio.CancelledError:
            await self._cancel()
            raise
        finally:
            self._reader.shutdown(wait=False, cancel_futures=True)
            self._writer.shutdown(wait=True)

    def _wake(self) -> None:
        self._change.set()

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self._stop.ask("failed")

    # Rows in

    async def _admit_all(self, rows: Iterator[SeedRow]) -> None:
        part: Part | None = None
        async for row in self._read_ahead(rows):
            if part is None:
                part = await self._next_part()
            number = part.add(row)
            if part.known is None:
                await self._admit(part, number)
            if part.is_full:
                await self._close(part)
                part = None
            if self._stop:
                break
        if part is not None:
            await self._close(part)

    async def _read_ahead(self, rows: Iterator[SeedRow]) -> AsyncIterator[SeedRow]:
        loop = asyncio.get_running_loop()
        coming = loop.run_in_executor(self._reader, _chunk, rows)
        while (chunk := await coming).rows:
            coming = loop.run_in_executor(self._reader, _chunk, rows)
            for number, row in enumerate(chunk.rows, 1):
                behind = 0 if chunk.is_last else _if_last(coming)
                self._left = None if behind is None else len(chunk.rows) - number + behind
                self._progress.rows_read += 1
                self._progress.passes = row.pass_number + 1
                yield row

    async def _next_part(self) -> Part:
        index, self.parts = self.parts, self.parts + 1
        known = await asyncio.get_running_loop().run_in_executor(self._writer, self._shelf.facts, index)
        part = self._open[index] = Part(index, known)
        return part

    async def _close(self, part: Part) -> None:
        """No more rows for this part: it is kept as it is on the disk, or its rows are filled."""
        if part.known is not None and not self._stop:
            part.is_as_it_was = part.known.rows_hash == rows_hash(part.rows)
            if part.is_as_it_was and not part.known.unanswered_cells:
                self._keep(part)
                return
            for number in range(len(part.rows)):
                await self._admit(part, number)
        part.is_closed = True
        self._write_when_done(part)

    def _keep(self, part: Part) -> None:
        assert part.known is not None
        del self._open[part.index]
        self._shelf.keep(part.index, part.known)
        self._progress.rows += len(part.rows) - len(part.filled)
        self._progress.rows_kept += len(part.rows)

    async def _admit(self, part: Part, number: int) -> None:
        """Begins a row as soon as there is room for it."""
        while not self._has_room() and not self._stop:
            self._change.clear()
            await self._change.wait()
        if self._stop:
            return
        self._flying += part.rows[number].size
        self._begin(self._fill(part, number), self._tasks)

    def _begin(self, work: Coroutine[Any, Any, None], under_way: set[asyncio.Task[None]]) -> None:
        """Begins a task. Whoever waits for a change is told when it is no longer counted, not a moment earlier."""
        task = asyncio.create_task(work)
        under_way.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            under_way.discard(task)
            self._wake()

        task.add_done_callback(ended)

    def _has_room(self) -> bool:
        """The last rows are begun together: else the very last would make its calls, one after the other, alone."""
        rows, big = len(self._tasks), self._flying > FLYING_BYTES
        width = self._width(big)
        is_end = self._left is not None and self._left <= width and not big
        return (rows < width or is_end) and (self._held < HELD_BYTES or not rows)

    # Rows through

    async def _fill(self, part: Part, number: int) -> None:
        row = part.rows[number]
        self._progress.rows_in_flight += 1
        try:
            part.filled[number] = await self._filler.fill(row)
            self._held += row.size
            part.left -= 1
            self._progress.rows += 1
            self._write_when_done(part)
        except Stopped:
            pass
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._fail(error)
        finally:
            self._flying -= row.size
            self._progress.rows_in_flight -= 1

    def _write_when_done(self, part: Part) -> None:
        if part.is_closed and not part.left:
            self._begin_writing(part)

    def _begin_writing(self, part: Part) -> None:
        self._open.pop(part.index, None)
        self._begin(self._write(part), self._writing)

    async def _write(self, part: Part) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._writer, self._shelf.write, part.index, part.done())
        except BaseException as error:
            self._fail(error)
        finally:
            self._held -= sum(row.seed.size for row in part.filled.values())

    # Rows out

    async def _finish(self) -> None:
        """Waits for what is under way; after a stop, writes the rows that became whole."""
        while (self._tasks or self._writing) and not self._stop.at_once:
            self._change.clear()
            await self._change.wait()
        self._count_unfinished()
        if self._stop.at_once:
            await self._cancel()
        elif self._stop:
            await self._write_partly()
        if self._failure is not None:
            raise self._failure

    async def _write_partly(self) -> None:
        for part in list(self._open.values()):
            if part.is_as_it_was:  # cells are asked for again: what is there has more rows
                self._keep(part)
            elif part.filled:
                self._begin_writing(part)
        while self._writing:
            await asyncio.wait(self._writing)

    def _count_unfinished(self) -> None:
        self.unfinished = sum(len(part.rows) - len(part.filled) for part in self._open.values() if part.known is None)

    async def _cancel(self) -> None:
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *self._writing, return_exceptions=True)


class _Chunk(NamedTuple):
    rows: list[SeedRow]
    is_last: bool


def _chunk(rows: Iterator[SeedRow]) -> _Chunk:
    """The next few rows; none at the end."""
    chunk: list[SeedRow] = []
    size = 0
    for row in islice(rows, READ_ROWS):
        chunk.append(row)
        size += row.size
        if size >= READ_BYTES:
            return _Chunk(chunk, False)
    return _Chunk(chunk, len(chunk) < READ_ROWS)


def _if_last(coming: asyncio.Future[_Chunk]) -> int | None:
    """How many rows come, when they are here and are the last."""
    if not coming.done() or coming.cancelled() or coming.exception() is not None:
        return None
    chunk = coming.result()
    return len(chunk.rows) if chunk.is_last else None


def width(limits: Callable[[], int]) -> Width:
    """How many rows may be in flight, as the endpoints' limits are now."""
    return lambda big: max(FEWEST_IN_FLIGHT, int(limits() * (SPARE_OF_BIG if big else SPARE)) + 4)
