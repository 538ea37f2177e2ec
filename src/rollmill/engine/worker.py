"""A worker process: how it begins, and the one thing it does.

The first worker is started as a program; it imports what all need and forks itself into the others, so that they share
that memory. None of them imports the user's script, which therefore needs no ``if __name__ == "__main__":``.
"""

from __future__ import annotations

import os
import pickle
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue

from rollmill.engine.channel import receive, send
from rollmill.engine.handover import Sender
from rollmill.engine.preload import preload
from rollmill.engine.tasks import Result, Worker
from rollmill.errors import RollmillError
from rollmill.seeds.discovery import ManifestRow

Task = tuple[int, list[ManifestRow]]
"""A task's number and its files."""


def main(ends: Sequence[int], formats: Sequence[str]) -> None:
    """Be a worker for each of ``ends``, the sockets over which tasks come."""
    preload(formats)
    end = _one_each([socket.socket(fileno=end) for end in ends])
    with suppress(EOFError, OSError):  # Whoever started this process is gone, or waits for nothing any more.
        _work(end)
    os._exit(0)  # A fork has nothing of its own to end.


def _one_each(ends: Sequence[socket.socket]) -> socket.socket:
    """Fork until there is a process for each end; the end of this one. That the system gives no more processes is
    told over the ends that would have none."""
    mine = ends[0]
    for end in ends[1:]:
        try:
            if not os.fork():
                mine = end
                break
        except OSError as error:
            send(end, error)
    for end in ends:
        if end is not mine:
            end.close()
    return mine


def _work(end: socket.socket) -> None:
    """Say that this worker has started, then answer each task with its result, or with what it raised."""
    send(end, None)
    plan, _ = receive(end)
    worker, sender, todo = Worker(plan), Sender(), SimpleQueue[Task | None]()
    threading.Thread(target=_listen, args=(end, todo, sender), daemon=True).start()
    while task := todo.get():
        number, manifest_rows = task
        answer, descriptors = sender.handed(_answer(worker, manifest_rows))
        send(end, (number, answer), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _listen(end: socket.socket, todo: SimpleQueue[Task | None], sender: Sender) -> None:
    """Take tasks as they come, so that handing them out waits for nobody; with each comes the memory whose batches are
    done with. The last is None. Where the other end is gone, nobody waits for the tasks that are there."""
    with suppress(EOFError, OSError):
        while True:
            (task, done_with), _ = receive(end)
            sender.take_back(done_with)
            todo.put(task)
    with suppress(Empty):
        while True:
            todo.get_nowait()
    todo.put(None)


def _answer(worker: Worker, manifest_rows: list[ManifestRow]) -> Result | Exception:
    try:
        return worker.process(manifest_rows)
    except RollmillError as error:
        return error
    except Exception as error:
        return _sendable(error)


def _sendable(error: Exception) -> Exception:
    """A bug, with where it happened: its traceback does not go through a socket."""
    from traceback import format_exception

    where = "in a worker process:\n" + "".join(format_exception(error))
    error.add_note(where)
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever its class minds
        return RuntimeError(where)
    return error
