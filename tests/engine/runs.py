"""Runs in tests: seeds of small rows, a configuration over them, and a run in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from rollmill.config import DataDesignerConfigBuilder, LocalFileSeedSource, ModelConfig
from rollmill.designer import DataDesigner
from rollmill.models.providers import ModelProvider
from tests.models.server import ModelServer, prompt_of

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLES = ROOT / "examples" / "rollouts" / "claude_code"


def seed_file(path: Path, rows: int, **more: Any) -> Path:
    """A JSONL file of rows ``{"id": …}``."""
    path.write_text("".join(json.dumps({"id": f"row-{number:05d}", **more}) + "\n" for number in range(rows)))
    return path


def builder(seed: Path | str | None = None, parallel: int | None = 8, **columns: Any) -> DataDesignerConfigBuilder:
    """A configuration with the model ``m``; each column is a prompt, or the fields of a column."""
    model = ModelConfig(alias="m", model="toy", inference_parameters={"max_parallel_requests": parallel})
    made = DataDesignerConfigBuilder([model])
    if seed is not None:
        made.with_seed_dataset(LocalFileSeedSource(path=seed))
    for name, fields in columns.items():
        fields = {"prompt": fields} if isinstance(fields, str) else fields
        asks = {} if "expr" in fields else {"model_alias": "m", "column_type": "llm-text"}
        made.add_column(name=name, **{"column_type": "expression", **asks, **fields})
    return made


def designer(folder: Path, server: ModelServer, **options: Any) -> DataDesigner:
    """A designer whose models are at the server."""
    return DataDesigner(folder, model_providers=[ModelProvider(name="test", endpoint=server.endpoint)], **options)


def prompts(server: ModelServer) -> list[str]:
    """What the server was asked, in order."""
    return [prompt_of(asked.body) for asked in server.requests]


def process(config: Path, artifacts: Path, server: ModelServer, *options: str) -> subprocess.Popen[str]:
    """``rollmill run`` in a process of its own."""
    arguments = [str(config), "--artifact-path", str(artifacts), "--endpoint", server.endpoint, "--quiet", *options]
    script = "from rollmill.cli.run import command; import rollmill.cli as c; c.COMMANDS += ('run',); c.main()"
    return subprocess.Popen(
        [sys.executable, "-c", script, "run", *arguments], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
