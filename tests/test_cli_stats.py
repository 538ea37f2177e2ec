"""``rollmill stats``: figures that add up, files that are safe to open, a picture with every name as it is."""

from __future__ import annotations

import csv
import json
import stat
import xml.etree.ElementTree as xml
from pathlib import Path

import pytest

from rollmill.curate._groups import COUNTS, TOKENS, Stats, parse_by
from rollmill.curate.signals import signals
from rollmill.errors import ConfigError
from rollmill.explore import picture
from tests.command_line import Run, session
from tests.curate.conversations import bash, human, model, rollout
from tests.test_transcript import HOSTILE, acts

EXAMPLES = Path(__file__).parent.parent / "examples" / "rollouts"


def test_the_examples_in_groups(run: Run) -> None:
    """Nine threads of Claude Code: three sessions and six sub-agents, two of them of another model."""
    ran = run("stats", EXAMPLES / "claude_code", "--by", "is_sidechain,model", "--json")
    found = json.loads(ran.out)
    rows = {tuple(each["group"].values()): each["rows"] for each in found["groups"]}
    assert rows == {
        ("true", "claude-opus-4-5-20251101"): 4,
        ("false", "claude-opus-4-5-20251101"): 2,
        ("true", "claude-haiku-4-5-20251001"): 2,
        ("false", "claude-sonnet-4-6"): 1,
    }
    assert [each["rows"] for each in found["groups"]] == [4, 2, 2, 1]
    assert found["total"]["rows"] == 9


@pytest.mark.parametrize("by", ["model", "project_path,month", "last_test,ended,outcome", "trace_id"])
def test_groups_add_up_to_the_total(run: Run, by: str) -> None:
    found = json.loads(run("stats", EXAMPLES / "codex", "--by", by, "--json").out)
    for name in ("rows", *COUNTS, *TOKENS):
        assert sum(each[name] for each in found["groups"]) == found["total"][name], name
    for name in ("outcomes", "ended"):
        assert sum(found["total"][name].values()) == found["total"]["rows"]


def test_rows_and_rollouts_give_the_same_figures(run: Run, tmp_path: Path) -> None:
    for rows in (tmp_path / "rows.parquet", tmp_path / "rows.jsonl"):
        run("ingest", EXAMPLES / "claude_code", "-o", rows, "--quiet")
        assert run("stats", rows, "--json").out == run("stats", EXAMPLES / "claude_code", "--json").out


def test_a_condition_leaves_rows_out_and_says_so(run: Run) -> None:
    ran = run("stats", EXAMPLES / "claude_code", "--where", "not is_sidechain and human_turns > 1")
    assert "total                     total           2" in ran.out
    assert "7 rows left out by --where" in ran.out


def test_null_is_a_group_and_the_first_table_fits(run: Run) -> None:
    ran = run("stats", EXAMPLES / "codex", "--by", "model")
    assert ran.out.splitlines()[1].startswith("(none)")
    assert ran.out.splitlines()[-1].startswith("total")
    assert max(map(len, ran.out.splitlines())) < 120


def test_months_stand_in_their_order() -> None:
    stats = Stats(("month",))
    for day in ("2026-03-01", "2026-01-05", "2026-03-02"):
        made = rollout(human("Go."), started_at=f"{day}T10:00:00Z")
        stats.add(made, signals(made))
    assert [(group.key, group.rows) for group in stats.groups] == [(("2026-01",), 1), (("2026-03",), 2)]


def test_rates_count_what_they_say() -> None:
    stats = Stats(("model",))
    for messages in (
        [human("a"), *bash("pytest")],
        [human("b"), *bash("pytest", "", True), human("no, c")],
        [model("d")],
    ):
        made = rollout(messages)
        stats.add(made, signals(made))
    rates = stats.total.rates()
    assert {name: value[:2] for name, value in rates.items()} == {
        "success": (1, 2),
        "tests_passed": (1, 2),
        "complete": (1, 3),
        "corrected": (1, 2),
        "tool_errors": (1, 2),
    }
    assert rates["complete"].low == pytest.approx(0.0615, abs=1e-3)


def test_unknown_columns_and_conditions_are_told_at_once(run: Run) -> None:
    ran = run("stats", EXAMPLES, "--by", "modell")
    assert ran.status == 2 and "did you mean model?" in ran.err
    ran = run("stats", EXAMPLES, "--where", "modell = 1")
    assert ran.status == 2 and "modell" in ran.err
    with pytest.raises(ConfigError, match="no column to group by"):
        parse_by(" , ")
    assert parse_by("model, model,day") == ("model", "day")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "there is no nowhere"),
        ([EXAMPLES / "codex", "-o", "stats.xls"], "use .json or .csv"),
        ([EXAMPLES / "codex", "--picture", "corpus.gif"], "use .svg or .png"),
    ],
)
def test_what_cannot_be_read_or_written(run: Run, arguments: list[str | Path], message: str) -> None:
    ran = run("stats", *arguments)
    assert ran.status == 2 and message in ran.err


def test_files_are_whole_and_their_owners(run: Run, home: Path) -> None:
    names = ("out/stats.json", "stats.csv", "corpus.svg", "corpus.png")
    run("stats", EXAMPLES / "codex", "-o", names[0], "--picture", names[2])
    ran = run("stats", EXAMPLES / "codex", "-o", names[1], "--picture", names[3], "--quiet")
    assert (ran.out, ran.err) == ("", "")
    for name in names:
        assert stat.S_IMODE(Path(name).stat().st_mode) == 0o600
    with open("stats.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    groups = json.loads(Path("out/stats.json").read_text())["groups"]
    assert [int(row["rows"]) for row in rows[:-1]] == [each["rows"] for each in groups]
    assert (rows[-1]["model"], int(rows[-1]["rows"])) == ("total", 3)
    assert Path("corpus.png").read_bytes().startswith(b"\x89PNG")
    xml.parse("corpus.svg")


def test_a_picture_is_the_same_every_time(run: Run, home: Path) -> None:
    for name in ("a.svg", "b.svg"):
        run("stats", EXAMPLES / "codex", "--picture", name, "--quiet")
    assert Path("a.svg").read_bytes() == Path("b.svg").read_bytes()


def test_hostile_names_act_nowhere(run: Run, home: Path) -> None:
    session(home / "logs", text=HOSTILE)
    session(home / "logs", "22222222-0000-4000-8000-000000000000.jsonl", "=HYPERLINK(1)")
    session(home / "logs", "33333333-0000-4000-8000-000000000000.jsonl", "$\\frac{</svg><script>")
    ran = run(
        "stats", home / "logs", "--format", "claude_code", "--by", "model,project_path", "-o", "stats.csv",
        "--picture", "corpus.svg",
    )  # fmt: skip
    assert ran.status == 0 and not any(map(acts, ran.out))
    assert '"\'=HYPERLINK(1)"' in Path("stats.csv").read_text() or "'=HYPERLINK(1)," in Path("stats.csv").read_text()
    assert "<script" not in Path("corpus.svg").read_text()
    assert len(xml.parse("corpus.svg").getroot()) > 0


def test_many_groups_are_one_bar_and_all_are_in_the_file(run: Run, home: Path) -> None:
    for number in range(45):
        session(home / "logs", f"{number:08}-0000-4000-8000-000000000000.jsonl", f"model-{number}")
    ran = run("stats", home / "logs", "--format", "claude_code", "-o", "s.csv", "--picture", "c.svg")
    assert "5 more groups are in the total only" in ran.out
    assert len(Path("s.csv").read_text().splitlines()) == 47


def test_names_are_shortened_where_they_tell_least() -> None:
    def name(*key: str) -> str:
        stats = Stats(("model", "project_path"))
        made = rollout(model("a", model=key[0]), project_path=key[1])
        stats.add(made, signals(made))
        return picture._name(stats.groups[0])

    assert name("m-1", "/home/ann/shop") == "m-1 · /home/ann/shop"
    shortened = name("claude-opus-4-5-20251101", "/home/ann/" + "a-very-long-folder-name/" * 3 + "shop")
    assert len(shortened) <= picture.LONGEST + 3
    assert shortened.startswith("claude-opus") and shortened.endswith("-name/shop")


def test_without_matplotlib_the_message_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "find_spec", lambda name: None)
    ran = run("stats", EXAMPLES / "codex", "--picture", "corpus.svg")
    assert ran.status == 2 and "pip install 'rollmill[plot]'" in ran.err
    assert run("stats", EXAMPLES / "codex").status == 0


@pytest.mark.parametrize("where", ["", "'x'", "cast(agent_version as int) > 1"])
def test_a_condition_that_does_not_work_is_the_users_to_fix(run: Run, where: str) -> None:
    ran = run("stats", EXAMPLES / "claude_code", "--where", where)
    assert ran.status == 2
    assert f"the where condition {where!r} does not work" in ran.err
    assert "Traceback" not in ran.err
