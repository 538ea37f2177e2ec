"""Rows from a worker process to the process that started it, without going through a pipe.

A task's batches are written once, into anonymous memory, and its file descriptor is handed over; the receiver maps it
and copies nothing. Through a pipe each byte is copied several times, 64 kB at a time: a third of two workers' time.
The memory is gone when the last batch is, and with the processes, whatever ends them. Where a system has no such
memory (it is Linux's), batches go through the pipe.
"""

from __future__ import annotations

import mmap
import os
import socket
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING

from rollmill.engine.tasks import Result
from rollmill.errors import RollmillError

if TYPE_CHECKING:
    import pyarrow as pa

SMALL = 1 << 16
"""Results of fewer bytes go through the pipe, which takes them at once."""


@dataclass
class Handed:
    """A result whose batches lie in memory that was handed over under ``name``."""

    result: Result
    name: bytes
    size: int


class Sender:
    """The worker's end. ``into`` is the socket of a ``Receiver``, None where there is none."""

    def __init__(self, into: socket.socket | None) -> None:
        self._into = into
        self._numbers = count()
        if into is not None:
            into.setblocking(False)  # the receiver may wait for another worker: whoever finds it full uses the pipe

    def handed(self, result: Result) -> Result | Handed:
        """What to send through the pipe: the result, or what the receiver makes it of."""
        if self._into is None or sum(batch.nbytes for batch in result.batches) < SMALL:
            return result
        name = b"%d %d" % (os.getpid(), next(self._numbers))
        try:
            size = self._hand_over(name, result.batches)
        except OSError:  # full, or a container that allows no such memory or has no /proc
            return result
        return Handed(replace(result, batches=[]), name, size)

    def _hand_over(self, name: bytes, batches: list[pa.RecordBatch]) -> int:
        assert self._into is not None
        descriptor = os.memfd_create("rollmill")
        try:
            size = _write(descriptor, batches)
            socket.send_fds(self._into, [name], [descriptor])
        finally:
            os.close(descriptor)
        return size


class Receiver:
    """The end of whoever started the workers, each of which is given ``into``."""

    def __init__(self) -> None:
        self.into: socket.socket | None = None
        self._arrived: dict[bytes, int] = {}
        if hasattr(os, "memfd_create"):
            # Keeps messages apart, and takes hundreds before it is full.
            self._socket, self.into = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def received(self, sent: Result | Handed) -> Result:
        """The result, its batches in memory that nobody writes any more."""
        if isinstance(sent, Result):
            return sent
        while sent.name not in self._arrived:
            self._take_one()
        descriptor = self._arrived.pop(sent.name)
        try:
            return replace(sent.result, batches=_read(descriptor, sent.size))
        except OSError as error:
            raise _too_many(error.strerror or str(error)) from error
        finally:
            os.close(descriptor)

    def _take_one(self) -> None:
        name, descriptors, _, _ = socket.recv_fds(self._socket, 64, 1)
        if not descriptors:
            raise _too_many("too many open files")
        self._arrived[name] = descriptors[0]

    def close(self) -> None:
        """Lets go of what was handed over and not received."""
        for descriptor in self._arrived.values():
            with suppress(OSError):
                os.close(descriptor)
        if self.into is not None:
            self.into.close()
            self._socket.close()


def _too_many(why: str) -> RollmillError:
    """Rows that wait to be written hold one file each."""
    return RollmillError(
        f"the rows of a worker cannot be taken over ({why}): raise the limit (ulimit -n), or run with --workers 1"
    )


def _write(descriptor: int, batches: list[pa.RecordBatch]) -> int:
    """Writes the batches in Arrow's stream format; how many bytes they take."""
    import pyarrow as pa

    with pa.OSFile(f"/proc/self/fd/{descriptor}", "wb") as file, pa.ipc.new_stream(file, batches[0].schema) as stream:
        for batch in batches:
            stream.write_batch(batch)
    return os.fstat(descriptor).st_size


def _read(descriptor: int, size: int) -> list[pa.RecordBatch]:
    import pyarrow as pa

    memory = mmap.mmap(descriptor, size, prot=mmap.PROT_READ)
    return list(pa.ipc.open_stream(pa.py_buffer(memory)))
