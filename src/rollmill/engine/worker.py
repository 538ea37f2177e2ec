"""A worker process: what it is told when it starts, and the one thing it does. It imports little, to start soon."""

from __future__ import annotations

import os
import select
import signal
import threading
from typing import TYPE_CHECKING

from rollmill.engine.handover import Handed, Sender
from rollmill.engine.tasks import Plan, Result, Worker
from rollmill.seeds.discovery import ManifestRow
from rollmill.seeds.summary import ReadSummary

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event
    from socket import socket

_worker: Worker | None = None
_stop: Event | None = None
_sender: Sender | None = None


def begin(plan: Plan, stop: Event, into: socket | None) -> None:
    """Make this process a worker. Ctrl-C is for the process that started it."""
    global _worker, _stop, _sender
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _worker, _stop, _sender = Worker(plan), stop, Sender(into)
    if into is not None:
        threading.Thread(target=_end_with_the_other_end, args=(into,), daemon=True).start()


def _end_with_the_other_end(of: socket) -> None:
    """A process that is killed tells nobody: its workers would wait for tasks for ever."""
    killed = select.poll()
    killed.register(of, 0)  # hanging up is told whatever was asked for
    killed.poll()
    os._exit(1)


def started() -> None:
    """A task that is done as soon as a worker takes tasks."""


def process(manifest_rows: list[ManifestRow]) -> Result | Handed:
    """A task's rows; none when nobody waits for them any more."""
    assert _worker is not None and _stop is not None and _sender is not None
    if _stop.is_set():
        return Result([], ReadSummary())
    return _sender.handed(_worker.process(manifest_rows))
