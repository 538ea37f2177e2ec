"""``rollmill export``: rows or rollouts to a training set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rollmill.cli.options import FormatName

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from rollmill.export.pipeline.counts import ExportSummary
    from rollmill.export.pipeline.plan import ExportPlan
    from rollmill.export.pipeline.run import ExportProgress

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
MODES = ("trajectory", "per_turn", "per_user_turn")
REQUIREMENTS = ("tools", "known-tools", "system", "whole-context")


class _Name(click.ParamType):  # type: ignore[type-arg]
    """One of names that are looked up only when one is given or completed."""

    def __init__(self, name: str) -> None:
        self.name = name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in self._known():
            self.fail(f"no {self.name} is called {value!r}; known are {', '.join(self._known())}", param, ctx)
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(name) for name in self._known() if name.startswith(incomplete)]

    def _known(self) -> tuple[str, ...]:
        from rollmill.export import target_names

        return target_names()


@click.command("export")
@click.argument("path", metavar="[ROWS|PATH]", required=False, type=click.Path(path_type=Path))
@click.option("--to", "target", type=_Name("target"), default="trl", show_default=True, help="For which trainer.")
@click.option(
    "-o", "--output", metavar="FOLDER", type=click.Path(path_type=Path), help="[default: training-set-TARGET]"
)
@click.option("--mode", type=click.Choice(MODES), default="trajectory", show_default=True, help="What one sample is.")
@click.option(
    "--mask", "masks", metavar="NAMES", default="all-assistant", show_default=True, help="What in a sample is learnt."
)
@click.option("--where", metavar="SQL", help="Keep the rows for which this condition holds (columns and signals).")
@click.option("--split", "splits", metavar="SHARES", default="train=0.98,validation=0.02", show_default=True)
@click.option("--seed", type=int, default=0, help="Other splits.")
@click.option("--max-tokens", type=click.IntRange(min=1), metavar="N", help="Drop samples that are longer.")
@click.option("--tokenizer", metavar="FOLDER", type=click.Path(path_type=Path, exists=True), help="A local tokenizer.")
@click.option("--tools", metavar="FILE", type=FILE, help="Tool schemas, by agent version (JSON).")
@click.option("--system", metavar="FILE", type=FILE, help="The system prompt: a text, or JSON by agent version.")
@click.option("--require", type=click.Choice(REQUIREMENTS), multiple=True, help="Drop samples that lack it.")
@click.option(
    "--media", type=click.Choice(["refuse", "placeholder"]), default="refuse", show_default=True,
    help="What to do with images: drop the sample, or put [image] there.",
)  # fmt: skip
@click.option("--train-summaries", is_flag=True, help="Learn summaries of thinking too, as if they were the thinking.")
@click.option("--file-type", type=click.Choice(["jsonl", "parquet"]), help="[default: the target's own]")
@click.option("--no-redact", is_flag=True, help="Leave secrets and names in. Think twice.")
@click.option("--license", metavar="TEXT", help="The data's licence, for the card.")
@click.option(
    "--format", "format_name", type=FormatName(), default="auto", show_default=True, help="The rollouts' format."
)
@click.option(
    "--branches", type=click.Choice(["live", "all"]), default="live", show_default=True, help="all: abandoned too."
)
@click.option("--explain", metavar="ROW", help="Write nothing; show each message of that row, its weight and why.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.option("--quiet", is_flag=True, help="Print nothing but problems.")
def command(
    path: Path | None, output: Path | None, explain: str | None, as_json: bool, quiet: bool, **options: Any
) -> None:
    """Write a training set.

    Reads rows that `rollmill ingest` wrote, or rollouts (without PATH: every agent's own folder), takes secrets out,
    cuts each row into the contexts its model really saw, masks, drops exact duplicates, splits by task, and writes a
    folder: a file for each split, a card, a manifest of all counts, and what was dropped and why. Nothing is
    downloaded.

    \b
    Examples:
      rollmill export rows.parquet
      rollmill export rows.parquet --to openai --mask mask-errors -o tuning/
      rollmill export ~/.codex/sessions --where "last_test = 'passed'" --max-tokens 32000
      rollmill export rows.parquet --mask mask-errors --explain 0ccf1a04
    """
    from rollmill.cli.printing import say_summary

    plan = _plan(path, options)
    if explain is not None:
        _explain(plan, explain)
        return
    summary = _export(plan, output or Path(f"training-set-{plan.target}"), quiet)
    say_summary(summary, as_json, quiet)
    if not summary.written:
        from rollmill.errors import RollmillError

        raise RollmillError(f"no sample is left; {summary.folder / 'dropped.jsonl'} says why")


def _plan(path: Path | None, options: dict[str, Any]) -> ExportPlan:
    from rollmill.curate.masks import mask_names
    from rollmill.curate.splits import parse_splits
    from rollmill.export.pipeline.plan import ExportPlan

    options["splits"] = parse_splits(options["splits"])
    options["masks"] = tuple(mask_names(options["masks"]))
    if not options["masks"]:
        raise click.UsageError("--mask needs a name; all-assistant learns every turn of the model")
    options["format"] = options.pop("format_name")
    options["redact"] = not options.pop("no_redact")
    return ExportPlan(path=path, **options)


def _export(plan: ExportPlan, folder: Path, quiet: bool) -> ExportSummary:
    from rollmill.cli.interrupts import between_tasks
    from rollmill.cli.progress import shown_progress
    from rollmill.engine.preload import without_pandas
    from rollmill.export.pipeline.run import export_training_set

    without_pandas()
    with shown_progress(quiet, _line) as show, between_tasks() as stop_here:

        def progress(state: ExportProgress) -> None:
            stop_here()
            show(state)

        return export_training_set(plan, folder, progress)


def _line(state: ExportProgress) -> str:
    from rollmill.cli.printing import size_text

    return f"{state.doing} {size_text(state.bytes_done)}, {state.rows:,} rows, {state.samples:,} samples"


def _explain(plan: ExportPlan, row: str) -> None:
    from rollmill.cli.printing import say
    from rollmill.export.pipeline.explain import explain

    for line in explain(plan, row):
        say(line)
