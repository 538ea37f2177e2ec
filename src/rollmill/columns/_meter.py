"""What one rendering may take: steps, characters, processor time. It is refused when it takes more.

A template comes from a config file that may be somebody else's, and what it walks over comes from anywhere: neither
may stop the run. Python cannot be interrupted from outside, so every loop, call and text that grows is counted.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

MAX_CHARACTERS = 4_000_000
"""The longest text a template may make: about a million tokens, more than any model reads."""
MAX_STEPS = 500_000
MAX_SECONDS = 3.0
"""On the clock; a thread that had to wait for its turn gets as much again, of its own time."""
_CHECK_EVERY = 16


class TemplateError(Exception):
    """A template that cannot be compiled or rendered; the message says what is wrong with it."""


class Meter:
    """The running count of one rendering."""

    def __init__(self, seed: str = "") -> None:
        self.seed = seed
        self.draws = 0
        self._steps = MAX_STEPS
        self._characters = 10 * MAX_CHARACTERS
        self._clock = time.monotonic
        self._until = time.monotonic() + MAX_SECONDS

    def step(self) -> None:
        """Count one piece of work. Raises ``TemplateError`` when it was too much."""
        self._steps -= 1
        if self._steps < 0:
            raise TemplateError(f"the template takes more than {MAX_STEPS:,} steps: a loop runs too long")
        if self._steps % _CHECK_EVERY == 0:
            self._check_time()

    def grow(self, characters: int) -> None:
        """Count text before it is made. Raises ``TemplateError`` when it is too much, alone or with the rest."""
        self.step()
        self._check_time()
        self._characters -= characters
        if characters > MAX_CHARACTERS or self._characters < 0:
            raise TemplateError(
                f"the template makes more than {MAX_CHARACTERS:,} characters; `messages | window(8000)` keeps what "
                "matters of a long rollout within a number of tokens"
            )

    def _check_time(self) -> None:
        if self._clock() > self._until:
            self._late()

    def _late(self) -> None:
        # On a busy machine the clock alone would refuse what is fine, and the thread's own time is dear to ask for.
        if self._clock is time.thread_time:
            raise TemplateError(f"the template takes more than {MAX_SECONDS:g} seconds")
        self._clock = time.thread_time
        self._until = time.thread_time() + MAX_SECONDS


_RUNNING: ContextVar[Meter] = ContextVar("meter")


def meter() -> Meter:
    """The meter of the rendering that runs here; a fresh one while a template is compiled."""
    found = _RUNNING.get(None)
    return found if found is not None else Meter()


@contextmanager
def metered(seed: str = "") -> Iterator[Meter]:
    """A new meter for what is rendered inside."""
    token = _RUNNING.set(started := Meter(seed))
    try:
        yield started
    finally:
        _RUNNING.reset(token)
