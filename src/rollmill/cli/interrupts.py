"""Ctrl-C where it does no harm: between two shares of the work, when nothing is half-begun.

An exception at any instruction could strike while a file was just created or a worker process was being started, and
leave it behind. So the first Ctrl-C is only noted; ``stop_here`` raises it. A second one strikes at once.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def between_tasks() -> Iterator[Callable[[], None]]:
    """A function that raises ``KeyboardInterrupt`` when Ctrl-C was pressed since the block began."""
    pressed = False

    def note(*_: Any) -> None:
        nonlocal pressed
        pressed = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def stop_here() -> None:
        if pressed:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield stop_here  # Only the main thread gets signals.
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield stop_here
    finally:
        signal.signal(signal.SIGINT, before)
