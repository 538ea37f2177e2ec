"""What the commands that ask models share: their options, the run with its progress, and what is printed at its end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rollmill.config import DataDesignerConfig
    from rollmill.designer import DataDesigner, DatasetCreationResults
    from rollmill.engine.progress import Progress, RunSummary
    from rollmill.models.providers import ModelProvider

F = TypeVar("F", bound=Callable[..., Any])
INTERRUPTED, STOPPED_BY_BUDGET = 130, 3
ENDPOINT = "endpoint"
"""The name of the provider that ``--endpoint`` makes."""


class Rows(click.ParamType):  # type: ignore[type-arg]
    """A number of rows, or ``all``."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        if value in (None, "all"):
            return None
        if not str(value).isdecimal() or int(value) < 1:
            self.fail(f"{value!r} is no number of rows; give at least 1, or 'all' for every row of the seed once")
        return int(value)


def with_options(*options: Callable[[F], F]) -> Callable[[F], F]:
    """The command with the options, in this order."""

    def given(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return given


AT_ENDPOINT = (
    click.option("--endpoint", metavar="URL", help="An OpenAI-compatible server, for models that name no provider."),
    click.option("--api-key-variable", metavar="NAME", help="The environment variable with that server's key."),
    click.option("--send-unredacted", is_flag=True, help="Send secrets and names to other machines. Think twice."),
)
COUNTED = (
    click.option(
        "--tokenizer", metavar="FILE", type=click.Path(path_type=Path),
        help="Count tokens with this tokenizer.json.  [default: UTF-8 bytes / 4]",
    ),
)  # fmt: skip
TO_DISK = (
    click.option("--dataset-name", metavar="NAME", default="dataset", show_default=True, help="The folder's name."),
    click.option(
        "--artifact-path", metavar="FOLDER", type=click.Path(path_type=Path), default="artifacts", show_default=True,
        help="Where data sets lie.",
    ),
    click.option("--max-cost", type=click.FloatRange(min=0), metavar="DOLLARS", help="Stop before it costs more."),
)  # fmt: skip
SHOWN = (
    click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON."),
    click.option("--quiet", is_flag=True, help="Show no progress."),
)


def designer(options: dict[str, Any], artifact_path: Path | None = None) -> DataDesigner:
    """The designer that the endpoint's options ask for; they are taken out of ``options``."""
    from rollmill.designer import DataDesigner

    unredacted = options.pop("send_unredacted")
    return DataDesigner(artifact_path, model_providers=providers(options), send_unredacted=unredacted)


def counted(config: DataDesignerConfig, tokenizer: Path | None) -> DataDesignerConfig:
    """The configuration with the tokenizer of ``--tokenizer``; with its own one when that was not given."""
    return config if tokenizer is None else config.model_copy(update={"tokenizer": str(tokenizer)})


def providers(options: dict[str, Any]) -> list[ModelProvider]:
    """The provider of ``--endpoint``; none without it."""
    endpoint, variable = options.pop("endpoint"), options.pop("api_key_variable")
    if endpoint is None:
        if variable is not None:
            raise click.UsageError("--api-key-variable is for --endpoint; give both, or name a provider in the config")
        return []
    from pydantic import ValidationError

    from rollmill.errors import ConfigError
    from rollmill.models.providers import ModelProvider

    try:
        return [ModelProvider(name=ENDPOINT, endpoint=endpoint, api_key=variable)]
    except ValidationError as error:
        raise ConfigError("; ".join(each["msg"] for each in error.errors(include_input=False))) from None


def make(designer: DataDesigner, config: DataDesignerConfig, quiet: bool, **options: Any) -> DatasetCreationResults:
    """The data set, with progress on stderr."""
    with _shown(quiet) as show:
        return designer.run(config, progress=show, **options)


def look(designer: DataDesigner, config: DataDesignerConfig, rows: int | None, quiet: bool) -> None:
    """Prints a preview's rows, and its counts."""
    from rollmill.cli.printing import say

    with _shown(quiet) as show:
        results = designer.preview(config, num_records=rows, progress=show)
    for number in range(results.table.num_rows):
        results.display_sample_record(number)
    for number, problem in results.problems:
        say(f"problem in row {number}, {problem.column}: {problem.text} ({problem.kind})")
    for line in results.summary.lines():
        say(line)


def _shown(quiet: bool) -> Any:
    from rollmill.cli.progress import shown_progress
    from rollmill.engine.preload import without_pandas
    from rollmill.engine.progress import line

    without_pandas()
    words: Callable[[Progress], str] = line
    return shown_progress(quiet, words)


def finish(results: DatasetCreationResults, as_json: bool) -> None:
    """Prints what came of a run, and leaves with the status that says how it ended."""
    from rollmill.cli.printing import complain, say, say_json
    from rollmill.errors import RollmillError

    summary: RunSummary = results.summary
    if as_json:
        say_json({**summary.to_dict(), "path": str(results.artifact_storage.final_dataset_path)})
    else:
        for line in summary.lines():
            if line != summary.message or summary.status != "stopped":  # an error says it, below
                say(line)
        if summary.rows:
            say(f"The data set is in {results.artifact_storage.final_dataset_path}")
    if summary.status == "complete":
        return
    more = " with a higher --max-cost" if summary.status == "max_cost" else ""
    resume = f"Run the same command again{more} to go on; nothing that was answered is asked twice."
    if summary.status == "stopped":
        raise RollmillError(f"{summary.message}\n{resume}")
    complain(resume)
    raise click.exceptions.Exit(STOPPED_BY_BUDGET if summary.status == "max_cost" else INTERRUPTED)
