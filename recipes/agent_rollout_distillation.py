# /// script
# requires-python = ">=3.11"
# dependencies = ["rollmill", "pandas>=2.2"]
# ///
"""Turn the rollouts of a coding agent into judged candidates for supervised fine-tuning.

    uv run recipes/agent_rollout_distillation.py --format claude_code --model qwen3-32b \\
        --endpoint http://localhost:8000/v1 --preview

The same as ``rollmill distill``, to copy and change: take columns out, add your own, ask another question. Without
``--preview`` the data set is written below ``--artifact-path``; run again, it goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rollmill.designer import DataDesigner
from rollmill.errors import RollmillError
from rollmill.formats import format_names
from rollmill.recipes.distill import THRESHOLD, build_config, model_providers

RECIPE = (
    "format trace_dir model endpoint provider judge_model shuffle seed partition_index num_partitions threshold where"
).split()
"""The options that decide what is made; the others decide how much of it, and where it goes."""


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options as given."""
    parser = argparse.ArgumentParser(
        description="Turn the rollouts of a coding agent into judged candidates for supervised fine-tuning."
    )
    seeds = parser.add_argument_group("rollouts")
    seeds.add_argument("--format", required=True, choices=format_names(), help="The agent that wrote them.")
    seeds.add_argument("--trace-dir", help="Their folder; the agent's own when it is left out.")
    seeds.add_argument(
        "--where", help="Keep rows for which this holds (SQL over the columns), e.g. 'message_count > 4'."
    )
    seeds.add_argument("--shuffle", action="store_true", help="Take the files in random order.")
    seeds.add_argument("--seed", type=int, help="A number that makes the order the same every time.")
    seeds.add_argument("--partition-index", type=int, help="Which part of the files, from 0.")
    seeds.add_argument("--num-partitions", type=int, help="How many parts there are.")
    models = parser.add_argument_group("models")
    models.add_argument("--model", required=True, help="The model that writes, as its server calls it.")
    models.add_argument("--judge-model", help="The model that judges; the same one when it is left out.")
    models.add_argument("--endpoint", help="A server that speaks OpenAI's API: http://localhost:8000/v1.")
    models.add_argument(
        "--provider", help="A provider by name instead: nvidia, openai, openrouter, local, or your own."
    )
    models.add_argument("--api-key-variable", help="The environment variable with the endpoint's key.")
    output = parser.add_argument_group("output")
    output.add_argument("--num-records", type=int, help="How many rows; every row once when it is left out.")
    output.add_argument("--preview", action="store_true", help="Make a few rows, show one, and write nothing.")
    output.add_argument("--threshold", type=int, default=THRESHOLD, help="What every score must reach (0-4).")
    output.add_argument("--dataset-name", default="agent_rollout_distillation", help="The data set's folder.")
    output.add_argument("--artifact-path", default="artifacts", help="The folder of data sets.")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    given = options(arguments)
    builder = build_config(**{name: getattr(given, name) for name in RECIPE})
    designer = DataDesigner(
        given.artifact_path, model_providers=model_providers(given.endpoint, given.api_key_variable)
    )
    if given.preview:
        designer.preview(builder, num_records=given.num_records or 3).display_sample_record()
        return
    results = designer.create(builder, num_records=given.num_records, dataset_name=given.dataset_name)
    print(f"{results.count_records()} rows in {results.artifact_storage.final_dataset_path}")


if __name__ == "__main__":
    try:
        main()
    except RollmillError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
