"""What every worker process needs, imported once in the process they are forked from, so that they share it."""

from __future__ import annotations

import sys
import warnings
from contextlib import suppress
from types import ModuleType

import pyarrow
import pyarrow.compute as _compute  # noqa: F401

import rollmill.engine.worker as _worker  # noqa: F401
import rollmill.formats.claude_code as _claude_code  # noqa: F401
import rollmill.formats.codex as _codex  # noqa: F401
import rollmill.rows as _rows  # noqa: F401


def without_pandas() -> None:
    """Let pyarrow find a pandas that is too old for it. With its first array it would import the real one, where that
    is installed, for half a second and tens of megabytes in each process; nothing here makes data frames. Whoever else
    imports pandas later gets the real one."""
    if "pandas" in sys.modules:
        return
    sys.modules["pandas"] = ModuleType("pandas")
    sys.modules["pandas"].__version__ = "0"  # type: ignore[attr-defined]
    try:
        with warnings.catch_warnings(action="ignore"), suppress(Exception):
            pyarrow.array([0])  # Should pyarrow ever mind, it may have its pandas.
    finally:
        del sys.modules["pandas"]


without_pandas()
