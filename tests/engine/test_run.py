"""Runs against a real server: what is asked, what is written, what is asked again."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from rollmill.config import AgentRolloutSeedSource, PartitionBlock, SamplingStrategy
from rollmill.engine.store import RunFolder
from rollmill.errors import ConfigError, RollmillError
from tests.command_line import session
from tests.engine.runs import EXAMPLES, builder, designer, prompts, seed_file
from tests.models.server import Answer, ModelServer, prompt_of


def echo(body: dict[str, Any]) -> str:
    return f"<{prompt_of(body)}>"


def test_rows_with_columns_in_the_seeds_order(tmp_path: Path) -> None:
    seed = seed_file(tmp_path / "seed.jsonl", 20)
    with ModelServer(echo) as server:
        made = builder(seed, a="{{ id }}", b="{{ a }}!", n={"expr": "{{ b | length }}", "dtype": "int"})
        results = designer(tmp_path, server).create(made, num_records=None)
    rows = results.load_dataset("arrow").to_pylist()
    assert [row["id"] for row in rows] == [f"row-{number:05d}" for number in range(20)]
    assert rows[3] == {"id": "row-00003", "a": "<row-00003>", "b": "<<row-00003>!>", "n": 14}
    assert results.count_records() == 20
    assert results.usage["a"]["m"].calls == 20 and results.usage["a"]["m"].input_tokens == 200
    assert results.summary.rows == results.summary.complete == 20


def test_pythons_own_event_loop_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no uvloop for Windows."""
    monkeypatch.setitem(sys.modules, "uvloop", None)
    seed = seed_file(tmp_path / "seed.jsonl", 3)
    with ModelServer(echo) as server:
        results = designer(tmp_path, server).create(builder(seed, a="{{ id }}"), num_records=None)
    assert results.load_dataset("arrow")["a"].to_pylist() == ["<row-00000>", "<row-00001>", "<row-00002>"]


def test_rollouts_are_rows(tmp_path: Path) -> None:
    with ModelServer("goal") as server:
        made = builder(goal="{{ messages | transcript }}")
        made.with_seed_dataset(AgentRolloutSeedSource(format="claude_code", path=EXAMPLES))
        results = designer(tmp_path, server).create(made, num_records=None)
        again = designer(tmp_path, server).create(made, num_records=None)
        assert len(server.requests) == 9
    table = results.load_dataset("arrow")
    assert table.num_rows == 9 and table.column_names[-1] == "goal"
    assert again.summary.parts_kept == 1 and again.summary.rows == 9


def test_nothing_is_asked_again(tmp_path: Path) -> None:
    seed = seed_file(tmp_path / "seed.jsonl", 10)
    with ModelServer(echo) as server:
        make = designer(tmp_path, server).create
        make(builder(seed, a="{{ id }}"), num_records=None)
        part = tmp_path / "dataset/parts/part-00000.parquet"
        before = part.stat().st_mtime_ns
        kept = make(builder(seed, a="{{ id }}"), num_records=None)
        assert len(server.requests) == 10 and kept.summary.parts_kept == 1 and part.stat().st_mtime_ns == before
        make(builder(seed, a="{{ id }}", b="{{ a }}?"), num_records=None)
        assert len(server.requests) == 20, "a new column asks for itself only"
        make(builder(seed, a="{{ id }}", b="{{ a }}!"), num_records=None)
        assert len(server.requests) == 30, "a changed prompt asks for its column only"
        seed_file(tmp_path / "seed.jsonl", 13)
        grown = make(builder(seed, a="{{ id }}", b="{{ a }}!"), num_records=None)
        assert len(server.requests) == 36, "new rows only"
    assert grown.count_records() == 13 and grown.summary.total.reused == 20


def test_a_grown_folder_asks_for_new_rollouts_only(tmp_path: Path) -> None:
    folder = tmp_path / "projects"
    for number in (2, 3):
        session(folder, f"{number}{number * 1111111}-0000-4000-8000-000000000000.jsonl", text=f"word{number}")
    made = builder(goal="{{ messages | transcript }}")
    made.with_seed_dataset(AgentRolloutSeedSource(format="claude_code", path=folder))
    with ModelServer(echo) as server:
        designer(tmp_path, server).create(made, num_records=None)
        assert len(server.requests) == 2
        session(folder, "01111111-0000-4000-8000-000000000000.jsonl", text="word1")  # comes before the others
        results = designer(tmp_path, server).create(made, num_records=None)
        assert len(server.requests) == 3 and "word1" in prompts(server)[-1]
    assert results.count_records() == 3
    assert len(set(results.load_dataset("arrow")["trace_id"].to_pylist())) == 3


def test_more_rows_than_there_are_begin_again(tmp_path: Path) -> None:
    seed = seed_file(tmp_path / "seed.jsonl", 3)
    with ModelServer(echo) as server:
        results = designer(tmp_path, server).create(builder(seed, a="{{ id }}"), num_records=7)
        assert len(server.requests) == 7, "each pass asks anew"
        designer(tmp_path, server).create(builder(seed, a="{{ id }}"), num_records=7)
        assert len(server.requests) == 7
    assert results.summary.passes == 3
    assert any("gone through 3 times" in line for line in results.summary.lines())


def test_without_a_seed_each_pass_is_a_row(tmp_path: Path) -> None:
    with ModelServer("a name") as server:
        results = designer(tmp_path, server).create(builder(name="A name?"), num_records=4)
        assert len(server.requests) == 4
    assert results.load_dataset("arrow").to_pylist() == [{"name": "a name"}] * 4
    assert results.summary.passes == 1, "there is no seed to be gone through again"


def test_a_failed_cell_is_null_and_counts_once(tmp_path: Path) -> None:
    seed = seed_file(tmp_path / "seed.jsonl", 6)

    def reply(body: dict[str, Any]) -> Any:
        return Answer("cut", finish_reason="length") if "row-00002" in prompt_of(body) else "fine"

    with ModelServer(reply) as server:
        made = builder(seed, a="{{ id }}", b="{{ a }}", c={"expr": "{{ b }}"}, free={"expr": "{{ id }}"})
        results = designer(tmp_path, server).create(made, num_records=None)
        assert len(server.requests) == 11, "nothing is asked for a cell that lacks what it needs"
    row = results.load_dataset("arrow").to_pylist()[2]
    assert row == {"id": "row-00002", "a": None, "b": None, "c": None, "free": "row-00002"}
    summary = results.summary
    assert (summary.rows, summary.complete, summary.with_null_cells, summary.causes) == (6, 5, 1, {"length": 1})
    problems = [json.loads(line) for line in (tmp_path / "dataset/problems.jsonl").read_text().splitlines()]
    assert [(each["column"], each["kind"], each["raw"]) for each in problems] == [("a", "length", "cut")]


def test_a_judge_that_fails_is_no_zero(tmp_path: Path) -> None:
    scores = [{"name": "useful", "description": "Is it?", "options": {0: "no", 1: "yes"}}]
    seed = seed_file(tmp_path / "seed.jsonl", 2)

    def reply(body: dict[str, Any]) -> Any:
        score = 7 if "row-00000" in json.dumps(body) else 1
        return {"useful": {"reasoning": "because", "score": score}}

    with ModelServer(reply) as server:
        made = builder(
            seed, verdict={"column_type": "llm-judge", "prompt": "{{ id }}", "scores": scores},
            score={"expr": "{{ verdict.useful.score }}", "dtype": "int"},
        )  # fmt: skip
        results = designer(tmp_path, server).create(made, num_records=None)
    assert results.load_dataset("arrow")["score"].to_pylist() == [None, 1]
    assert results.summary.causes == {"judge_failed": 1}


def test_skips_propagate_and_are_no_failures(tmp_path: Path) -> None:
    seed = seed_file(tmp_path / "seed.jsonl", 4)
    skip = {"when": "{{ id == 'row-00001' }}", "value": "left out"}
    with ModelServer("fine") as server:
        made = builder(
            seed, a={"prompt": "{{ id }}", "skip": skip}, b="{{ a }}",
            c={"expr": "{{ a }}", "propagate_skip": False},
        )  # fmt: skip
        results = designer(tmp_path, server).create(made, num_records=None)
        assert len(server.requests) == 6
    row = results.load_dataset("arrow").to_pylist()[1]
    assert (row["a"], row["b"], row["c"]) == ("left out", None, "left out")
    assert results.summary.complete == 4 and results.summary.skipped_cells == 2


def test_dropped_columns_are_made_and_left_out(tmp_path: Path) -> None:
    with ModelServer("x") as server:
        made = builder(seed_file(tmp_path / "s.jsonl", 1), a={"prompt": "p", "drop": True}, b={"expr": "{{ a }}y"})
        table = designer(tmp_path, server).create(made).load_dataset("arrow")
    assert table.column_names == ["id", "b"] and table["b"].to_pylist() == ["xy"] * 10


def test_a_wrong_key_stops_the_run_with_its_fix(tmp_path: Path) -> None:
    seed = seed_file(tmp_path / "seed.jsonl", 50)
    with ModelServer("x", key="secret-right") as server, pytest.raises(RollmillError) as told:
        designer(tmp_path, server).create(builder(seed, a="{{ id }}"), num_records=None)
    assert "401" in str(told.value) or "key" in str(told.value)
    assert json.loads((tmp_path / "dataset/summary.json").read_text())["status"] == "stopped"


def test_a_stopped_run_goes_on(tmp_path: Path) -> None:
    seed = seed_file(tmp_path / "seed.jsonl", 40)
    asked: list[int] = []

    def reply(body: dict[str, Any]) -> Any:
        asked.append(1)
        return Answer(status=401) if len(asked) == 25 else "fine"

    with ModelServer(reply) as server:
        run = designer(tmp_path, server).run
        stopped = run(builder(seed, 4, a="{{ id }}", b="{{ a }} {{ id }}"), num_records=None)
        assert stopped.summary.status == "stopped"
        assert stopped.count_records() == stopped.summary.complete < 40
        whole = run(builder(seed, 4, a="{{ id }}", b="{{ a }} {{ id }}"), num_records=None)
        counts = [number for body, number in server.answered.items()]
        assert max(counts) == 1, "no answered call is made twice"
    assert whole.summary.status == "complete" and whole.count_records() == 40


def test_max_cost_stops_before_it_is_spent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLMILL_CONFIG_DIR", str(tmp_path))
    (tmp_path / "prices.yaml").write_text("toy: {input: 100000, output: 0}")  # 10 tokens a call: one dollar
    seed = seed_file(tmp_path / "seed.jsonl", 50)
    with ModelServer("x", latency=0.01) as server:
        run = designer(tmp_path, server).run
        stopped = run(builder(seed, 2, a="{{ id }}"), num_records=None, max_cost=20)
        assert stopped.summary.status == "max_cost" and 15 <= (stopped.cost or 0) <= 21
        assert stopped.count_records() == len(server.requests)
        whole = run(builder(seed, 2, a="{{ id }}"), num_records=None, max_cost=100)
        assert whole.summary.status == "complete" and len(server.requests) == 50


def test_max_cost_needs_prices(tmp_path: Path) -> None:
    with ModelServer("x") as server, pytest.raises(ConfigError, match=r"prices\.yaml"):
        designer(tmp_path, server).create(builder(a="x"), max_cost=1)


def test_a_second_run_on_one_folder_is_refused(tmp_path: Path) -> None:
    with ModelServer("x") as server, RunFolder(tmp_path / "dataset"), pytest.raises(RollmillError) as told:
        designer(tmp_path, server).create(builder(a="x"))
    assert f"process {os.getpid()}" in str(told.value)
    assert not server.requests


def test_a_truncated_part_is_written_anew(tmp_path: Path) -> None:
    seed = seed_file(tmp_path / "seed.jsonl", 5)
    with ModelServer(echo) as server:
        make = designer(tmp_path, server).create
        make(builder(seed, a="{{ id }}"), num_records=None)
        part = tmp_path / "dataset/parts/part-00000.parquet"
        part.write_bytes(part.read_bytes()[:-100])
        results = make(builder(seed, a="{{ id }}"), num_records=None)
        assert len(server.requests) == 5
    assert results.count_records() == 5 and any("damaged" in note for note in results.summary.notes)


def test_changed_rows_are_never_doubled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rollmill.engine.window.PART_ROWS", 3)
    seed = seed_file(tmp_path / "seed.jsonl", 10)
    with ModelServer(echo) as server:
        make = designer(tmp_path, server).create
        first = make(builder(seed, a="{{ id }}"), num_records=None)
        assert first.summary.parts == 4
        seed_file(tmp_path / "seed.jsonl", 5)
        results = make(builder(seed, a="{{ id }}"), num_records=None)
        assert results.summary.parts == 2 and results.summary.parts_kept == 1
        assert results.load_dataset("arrow")["id"].to_pylist() == [f"row-{n:05d}" for n in range(5)]
        assert len(server.requests) == 10


def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    with ModelServer("x") as server:
        designer(tmp_path, server).create(builder(seed_file(tmp_path / "s.jsonl", 2), a="{{ id }}"))
    for path in (tmp_path / "dataset").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_shuffle_keeps_its_order_when_it_goes_on(tmp_path: Path) -> None:
    seed = seed_file(tmp_path / "seed.jsonl", 30)
    made = builder(seed, a="{{ id }}")
    assert made.seed_config is not None
    made.with_seed_dataset(made.seed_config.source, sampling_strategy=SamplingStrategy.SHUFFLE)
    with ModelServer(echo) as server:
        first = designer(tmp_path, server).create(made, num_records=10).load_dataset("arrow")["id"].to_pylist()
        again = designer(tmp_path, server).create(made, num_records=20).load_dataset("arrow")["id"].to_pylist()
        assert len(server.requests) == 20
    assert again[:10] == first and first != sorted(first)


def test_partitions_are_every_row_once(tmp_path: Path) -> None:
    seed = seed_file(tmp_path / "seed.jsonl", 11)
    found: list[str] = []
    with ModelServer("x") as server:
        for index in range(3):
            made = builder(seed, a="{{ id }}")
            assert made.seed_config is not None
            block = PartitionBlock(index=index, num_partitions=3)
            made.with_seed_dataset(made.seed_config.source, selection_strategy=block)
            results = designer(tmp_path, server).create(made, num_records=None, dataset_name=f"part{index}")
            found += results.load_dataset("arrow")["id"].to_pylist()
    assert found == [f"row-{number:05d}" for number in range(11)]


def test_where_leaves_rows_out(tmp_path: Path) -> None:
    seed = seed_file(tmp_path / "seed.jsonl", 11)
    made = builder(seed, a="{{ id }}")
    assert made.seed_config is not None
    with ModelServer("x") as server:
        made.with_seed_dataset(made.seed_config.source, where="id >= 'row-00008'")
        assert designer(tmp_path, server).create(made, num_records=None).count_records() == 3
        made.with_seed_dataset(made.seed_config.source, where="idd = 3")
        with pytest.raises(ConfigError, match="idd"):
            designer(tmp_path, server).validate(made)
        made = builder(a="x").with_seed_dataset(
            AgentRolloutSeedSource(format="claude_code", path=EXAMPLES), where="message_count > 5"
        )
        count = designer(tmp_path, server).create(made, num_records=None, dataset_name="rollouts").count_records()
        assert 0 < count < 9


def test_preview_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seed = seed_file(tmp_path / "seed.jsonl", 5)
    with ModelServer(echo) as server:
        results = designer(tmp_path / "artifacts", server).preview(builder(seed, a="{{ id }}"), num_records=2)
    assert not (tmp_path / "artifacts").exists()
    assert results.dataset["a"].tolist() == ["<row-00000>", "<row-00001>"]
    results.display_sample_record()
    results.display_sample_record()
    assert "<row-00001>" in capsys.readouterr().out


def test_a_full_disk_is_one_message_and_keeps_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = seed_file(tmp_path / "seed.jsonl", 5)
    with ModelServer(echo) as server:
        make = designer(tmp_path, server).create
        with monkeypatch.context() as patch:
            patch.setattr(pq, "write_table", _no_space)
            with pytest.raises(RollmillError, match="No space left"):
                make(builder(seed, a="{{ id }}"), num_records=None)
        assert not list((tmp_path / "dataset/parts").iterdir())
        assert make(builder(seed, a="{{ id }}"), num_records=None).count_records() == 5
        assert len(server.requests) == 5, "every reply was kept"


def _no_space(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def test_an_old_data_set_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    seed = seed_file(tmp_path / "seed.jsonl", 5)
    with ModelServer(echo) as server:
        make = designer(tmp_path, server).create
        make(builder(seed, a="{{ id }}"), num_records=None)
        server.reply = Answer(status=401)
        with pytest.raises(RollmillError):
            make(builder(seed, a="{{ id }}", b="{{ a }}"), num_records=None)
        assert len(list((tmp_path / "dataset/parts.before").glob("*.parquet"))) == 1
        server.reply = echo
        make(builder(seed, a="{{ id }}", b="{{ a }}"), num_records=None)
        assert not (tmp_path / "dataset/parts.before").exists()


def test_a_new_folder_when_asked_for(tmp_path: Path) -> None:
    with ModelServer("x") as server:
        make = designer(tmp_path, server).create
        made = builder(seed_file(tmp_path / "s.jsonl", 2), a="{{ id }}")
        make(made, resume="never")
        second = make(made, resume="never")
    assert second.artifact_storage.base_dataset_path == tmp_path / "dataset_2"
