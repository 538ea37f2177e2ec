"""How far a long run is, on stderr: a bar in a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from rollmill.cli.printing import complain

SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_DRAWINGS = 0.1


class State(Protocol):
    """How far a run is, in bytes."""

    bytes_done: int
    bytes_total: int


S = TypeVar("S", bound=State)
Show = Callable[[S], None]


@contextmanager
def shown_progress(quiet: bool, line: Callable[[S], str]) -> Iterator[Show[S]]:
    """A function that shows how far the run is, with the words of ``line``; nothing for a quiet run."""
    if quiet:
        yield lambda state: None
    elif sys.stderr.isatty():
        with _bar(line) as show:
            yield show
    else:
        yield _at_most_every(SECONDS_BETWEEN_LINES, lambda state: complain(line(state)), at_once=False)


def _at_most_every(seconds: float, show: Show[S], at_once: bool = True) -> Show[S]:
    last = 0.0 if at_once else time.monotonic()

    def sometimes(state: S) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= seconds or (at_once and state.bytes_done == state.bytes_total):
            last = now
            show(state)

    return sometimes


@contextmanager
def _bar(line: Callable[[S], str]) -> Iterator[Show[S]]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    # No refresh of its own: a thread here would make starting worker processes risky.
    with Bar(*columns, console=Console(stderr=True), auto_refresh=False, transient=True) as bar:
        task = bar.add_task("", total=None)

        def draw(state: S) -> None:
            bar.update(task, total=state.bytes_total, completed=state.bytes_done, description=line(state), refresh=True)

        yield _at_most_every(SECONDS_BETWEEN_DRAWINGS, draw)
