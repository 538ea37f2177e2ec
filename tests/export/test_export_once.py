"""Over a whole export each message is learnt once, whatever copies of it lie about, and always by the same command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from rollmill.curate.splits import parse_splits
from rollmill.export.pipeline.counts import ExportSummary
from rollmill.export.pipeline.plan import ExportPlan
from rollmill.export.pipeline.run import export_training_set
from tests.export.logs import model, result, session, user

TRAIN = parse_splits("train")


def exported(folder: Path, **plan: Any) -> ExportSummary:
    settings = {"path": folder / "in", "format": "claude_code", "splits": TRAIN, "target": "openai", **plan}
    return export_training_set(ExportPlan(**settings), folder / "out")


def learnt(folder: Path) -> list[str]:
    """The texts of the messages that are learnt, over all splits."""
    texts = []
    for file in sorted((folder / "out").glob("t*.jsonl")):
        for line in file.read_text().splitlines():
            for message in json.loads(line)["messages"]:
                if message.get("weight"):
                    texts.append(message.get("content", "call"))
    return texts


def test_what_one_log_cuts_off_the_resumed_one_teaches(tmp_path: Path) -> None:
    killed = [user("fix it"), model(1, "I look", "c1"), result("c1"), model(2, "I run", "c2")]
    session(tmp_path / "in", 1, killed)
    session(tmp_path / "in", 2, [*killed, result("c2"), model(3, "Done")])
    summary = exported(tmp_path)
    assert sorted(learnt(tmp_path)) == ["Done", "I look", "I run"]
    assert dict(summary.model_messages) == {"learnt": 3, "copied": 1, "cut": 1, "masked": 0}


def test_what_a_failed_row_had_first_a_successful_one_teaches(tmp_path: Path) -> None:
    begun = [user("fix the parser of dates"), model(1, "I look", "c1"), result("c1"), model(2, "Paused")]
    session(tmp_path / "in", 1, begun)
    tested = [user("go on"), model(3, "I test", "c3", command="pytest -q"), result("c3", "5 passed in 0.1s")]
    session(tmp_path / "in", 2, [*begun, *tested, model(4, "All pass")])
    summary = exported(tmp_path, masks=("success-only",))
    assert learnt(tmp_path) == ["I look", "Paused", "I test", "All pass"]
    assert dict(summary.dropped) == {"nothing_to_learn": 1}
    ((why, count),) = summary.all_masked.items()
    assert "not successful" in why and count == 1


def test_a_message_cut_in_the_middle_is_the_same_message(tmp_path: Path) -> None:
    session(tmp_path / "in", 1, [user("fix it"), model(1, "I look at it")])
    whole = [user("fix it"), model(1, "I look at it"), model(1, "", "c1"), result("c1"), model(2, "Done")]
    session(tmp_path / "in", 2, whole)
    exported(tmp_path)
    assert learnt(tmp_path) == ["I look at it", "Done"]


def test_a_sample_may_end_with_a_call(tmp_path: Path) -> None:
    turns = [user("fix it"), model(1, "I look", "c1"), result("c1"), model(2, "I run", "c2"), result("c2")]
    session(tmp_path / "in", 1, turns)
    assert not exported(tmp_path).dropped
    assert learnt(tmp_path) == ["I look", "I run"]
    assert not exported(tmp_path, mode="per_turn").dropped
    assert learnt(tmp_path) == ["I look", "I run"]


def test_sessions_that_share_messages_share_a_split(tmp_path: Path) -> None:
    for number in range(20):
        begun = [user(f"please solve the puzzle of number {number}"), model(10 * number + 1, f"first {number}")]
        session(tmp_path / "in", 2 * number, begun, cwd=f"/home/u/a{number}")
        resumed = [*begun, user("and on it goes"), model(10 * number + 2, f"second {number}")]
        session(tmp_path / "in", 2 * number + 1, resumed, cwd=f"/srv/b{number}")
    exported(tmp_path, splits=parse_splits("train=0.5,test=0.5"))
    sides = {name: set[str]() for name in ("train", "test")}
    for name, found in sides.items():
        for line in (tmp_path / "out" / f"{name}.jsonl").read_text().splitlines():
            found.add(json.loads(line)["messages"][0]["content"])
    assert all(sides.values()) and sides["train"].isdisjoint(sides["test"])


def test_unrelated_sessions_with_alike_sub_agents_are_many_groups(tmp_path: Path) -> None:
    for number in range(20):
        session(tmp_path / "in", number, [user(f"please solve the puzzle of number {number}"), model(number, "ok")])
        name = f"{number:08d}-0000-4000-8000-000000000000"
        child = [user("Explore the repository"), model(100 + number, f"found {number}")]
        folder = tmp_path / "in" / name / "subagents"
        session(folder, number, child)
        text = (folder / f"{name}.jsonl").read_text().replace('"isSidechain": false', '"isSidechain": true')
        (folder / f"agent-a{number}.jsonl").write_text(text.replace(f'"uuid": "{number}-', f'"uuid": "s{number}-'))
        (folder / f"{name}.jsonl").unlink()
    summary = exported(tmp_path, splits=parse_splits("train=0.5,test=0.5"))
    assert summary.written == 40 and len(summary.groups) == 20
    assert len(summary.splits) == 2


def test_one_large_group_is_said(tmp_path: Path) -> None:
    for number in range(12):
        session(tmp_path / "in", number, [user("please write the same thing again"), model(number, f"text {number}")])
    summary = exported(tmp_path, splits=parse_splits("train=0.5,test=0.5"))
    assert len(summary.splits) == 1
    assert any("cannot be kept" in line for line in summary.lines())


def test_the_same_command_gives_the_same_files_in_every_process(tmp_path: Path) -> None:
    rows = []
    for number in range(60):
        turns: list[dict[str, str]] = []
        for turn in range(4):
            turns.append({"role": "user", "content": f"q{turn}"})
            text = f"a{turn}" if turn < 3 else f"a{number % 20}"
            turns.append({"role": "assistant", "content": text, "reasoning_content": f"thinking {turn}"})
        rows.append({"messages": turns})
    (tmp_path / "chat.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = set()
    for seed in ("1", "2", "3"):
        arguments = ["export", "chat.jsonl", "--format", "chat_completion_jsonl", "--mode", "per_user_turn", "--json"]
        ran = subprocess.run(
            [sys.executable, "-m", "rollmill", *arguments, "--split", "train", "-o", f"out{seed}"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        )
        counts = json.loads(ran.stdout)
        found.add((counts["splits"]["train"]["sha256"], json.dumps(counts["samples"], sort_keys=True)))
    ((_, counts),) = found
    # Of 60 rows 20 differ, and only in the last of four turns: 3 + 20 samples say something new.
    assert json.loads(counts) == {"made": 240, "written": 23, "dropped": {"duplicate": 217}}
