"""What a run says while Python waits for it: lines of the logger ``rollmill``.

A program that has set logging up decides itself what is shown. Everywhere else, in notebooks and scripts, the lines
go to stderr. The command line has a progress bar of its own.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable

from rollmill.engine.progress import Progress, line

LOG = logging.getLogger("rollmill")
SECONDS_BETWEEN_LINES = 10.0


class _ToStderr(logging.Handler):
    """Writes to what ``sys.stderr`` is at that moment: notebooks and progress bars put another one there."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)


def show_log() -> None:
    """Lets the lines be seen on stderr, unless the program has set logging up itself."""
    if not LOG.handlers and not logging.getLogger().handlers:
        LOG.addHandler(_ToStderr())
        LOG.setLevel(logging.INFO)
        LOG.propagate = False


def logged_progress() -> Callable[[Progress], None]:
    """A function that logs how far the run is, now and then."""
    last = time.monotonic()

    def show(state: Progress) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= SECONDS_BETWEEN_LINES:
            last = now
            LOG.info("%s", line(state))

    return show
