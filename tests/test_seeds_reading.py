"""``rollmill.read``, ``rollmill.detect`` and the package's front door."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import zstandard

import rollmill as dd
from rollmill import detection, reading
from rollmill.detection import first_records
from rollmill.formats import FormatDefaults
from rollmill.seeds import bulk as bulk_module
from rollmill.seeds import discovery as discovery_module
from rollmill.seeds import source as source_module
from tests import seeds_toy
from tests.seeds_toy import write


def shaped(key: str, variable: str) -> Any:
    """A format whose records have that key."""
    return types.SimpleNamespace(
        DEFAULTS=FormatDefaults("~/.nowhere", "*.jsonl", variable),
        is_handled_file=lambda path: True,
        recognise=lambda records: any(isinstance(record, dict) and key in record for record in records),
        parse_file=seeds_toy.parse_file,
    )


TOYS = {"codex": shaped("toy", "TOY_A"), "claude_code": shaped("steps", "TOY_B")}


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for module in (bulk_module, discovery_module, source_module, reading):
        monkeypatch.setattr(module, "load_format", TOYS.__getitem__)
    for module in (detection, reading):
        monkeypatch.setattr(module, "formats", TOYS.items)


def test_a_format_is_told_by_the_records_and_not_by_the_name(tmp_path: Path) -> None:
    assert dd.detect(write(tmp_path / "rollout-claude.txt", 1)) == "codex"
    assert dd.detect(str(write(tmp_path / "rollout-codex.jsonl", '{"steps": []}'))) == "claude_code"


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}\n{"steps": 1}\n',
        'not json\n{"steps": 1}\n',
        '\ufeff{"steps": 1}\r\n',
        json.dumps({"name": "x", "steps": [{"n": 1}]}, indent=2),
        json.dumps({"name": "x", "steps": [{"t": "y,}]" * 1000}] * 300}, indent=2),
        json.dumps({"name": "x", "steps": [{"t": 'a "quoted\\" \\\\ text, [', "n": [1, {"m": 2}]}] * 30000}),
        '{"steps": 1, "image": "' + "A" * 3_000_000 + '"}\n{"toy": 1}\n',
        '{"a": 1}{"steps": 1}',
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_lines_and_documents_cut_or_whole_plain_or_compressed(tmp_path: Path, text: str, compressed: bool) -> None:
    path = tmp_path / ("x.zst" if compressed else "x")
    data = text.encode()
    path.write_bytes(zstandard.compress(data) if compressed else data)
    assert dd.detect(path) == "claude_code"


def test_of_a_long_file_little_is_read_and_few_records_are_judged(tmp_path: Path) -> None:
    records = first_records(write(tmp_path / "x.jsonl", *range(1000)))
    assert [record["id"] for record in records] == [f"t{number}" for number in range(20)]


def test_inner_lines_of_a_cut_document_are_no_records(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"steps": [{"toy": "y" * 500}] * 3000}, indent=1))
    (record,) = first_records(path)
    assert list(record) == ["steps"]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (['{"other": 1, "keys": 2}'], r"no known format \(codex, claude_code\).*keys other, keys"),
        (['{"toy": 1, "steps": 2}'], r"several formats: claude_code, codex"),
        (["prose"], "no JSON value could be read"),
        ([], "no JSON value could be read"),
    ],
)
def test_none_or_two_matches_are_an_error_that_lists_them(tmp_path: Path, lines: list[str], says: str) -> None:
    with pytest.raises(dd.DetectionError, match=says):
        dd.detect(write(tmp_path / "x.jsonl", *lines))


def test_a_broken_compressed_file_is_no_bug(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl.zst").write_bytes(b"this is not zstd")
    with pytest.raises(dd.DetectionError, match="no JSON value"):
        dd.detect(tmp_path / "x.jsonl.zst")


def test_a_folder_is_told_by_its_files(tmp_path: Path) -> None:
    write(tmp_path / "a" / "x.jsonl", 1)
    write(tmp_path / "b.json", '{"other": 1}')
    write(tmp_path / "c.txt", '{"steps": 1}')
    assert dd.detect(tmp_path) == "codex"
    write(tmp_path / "d.jsonl", '{"steps": 1}')
    with pytest.raises(dd.DetectionError, match="several formats"):
        dd.detect(tmp_path)
    with pytest.raises(dd.DetectionError, match="does not exist"):
        dd.detect(tmp_path / "nowhere")


def test_reading_a_path_tells_the_format_and_counts(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", 1, 2)
    write(tmp_path / "b.jsonl", "BAD")
    rollouts = dd.read(tmp_path)
    assert [rollout.trace_id for rollout in rollouts] == ["t1", "t2"]
    assert rollouts.summary.rows == 2 and len(rollouts.summary.problems) == 1 and rollouts.summary.left == 0
    with pytest.raises(dd.SeedReaderError):
        list(dd.read(tmp_path, on_error="raise"))


def test_without_a_path_every_agents_folder_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(dd.SeedReaderError, match=r"nowhere \(codex\), .*nowhere \(claude_code\)"):
        dd.read()
    for variable in ("TOY_A", "TOY_B"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    write(tmp_path / "TOY_A" / "a.jsonl", 1)
    (tmp_path / "TOY_B").mkdir()
    rollouts = dd.read()
    assert [rollout.trace_id for rollout in rollouts] == ["t1"] and rollouts.summary.files == 1
    write(tmp_path / "TOY_B" / "b.jsonl", 2)
    rollouts = dd.read()
    assert rollouts.summary.files == 2
    assert [rollout.trace_id for rollout in rollouts] == ["t1", "t2"]
    assert [rollout.trace_id for rollout in dd.read(format="claude_code")] == ["t2"]


def test_mistakes_are_told_at_the_call(tmp_path: Path) -> None:
    with pytest.raises(dd.SeedReaderError, match="does not exist"):
        dd.read(tmp_path / "nowhere", format="codex")
    with pytest.raises(dd.SeedReaderError, match="0 files looked at"):
        dd.read(tmp_path, format="codex")


def test_an_unknown_format_lists_the_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with pytest.raises(dd.ConfigError, match=r"'claud'; known formats: .*claude_code"):
        dd.read("x", format="claud")


PROMISED = [
    "AgentRolloutSeedSource",
    "AgentRolloutFormat",
    "DirectorySeedSource",
    "FileContentsSeedSource",
    "SamplingStrategy",
    "IndexRange",
    "PartitionBlock",
    "SeedConfig",
    "SeedReader",
    "FileSystemSeedReader",
    "SeedReaderFileSystemContext",
    "AgentRolloutSeedReader",
    "SeedReaderError",
    "get_agent_rollout_format_defaults",
    "read",
    "detect",
    "Rollout",
    "Message",
    "ROW_SCHEMA",
    "__version__",
]


def test_the_front_door_has_every_name_and_type_checkers_see_the_same() -> None:
    assert set(PROMISED) <= set(dd.__all__) <= set(dir(dd))
    assert all(getattr(dd, name) is not None for name in dd.__all__)
    tree = ast.parse(Path(dd.__file__).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and "rollmill" in str(node.module)]
    seen = {alias.name: node.module for node in imports for alias in node.names if alias.name != "__version__"}
    assert seen == dd._MODULE_OF and set(dd.__all__) == {*seen, "__version__"}
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        dd.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import rollmill", ["pydantic", "pyarrow", "msgspec", "typing", "rollmill.errors"]),
        ("from rollmill import AgentRolloutSeedSource, SeedConfig", ["pyarrow", "pandas", "duckdb", "zstandard"]),
        ("from rollmill import AgentRolloutSeedReader, read", ["pyarrow", "pandas", "duckdb", "zstandard"]),
    ],
)
def test_importing_stays_light(statement: str, unwanted: list[str]) -> None:
    code = f"import sys; before = set(sys.modules); {statement}; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-S", "-c", _with_paths(code)], check=True, capture_output=True, text=True)
    assert set(done.stdout.split()) & set(unwanted) == set()


def _with_paths(code: str) -> str:
    """Without ``site``, whose path files may import what is looked for."""
    return f"import sys; sys.path[:] = {sys.path!r}; {code}"
