"""Tokens counted by a local tokenizer: windows keep their budget by it, runs and estimates count by it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollmill.columns._tokenizer import counted_by, local_tokenizer
from rollmill.columns.templates import tokens
from rollmill.config import AgentRolloutSeedSource, DataDesignerConfig, DataDesignerConfigBuilder, SkipConfig
from rollmill.designer import DataDesigner
from rollmill.errors import ConfigError
from tests.columns.test_window import MESSAGE, TEXT, long_rollout, window
from tests.command_line import Run
from tests.engine.runs import EXAMPLES, builder, seed_file

tokenizers = pytest.importorskip("tokenizers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``bytes.json`` has a token for each byte, ``pairs.json`` some merges too; ``tokenizer.json`` is the first."""
    folder = tmp_path_factory.mktemp("tokenizers")
    for name, merged in (("bytes", ""), ("pairs", "content of the importer, messages left out with calls: Read " * 3)):
        made = tokenizers.Tokenizer(tokenizers.models.BPE())
        made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.post_processor = tokenizers.processors.ByteLevel()
        alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
        trainer = tokenizers.trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
        made.train_from_iterator([merged], trainer)
        made.enable_truncation(10)
        made.save(str(folder / f"{name}.json"))
    (folder / "tokenizer.json").write_bytes((folder / "bytes.json").read_bytes())
    return folder


@pytest.fixture
def pairs(folder: Path) -> Iterator[Any]:
    """Everything counted by ``pairs.json``; the same tokenizer as its package has it."""
    with counted_by(str(folder / "pairs.json")):
        yield _whole(folder / "pairs.json")


def _whole(file: Path) -> Any:
    tokenizer = tokenizers.Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    return tokenizer


def _count(tokenizer: Any, text: str) -> int:
    return len(tokenizer.encode(text, add_special_tokens=False).ids)


def test_a_file_or_its_folder_counts(folder: Path) -> None:
    text = "é漢 importer"
    for path in (folder, folder / "bytes.json"):
        with counted_by(str(path)):
            assert tokens(text) == len(text.encode()) == 14
    with counted_by(str(folder / "pairs.json")):
        assert tokens(text) == _count(_whole(folder / "pairs.json"), text) < 14
    assert tokens(text) == 4


@settings(max_examples=100, deadline=None)
@given(messages=st.lists(MESSAGE, max_size=20), size=st.integers(50, 2_000))
def test_a_window_keeps_its_budget(folder: Path, messages: list[dict[str, Any]], size: int) -> None:
    tokenizer = _whole(folder / "pairs.json")
    with counted_by(str(folder / "pairs.json")):
        assert _count(tokenizer, window(messages, size)) <= size


def test_a_window_has_what_decides(pairs: Any) -> None:
    text = window(long_rollout(), 3_000)
    for kept in ("Make the importer faster.", "twice as fast.", "Stop: keep", "ImportError: no codec", "31 passed in"):
        assert kept in text, kept
    assert 2_000 < _count(pairs, text) <= 3_000


@settings(max_examples=100, deadline=None)
@given(text=TEXT | st.text(), most=st.integers(0, 30))
def test_a_cut_text_is_a_beginning_within_its_tokens(folder: Path, text: str, most: int) -> None:
    tokenizer = local_tokenizer(str(folder / "pairs.json"))
    cut = tokenizer.cut(text, most)
    assert text.startswith(cut) and tokenizer.size(cut) <= most
    assert cut or not text or most < 8
    assert cut == text or tokenizer.size(text) > most


def test_text_that_is_no_unicode_is_counted(folder: Path) -> None:
    assert local_tokenizer(str(folder)).size("a\ud800b") == 3


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[1]", b"\x00\xff\x80", b'{"model": {"type": "odd"}}'])
def test_what_is_no_tokenizer_is_told(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "some.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"some\.json is no tokenizer .*; give "):
        local_tokenizer(str(path))
    with pytest.raises(ConfigError, match="or the folder that has one"):
        local_tokenizer(str(tmp_path))


def test_two_ways_of_counting_at_a_time_are_refused(folder: Path) -> None:
    with counted_by(str(folder)), counted_by(str(folder / "bytes.json")):
        with pytest.raises(ConfigError, match="counts tokens otherwise"), counted_by(None):
            pass
        assert tokens("abcd") == 4
    assert tokens("abcd") == 1


# Runs


def windowed(tokenizer: Path | None, **column: Any) -> DataDesignerConfigBuilder:
    """A column with a small window over two rollouts."""
    source = AgentRolloutSeedSource(format="claude_code", path=str(EXAMPLES))
    made = DataDesignerConfigBuilder().with_seed_dataset(source)
    made.add_column(name="seen", column_type="expression", expr="{{ messages | window(300) }}", **column)
    return made if tokenizer is None else made.with_tokenizer(tokenizer)


def test_a_run_counts_by_its_tokenizer_and_a_rerun_by_another_makes_parts_anew(folder: Path, tmp_path: Path) -> None:
    designer = DataDesigner(tmp_path)
    seen = [
        list(designer.create(windowed(path), num_records=3).load_dataset()["seen"])
        for path in (None, folder / "bytes.json", folder / "pairs.json")
    ]
    assert all(len(text.encode()) > 600 for text in seen[0])
    assert all(len(text.encode()) <= 300 for text in seen[1])
    tokenizer = _whole(folder / "pairs.json")
    assert all(_count(tokenizer, text) <= 300 for text in seen[2]) and seen[2] != seen[1]
    again = designer.create(windowed(folder / "pairs.json"), num_records=3)
    assert again.summary.parts_kept == 1
    saved = DataDesignerConfig.load(tmp_path / "dataset" / "config.yaml")
    assert saved.tokenizer == str(folder / "pairs.json")
    assert DataDesignerConfigBuilder.from_config(saved).build() == saved


def test_every_thread_counts_alike(folder: Path) -> None:
    """Conditions of big rows are asked in threads, and in a notebook so is the whole run."""
    skip = SkipConfig(when="{{ messages | window(300) | length > 300 }}", value="too long")
    made = windowed(folder, skip=skip)

    async def notebook() -> list[str]:
        return list(DataDesigner().preview(made, num_records=6).dataset["seen"])

    found = list(DataDesigner().preview(made, num_records=6).dataset["seen"])
    assert found == asyncio.run(notebook()) and all(len(text.encode()) <= 300 for text in found)
    assert "too long" not in found
    assert "too long" in list(DataDesigner().preview(windowed(None, skip=skip), num_records=6).dataset["seen"])


def test_a_wrong_tokenizer_is_told_with_the_other_mistakes(tmp_path: Path) -> None:
    made = windowed(tmp_path / "none.json").add_column(name="b", column_type="expression", expr="{{ sen }}")
    with pytest.raises(ConfigError, match=r"(?s)2 mistakes.*none\.json is no tokenizer.*`seen`"):
        DataDesigner().validate(made)


@pytest.fixture
def config(home: Path) -> Path:
    path = home / "config.yaml"
    builder(seed_file(home / "seed.jsonl", 5), a="{{ id }}: ok?").write_config(path)
    return path


def test_the_command_line_counts_by_it(run: Run, config: Path, folder: Path) -> None:
    given = ("estimate", config, "--endpoint", "http://127.0.0.1:9/v1", "--json")
    counts = [
        json.loads(run(*given, *options).out)["columns"][0]["input_tokens"]
        for options in ((), ("--tokenizer", folder), ("--tokenizer", folder / "bytes.json"))
    ]
    assert counts == [5 * 4, 5 * 14, 5 * 14]


@pytest.mark.parametrize(
    "command", [("run",), ("preview",), ("estimate",), ("distill", "--format", "claude_code", "--model", "m")]
)
def test_a_wrong_file_is_one_message(run: Run, config: Path, command: tuple[str, ...]) -> None:
    what = ("--trace-dir", EXAMPLES) if command[0] == "distill" else (config,)
    ran = run(*command, *what, "--endpoint", "http://127.0.0.1:9/v1", "--tokenizer", config)
    assert ran.status == 2 and "config.yaml is no tokenizer" in ran.err and "tokenizer.json" in ran.err
    assert "Traceback" not in ran.err and not ran.out and not Path("artifacts").exists()
