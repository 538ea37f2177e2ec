"""``rollmill stats``: what a data set is made of, in groups."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rollmill.cli.options import FormatName

if TYPE_CHECKING:
    from rollmill.curate._groups import Group, Rate, Stats
    from rollmill.curate.signals import Signals
    from rollmill.export.pipeline.inputs import Input
    from rollmill.rollout import Rollout

FILE = click.Path(path_type=Path, dir_okay=False)
LISTED, LONGEST = 40, 56
WINDOW_BYTES = 4 << 20
HEAD = ("rows", "calls", "errors", "in", "out", "success", "corrected")


@dataclass
class Reading:
    """How far the run is."""

    bytes_done: int
    bytes_total: int
    rows: int


@click.command("stats")
@click.argument("path", metavar="ROWS|PATH", type=click.Path(path_type=Path))
@click.option(
    "--by", metavar="COLUMNS", default="model,source_kind", show_default=True,
    help="What to group by: columns, signals, day, month; with commas between them.",
)  # fmt: skip
@click.option("--where", metavar="SQL", help="Count the rows for which this condition holds (columns and signals).")
@click.option("-o", "--output", metavar="FILE", type=FILE, help="Write all figures: stats.json or stats.csv.")
@click.option("--picture", metavar="FILE", type=FILE, help="Draw them: corpus.svg or corpus.png.")
@click.option(
    "--format", "format_name", type=FormatName(), default="auto", show_default=True, help="The rollouts' format."
)
@click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON.")
@click.option("--quiet", is_flag=True, help="Print nothing but problems.")
def command(
    path: Path,
    by: str,
    where: str | None,
    output: Path | None,
    picture: Path | None,
    format_name: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Count a data set.

    Counts the rows in ROWS, which `rollmill ingest` wrote, or the rollouts in PATH, in groups: rows, calls and their
    errors, tokens, outcomes. Rates come with the interval in which they lie with 95 % confidence. docs/signals.md
    says what the figures mean.

    \b
    Examples:
      rollmill stats rows.parquet
      rollmill stats rows.parquet --by project_path,month --where "not is_sidechain"
      rollmill stats ~/.codex/sessions --by agent_version -o stats.csv --picture corpus.svg
    """
    from rollmill.curate._groups import Stats, parse_by
    from rollmill.curate.signals import check_where
    from rollmill.explore.picture import check_picture
    from rollmill.export.pipeline.inputs import Input

    stats = Stats(parse_by(by))
    check_where(where)
    _check_output(output)
    check_picture(picture)
    source = Input(path, format_name)
    for target in filter(None, (output, picture)):
        source.refuse_output(target)
    _count(stats, source, where, quiet)
    _write(stats, output, picture)
    _print(stats, as_json, quiet)
    _name_problems(source)


def _check_output(output: Path | None) -> None:
    if output is not None and output.suffix not in (".json", ".csv"):
        raise click.BadParameter(f"no figures are written as {output.suffix!r}; use .json or .csv", param_hint="-o")


def _count(stats: Stats, source: Input, where: str | None, quiet: bool) -> None:
    from rollmill.cli.interrupts import between_tasks
    from rollmill.cli.progress import shown_progress
    from rollmill.engine.preload import without_pandas

    without_pandas()
    with shown_progress(quiet, _line) as show, between_tasks() as stop_here:
        for window in _windows(source):
            for rollout, signals in _matching(window, where, stats):
                stats.add(rollout, signals)
            stop_here()
            show(Reading(source.bytes_done, source.bytes_total, stats.total.rows))


def _line(state: Reading) -> str:
    from rollmill.cli.printing import size_text

    return f"reading {size_text(state.bytes_done)}, {state.rows:,} rows"


def _windows(rollouts: Iterable[Rollout]) -> Iterator[list[Rollout]]:
    """The rollouts some megabytes at a time, so that memory does not grow with the data set."""
    from rollmill.rows import text_size

    window: list[Rollout] = []
    size = 0
    for rollout in rollouts:
        window.append(rollout)
        size += text_size(rollout)
        if size >= WINDOW_BYTES:
            yield window
            window, size = [], 0
    yield window


def _matching(window: list[Rollout], where: str | None, stats: Stats) -> Iterator[tuple[Rollout, Signals]]:
    from rollmill.curate.signals import rows_where, signals
    from rollmill.curate.task_id import task_id

    found = [signals(rollout, task_id(rollout)) for rollout in window]
    kept = rows_where(window, found, where) if where is not None and window else [True] * len(window)
    stats.filtered += len(kept) - sum(kept)
    return ((rollout, each) for rollout, each, keep in zip(window, found, kept, strict=True) if keep)


def _write(stats: Stats, output: Path | None, picture: Path | None) -> None:
    from rollmill.errors import ConfigError
    from rollmill.explore.picture import draw
    from rollmill.files import write_whole

    wanted = [(output, _data), (picture, draw)]
    for target, data in [(target, data(stats, target)) for target, data in wanted if target is not None]:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_whole(target, data)
        except OSError as error:
            raise ConfigError(f"{target} cannot be written: {error.strerror}; choose another place") from error


def _data(stats: Stats, output: Path) -> bytes:
    if output.suffix == ".csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([_harmless(cell) for cell in row] for row in stats.table())
        return text.getvalue().encode("utf-8", "backslashreplace")
    return (json.dumps(stats.to_dict(), indent=2) + "\n").encode()


def _harmless(cell: Any) -> Any:
    """A cell that no spreadsheet takes for a formula, whatever a folder or a model is called."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def _print(stats: Stats, as_json: bool, quiet: bool) -> None:
    from rollmill.cli.printing import say, say_json, say_table
    from rollmill.explore.picture import short_name
    from rollmill.explore.visible import one_line

    if as_json:
        say_json(stats.to_dict())
    if as_json or quiet:
        return
    groups, by = stats.groups, len(stats.by)
    rows = [
        [*(short_name(one_line(part, 400), LONGEST) for part in group.key), *_cells(group)]
        for group in [*groups[:LISTED], stats.total]
    ]
    say_table([name.upper() for name in (*stats.by, *HEAD)], rows, right=range(by, by + len(HEAD)))
    if len(groups) > LISTED:
        say(f"{len(groups) - LISTED:,} more groups are in the total only; -o stats.csv writes all of them")
    if stats.filtered:
        say(f"{stats.filtered:,} rows left out by --where")


def _cells(group: Group) -> list[str]:
    rates = group.rates()
    figures = [group.rows, group.counts["tool_calls"]]
    tokens = [_short(group.tokens["input_tokens"]), _short(group.tokens["output_tokens"])]
    return [
        *(f"{figure:,}" for figure in figures),
        _rate(rates["tool_errors"]),
        *tokens,
        _rate(rates["success"]),
        _rate(rates["corrected"]),
    ]


def _rate(value: Rate) -> str:
    """``75 % of 8 (41–93)``: the share, what it is a share of, and the bounds of its interval."""
    if value.share is None or value.low is None or value.high is None:
        return "-"
    return f"{value.share:.0%} of {value.of:,} ({100 * value.low:.0f}–{100 * value.high:.0f})"


def _short(number: int) -> str:
    """``812``, ``54k``, ``1.2M``; a dash where no call states its tokens."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.1f}{unit}" if number < 10 * size else f"{number / size:.0f}{unit}"
    return str(number or "-")


def _name_problems(source: Input) -> None:
    from rollmill.cli.printing import complain

    problems = source.problems()
    for problem in problems[:10]:
        complain(f"problem: {problem}")
    if len(problems) > 10:
        complain(f"and {len(problems) - 10} more problems")
