"""The two ways in which lines are decoded: by the compiled decoder, where it was built, and by msgspec alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from rollmill.formats import _typed_lines

WAYS = ["compiled", "msgspec"] if _typed_lines._quick_lines else ["msgspec"]


@contextmanager
def decoding_by(way: str) -> Iterator[None]:
    """Lines are decoded this way inside, whatever is installed."""
    with patch.object(_typed_lines, "_quick_lines", _typed_lines._quick_lines if way == "compiled" else None):
        yield
