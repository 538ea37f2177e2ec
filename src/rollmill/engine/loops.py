"""Where a run's event loop lives: in this thread, in one of its own, beside another loop. Ctrl-C reaches it everywhere,
and so does the cancelling of whoever waits for it."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from rollmill.engine.fill import Stop

T = TypeVar("T")
_stops: dict[int, tuple[asyncio.AbstractEventLoop, Stop]] = {}
"""The runs outside the main thread, by their threads, for whoever waits for them in another."""
_early: set[int] = set()
"""Threads whose run is to stop as soon as it begins."""


@contextmanager
def interrupts(stop: Stop) -> Iterator[None]:
    """The first Ctrl-C asks for no more, the second waits for nothing. SIGTERM and SIGHUP are Ctrl-C too."""
    if threading.current_thread() is not threading.main_thread():
        with _from_outside(stop):
            yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in _stop_signals()}
    try:
        for number in before:
            loop.add_signal_handler(number, stop.press)
    except NotImplementedError:  # Windows: Ctrl-C cancels the run, which is what a second one does elsewhere.
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


def _stop_signals() -> list[signal.Signals]:
    """Those that stop a run, among them SIGHUP when a terminal goes away, unless ``nohup`` has it ignored."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    return numbers


@contextmanager
def _from_outside(stop: Stop) -> Iterator[None]:
    _stops[threading.get_ident()] = (asyncio.get_running_loop(), stop)
    if threading.get_ident() in _early:
        stop.press()
    try:
        yield
    finally:
        del _stops[threading.get_ident()]


def _press(thread: int | None) -> bool:
    """Ctrl-C for the run in a thread. Whether one is under way there."""
    if (found := _stops.get(thread or 0)) is None:
        return False
    loop, stop = found
    with suppress(RuntimeError):  # the run has just ended
        loop.call_soon_threadsafe(stop.press)
    return True


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine: here, or in a thread of its own where an event loop runs already (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _in_loop(work)
    return _in_thread(work)


def _in_loop(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=_fast_loop()) as runner:
        return runner.run(work)


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's event loop, a tenth cheaper for each call; Python's own where there is none (Windows)."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _in_thread(work: Coroutine[Any, Any, T]) -> T:
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(_in_loop(work))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="rollmill-run")
    thread.start()
    while thread.is_alive():
        try:
            thread.join()
        except KeyboardInterrupt:
            if not _press(thread.ident):
                raise
    if failed:
        raise failed[0]
    return done[0]


async def beside(work: Callable[[], T]) -> T:
    """What ``work`` returns, done in a thread of its own so that other tasks go on. Cancelled once, the run in it asks
    nothing more and is waited for until it has written what is whole; cancelled twice, it waits for nothing either."""
    threads: Future[int] = Future()

    def run() -> T:
        threads.set_result(threading.get_ident())
        return work()

    own = ThreadPoolExecutor(1, "rollmill-run")
    # Not a task: the ``KeyboardInterrupt`` that tells of a stopped run would end this event loop.
    running = asyncio.get_running_loop().run_in_executor(own, run)
    own.shutdown(wait=False)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await _ended(running, threads.result())
        raise


async def _ended(running: asyncio.Future[Any], thread: int) -> None:
    """Returns when the run was stopped and is over. It may not even have begun to ask yet."""
    _early.add(thread)
    _press(thread)
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError:
            _press(thread)
    _early.discard(thread)
    running.exception()  # how it ended is known
