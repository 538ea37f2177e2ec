"""What is printed, and what it may do to a terminal: nothing.

Text out of rollouts, names of files among it, passes ``visible`` before it gets here or in here.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from rollmill.errors import RollmillError
from rollmill.explore.visible import one_line, visible

if TYPE_CHECKING:
    from rollmill.engine.ingest import IngestSummary
    from rollmill.export.pipeline.counts import ExportSummary


def _print(text: str, err: bool = False) -> None:
    try:
        click.echo(text, err=err)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise RollmillError(f"what is told cannot be printed: {error.strerror}; what was written stays") from error


def complain(message: str) -> None:
    """Print a message to stderr. Its further lines are indented, so that no text in it looks like a message of ours."""
    _print(visible(message).replace("\n", "\n  "), err=True)


def say(text: str) -> None:
    """Print one line of our own, with whatever it quotes made visible, newlines too."""
    _print(visible(text).replace("\n", "\\x0a"))


def say_json(value: Any) -> None:
    """Print a value as JSON in ASCII, so that no character of it acts on a terminal."""
    _print(json.dumps(value, indent=2).replace("\x7f", "\\u007f"))


def say_summary(summary: IngestSummary | ExportSummary, as_json: bool, quiet: bool) -> None:
    """Print what a run did: as JSON, nothing but its problems, or in words."""
    if as_json:
        say_json(summary.to_dict())
    elif quiet:
        for problem in summary.problems:
            complain(f"problem: {problem}")
    else:
        for line in summary.lines():
            say(line)


def say_table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Print columns, those whose numbers are in ``right`` aligned to the right."""
    cells = [list(head), *([one_line(cell, 200) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for row in cells:
        aligned = [
            cell.rjust(w) if i in right else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        _print("  ".join(aligned).rstrip())


def size_text(size: int) -> str:
    """``512 B``, ``48.2 kB``, ``1.3 GB``: powers of ten, as disks count."""
    figure, units = float(size), ["B", "kB", "MB", "GB", "TB"]
    while figure >= 999.5 and len(units) > 1:
        figure /= 1000
        units.pop(0)
    return f"{figure:.0f} {units[0]}" if units[0] == "B" or figure >= 99.5 else f"{figure:.1f} {units[0]}"


def in_colour() -> bool:
    """Whether stdout is a terminal whose user has not asked for plain text (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
