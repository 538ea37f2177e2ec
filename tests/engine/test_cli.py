"""The commands that ask models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rollmill.engine.estimate import smallest
from tests.command_line import Run
from tests.engine.runs import EXAMPLES, builder, seed_file
from tests.models.server import ModelServer


@pytest.fixture
def config(home: Path) -> Path:
    path = home / "config.yaml"
    builder(seed_file(home / "seed.jsonl", 5), a="{{ id }}", b={"expr": "{{ a }}!"}).write_config(path)
    return path


def test_run(run: Run, config: Path) -> None:
    with ModelServer("words") as server:
        ran = run("run", config, "--endpoint", server.endpoint)
    assert ran.status == 0, ran.err
    assert "5 rows in: 5 complete" in ran.out and "artifacts/dataset/parts" in ran.out


def test_run_as_json(run: Run, config: Path) -> None:
    with ModelServer("words") as server:
        ran = run("run", config, "--endpoint", server.endpoint, "--json", "--quiet", "--num-records", "2", "--new")
    found = json.loads(ran.out)
    assert (found["status"], found["rows"], found["total"]["calls"]) == ("complete", 2, 2)


def test_run_without_an_endpoint(run: Run, config: Path) -> None:
    ran = run("run", config)
    assert ran.status == 2 and "provider" in ran.err and not ran.out


def test_what_stopped_a_run_is_told_once(run: Run, config: Path) -> None:
    ran = run("run", config, "--endpoint", "http://127.0.0.1:9/v1")
    assert ran.status == 2 and "5 rows" not in ran.err
    assert (ran.out + ran.err).count("http://127.0.0.1:9/v1 cannot be reached") == 1


def test_a_configuration_that_is_not_there(run: Run, home: Path) -> None:
    ran = run("run", home / "none.yaml")
    assert ran.status == 2 and ran.err.strip().endswith("none.yaml cannot be read: No such file or directory")


def test_preview(run: Run, config: Path) -> None:
    with ModelServer("some words") as server:
        ran = run("preview", config, "--endpoint", server.endpoint, "--num-records", "2")
    assert ran.status == 0 and ran.out.count("some words!") == 2
    assert not Path("artifacts").exists()


def test_estimate_asks_nobody(run: Run, config: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLMILL_CONFIG_DIR", str(home))
    (home / "prices.yaml").write_text("toy: {input: 1000000, output: 0}")
    ran = run("estimate", config, "--endpoint", "http://127.0.0.1:9/v1", "--num-records", "50", "--json")
    found = json.loads(ran.out)
    column = found["columns"][0]
    assert (found["rows"], found["sampled"], column["calls"]) == (50, 5, 50)
    assert column["cost"] == found["cost"] == column["input_tokens"] > 0
    ran = run("estimate", config, "--endpoint", "http://127.0.0.1:9/v1")
    assert "5 rows expected" in ran.out and "toy" in ran.out


def test_distill_says_how_to_give_a_model(run: Run) -> None:
    ran = run("distill", "--format", "claude_code", "--trace-dir", EXAMPLES, "--model", "toy")
    assert ran.status == 2 and "--endpoint" in ran.err and "rollmill export" in ran.err


def test_distill_with_a_model_that_writes_no_json_keeps_every_row(run: Run) -> None:
    with ModelServer("no json") as server:
        ran = run(
            "distill", "--format", "auto", "--trace-dir", EXAMPLES, "--model", "toy", "--endpoint", server.endpoint,
            "--num-records", "3", "--quiet", "--json",
        )  # fmt: skip
    assert ran.status == 0, ran.err
    found = json.loads(ran.out)
    assert (found["rows"], found["with_null_cells"]) == (3, 3)


def test_distill_preview(run: Run) -> None:
    with ModelServer("no json") as server:
        ran = run(
            "distill", "--format", "claude_code", "--trace-dir", EXAMPLES, "--model", "toy", "--endpoint",
            server.endpoint, "--preview", "--num-records", "1",
        )  # fmt: skip
    assert ran.status == 0 and "problem in row 0, trace_digest" in ran.out


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer", "minimum": 3}, 3),
        ({"enum": ["a", "b"]}, "a"),
        ({"type": "array", "items": {"type": "boolean"}}, [True]),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"type": "string", "minLength": 3}}}, "xxx"),
        ({"anyOf": [{"type": "null"}, {"type": "string"}]}, None),
        ({"type": "object", "properties": {"a": {"type": ["number", "null"]}}}, {"a": 0.0}),
    ],
)
def test_a_small_value_for_a_schema(schema: object, value: object) -> None:
    assert smallest(schema) == value
