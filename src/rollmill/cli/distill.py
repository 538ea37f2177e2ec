"""``rollmill distill``: rollouts to judged candidates for supervised fine-tuning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rollmill.cli.making import COUNTED, SHOWN, TO_DISK, Rows, counted, finish, look, make, with_options
from rollmill.cli.options import FormatName

RECIPE = (
    "model trace_dir endpoint provider judge_model shuffle seed partition_index num_partitions threshold where"
).split()
"""The options that decide what is made."""
PREVIEWED = 3


@click.command("distill")
@with_options(
    click.option("--format", "format_name", type=FormatName(), required=True, help="The rollouts' format."),
    click.option("--trace-dir", metavar="FOLDER", help="Their folder.  [default: the agent's own]"),
    click.option("--model", metavar="NAME", required=True, help="The model that writes, as its server calls it."),
    click.option("--endpoint", metavar="URL", help="An OpenAI-compatible server: http://localhost:8000/v1."),
    click.option("--api-key-variable", metavar="NAME", help="The environment variable with that server's key."),
    click.option("--provider", metavar="NAME", help="A provider by name instead: nvidia, openai, openrouter, local, …"),
    click.option("--judge-model", metavar="NAME", help="The model that judges.  [default: the one that writes]"),
    click.option("--num-records", type=Rows(), metavar="N|all", help="How many rows.  [default: all; --preview: 3]"),
    click.option("--preview", is_flag=True, help="Make a few rows, show them, write nothing."),
    click.option("--shuffle", is_flag=True, help="Take the files in random order."),
    click.option("--seed", type=int, metavar="N", help="Makes the shuffle repeatable."),
    click.option("--partition-index", type=click.IntRange(min=0), metavar="I", help="Which part of the files, from 0."),
    click.option("--num-partitions", type=click.IntRange(min=1), metavar="N", help="How many parts there are."),
    click.option(
        "--threshold", type=click.IntRange(0, 4), default=3, show_default=True, help="What all scores must be."
    ),
    click.option("--where", metavar="SQL", help="Keep the rows for which this condition over their columns holds."),
    *COUNTED,
    *TO_DISK,
    click.option("--send-unredacted", is_flag=True, help="Send secrets and names to other machines. Think twice."),
    *SHOWN,
)
def command(
    format_name: str,
    preview: bool,
    tokenizer: Path | None,
    num_records: int | None,
    artifact_path: Path,
    send_unredacted: bool,
    api_key_variable: str | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Distil rollouts into judged training candidates.

    For each rollout a model writes a digest and one training example; a judge scores it with the rollout as evidence.
    Run the same again after a stop: nothing that was answered is asked twice. `rollmill export` makes training data
    without any model.

    \b
    Examples:
      rollmill distill --format claude_code --model qwen3-32b --endpoint http://localhost:8000/v1 --preview
      rollmill distill --format codex --model gpt-5-mini --provider openai --max-cost 5
    """
    from rollmill.designer import DataDesigner
    from rollmill.recipes.distill import build_config, model_providers

    recipe = {name: options.pop(name) for name in RECIPE}
    built = build_config(format=_format(format_name, recipe["trace_dir"]), **recipe).build()
    config = counted(built, tokenizer)
    providers = model_providers(recipe["endpoint"], api_key_variable)
    designer = DataDesigner(artifact_path, model_providers=providers, send_unredacted=send_unredacted)
    if preview:
        look(designer, config, num_records or PREVIEWED, quiet)
        return
    finish(make(designer, config, quiet, num_records=num_records, **options), as_json)


def _format(name: str, trace_dir: str | None) -> str:
    """The format's name, looked up in the files for ``auto``."""
    if name != "auto":
        return name
    if trace_dir is None:
        raise click.UsageError("--format auto looks at files: give --trace-dir, or name the format")
    from rollmill.detection import detect

    return detect(Path(trace_dir))
