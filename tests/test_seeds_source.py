"""Seed sources and the format enum."""

from __future__ import annotations

import ast
import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

import rollmill as dd
from rollmill.formats import built_in_names, format_names
from rollmill.seeds import source as source_module
from tests import seeds_toy


def test_the_type_checkers_list_of_formats_is_the_folder() -> None:
    tree = ast.parse(Path(source_module.__file__).read_text())
    (listed,) = [
        node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == "AgentRolloutFormat"
    ]
    members = {n.targets[0].id: n.value.value for n in listed.body if isinstance(n, ast.Assign)}  # type: ignore[attr-defined]
    assert members == {name.upper(): name for name in built_in_names()}


def test_the_enum_is_one_plain_string_enum_of_the_format_names() -> None:
    assert [member.value for member in dd.AgentRolloutFormat] == list(format_names())
    member = dd.AgentRolloutFormat.CODEX
    assert member == "codex" and json.dumps(member) == '"codex"' and f"{member}" == "codex"
    assert pickle.loads(pickle.dumps(member)) is member


def test_the_schema_and_its_description_list_the_formats() -> None:
    schema = dd.AgentRolloutSeedSource.model_json_schema()
    assert schema["$defs"]["AgentRolloutFormat"]["enum"] == list(format_names())
    assert all(name in schema["properties"]["format"]["description"] for name in format_names())


def test_an_outside_package_adds_a_member_and_is_not_imported_to_list_it(tmp_path: Path) -> None:
    package = tmp_path / "my_agent-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: my-agent\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[rollmill.formats]\nmy-agent = my_agent\ncodex = my_agent\n")
    (tmp_path / "my_agent.py").write_text(
        "from rollmill.formats import FormatDefaults\nDEFAULTS = FormatDefaults(None, '*.log')\n"
    )
    code = f"""
import sys; sys.path.insert(0, {str(tmp_path)!r})
import pickle, rollmill as dd
member = dd.AgentRolloutFormat.MY_AGENT
assert member.value == "my-agent" and "my_agent" not in sys.modules
assert [m.value for m in dd.AgentRolloutFormat].count("codex") == 1
assert pickle.loads(pickle.dumps(member)) is member
assert dd.get_agent_rollout_format_defaults("codex").file_pattern != "*.log"
assert dd.AgentRolloutSeedSource(format="my-agent", path="x").resolved_file_pattern == "*.log"
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_was_left_out_stays_none_in_a_saved_config(monkeypatch: pytest.MonkeyPatch) -> None:
    source = dd.AgentRolloutSeedSource(format="claude_code")
    saved = source.model_dump(mode="json")
    assert saved["path"] is None and saved["file_pattern"] is None
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", "/elsewhere")
    assert source.runtime_path == "/elsewhere/projects"
    assert source.resolved_file_pattern == "*.jsonl"
    assert source.path is None


@pytest.mark.parametrize(
    "source",
    [
        dd.AgentRolloutSeedSource(format="codex"),
        dd.AgentRolloutSeedSource(
            format="claude_code", path="~/ü", file_pattern="a*.jsonl", recursive=False, branches="all"
        ),
        dd.DirectorySeedSource(path=Path("somewhere")),
        dd.FileContentsSeedSource(path="x", file_pattern="*.md", encoding="latin-1"),
    ],
)
def test_json_and_yaml_round_trips_are_exact(source: dd.SeedSource) -> None:
    config = dd.SeedConfig(source=source, selection_strategy=dd.PartitionBlock(index=1, num_partitions=3), seed=7)
    assert type(source).model_validate_json(source.model_dump_json()) == source
    assert dd.SeedConfig.model_validate_json(config.model_dump_json()) == config
    text = yaml.safe_dump(config.model_dump(mode="json"))
    again = dd.SeedConfig.model_validate(yaml.safe_load(text))
    assert again == config and type(again.source) is type(source)
    assert yaml.safe_dump(again.model_dump(mode="json")) == text


def test_a_format_without_default_folder_needs_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeds_toy, "DEFAULTS", seeds_toy.FormatDefaults(None, "*.json"))
    monkeypatch.setattr(source_module, "load_format", lambda name: seeds_toy)
    with pytest.raises(ValidationError, match=r"'codex' has no default folder.*pass path"):
        dd.AgentRolloutSeedSource(format="codex")
    assert dd.AgentRolloutSeedSource(format="codex", path="runs").runtime_path == "runs"


def test_a_folder_that_is_not_there_is_no_mistake_of_the_config() -> None:
    assert dd.AgentRolloutSeedSource(format="codex", path="/no/such/folder").runtime_path == "/no/such/folder"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"file_pattern": "a/*.jsonl"}, r"write file_pattern='\*.jsonl'"),
        ({"file_pattern": "a\\*.jsonl"}, "folder in it"),
        ({"file_pattern": " "}, "empty"),
        ({"path": ""}, "empty"),
        ({"format": "claud"}, "claude_code"),
        ({"branches": "dead"}, "'live' or 'all'"),
        ({"patth": "x"}, "patth"),
    ],
)
def test_mistakes_are_named_when_the_source_is_made(fields: dict[str, str], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        dd.AgentRolloutSeedSource(**{"format": "codex", **fields})


def test_an_unknown_encoding_is_refused() -> None:
    with pytest.raises(ValidationError, match="no encoding is called 'utf-9'"):
        dd.FileContentsSeedSource(path="x", encoding="utf-9")
