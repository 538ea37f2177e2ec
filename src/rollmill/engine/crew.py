"""Worker processes: started together, given tasks ahead of time, asked for their results in order, ended together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import Any, cast

from rollmill.engine.channel import receive, send
from rollmill.engine.handover import Receiver
from rollmill.engine.tasks import TASK_BYTES, Plan, Result
from rollmill.errors import RollmillError
from rollmill.seeds.discovery import ManifestRow

TASKS_PER_WORKER, SMALL_TASKS_PER_WORKER = 2, 4
"""Tasks under way for each worker: one that it works on and one that waits for it; more while they are small, so that
it has something to do while a row group is written."""
CAN_FORK = hasattr(os, "fork")
"""Whether this system has what the workers are made by."""


@dataclass
class _Member:
    """A worker: our end of the socket, and the sizes of the tasks that it has not answered, by their number."""

    end: socket.socket
    receiver: Receiver = field(default_factory=Receiver)
    has_started: bool = False
    is_done: bool = False
    """Whether it gets no more tasks."""
    sizes: dict[int, int] = field(default_factory=dict)

    @property
    def load(self) -> tuple[int, int]:
        return sum(self.sizes.values()), len(self.sizes)


class Crew:
    """The workers of one run. ``close`` ends them all, whatever happened."""

    def __init__(self, plan: Plan, workers: int, formats: Iterable[str]) -> None:
        self._plan = plan
        self._under_way: deque[tuple[int, int]] = deque()
        """Number and size of each task whose result was not taken yet, in order."""
        self._answers: dict[int, Any] = {}
        self._tasks = 0
        self._members: list[_Member] = []
        with _startable():
            self._program = self._start(workers, sorted(formats))

    def _start(self, workers: int, formats: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start the program that becomes all workers; they are not there yet when this returns."""
        theirs = []
        try:
            for _ in range(workers):
                ours, their = socket.socketpair()
                theirs.append(their)
                self._members.append(_Member(ours))
            program = _program(theirs, formats)
            for member in self._members:
                send(member.end, self._plan)
            return program
        except BaseException:
            for member in self._members:
                member.end.close()
            raise
        finally:
            for end in theirs:
                end.close()

    def has_started(self) -> bool:
        """Whether a worker is there to take tasks."""
        self._collect(timeout=0)
        return any(member.has_started for member in self._members)

    def begin(self, task: list[ManifestRow]) -> None:
        """Give a task to the worker that has least to do."""
        self._collect(timeout=0)
        member = min(self._members, key=lambda member: member.load)
        number, size = self._tasks, sum(row["size"] for row in task)
        self._tasks += 1
        self._under_way.append((number, size))
        member.sizes[number] = size
        with _alive():
            send(member.end, ((number, task), member.receiver.done_with()))

    def that_was_all(self) -> None:
        """No more tasks: a worker ends when it has answered those that it has, while others still work."""
        for member in self._members:
            with _alive():
                send(member.end, (None, []))
            member.is_done = True

    def has_enough(self) -> bool:
        """Whether so many tasks are under way that the first has to end before another begins."""
        size = sum(size for _, size in self._under_way)
        small = size < len(self._members) * SMALL_TASKS_PER_WORKER * TASK_BYTES
        return len(self._under_way) >= len(self._members) * (SMALL_TASKS_PER_WORKER if small else TASKS_PER_WORKER)

    def is_busy(self) -> bool:
        """Whether results are still to be taken."""
        return bool(self._under_way)

    def next_result(self) -> Result:
        """The result of the first task that was begun and not taken, when it is there. What a worker raised is raised
        here."""
        number, _ = self._under_way.popleft()
        while number not in self._answers:
            self._collect()
        answer = self._answers.pop(number)
        if isinstance(answer, Exception):
            raise answer
        return cast(Result, answer)

    def _collect(self, timeout: float | None = None) -> None:
        """Take what workers have said; wait for it, unless ``timeout`` tells how many seconds at most."""
        ready = wait([member.end for member in self._members], timeout)
        for member in [member for member in self._members if member.end in ready]:
            if member.is_done and not member.sizes:
                self._let_go(member)
            else:
                self._hear(member)

    def _hear(self, member: _Member) -> None:
        with _alive():
            said, descriptors = receive(member.end)
        if member.has_started:
            number, answer = said
            self._answers[number] = member.receiver.received(answer, descriptors)
            del member.sizes[number]
        else:
            _has_started(member, said)

    def _let_go(self, member: _Member) -> None:
        """A worker that was done has ended."""
        member.end.close()
        self._members.remove(member)

    def close(self) -> None:
        """End the workers. Each finishes the task that it is at, so that nothing is left half-written."""
        with _deaf():
            for member in self._members:
                with suppress(OSError):
                    member.end.shutdown(socket.SHUT_WR)
            for member in self._members:
                _until_gone(member.end)
            self._program.wait()


def _program(ends: Sequence[socket.socket], formats: Sequence[str]) -> subprocess.Popen[bytes]:
    """The program that is all workers. Ctrl-C, which a terminal sends to a group of processes, is not for them."""
    passed = [end.fileno() for end in ends]
    path = [entry for entry in sys.path if isinstance(entry, str)]  # Python looks at no others.
    code = f"import sys; sys.path[:] = {path!a}; from rollmill.engine.worker import main; main({passed}, {formats!a})"
    return subprocess.Popen([sys.executable, "-c", code], pass_fds=passed, process_group=0)


def _has_started(member: _Member, said: OSError | None) -> None:
    with _startable():
        if said is not None:
            raise said
    member.has_started = True


def _until_gone(end: socket.socket) -> None:
    """Wait for a worker to end, whatever it still says."""
    with suppress(OSError):
        while end.recv(1 << 16):
            pass
    end.close()


@contextmanager
def _startable() -> Iterator[None]:
    """A system that gives no more processes, or no more files for them, is told of in one message."""
    try:
        yield
    except OSError as error:
        raise RollmillError(
            f"worker processes cannot be started ({error.strerror}); raise the limits (ulimit -n, -u), or run with "
            "--workers 1"
        ) from error


@contextmanager
def _alive() -> Iterator[None]:
    """What becomes of a run whose worker is gone."""
    try:
        yield
    except (EOFError, OSError) as error:
        raise RollmillError(
            "a worker process died, killed perhaps for its memory; run again with fewer --workers"
        ) from error


@contextmanager
def _deaf() -> Iterator[None]:
    """No Ctrl-C meanwhile: workers that are not told to go would be waited for ever."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
