"""The tasks of a plan to their results, here or by worker processes.

Tasks go out in the manifest's order and their results come back in it, so that the output does not depend on how many
workers there are. No more tasks are under way than keep the workers busy: memory does not grow with the data.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from typing import Any, NamedTuple, TypeVar

from rollmill.engine.handover import Handed, Receiver
from rollmill.engine.tasks import TASK_BYTES, Plan, Result, Worker, tasks
from rollmill.engine.worker import begin, process, started
from rollmill.errors import RollmillError
from rollmill.seeds.discovery import ManifestRow

T = TypeVar("T")
TASKS_PER_WORKER, SMALL_TASKS_PER_WORKER = 2, 6
"""Tasks under way for each worker: one that it works on and one that waits for it; more while they are small, so that
it has something to do while a row group is written."""


def task_results(plan: Plan, rows: Sequence[ManifestRow], workers: int) -> Generator[Result]:
    """The tasks' results in order, worked out here or by worker processes."""
    if workers <= 1 or len(rows) < 2:
        worker = Worker(plan)
        yield from map(worker.process, tasks(rows))
    else:
        yield from _from_processes(plan, rows, workers)


def _from_processes(plan: Plan, rows: Sequence[ManifestRow], workers: int) -> Iterator[Result]:
    todo, waiting = tasks(rows), deque[_UnderWay]()
    with closing(Receiver()) as receiver, _pool(plan, workers, receiver) as pool:
        try:
            yield from _meanwhile(plan, todo, pool, workers)
            for task in todo:
                waiting.append(_UnderWay(_submitted(pool, process, task), sum(row["size"] for row in task)))
                while _are_enough(waiting, workers):
                    yield receiver.received(waiting.popleft().result.result())
            while waiting:
                yield receiver.received(waiting.popleft().result.result())
        except BrokenProcessPool as error:
            raise RollmillError(
                "a worker process died, killed perhaps for its memory; run again with fewer --workers"
            ) from error


class _UnderWay(NamedTuple):
    """A task, and how many bytes its files have."""

    result: Future[Result | Handed]
    size: int


def _are_enough(waiting: Collection[_UnderWay], workers: int) -> bool:
    """Whether so many tasks are under way that the first has to end before another begins."""
    small = sum(task.size for task in waiting) < workers * SMALL_TASKS_PER_WORKER * TASK_BYTES
    return len(waiting) >= workers * (SMALL_TASKS_PER_WORKER if small else TASKS_PER_WORKER)


def _meanwhile(
    plan: Plan, todo: Iterator[list[ManifestRow]], pool: ProcessPoolExecutor, workers: int
) -> Iterator[Result]:
    """Results that are worked out here until the first worker has started, which takes half a second."""
    worker = Worker(plan)
    aside = ThreadPoolExecutor(1)  # to ask for a process waits for it
    starting = aside.submit(_start, pool, workers)
    try:
        while not starting.done() and (task := next(todo, None)) is not None:
            yield worker.process(task)
    finally:
        aside.shutdown(wait=False)
    if starting.done():
        starting.result()


def _start(pool: ProcessPoolExecutor, workers: int) -> None:
    """Returns when a worker has started; the others are starting."""
    wait([_submitted(pool, started) for _ in range(workers)], return_when=FIRST_COMPLETED)


def _submitted(pool: ProcessPoolExecutor, work: Callable[..., T], *arguments: Any) -> Future[T]:
    with _startable():
        return pool.submit(work, *arguments)


@contextmanager
def _startable() -> Iterator[None]:
    """A system that gives no more processes, or no more files for them, is told of in one message."""
    try:
        yield
    except (OSError, EOFError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise RollmillError(
            f"worker processes cannot be started ({why}); raise the limits (ulimit -n, -u), or run with --workers 1"
        ) from error


@contextmanager
def _pool(plan: Plan, workers: int, receiver: Receiver) -> Iterator[ProcessPoolExecutor]:
    """Worker processes, all stopped at the end whatever happened."""
    has_forkserver = "forkserver" in _start_methods()
    context = multiprocessing.get_context("forkserver" if has_forkserver else "spawn")
    with _startable():
        if has_forkserver:
            context.set_forkserver_preload(["rollmill.engine.preload"])
            _start_forkserver()
        stop = context.Event()
        pool = ProcessPoolExecutor(workers, context, begin, (plan, stop, receiver.into))
    try:
        yield pool
    finally:
        # Never terminated: one that dies while it sends a result leaves this process reading the rest for ever.
        stop.set()
        with _deaf():
            pool.shutdown(wait=True, cancel_futures=True)


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


def _start_forkserver() -> None:
    """Start it deaf to Ctrl-C, which a terminal sends to every process; its workers inherit that, this one is told
    afterwards. The resource tracker comes first, because it would end the silence when it starts."""
    from multiprocessing import forkserver, resource_tracker

    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_methods() -> list[str]:
    return multiprocessing.get_all_start_methods()
