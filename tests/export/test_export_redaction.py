"""What leaves in a training set: what one row gives away is gone from all rows, and from all that is told of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from rollmill import read
from rollmill.curate.redaction import Redactor, mark
from rollmill.curate.splits import parse_splits
from rollmill.export.pipeline.counts import ExportSummary
from rollmill.export.pipeline.plan import ExportPlan
from rollmill.export.pipeline.run import export_training_set

PASSWORD = "Falcon#2291x"
TOKEN = "ghp_" + "Zk3RtY8wQp1LmN6vXc2BhJ5sDf9GaE4uTi7o"
GIVES_AWAY = f"the staging DB_PASSWORD={PASSWORD}, run the tests"


def exported(path: Path, **plan: Any) -> ExportSummary:
    return export_training_set(ExportPlan(path=path, **{"splits": parse_splits("train"), **plan}), Path("set"))


def written() -> str:
    return "".join(path.read_text() for path in Path("set").iterdir())


def samples() -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path("set/train.jsonl").read_text().splitlines()]


def chat(folder: Path, *said: str) -> Path:
    """Conversations of one turn, one after the other, in one file."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [[{"role": "user", "content": text}, {"role": "assistant", "content": f"I did {text}"}] for text in said]
    (folder / "chat.jsonl").write_text("".join(json.dumps({"messages": messages}) + "\n" for messages in rows))
    return folder


def claude(folder: Path, number: int, prompt: str, command: str) -> Path:
    """A session of one call."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{number:08d}-0000-4000-8000-000000000000.jsonl"
    call = {"type": "tool_use", "id": f"toolu_{number}", "name": "Bash", "input": {"command": command}}
    result = {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": "3 passed in 0.1s"}
    contents: list[tuple[str, dict[str, Any]]] = [
        ("user", {"role": "user", "content": prompt}),
        ("assistant", {"role": "assistant", "id": f"msg_{number}", "model": "m", "content": [call]}),
        ("user", {"role": "user", "content": [result]}),
        ("assistant", {"role": "assistant", "id": f"msg_{number}b", "model": "m", "content": f"done {number}"}),
    ]
    records = [
        {"type": kind, "message": message, "uuid": f"u{number}{n}", "parentUuid": f"u{number}{n - 1}" if n else None}
        | {"sessionId": path.stem, "cwd": "/srv/app", "version": "2.0.0", "isSidechain": False}
        | {"timestamp": f"2026-01-01T00:00:0{n}.000Z"}
        for n, (kind, message) in enumerate(contents)
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


def test_signals_say_no_known_secret(home: Path) -> None:
    exported(claude(Path("in"), 1, GIVES_AWAY, f"pytest -x {PASSWORD}"))
    assert "pytest -x <PASSWORD_1>" in samples()[0]["metadata"]["signals"]["last_test_command"]
    assert PASSWORD not in written()


def test_what_a_later_row_gives_away_is_gone_from_the_rows_before(home: Path) -> None:
    claude(Path("in"), 1, f"use {PASSWORD} on the host", f"pytest -k {PASSWORD}")
    summary = exported(claude(Path("in"), 2, GIVES_AWAY, f"tool -x {PASSWORD}"))
    assert PASSWORD not in written()
    assert written().count("<PASSWORD_1>") > 4 and "<PASSWORD_2>" not in written()
    counted = [sample["metadata"]["redaction"]["counts"]["password"] for sample in samples()]
    assert summary.secrets["password"] == sum(counted)


def test_copies_are_known_though_only_one_of_the_rows_was_redacted_at_first(home: Path) -> None:
    said = f"use {PASSWORD} on it"
    exported(chat(Path("in"), said, f"DB_PASSWORD={PASSWORD}", said))
    assert len(samples()) == 2 and PASSWORD not in written()


def test_what_is_told_of_the_plan_says_no_known_secret(home: Path) -> None:
    path = chat(Path(f"in/{PASSWORD}"), GIVES_AWAY)
    exported(path, where=f"source_path <> '{PASSWORD}'", license=f"of {PASSWORD}")
    assert samples() and PASSWORD not in written()


def test_problems_say_no_known_secret(home: Path) -> None:
    chat(Path("in"), GIVES_AWAY)
    (Path("in") / f"{PASSWORD}.jsonl").write_bytes(b"\xff\xfe not json\n")
    exported(Path("in"))
    assert samples() and PASSWORD not in written()


def test_given_prompts_and_tools_are_redacted(home: Path) -> None:
    Path("system.txt").write_text(f"You work in /Users/chloe/app with {PASSWORD} and {TOKEN}")
    tool = {"name": "Bash", "description": f"as chloe.novak@bluefjord.com with {PASSWORD}", "input_schema": {}}
    Path("tools.json").write_text(json.dumps([tool]))
    exported(chat(Path("in"), GIVES_AWAY), system=Path("system.txt"), tools=Path("tools.json"))
    assert "You work in /Users/<USER_1>/app with <PASSWORD_1> and <TOKEN_1>" in written()
    assert not any(each in written() for each in (PASSWORD, TOKEN, "chloe"))


def test_they_stay_as_given_when_redaction_was_refused(home: Path) -> None:
    Path("system.txt").write_text(f"Use {TOKEN}")
    exported(chat(Path("in"), "hello"), system=Path("system.txt"), redact=False)
    assert TOKEN in written()


def test_what_earlier_runs_replaced_is_counted(home: Path) -> None:
    [row] = read(chat(Path("in"), GIVES_AWAY), "auto")
    mark(row, Redactor().rollout(row)[1])
    Path("rows.jsonl").write_bytes(msgspec.json.encode(row.to_row()) + b"\n")
    summary = exported(Path("rows.jsonl"))
    assert samples()[0]["metadata"]["redaction"]["counts"] == {"password": 3} == dict(summary.secrets)
