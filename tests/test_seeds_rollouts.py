"""The agent-rollout reader and the loop behind it, with a format of the tests' own."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rollmill as dd
from rollmill.files import Tree
from rollmill.rollout import COLUMNS
from rollmill.seeds import bulk as bulk_module
from rollmill.seeds import discovery as discovery_module
from rollmill.seeds import source as source_module
from rollmill.seeds.bulk import read_rollouts
from rollmill.seeds.rollout_reader import AgentRolloutSeedReader
from rollmill.seeds.summary import CountedMedia, ReadSummary
from tests import seeds_toy
from tests.seeds_toy import write
from tests.test_seeds_discovery import forbid, opened_files


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (bulk_module, discovery_module, source_module):
        monkeypatch.setattr(module, "load_format", lambda name: seeds_toy)


def reader(path: Path | None, on_error: Any = "record", **fields: Any) -> AgentRolloutSeedReader:
    made = dd.AgentRolloutSeedReader(on_error=on_error)
    made.attach(dd.AgentRolloutSeedSource(format="codex", path=path, **fields))
    return made


def summary_of(made: AgentRolloutSeedReader) -> ReadSummary:
    assert made.summary is not None
    summary = made.summary
    assert summary.files == summary.read + summary.skipped.total() + summary.file_problems + summary.left
    return summary


def test_size_and_columns_open_nothing(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", 1, 2, 3)
    write(tmp_path / "b.jsonl", 4)
    made = reader(tmp_path)
    with opened_files(tmp_path) as opened:
        assert made.get_seed_dataset_size() == 2
        assert made.get_column_names() == list(COLUMNS)
    assert opened == []


def test_hydrating_opens_only_the_file_asked_for(tmp_path: Path) -> None:
    for number in range(5):
        write(tmp_path / f"{number}.jsonl", number)
    made = reader(tmp_path)
    row = made.manifest_rows()[3]
    with opened_files(tmp_path) as opened:
        (hydrated,) = made.hydrate_row(manifest_row=row, context=made._context())
    assert opened == [str(tmp_path / "3.jsonl")]
    assert list(hydrated) == list(COLUMNS)
    assert isinstance(hydrated["source_meta"], dict) and isinstance(hydrated["messages"][0], dict)


def test_batches_open_a_file_only_when_its_turn_comes(tmp_path: Path) -> None:
    for number in range(4):
        write(tmp_path / f"{number}.jsonl", *range(10 * number, 10 * number + 3))
    made = reader(tmp_path)
    batches = made.create_batch_reader(batch_size=4)
    with opened_files(tmp_path) as opened:
        assert batches.read_next_batch()["trace_id"].to_pylist() == ["t0", "t1", "t2", "t10"]
    assert [Path(path).name for path in opened] == ["0.jsonl", "1.jsonl"]
    assert summary_of(made).left == 3
    rest = list(batches)
    assert [batch.num_rows for batch in rest] == [4, 4]
    assert rest[0].schema == dd.ROW_SCHEMA
    assert summary_of(made).left == 0 and summary_of(made).read == 4


def test_reading_goes_on_until_there_are_enough_rows(tmp_path: Path) -> None:
    for number in range(10):
        write(tmp_path / f"{number}.jsonl", "SKIP")
    write(tmp_path / "z.jsonl", *range(7))
    assert reader(tmp_path).create_batch_reader(batch_size=5).read_next_batch().num_rows == 5


def test_partitions_read_every_file_once_and_a_shuffle_stays_inside(tmp_path: Path) -> None:
    for number in range(7):
        write(tmp_path / f"{number}.jsonl", number)
    made = reader(tmp_path)
    parts = []
    for index in range(3):
        block = dd.PartitionBlock(index=index, num_partitions=3).to_index_range(made.get_seed_dataset_size())
        batches = made.create_batch_reader(batch_size=100, index_range=block, shuffle=True, seed=1)
        parts.append([trace for batch in batches for trace in batch["trace_id"].to_pylist()])
        assert summary_of(made).skipped == {"not_selected": 7 - block.size}
    assert [sorted(part) for part in parts] == [["t0", "t1"], ["t2", "t3"], ["t4", "t5", "t6"]]


def test_no_files_left_to_open_ends_the_run_for_it_is_no_fault_of_the_files(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", 1)
    batches = reader(tmp_path).create_batch_reader(batch_size=10)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.close(next_one := os.dup(0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_one, hard))
    try:
        with pytest.raises(dd.SeedReaderError, match=r"a\.jsonl cannot be read .*raise the limit \(ulimit -n\)"):
            batches.read_next_batch()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_too_little_memory_ends_the_run_with_the_file_s_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def parse_file(file: Any) -> None:
        raise MemoryError

    write(tmp_path / "a.jsonl", 1)
    monkeypatch.setattr(seeds_toy, "parse_file", parse_file)
    with pytest.raises(dd.SeedReaderError, match=r"a\.jsonl cannot be read: there is not enough memory"):
        reader(tmp_path).create_batch_reader(batch_size=10).read_next_batch()


def test_a_bad_file_is_a_counted_problem_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.jsonl", 1)
    write(tmp_path / "b.jsonl", "BAD")
    write(tmp_path / "c.jsonl", "SKIP")
    write(tmp_path / "d.jsonl")
    gone = write(tmp_path / "e.jsonl", 5)
    write(tmp_path / "f.jsonl", 6, 7)
    write(tmp_path / "note.txt")
    write(tmp_path / "secret" / "g.jsonl", 8)
    forbid(monkeypatch, tmp_path / "secret")
    made = reader(tmp_path)
    made.manifest_rows()
    gone.unlink()
    assert [rollout.trace_id for rollout in made.read_rollouts()] == ["t1", "t6", "t7"]
    summary = summary_of(made)
    assert (summary.files, summary.read, summary.rows, summary.left) == (7, 2, 3, 0)
    assert summary.skipped == {"pattern": 1, "no_messages": 1, "no_rows": 1}
    assert summary.problem_kinds == {"unreadable_folder": 1, "not_json": 1, "vanished": 1}
    bad = next(problem for problem in summary.problems if problem.kind == "not_json")
    assert (bad.relative_path, bad.line, bad.message) == ("b.jsonl", 1, "not JSON")
    assert "3 rows" in str(summary) and summary.to_dict()["left"] == 0


def test_on_error_raise_stops_at_the_first(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", 1)
    write(tmp_path / "b.jsonl", "BAD")
    made = reader(tmp_path, on_error="raise")
    rollouts = made.read_rollouts()
    assert next(rollouts).trace_id == "t1"
    with pytest.raises(dd.SeedReaderError, match=r"b.jsonl, line 1 cannot be read \(not_json\): not JSON"):
        next(rollouts)


@pytest.mark.parametrize("spoil", ["bad", "gone"])
def test_hydrate_row_raises(tmp_path: Path, spoil: str) -> None:
    path = write(tmp_path / "a.jsonl", "BAD")
    made = reader(tmp_path)
    (row,) = made.manifest_rows()
    if spoil == "gone":
        path.unlink()
    with pytest.raises(dd.SeedReaderError, match=r"a.jsonl.*cannot be read") as caught:
        made.hydrate_row(manifest_row=row, context=made._context())
    assert isinstance(caught.value.__cause__, OSError if spoil == "gone" else dd.UnreadableFile)


def test_a_parsers_mistake_is_a_bug_with_the_files_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", "BUG")
    made = reader(tmp_path)
    for action in (lambda: list(made.read_rollouts()), lambda: hydrate_first(made)):
        with pytest.raises(KeyError) as caught:
            action()
        assert str(path) in caught.value.__notes__[0]


def hydrate_first(made: AgentRolloutSeedReader) -> Any:
    return made.hydrate_row(manifest_row=made.manifest_rows()[0], context=made._context())


def test_a_selection_without_rows_says_what_became_of_its_files(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", "BAD")
    write(tmp_path / "b.jsonl", "SKIP")
    with pytest.raises(dd.SeedReaderError, match=r"1 skipped \(no_messages\).*a.jsonl, line 1: not JSON"):
        reader(tmp_path).create_batch_reader(batch_size=5).read_next_batch()


def test_copies_keep_their_ids_and_are_named(tmp_path: Path) -> None:
    a, b, c = (write(tmp_path / name / "x.jsonl", 1, number) for number, name in enumerate("abc", 10))
    twice = write(tmp_path / "d" / "x.jsonl", 5, 5)
    made = reader(tmp_path)
    assert len(list(made.read_rollouts())) == 8
    assert summary_of(made).collisions == {"t1": [str(a), str(b), str(c)], "t5": [str(twice), str(twice)]}


def test_summaries_of_workers_merge_to_that_of_one(tmp_path: Path) -> None:
    for number, name in enumerate("abcdef"):
        write(tmp_path / f"{name}.jsonl", number % 2, 100 + number)
    write(tmp_path / "g.jsonl", "BAD")
    made = reader(tmp_path)
    rows = made.manifest_rows()
    whole, merged = ReadSummary(), ReadSummary()
    list(read_rollouts(rows, tree=Tree(tmp_path), summary=whole))
    for share in (rows[:3], rows[3:]):
        part = ReadSummary()
        list(read_rollouts(share, tree=Tree(tmp_path), summary=part))
        merged.merge(part)
    assert merged == whole
    assert len(whole.collisions["t0"]) == 3


def test_a_lone_file_is_read_whatever_its_name(tmp_path: Path) -> None:
    path = write(tmp_path / "history.log", 1, 2)
    write(tmp_path / "other.jsonl", 3)
    made = reader(path)
    assert [row["relative_path"] for row in made.manifest_rows()] == ["history.log"]
    assert [rollout.trace_id for rollout in made.read_rollouts()] == ["t1", "t2"]
    assert made._rooted(made._context()).recursive is False


def test_the_default_folder_is_used_and_missed_at_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_HOME", str(tmp_path))
    made = reader(None)
    with pytest.raises(dd.SeedReaderError, match="default of format 'codex': pass path or set TOY_HOME"):
        made.get_seed_dataset_size()
    write(tmp_path / "runs" / "a.jsonl", 1)
    assert reader(None).get_seed_dataset_size() == 1


def test_a_folder_without_rollouts_says_what_was_there(tmp_path: Path) -> None:
    write(tmp_path / "notes.txt")
    write(tmp_path / "history.jsonl")
    with pytest.raises(dd.SeedReaderError) as caught:
        reader(tmp_path, recursive=False).get_seed_dataset_size()
    for part in ("2 files looked at", "notes.txt (its name does not match", "history.jsonl (", "recursive=True"):
        assert part in str(caught.value)


def test_what_spans_files_honours_recursive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.jsonl", 1)
    index = write(tmp_path / "sub" / "index.json", "index")
    found: list[list[Path]] = []

    def parse_file(file: Any) -> Iterator[Any]:
        found.append(file.tree.named("index.json"))
        return iter(())

    monkeypatch.setattr(seeds_toy, "parse_file", parse_file)
    for recursive in (True, False):
        list(reader(tmp_path, recursive=recursive).read_rollouts())
    assert found == [[index], []]


def test_a_readers_own_hydrate_row_is_not_passed_by(tmp_path: Path) -> None:
    class Shouting(AgentRolloutSeedReader):
        def hydrate_row(self, **given: Any) -> list[dict[str, Any]]:
            return [{**row, "cwd": "LOUD"} for row in super().hydrate_row(**given)]

    write(tmp_path / "a.jsonl", 1)
    made = Shouting()
    made.attach(dd.AgentRolloutSeedSource(format="codex", path=tmp_path))
    (batch,) = made.create_batch_reader(batch_size=5)
    assert batch["cwd"].to_pylist() == ["LOUD"]


def test_media_are_counted_and_a_store_that_cannot_write_ends_the_run() -> None:
    class Full:
        def put(self, sha256: str, data: bytes) -> None:
            raise OSError(28, "No space left on device")

    summary = ReadSummary()
    with pytest.raises(dd.SeedReaderError, match="No space left"):
        CountedMedia(Full(), summary).put("ab", b"12345")
    assert summary.media == {}
    counted = CountedMedia(bulk_module.media_store(None), summary)
    counted.put("ab", b"12345")
    counted.put("ab", b"12345")
    assert summary.to_dict()["media"] == 1 and summary.to_dict()["media_bytes"] == 5
