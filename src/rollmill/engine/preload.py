"""What worker processes need, imported once in the process they are forked from, so that they share it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext, suppress
from types import ModuleType

from rollmill.formats import built_in_names, load_format


def preload(formats: Collection[str]) -> None:
    """Import what reading these formats to batches needs. Formats from outside are left to be imported when they are
    used; and then numpy is there too, for who knows what they make of it."""
    own = set(formats) & set(built_in_names())
    with without_numpy() if len(own) == len(formats) else nullcontext():
        import rollmill.rows  # noqa: F401
    without_pandas()
    for name in own:
        load_format(name)


@contextmanager
def without_numpy() -> Iterator[None]:
    """Let pyarrow find no numpy, which it does not need here: to import it takes 50 ms, and its threads keep another
    processor busy for as long again. Whoever imports numpy later gets it."""
    if "numpy" in sys.modules:
        yield
        return
    sys.modules["numpy"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["numpy"]


def without_pandas() -> None:
    """Let pyarrow find a pandas that is too old for it. With its first array it would import the real one, where that
    is installed, for half a second and tens of megabytes in each process; nothing here makes data frames. Whoever else
    imports pandas later gets the real one."""
    import pyarrow

    if "pandas" in sys.modules:
        return
    sys.modules["pandas"] = ModuleType("pandas")
    sys.modules["pandas"].__version__ = "0"  # type: ignore[attr-defined]
    try:
        with warnings.catch_warnings(action="ignore"), suppress(Exception):
            pyarrow.array([0])  # Should pyarrow ever mind, it may have its pandas.
    finally:
        del sys.modules["pandas"]
