"""The condition over seed rows: what is wrong with it is one message, whenever it shows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rollmill.config import AgentRolloutSeedSource, DataDesignerConfigBuilder, FileContentsSeedSource
from rollmill.designer import DataDesigner
from rollmill.errors import ConfigError
from tests.command_line import Run
from tests.engine.runs import EXAMPLES, seed_file

WORDS = "the where condition '{}' does not work: "


def seeded(where: str) -> DataDesignerConfigBuilder:
    """A column over rollouts for which a condition holds."""
    source = AgentRolloutSeedSource(format="claude_code", path=str(EXAMPLES))
    builder = DataDesignerConfigBuilder().with_seed_dataset(source, where=where)
    return builder.add_column(name="a", column_type="expression", expr="{{ message_count }}")


@pytest.mark.parametrize("command", ["run", "preview"])
def test_one_that_fails_on_a_rollout(run: Run, home: Path, command: str) -> None:
    where = "CAST(trace_id AS INTEGER) > 3"
    seeded(where).write_config(home / "config.yaml")
    ran = run(command, home / "config.yaml", "--quiet")
    assert ran.status == 2 and WORDS.format(where) in ran.err and "Could not convert" in ran.err
    assert "Traceback" not in ran.err and "__number" not in ran.err and "LINE" not in ran.err


def test_one_that_fails_on_a_later_row(run: Run, home: Path) -> None:
    seed = seed_file(home / "seed.jsonl", 100, n="7")
    seed.write_text(seed.read_text() + json.dumps({"id": "last", "n": "seven"}) + "\n")
    config = home / "config.yaml"
    config.write_text(
        f"seed_config: {{source: {{seed_type: local, path: {seed}}}}}\nwhere: CAST(n AS INTEGER) = 7\n"
        "columns: [{name: a, column_type: expression, expr: '{{ id }}'}]\n"
    )
    ran = run("run", config, "--quiet")
    assert ran.status == 2 and WORDS.format("CAST(n AS INTEGER) = 7") in ran.err and "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("", "it is empty"),
        ("message_count", "it must be true or false"),
        ("mesage_count > 1", "message_count"),
        ("message_count >", "syntax error"),
    ],
)
def test_one_that_no_row_can_be_asked(where: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        DataDesigner().validate(seeded(where))
    assert words in str(error.value) and str(error.value).startswith(WORDS.format(where))


def test_columns_of_unknown_types_are_asked_when_they_are_read(tmp_path: Path) -> None:
    """A seed reader names its columns, not their types: a condition is not refused for a type that was guessed."""
    (tmp_path / "a.md").write_text("seven")

    def over(where: str) -> DataDesignerConfigBuilder:
        source = FileContentsSeedSource(path=str(tmp_path), file_pattern="*.md")
        builder = DataDesignerConfigBuilder().with_seed_dataset(source, where=where)
        return builder.add_column(name="a", column_type="expression", expr="{{ file_name }}")

    with pytest.raises(ConfigError, match="contents"):
        DataDesigner().validate(over("contents = 'seven'"))
    assert len(DataDesigner().preview(over("content = 'seven'")).dataset) == 1
    DataDesigner().validate(over("content > 3"))
    with pytest.raises(ConfigError, match="does not work: Binder Error"):
        DataDesigner().preview(over("content > 3"))
