"""How far a long run is, on stderr: a bar in a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rollmill.cli.printing import complain, size_text
from rollmill.engine.ingest import Progress

SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_DRAWINGS = 0.1
Show = Callable[[Progress], None]


@contextmanager
def shown_progress(quiet: bool) -> Iterator[Show]:
    """A function that shows how far the run is, nothing for a quiet run."""
    if quiet:
        yield lambda state: None
    elif sys.stderr.isatty():
        with _bar() as show:
            yield show
    else:
        yield _at_most_every(SECONDS_BETWEEN_LINES, lambda state: complain(_line(state)), at_once=False)


def _at_most_every(seconds: float, show: Show, at_once: bool = True) -> Show:
    last = 0.0 if at_once else time.monotonic()

    def sometimes(state: Progress) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= seconds or (at_once and state.files_done == state.files_total):
            last = now
            show(state)

    return sometimes


@contextmanager
def _bar() -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    # No refresh of its own: a thread here would make starting worker processes risky.
    with Bar(*columns, console=Console(stderr=True), auto_refresh=False, transient=True) as bar:
        task = bar.add_task("", total=None)

        def draw(state: Progress) -> None:
            bar.update(
                task, total=state.bytes_total, completed=state.bytes_done, description=_line(state), refresh=True
            )

        yield _at_most_every(SECONDS_BETWEEN_DRAWINGS, draw)


def _line(state: Progress) -> str:
    speed = state.bytes_done / 1e6 / state.seconds if state.seconds else 0.0
    problems = f", {state.problems:,} problem{'s' * (state.problems != 1)}" if state.problems else ""
    files = f"{state.files_done:,}/{state.files_total:,} files"
    return f"{files}, {size_text(state.bytes_done)} at {speed:,.0f} MB/s, {state.rows:,} rows{problems}"
