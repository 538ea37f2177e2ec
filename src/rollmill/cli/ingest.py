"""``rollmill ingest``: a folder of rollouts to a file of rows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from rollmill.cli.options import FormatName

if TYPE_CHECKING:
    from rollmill.engine.ingest import IngestSummary, Progress
    from rollmill.seeds.selection import PartitionBlock
    from rollmill.seeds.source import AgentRolloutSeedSource

DEFAULT_OUTPUT = "rollouts.parquet"
COUNT = click.IntRange(min=1)


@click.command("ingest")
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option(
    "--format", "format_name", type=FormatName(), default="auto", show_default=True, help="The rollouts' format."
)
@click.option(
    "-o",
    "--output",
    metavar="FILE|FOLDER",
    help=f"rows.parquet, rows.jsonl, or a folder.  [default: {DEFAULT_OUTPUT}, unless it exists]",
)
@click.option("--limit", type=COUNT, metavar="N", help="Stop after this many rows.")
@click.option("--shuffle", is_flag=True, help="Read the files in random order.")
@click.option("--seed", type=int, metavar="N", help="Makes the shuffle repeatable.")
@click.option(
    "--partition-index", type=click.IntRange(min=0), metavar="I", help="Which partition of the files to read, from 0."
)
@click.option("--num-partitions", type=COUNT, metavar="N", help="How many partitions there are.")
@click.option(
    "--where", metavar="SQL", help="Keep the rows for which this condition over their columns holds (DuckDB's SQL)."
)
@click.option("--workers", type=COUNT, metavar="N", default=1, show_default=True, help="Processes that read.")
@click.option(
    "--branches",
    type=click.Choice(["live", "all"]),
    default="live",
    show_default=True,
    help="all: abandoned branches too.",
)
@click.option("--pattern", metavar="GLOB", help="File names to read, instead of the format's own.")
@click.option("--no-recursive", is_flag=True, help="Leave sub-folders out.")
@click.option(
    "--on-error",
    type=click.Choice(["record", "raise"]),
    default="record",
    show_default=True,
    help="What to do at a file that cannot be read: count it and go on, or stop.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.option("--quiet", is_flag=True, help="Print nothing but problems.")
def command(
    path: Path | None, format_name: str, output: str | None, as_json: bool, quiet: bool, **options: Any
) -> None:
    """Write rollouts as rows to Parquet or JSONL.

    Reads the rollouts in PATH and writes one row for each thread of an agent. Without PATH: those in the format's
    default folder, or with --format auto in every default folder there is. The output appears when it is whole. A
    file that cannot be read is counted and the others go on.

    \b
    Examples:
      rollmill ingest --format claude_code -o rows.parquet
      rollmill ingest runs -o rows.jsonl --where "tool_call_count > 10 and started_at >= '2026-01'"
      rollmill ingest -o part0/ --partition-index 0 --num-partitions 4 --workers 4
    """
    from rollmill.cli.printing import say_summary

    target = _output(output)
    partition = _partition(options.pop("partition_index"), options.pop("num_partitions"))
    if options["seed"] is not None and not options["shuffle"]:
        raise click.UsageError("--seed is for --shuffle; give both or neither")
    pattern, recursive = options.pop("pattern"), not options.pop("no_recursive")
    sources = _sources(path, format_name, pattern, recursive, options.pop("branches"))
    summary = _ingest(sources, target, partition, quiet, options)
    say_summary(summary, as_json, quiet)


def _ingest(
    sources: list[AgentRolloutSeedSource],
    target: Path,
    partition: PartitionBlock | None,
    quiet: bool,
    options: dict[str, Any],
) -> IngestSummary:
    from rollmill.cli.interrupts import between_tasks
    from rollmill.cli.progress import shown_progress
    from rollmill.engine.ingest import ingest
    from rollmill.engine.preload import preload

    preload({source.format.value for source in sources})
    with shown_progress(quiet, _line) as show, between_tasks() as stop_here:

        def progress(state: Progress) -> None:
            stop_here()
            show(state)

        return ingest(sources, target, partition=partition, progress=progress, **options)


def _line(state: Progress) -> str:
    from rollmill.cli.printing import size_text

    speed = state.bytes_done / 1e6 / state.seconds if state.seconds else 0.0
    problems = f", {state.problems:,} problem{'s' * (state.problems != 1)}" if state.problems else ""
    files = f"{state.files_done:,}/{state.files_total:,} files"
    return f"{files}, {size_text(state.bytes_done)} at {speed:,.0f} MB/s, {state.rows:,} rows{problems}"


def _output(name: str | None) -> Path:
    if name is None and os.path.lexists(DEFAULT_OUTPUT):
        raise click.UsageError(
            f"{DEFAULT_OUTPUT} is there already; name the output with -o (-o {DEFAULT_OUTPUT} replaces it)"
        )
    path = Path(name or DEFAULT_OUTPUT)
    if name and name.endswith("/") and path.suffix:
        # Path() forgets the slash that says that rows.d/ is a folder.
        path.mkdir(parents=True, exist_ok=True)
    return path


def _partition(index: int | None, number: int | None) -> PartitionBlock | None:
    if index is None and number is None:
        return None
    if index is None or number is None:
        raise click.UsageError("--partition-index and --num-partitions go together; give both")
    if index >= number:
        raise click.UsageError(f"there is no partition {index} of {number}: they are counted from 0 to {number - 1}")
    from rollmill.seeds.selection import PartitionBlock

    return PartitionBlock(index=index, num_partitions=number)


def _sources(
    path: Path | None, format_name: str, pattern: str | None, recursive: bool, branches: Literal["live", "all"]
) -> list[AgentRolloutSeedSource]:
    from pydantic import ValidationError

    from rollmill.errors import ConfigError
    from rollmill.seeds.source import AgentRolloutFormat, AgentRolloutSeedSource

    try:
        return [
            AgentRolloutSeedSource(
                format=AgentRolloutFormat(name),
                path=None if path is None else os.fspath(path),
                file_pattern=pattern,
                recursive=recursive,
                branches=branches,
            )
            for name in _format_names(path, format_name)
        ]
    except ValidationError as error:
        raise ConfigError("; ".join(_message(each) for each in error.errors())) from error


def _message(error: Any) -> str:
    """The words of our own error where pydantic wrapped one."""
    return str(error.get("ctx", {}).get("error", error["msg"]))


def _format_names(path: Path | None, format_name: str) -> list[str]:
    if format_name != "auto":
        return [format_name]
    if path is not None:
        from rollmill.detection import detect

        return [detect(path)]
    from rollmill.explore.folders import look_into
    from rollmill.reading import default_folders_here

    here = default_folders_here()
    return [name for name, folder in here.items() if look_into(folder, name).rows] or list(here)
