"""Work that is too big for the event loop, in two threads.

Rendering, redacting, hashing and encoding of texts as long as rollouts. Python runs one thread at a time: with more of
them, the event loop would wait for a turn behind each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
BIG = 20_000
"""Texts of so many characters are worked on here."""

_threads = ThreadPoolExecutor(2, "big-texts")


async def off_loop(work: Callable[..., T], *arguments: Any) -> T:
    """What ``work`` returns or raises, done in a thread."""
    return await asyncio.get_running_loop().run_in_executor(_threads, work, *arguments)
