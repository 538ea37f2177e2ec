"""``rollmill redact``: rows without secrets, and a report that shows none."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from rollmill.curate.redaction import POLICY
from tests.command_line import Run, session

TOKEN = "ghp_" + "Zk3RtY8wQp1LmN6vXc2BhJ5sDf9GaE4uTi7o"
SAID = f"push with {TOKEN} from /Users/chloe/src"


def rows_of(path: str) -> list[dict[str, Any]]:
    if path.endswith(".jsonl"):
        return [json.loads(line) for line in Path(path).read_text().splitlines()]
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def redaction_of(path: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(rows_of(path)[0]["source_meta"])["other"]["redaction"]
    return said


@pytest.fixture
def rollouts(home: Path) -> Path:
    """A folder with one session that says a secret wherever it can; its model's name and ids are plain."""
    path = session(Path("sessions"), text="SAID")
    text = path.read_text().replace('"toolu_SAID"', '"toolu_1"').replace('"model": "SAID"', '"model": "claude-x"')
    path.write_text(text.replace("SAID", SAID))
    return path.parent


def test_rows_are_written_without_secrets(run: Run, rollouts: Path) -> None:
    for output in ("safe.parquet", "safe.jsonl"):
        ran = run("redact", rollouts, "-o", output)
        assert ran.status == 0 and "github_token" in ran.out
        assert stat.S_IMODE(os.stat(output).st_mode) == 0o600
        rows = rows_of(output)
        assert len(rows) == 1
        assert TOKEN not in str(rows) and "chloe" not in str(rows) and "<TOKEN_1>" in str(rows)


def test_rows_that_were_written_before_are_read_again(run: Run, rollouts: Path) -> None:
    run("ingest", rollouts, "-o", "rows.parquet")
    assert run("redact", "rows.parquet", "-o", "safe.parquet").status == 0
    assert run("redact", "safe.parquet", "-o", "again.jsonl").status == 0
    assert redaction_of("safe.parquet") == redaction_of("again.jsonl")
    assert redaction_of("safe.parquet")["policy"] == POLICY
    assert rows_of("safe.parquet")[0]["cwd"] == rows_of("again.jsonl")[0]["cwd"]


def test_check_tells_kinds_and_places_and_shows_no_secret(run: Run, rollouts: Path) -> None:
    ran = run("redact", "--check", rollouts)
    assert ran.status == 1
    assert "message 1, reasoning: 1 github_token" in ran.out
    assert sum("home_user (" in line for line in ran.out.splitlines()) == 1
    assert TOKEN not in ran.out + ran.err and "chloe" not in ran.out + ran.err
    assert sorted(path.name for path in Path().iterdir()) == ["sessions"]


def test_check_names_files_as_they_are_called(run: Run, home: Path) -> None:
    path = session(Path("Users/chloe/sessions"), text="key " + TOKEN, call_id="toolu_1")
    assert str(path) in run("redact", "--check", "Users").out.replace(str(home) + "/", "")


def test_what_a_late_row_gives_away_is_gone_from_the_first(run: Run, home: Path) -> None:
    session(Path("in"), "00000000-0000-4000-8000-000000000000.jsonl", "use Falcon#2291x now", "toolu_1")
    session(Path("in"), "11111111-0000-4000-8000-000000000000.jsonl", "DB_PASSWORD=Falcon#2291x", "toolu_2")
    assert run("redact", "in", "-o", "safe.jsonl").status == 0
    text = Path("safe.jsonl").read_text()
    assert "Falcon" not in text and "<PASSWORD_1>" in text and "<PASSWORD_2>" not in text


def test_check_as_json(run: Run, rollouts: Path) -> None:
    ran = run("redact", "--check", "--json", rollouts)
    told = json.loads(ran.out)
    assert told["policy"] == POLICY and told["rows"] == 1
    assert sum(place["counts"].get("github_token", 0) for place in told["places"]) == told["counts"]["github_token"]
    assert {place["field"] for place in told["places"]} >= {
        "cwd",
        "content",
        "reasoning",
        "tool arguments",
        "source_meta",
    }


def test_check_of_clean_rows_is_0(run: Run, home: Path) -> None:
    session(Path("clean"))
    ran = run("redact", "--check", "clean")
    assert (ran.status, ran.out) == (0, "0 places found in 1 row\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sessions"], "give either -o"),
        (["sessions", "--check", "-o", "x.jsonl"], "give either -o"),
        (["nowhere", "--check"], "there is no nowhere"),
        (["sessions", "-o", "x.csv"], ".csv"),
    ],
)
def test_mistakes_of_the_user_are_one_message(run: Run, rollouts: Path, arguments: list[str], message: str) -> None:
    ran = run("redact", *arguments)
    assert ran.status == 2 and message in ran.err


def test_the_input_is_never_overwritten(run: Run, rollouts: Path) -> None:
    run("ingest", rollouts, "-o", "rows.parquet")
    before = Path("rows.parquet").read_bytes()
    ran = run("redact", "rows.parquet", "-o", "rows.parquet")
    assert ran.status == 2 and "rows.parquet is what is to be read" in ran.err
    assert Path("rows.parquet").read_bytes() == before
