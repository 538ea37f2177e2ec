"""A run, and the recipe, against a model server that nobody here wrote: Hugging Face's, with a tiny random model.

What such a model says is noise, so this asserts what must hold whatever a model says.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from rollmill.config import AgentRolloutSeedSource, DataDesignerConfigBuilder, LLMJudgeColumnConfig, ModelConfig, Score
from rollmill.designer import DataDesigner, DatasetCreationResults
from rollmill.models.providers import ModelProvider
from tests.command_line import process
from tests.engine.runs import EXAMPLES, ROOT

NEEDED = ("torch", "transformers", "fastapi", "openai", "uvicorn")
MISSING = [name for name in NEEDED if find_spec(name) is None]
START = 120.0
"""Seconds that the server may take to import torch on a busy machine."""
TEXT_FAILURES = {"length", "empty_reply"}
DATA_FAILURES = {"length", "empty_reply", "invalid_json", "wrong_shape"}

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"no model server: {', '.join(MISSING)} not installed")


class Server:
    """``transformers serve`` in a process of its own; ``log`` is what it wrote."""

    def __init__(self, folder: Path) -> None:
        self.model = str(folder / "model")
        self.log = folder / "server.log"
        offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        offline |= {"HF_HOME": str(folder / "hf"), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-u", "-m", "tests.engine.real_server", self.model],
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=os.environ | offline,
            )  # fmt: skip

    def wait(self) -> str:
        """The endpoint, as soon as the server listens."""
        until = time.monotonic() + START
        while time.monotonic() < until and self.process.poll() is None:
            if found := re.search(r"running on (http://127\.0\.0\.1:\d+)", self._said()):
                return f"{found[1]}/v1"
            time.sleep(0.1)
        raise AssertionError(f"the model server did not start (status {self.process.returncode}):\n{self._said()}")

    def asked(self) -> int:
        """How many chat completions it was asked for."""
        return self._said().count("POST /v1/chat/completions")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    started = Server(tmp_path)
    try:
        yield started
    finally:
        started.stop()


def config(model: str) -> DataDesignerConfigBuilder:
    """All four kinds of columns over three bundled rollouts."""
    parameters = {"max_tokens": 64, "temperature": 1.0, "max_parallel_requests": 4}
    builder = DataDesignerConfigBuilder([ModelConfig(alias="m", model=model, inference_parameters=parameters)])
    builder.with_seed_dataset(AgentRolloutSeedSource(format="claude_code", path=str(EXAMPLES)))
    rollout = "{{ messages | window(300) }}"
    goal = {"type": "object", "properties": {"goal": {"type": "string"}}, "required": ["goal"]}
    builder.add_column(name="said", column_type="llm-text", model_alias="m", prompt=f"{rollout}\n\nWhat happened?")
    builder.add_column(
        name="task", column_type="llm-structured", model_alias="m", prompt=f"{rollout}\n\nThe goal?", output_format=goal
    )
    scores = [Score(name="good", description="Is it good?", options={0: "no", 1: "yes"})]
    builder.add_column(LLMJudgeColumnConfig(name="judged", model_alias="m", prompt=f"{rollout}\n\n?", scores=scores))
    builder.add_column(name="size", column_type="expression", expr="{{ messages | length }}", dtype="int")
    builder.add_column(name="loud", column_type="expression", expr="{{ said | upper }}")
    return builder


def made(server: Server, endpoint: str, folder: Path) -> DatasetCreationResults:
    providers = [ModelProvider(name="real", endpoint=endpoint)]
    return DataDesigner(folder, model_providers=providers).create(config(server.model), num_records=3)


def problems(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """What is told of null cells, by trace id and column."""
    lines = (folder / "problems.jsonl").read_text(encoding="utf-8").splitlines()
    return {(each["row"].split()[-1], each["column"]): each for each in map(json.loads, lines)}


def check_cells(results: DatasetCreationResults) -> None:
    """Every cell is what its column promises, or null with a problem that says why and shows the reply."""
    rows = results.load_dataset("arrow").to_pylist()
    told = problems(results.artifact_storage.base_dataset_path)
    assert len(rows) == results.count_records() == 3 and len({row["trace_id"] for row in rows}) == 3
    for row in rows:
        why = {column: problem for (trace_id, column), problem in told.items() if trace_id == row["trace_id"]}
        assert set(why) == {name for name in ("said", "task", "judged") if row[name] is None}
        assert row["size"] == len(row["messages"])
        assert row["loud"] == (None if row["said"] is None else row["said"].upper())
        assert row["said"] is None or row["said"].strip()
        assert all(problem["text"] and problem["raw"] is not None for problem in why.values())
        assert "said" not in why or why["said"]["kind"] in TEXT_FAILURES
        assert "task" not in why or why["task"]["kind"] in DATA_FAILURES
        assert "judged" not in why or why["judged"]["kind"] == "judge_failed"
        if row["task"] is not None:
            assert isinstance(row["task"]["goal"], str)


def check_counts(results: DatasetCreationResults, server: Server) -> None:
    """The counts add up, and are those of the server."""
    summary = results.summary
    rows = results.load_dataset("arrow").to_pylist()
    whole = sum(all(row[name] is not None for name in ("said", "task", "judged")) for row in rows)
    assert summary.status == "complete" and summary.rows == 3 == summary.complete + summary.with_null_cells
    assert summary.complete == whole and sum(summary.causes.values()) == summary.with_null_cells
    assert summary.total.calls == server.asked() >= 9 and not summary.retries
    assert 4 * summary.total.calls <= summary.total.output_tokens <= 64 * summary.total.calls
    assert summary.total.input_tokens > summary.total.calls


def test_a_run_and_the_recipe_against_a_real_server(server: Server, tmp_path: Path) -> None:
    endpoint = server.wait()
    results = made(server, endpoint, tmp_path / "a")
    check_cells(results)
    check_counts(results, server)
    asked, first = server.asked(), results.load_dataset("arrow").to_pylist()

    for part in results.artifact_storage.final_dataset_path.iterdir():
        part.unlink()
    again = made(server, endpoint, tmp_path / "a")
    assert server.asked() == asked and again.summary.total.calls == 0 and again.summary.total.reused == asked
    assert again.load_dataset("arrow").to_pylist() == first

    distilled = process(
        "distill", "--format", "claude_code", "--trace-dir", EXAMPLES, "--model", server.model, "--endpoint", endpoint,
        "--num-records", "2", "--artifact-path", tmp_path / "b", "--quiet", "--json",
    )  # fmt: skip
    out, err = distilled.communicate(timeout=START)
    assert distilled.returncode == 0, err
    found = json.loads(out)
    assert found["rows"] == found["complete"] + found["with_null_cells"] == 2
    assert found["total"]["calls"] == server.asked() - asked >= 2
