"""Rows from a worker process to the process that started it, without going through a pipe.

A task's batches are written once, into anonymous memory that both processes map, and nothing is copied from there.
Through a pipe each byte is copied several times, 64 kB at a time: a third of two workers' time. When the last batch is
gone the memory is the worker's again, for another task's batches: new memory costs more than what is written into it.
It is gone with the processes, whatever ends them. Where a system has no such memory (it is Linux's), batches go
through the socket.
"""

from __future__ import annotations

import mmap
import os
import threading
import weakref
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rollmill.engine.tasks import Result
from rollmill.errors import RollmillError

if TYPE_CHECKING:
    import pyarrow as pa

SMALL = 1 << 16
"""Results of fewer bytes go through the socket, which takes them at once."""
LARGE = 64 << 20
"""Memory for more bytes is used once: nothing that large is kept for tasks that do not need it."""
_LEAST = 16 << 20
"""What memory is made for, at least, so that it fits other tasks too. Pages that are not written to take no room."""


@dataclass
class Handed:
    """A result whose batches lie in the first ``size`` bytes of the sender's memory ``number``. Where ``capacity`` is
    given that memory is new, and its descriptor comes along."""

    result: Result
    number: int
    size: int
    capacity: int | None = None


class Sender:
    """The worker's end."""

    def __init__(self) -> None:
        self._made = 0
        self._kept: dict[int, mmap.mmap] = {}
        self._free: set[int] = set()
        self._changing = threading.Lock()  # What is free is told while a result is handed over.

    def handed(self, result: Result | Exception) -> tuple[Result | Handed | Exception, list[int]]:
        """What to send: the result, or what the receiver makes it of; and the descriptors to send along and close."""
        if isinstance(result, Exception):
            return result, []
        size = _size(result.batches)
        if size < SMALL or not hasattr(os, "memfd_create"):
            return result, []
        try:
            number, memory, descriptors = self._memory(size)
        except OSError:  # a container that allows none, or too many open files
            return result, []
        _write(memory, result.batches)
        return Handed(replace(result, batches=[]), number, size, len(memory) if descriptors else None), descriptors

    def _memory(self, size: int) -> tuple[int, mmap.mmap, list[int]]:
        """Memory for so many bytes, its number, and where it is new its descriptor."""
        with self._changing:
            for number in self._free:
                if len(self._kept[number]) >= size:
                    self._free.remove(number)
                    return number, self._kept[number], []
        memory, descriptor = _new_memory(max(_LEAST, size))
        self._made += 1
        if size <= LARGE:
            self._kept[self._made] = memory
        return self._made, memory, [descriptor]

    def take_back(self, numbers: Iterable[int]) -> None:
        """The receiver has done with what lay in these."""
        with self._changing:
            self._free.update(self._kept.keys() & numbers)


class Receiver:
    """The other end, for one worker."""

    def __init__(self) -> None:
        self._memories: dict[int, mmap.mmap] = {}
        self._done_with: deque[int] = deque()

    def received(self, sent: Result | Handed | Exception, descriptors: list[int]) -> Result | Exception:
        """The result. Its batches lie in memory that nobody writes as long as one of them is there."""
        if not isinstance(sent, Handed):
            return sent
        memory = self._memories.pop(sent.number, None) or _mapped(sent, descriptors)
        if sent.size <= LARGE:
            self._memories[sent.number] = memory
        view = memoryview(memory)[: sent.size]
        weakref.finalize(view, self._done_with.append, sent.number).atexit = False
        return replace(sent.result, batches=_read(view))

    def done_with(self) -> list[int]:
        """The memory whose batches are gone since this was last asked."""
        return [self._done_with.popleft() for _ in range(len(self._done_with))]


def _new_memory(size: int) -> tuple[mmap.mmap, int]:
    descriptor = os.memfd_create("rollmill")
    try:
        os.ftruncate(descriptor, size)
        return mmap.mmap(descriptor, size), descriptor
    except BaseException:
        os.close(descriptor)
        raise


def _mapped(sent: Handed, descriptors: list[int]) -> mmap.mmap:
    """New memory of a worker. The system drops a descriptor that this process has no more room for."""
    if not descriptors or sent.capacity is None:
        raise _too_many("too many open files")
    try:
        return mmap.mmap(descriptors[0], sent.capacity, prot=mmap.PROT_READ)
    except OSError as error:
        raise _too_many(error.strerror or str(error)) from error
    finally:
        os.close(descriptors[0])


def _too_many(why: str) -> RollmillError:
    """Rows that wait to be written hold one file each."""
    return RollmillError(
        f"the rows of a worker cannot be taken over ({why}): raise the limit (ulimit -n), or run with --workers 1"
    )


def _size(batches: list[pa.RecordBatch]) -> int:
    """How many bytes the batches take in Arrow's stream format."""
    import pyarrow as pa

    counted = pa.MockOutputStream()
    _stream(counted, batches)
    return int(counted.size())


def _write(memory: mmap.mmap, batches: list[pa.RecordBatch]) -> None:
    import pyarrow as pa

    _stream(pa.FixedSizeBufferWriter(pa.py_buffer(memory)), batches)


def _stream(into: pa.NativeFile, batches: list[pa.RecordBatch]) -> None:
    import pyarrow as pa

    if batches:
        with pa.ipc.new_stream(into, batches[0].schema) as stream:
            for batch in batches:
                stream.write_batch(batch)


def _read(view: memoryview) -> list[pa.RecordBatch]:
    import pyarrow as pa

    return list(pa.ipc.open_stream(pa.py_buffer(view)))
