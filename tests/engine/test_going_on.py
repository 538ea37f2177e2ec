"""Running again: what failed for want of an answer, what a folder has cost, and what is said where a run stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rollmill.config import DataDesignerConfigBuilder, ModelConfig
from rollmill.engine.progress import Progress, RunSummary, line
from rollmill.engine.run import raise_if_stopped
from rollmill.errors import RollmillError
from rollmill.models.gate import Gate
from tests.command_line import Run
from tests.engine.runs import builder, designer, prompts, seed_file
from tests.models.server import Answer, ModelServer, prompt_of

OUTAGE, FINAL = Answer(status=500), Answer(status=400, error="too long")


def but(failure: Answer, *rows: int) -> Callable[[dict[str, Any]], Any]:
    """Answers with the prompt, and with the failure for prompts that name these rows."""
    names = [f"row-{number:05d}" for number in rows]
    return lambda body: failure if any(name in prompt_of(body) for name in names) else f"<{prompt_of(body)}>"


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Gate.__init__.__kwdefaults__, "pause", 0.01)  # type: ignore[arg-type]


class TestFailedCells:
    def test_an_outage_s_are_asked_for_again(self, tmp_path: Path) -> None:
        made = builder(seed_file(tmp_path / "seed.jsonl", 12), a="{{ id }}", b="{{ a }}!")
        with ModelServer(but(OUTAGE, 3, 5)) as server:
            make = designer(tmp_path, server).create
            first = make(made, num_records=None)
            assert (first.summary.complete, first.summary.unanswered_cells) == (10, 2)
            assert "  2 cells had no answer; running again asks again" in first.summary.lines()
            server.reply = but(OUTAGE)
            server.requests.clear()
            again = make(made, num_records=None)
            assert sorted(prompts(server)) == sorted(
                f"{before}row-{number:05d}{after}" for number in (3, 5) for before, after in (("", ""), ("<", ">!"))
            )
            kept = make(made, num_records=None)
        assert (again.summary.complete, again.summary.causes, again.summary.unanswered_cells) == (12, {}, 0)
        assert kept.summary.parts_kept == 1 and (tmp_path / "dataset/problems.jsonl").read_text() == ""

    def test_those_that_failed_for_good_are_not(self, tmp_path: Path) -> None:
        made = builder(seed_file(tmp_path / "seed.jsonl", 12), a="{{ id }}")
        with ModelServer(but(FINAL, 3)) as server:
            make = designer(tmp_path, server).create
            make(made, num_records=None)
            asked = len(server.requests)
            again = make(made, num_records=None)
            assert len(server.requests) == asked and again.summary.parts_kept == 1
        assert again.summary.causes == {"bad_request": 1}

    def test_a_judge_s_outage_is_one_too(self, tmp_path: Path) -> None:
        scores = [{"name": "useful", "description": "Is it?", "options": {0: "no", 1: "yes"}}]
        verdict = {"column_type": "llm-judge", "prompt": "judge {{ id }}", "scores": scores}
        made = builder(seed_file(tmp_path / "seed.jsonl", 2), a="{{ id }}", verdict=verdict)
        good = {"useful": {"reasoning": "because", "score": 1}}

        def reply(body: dict[str, Any]) -> Any:
            return (OUTAGE if "row-00001" in prompt_of(body) else good) if "judge" in prompt_of(body) else "x"

        with ModelServer(reply) as server:
            make = designer(tmp_path, server).create
            first = make(made, num_records=None)
            assert first.summary.causes == {"judge_failed": 1} and first.summary.unanswered_cells == 1
            server.reply = lambda body: good if "judge" in prompt_of(body) else "x"
            assert make(made, num_records=None).summary.complete == 2

    def test_one_that_fails_again_leaves_the_rest_as_it_is(self, tmp_path: Path) -> None:
        made = builder(seed_file(tmp_path / "seed.jsonl", 12), a="{{ id }}")
        with ModelServer(but(OUTAGE, 3)) as server:
            make = designer(tmp_path, server).create
            make(made, num_records=None)
            again = make(made, num_records=None)
        assert (again.summary.status, again.summary.complete, again.count_records()) == ("complete", 11, 12)

    def test_many_that_fail_again_stop_nothing(self, tmp_path: Path) -> None:
        """Rows that a server never takes come first when the seed has grown; the new ones must still be asked."""
        seed, poison = tmp_path / "seed.jsonl", but(OUTAGE, *range(5, 25))
        with ModelServer(poison) as server:
            run = designer(tmp_path, server).run
            server.reply = "x"
            run(builder(seed_file(seed, 5), a="{{ id }}"), num_records=None)
            server.reply = poison
            first = run(builder(seed_file(seed, 25), a="{{ id }}"), num_records=None)
            grown = run(builder(seed_file(seed, 30), a="{{ id }}"), num_records=None)
            again = run(builder(seed_file(seed, 30), a="{{ id }}"), num_records=None)
        assert [each.summary.status for each in (first, grown, again)] == ["complete"] * 3
        assert (again.summary.complete, again.summary.causes) == (10, {"server": 20})

    def test_an_outage_that_lasts_stops_the_run(self, tmp_path: Path) -> None:
        made = builder(seed_file(tmp_path / "seed.jsonl", 200), a="{{ id }}")
        with ModelServer("x") as server:
            run = designer(tmp_path, server).run
            run(made, num_records=5)
            server.reply = OUTAGE
            stopped = run(made, num_records=None)
            assert stopped.summary.status == "stopped" and "status 500" in stopped.summary.message
            server.reply = "late"
            whole = run(made, num_records=None)
        assert whole.summary.complete == 200

    def test_a_stop_on_the_way_keeps_the_parts_that_were_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("rollmill.engine.window.PART_ROWS", 4)
        made = builder(seed_file(tmp_path / "seed.jsonl", 200), a="{{ id }}")
        with ModelServer(but(OUTAGE, 1, 6)) as server:
            make = designer(tmp_path, server).run
            make(made, num_records=None)
            server.reply = lambda body: Answer(status=401) if "row-00006" in prompt_of(body) else "late"
            stopped = make(made, num_records=None)
            assert stopped.summary.status == "stopped"
            assert stopped.count_records() == 200, "no row is lost that was there"
            server.reply = "late"
            whole = make(made, num_records=None)
        assert whole.summary.complete == 200
        assert whole.load_dataset("arrow")["a"].to_pylist()[5:8] == ["<row-00005>", "late", "<row-00007>"]


class TestCost:
    @pytest.fixture(autouse=True)
    def _prices(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ROLLMILL_CONFIG_DIR", str(tmp_path))
        (tmp_path / "prices.yaml").write_text("toy: {input: 100000, output: 0}")  # 10 tokens a call: one dollar

    def test_running_again_keeps_it(self, tmp_path: Path) -> None:
        seed = seed_file(tmp_path / "seed.jsonl", 5)
        with ModelServer("x") as server:
            make = designer(tmp_path, server).create
            first = make(builder(seed, a="{{ id }}"), num_records=None)
            assert first.cost == pytest.approx(5.0)
            again = make(builder(seed, a="{{ id }}"), num_records=None)
            assert again.cost == pytest.approx(5.0) and again.summary.total.calls == 0
            more = make(builder(seed, a="{{ id }}", b="{{ a }}{{ id }}"), num_records=None)
        assert more.cost == pytest.approx(10.0) and more.summary.total.cost == pytest.approx(5.0)
        assert more.usage["a"]["m"].calls == more.usage["b"]["m"].calls == 5
        saved = json.loads((tmp_path / "dataset/summary.json").read_text())
        assert saved["total"]["calls"] == 5 and saved["total_of_all_runs"]["calls"] == 10
        assert saved["usage_of_all_runs"]["a"]["m"]["input_tokens"] == 50
        assert any("with earlier runs: 10 calls" in said for said in more.summary.lines())

    def test_a_lost_summary_loses_none_of_it(self, tmp_path: Path) -> None:
        """As after ``kill -9``: what was asked is in the journal."""
        made = builder(seed_file(tmp_path / "seed.jsonl", 5), a="{{ id }}")
        with ModelServer("x") as server:
            make = designer(tmp_path, server).create
            make(made, num_records=None)
            (tmp_path / "dataset/summary.json").unlink()
            assert make(made, num_records=None).cost == pytest.approx(5.0)

    @pytest.mark.parametrize("parallel", [1, 4, 64])
    def test_a_budget_holds_for_the_folder(self, tmp_path: Path, parallel: int) -> None:
        made = builder(seed_file(tmp_path / "seed.jsonl", 100), parallel, a="{{ id }}", b="{{ a }} {{ id }}")
        with ModelServer("x", latency=0.01) as server:
            run = designer(tmp_path, server).run
            stopped = run(made, num_records=None, max_cost=30)
            asked = len(server.requests)
            assert stopped.summary.status == "max_cost" and 25 <= asked <= 30
            assert f"${asked}.0000 of --max-cost $30.0000 are spent" in stopped.summary.message
            again = run(made, num_records=None, max_cost=asked)
            assert again.summary.status == "max_cost" and len(server.requests) == asked
            assert again.count_records() == stopped.count_records(), "what is paid for is not kept back"


def test_a_wrong_judge_stops_the_run_though_the_writer_works(tmp_path: Path) -> None:
    models = [ModelConfig(alias="m", model="toy"), ModelConfig(alias="j", model="typo")]
    made = DataDesignerConfigBuilder(models)
    made.with_seed_dataset(builder(seed_file(tmp_path / "s.jsonl", 40)).seed_config.source)  # type: ignore[union-attr]
    made.add_column(name="a", column_type="llm-text", prompt="{{ id }}", model_alias="m")
    made.add_column(name="b", column_type="llm-text", prompt="{{ a }}", model_alias="j")

    def reply(body: dict[str, Any]) -> Any:
        return Answer(status=404, error="no such model") if body["model"] == "typo" else Answer("x", latency=0.01)

    with ModelServer(reply) as server:
        stopped = designer(tmp_path, server).run(made, num_records=None)
        assert 0 < sum(asked.body["model"] == "typo" for asked in server.requests) < 40
        assert stopped.summary.status == "stopped" and "'typo'" in stopped.summary.message
        made.delete_column("b")
        skipping = ModelConfig(alias="s", model="typo", skip_health_check=True)
        made.add_model_config(skipping)
        made.add_column(name="b", column_type="llm-text", prompt="{{ a }}", model_alias="s")
        whole = designer(tmp_path, server).run(made, num_records=None)
    assert whole.summary.status == "complete" and whole.summary.causes == {"not_found": 40}


class TestMessages:
    def test_nothing_is_said_of_a_data_set_that_is_not_there(self, run: Run, home: Path) -> None:
        made = builder(seed_file(home / "seed.jsonl", 5), a="{{ id }}")
        made.write_config(home / "config.yaml")
        with ModelServer() as server:
            endpoint = server.endpoint
        ran = run("run", home / "config.yaml", "--endpoint", endpoint)
        assert ran.status == 2 and "Connection refused" in ran.err
        assert "5 more were begun; none was answered" in ran.out and "The data set is in" not in ran.out

    def test_a_folder_that_cannot_be_made(self, run: Run, home: Path) -> None:
        builder(seed_file(home / "seed.jsonl", 5), a="{{ id }}").write_config(home / "config.yaml")
        (home / "file").write_text("")
        ran = run("run", home / "config.yaml", "--endpoint", "http://127.0.0.1:9/v1", "--artifact-path", home / "file")
        assert ran.status == 2 and "cannot be made" in ran.err and "journal" not in ran.err

    @pytest.mark.parametrize("message", ["no key", "no key.", "is it right?"])
    def test_two_sentences_are_two(self, message: str) -> None:
        with pytest.raises(RollmillError) as told:
            raise_if_stopped(RunSummary(status="stopped", message=message), "Run again.")
        assert str(told.value) in ("no key. Run again.", "is it right? Run again.")

    def test_a_run_that_only_waits_shows_until_when(self) -> None:
        state = Progress(300)
        state.rows, state.paused = 299, "x wants no request now, 59 min until the next"
        assert line(state).endswith("59 min until the next") and " left" not in line(state)
