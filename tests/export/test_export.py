"""A whole export: counts that add up, what is left out and why, and nothing half-written whatever happens."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import rollmill
from rollmill.curate.segments import from_model
from rollmill.curate.splits import parse_splits
from rollmill.errors import ConfigError, RollmillError
from rollmill.export.pipeline.counts import ExportSummary
from rollmill.export.pipeline.plan import ExportPlan
from rollmill.export.pipeline.run import export_training_set
from tests.command_line import Run, process, session

FORMATS = Path(__file__).parent.parent / "formats"
CLAUDE, CODEX, ATIF = FORMATS / "claude_code", FORMATS / "codex", FORMATS / "atif"
SECRET = "ghp_" + "R7kQ2mZx9LpVn4TbWc8YhJd3FsGa6Ue1Xo5K"


def exported(folder: Path, path: Path, **plan: Any) -> ExportSummary:
    return export_training_set(ExportPlan(path=path, **{"splits": parse_splits("train"), **plan}), folder)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def rows_in(path: Path) -> int:
    return len(lines(path)) if path.suffix == ".jsonl" else pq.read_metadata(path).num_rows


def adds_up(summary: ExportSummary) -> None:
    counts = summary.to_dict()
    rows, samples, messages = counts["rows"], counts["samples"], dict(counts["model_messages"])
    assert rows["read"] == rows["filtered"] + rows["without_model"] + rows["used"]
    assert samples["made"] == samples["written"] + sum(samples["dropped"].values())
    assert messages.pop("total") == sum(messages.values())
    assert sum(summary.masked.values()) == summary.model_messages["masked"]
    assert sum(summary.tools.values()) == sum(summary.systems.values()) == samples["written"]


@pytest.mark.parametrize("target", ["trl", "openai", "hub", "atif"])
@pytest.mark.parametrize("mode", ["trajectory", "per_turn", "per_user_turn"])
@pytest.mark.parametrize("name", ["claude_code", "codex", "atif"])
def test_every_rollout_is_accounted_for(tmp_path: Path, name: str, mode: Any, target: str) -> None:
    for situation in sorted((FORMATS / name).glob("[a-z]*/input")):
        out = tmp_path / situation.parent.name
        summary = exported(out, situation, target=target, mode=mode, format=name, branches="all")
        adds_up(summary)
        assert sum(rows_in(out / split.file) for split in summary.splits.values()) == summary.written
        assert len(lines(out / "dropped.jsonl")) == summary.dropped.total()
        model = sum(rollout_messages(situation, name))
        assert summary.model_messages.total() == model


def rollout_messages(path: Path, name: str) -> list[int]:
    return [sum(map(from_model, rollout.messages)) for rollout in rollmill.read(path, name, branches="all")]


def test_rows_and_rollouts_give_the_same(tmp_path: Path, run: Run) -> None:
    source = CLAUDE / "compaction" / "input"
    for rows in ("rows.parquet", "rows.jsonl"):
        assert run("ingest", source, "--format", "claude_code", "-o", rows).status == 0
        exported(tmp_path / rows.replace(".", "-"), Path(rows))
    exported(tmp_path / "plain", source, format="claude_code")
    texts = {(tmp_path / name / "train.jsonl").read_bytes() for name in ("rows-parquet", "rows-jsonl", "plain")}
    assert len(texts) == 1 and texts != {b""}


@pytest.mark.parametrize("file_type", ["jsonl", "parquet"])
def test_the_same_run_gives_the_same_bytes(tmp_path: Path, file_type: Any) -> None:
    runs = [exported(tmp_path / name, CODEX, format="codex", file_type=file_type) for name in "ab"]
    assert runs[0].splits["train"].sha256 == runs[1].splits["train"].sha256
    assert runs[0].written > 10


def test_a_secret_leaves_nowhere(tmp_path: Path) -> None:
    source = session(tmp_path / "in" / "bob", text=f"token {SECRET} of bob@corp.io in /Users/bobby/x", call_id="c1")
    for target in ("trl", "openai", "hub", "atif", "sharegpt", "verl"):
        out = tmp_path / target
        summary = exported(out, source, target=target, where="model_turns > 0")
        assert summary.written + summary.dropped.total() == 1
        for file in out.iterdir():
            data = file.read_bytes()
            assert SECRET.encode() not in data and b"bob@corp" not in data and b"bobby" not in data, file
            assert file.stat().st_mode & 0o077 == 0
        assert out.stat().st_mode & 0o077 == 0


def test_no_redact_leaves_everything(tmp_path: Path) -> None:
    source = session(tmp_path / "in", text=f"token {SECRET}")
    summary = exported(tmp_path / "out", source, redact=False)
    assert SECRET in (tmp_path / "out" / "train.jsonl").read_text()
    assert not summary.secrets and "**none**" in (tmp_path / "out" / "README.md").read_text()


def test_copies_of_a_session_are_learnt_once(tmp_path: Path) -> None:
    for name in ("a", "b"):
        shutil.copytree(CLAUDE / "rewind" / "input", tmp_path / "in" / name)
    alone = exported(tmp_path / "one", tmp_path / "in" / "a", format="claude_code")
    both = exported(tmp_path / "two", tmp_path / "in", format="claude_code")
    assert both.model_messages["learnt"] == alone.model_messages["learnt"] == both.model_messages["copied"] > 0
    assert (tmp_path / "one" / "train.jsonl").read_text().count("\n") == both.written


def test_an_abandoned_branch_does_not_learn_its_shared_beginning_again(tmp_path: Path) -> None:
    source = CLAUDE / "rewind_all" / "input"
    live = exported(tmp_path / "live", source, format="claude_code")
    every = exported(tmp_path / "all", source, format="claude_code", branches="all")
    assert every.model_messages["learnt"] > live.model_messages["learnt"]
    ids = [row["metadata"]["sample_id"] for row in lines(tmp_path / "all" / "train.jsonl")]
    assert any("#b1" in name for name in ids) and len(set(ids)) == len(ids)


def test_exact_duplicates_are_dropped(tmp_path: Path) -> None:
    row = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}
    (tmp_path / "chat.jsonl").write_text(json.dumps(row) + "\n" + json.dumps(row) + "\n")
    summary = exported(tmp_path / "out", tmp_path / "chat.jsonl", format="chat_completion_jsonl")
    assert (summary.written, dict(summary.dropped)) == (1, {"duplicate": 1})
    (dropped,) = lines(tmp_path / "out" / "dropped.jsonl")
    assert (dropped["reason"], dropped["model_messages"]) == ("duplicate", 1)
    adds_up(summary)


def test_what_belongs_together_is_on_one_side(tmp_path: Path) -> None:
    splits = parse_splits("train=0.5,test=0.5")
    summary = exported(tmp_path / "out", CLAUDE, format="claude_code", splits=splits)
    sides: dict[tuple[str, str], set[str]] = {}
    for split in summary.splits.values():
        for row in lines(tmp_path / "out" / split.file):
            meta = row["metadata"]
            for kind, value in (("task", meta["task_id"]), ("session", meta["source"].get("root_session_id"))):
                if value:
                    sides.setdefault((kind, value), set()).add(split.name)
    assert {len(names) for names in sides.values()} == {1}
    assert len(summary.splits) == 2


def test_where_sees_columns_and_signals(tmp_path: Path) -> None:
    everything = exported(tmp_path / "all", CLAUDE, format="claude_code")
    some = exported(tmp_path / "some", CLAUDE, format="claude_code", where="tool_call_count > 2 and human_turns >= 1")
    adds_up(some)
    assert 0 < some.rows_filtered < everything.rows
    assert some.model_messages["filtered"] > 0
    for row in lines(tmp_path / "some" / "train.jsonl"):
        assert row["metadata"]["signals"]["human_turns"] >= 1
    with pytest.raises(ConfigError, match="no_such"):
        exported(tmp_path / "none", CLAUDE, format="claude_code", where="no_such > 1")


def test_too_long_and_required(tmp_path: Path) -> None:
    source = CLAUDE / "compaction" / "input"
    short = exported(tmp_path / "short", source, format="claude_code", max_tokens=1)
    assert dict(short.dropped) == {"too_long": short.samples} and short.written == 0
    assert not (tmp_path / "short" / "train.jsonl").exists()
    bare = exported(tmp_path / "bare", source, format="claude_code", require=("known-tools", "system"))
    assert dict(bare.dropped) == {"without_known-tools": bare.samples}
    prompt = tmp_path / "system.txt"
    prompt.write_text("Be careful.")
    given = exported(tmp_path / "given", source, format="claude_code", require=("system",), system=prompt)
    assert given.dropped.total() == 0
    assert all(row["messages"][0]["content"] == "Be careful." for row in lines(tmp_path / "given" / "train.jsonl"))


def test_an_older_export_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    source = CLAUDE / "compaction" / "input"
    out = tmp_path / "out"
    exported(out, source, format="claude_code")
    (out / "train.jsonl").write_text("old")
    exported(out, source, format="claude_code")
    assert (out / "train.jsonl").read_text() != "old"
    other = tmp_path / "photos"
    other.mkdir()
    (other / "me.png").write_text("x")
    with pytest.raises(ConfigError, match="photos is there already"):
        exported(other, source, format="claude_code")
    assert [path.name for path in other.iterdir()] == ["me.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "photos"]


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000));"
        f"from rollmill.cli import main; main(['export', {str(CLAUDE)!r}, '--format', 'claude_code', '-o', 'out'])"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 2 and "out cannot be written" in ran.stderr and "Traceback" not in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fails_in_between_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rollmill.export.pipeline.outputs._sync", broken)
    with pytest.raises(RollmillError, match="No space left"):
        exported(tmp_path / "out", CLAUDE / "compaction" / "input", format="claude_code")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="cannot be written"):
        exported(tmp_path / "file" / "out", CLAUDE / "compaction" / "input", format="claude_code")


@pytest.fixture
def many(home: Path) -> Path:
    """Much to read that takes no room: one file under many names."""
    first = session(home / "many", "0.jsonl", text="x" * 200_000)
    for number in range(1, 2000):
        os.link(first, first.with_name(f"{number}.jsonl"))
    return home / "many"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_run_leaves_nothing_under_the_final_name(many: Path, how: signal.Signals) -> None:
    running = process("export", many, "--format", "claude_code", "-o", "out")
    deadline = time.monotonic() + 60
    while not list(Path().glob(".out.writing-*/.spool")) and time.monotonic() < deadline:
        time.sleep(0.02)
    running.send_signal(how)
    out, err = running.communicate(timeout=60)
    assert running.returncode in (130, 143, -signal.SIGKILL) and out == "" and "Traceback" not in err
    assert not Path("out").exists()
    left = [path.name for path in Path().iterdir()]
    assert len(left) == (how == signal.SIGKILL)
    # The next run finishes, and removes what the killed one left.
    shutil.copytree(CLAUDE / "compaction" / "input", "small")
    assert process("export", "small", "--format", "claude_code", "-o", "out").wait(60) == 0
    assert sorted(path.name for path in Path().iterdir()) == ["out", "small"]


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    exported(tmp_path / "link", CLAUDE / "compaction" / "input", format="claude_code")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real" / "train.jsonl").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]


def test_an_older_export_comes_back_when_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = CLAUDE / "compaction" / "input"
    exported(tmp_path / "out", source, format="claude_code")
    before = (tmp_path / "out" / "manifest.json").read_bytes()
    rename = os.replace

    def broken(this: Path, that: Path) -> None:
        if ".writing-" in Path(this).name and Path(that).name == "out":
            raise OSError(5, "Input/output error")
        rename(this, that)

    monkeypatch.setattr("rollmill.export.pipeline.outputs.os.replace", broken)
    with pytest.raises(RollmillError, match="Input/output error"):
        exported(tmp_path / "out", source, format="claude_code", mode="per_turn")
    assert (tmp_path / "out" / "manifest.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_card_s_command_makes_the_same_again(tmp_path: Path, run: Run) -> None:
    shutil.copytree(CODEX / "compacted" / "input", "in")
    options = ["--split", "a=0.3333333,b=0.3333333,c=0.3333334", "--mode", "per_turn", "--require", "tools"]
    assert run("export", "in", "--format", "codex", *options, "-o", "first").status == 0
    (command,) = re.findall(r"^rollmill (export .*)$", Path("first/README.md").read_text(), re.MULTILINE)
    assert run(*shlex.split(command.replace("-o first", "-o second"))).status == 0
    files = [json.loads(Path(name, "manifest.json").read_text())["splits"] for name in ("first", "second")]
    assert files[0] == files[1] != {}


def test_the_command_line(run: Run) -> None:
    ran = run("export", CLAUDE / "compaction" / "input", "--format", "claude_code")
    assert ran.status == 0 and "written to training-set-trl/" in ran.out and ran.err == ""
    assert sorted(path.name for path in Path("training-set-trl").iterdir()) == [
        "README.md",
        "dropped.jsonl",
        "manifest.json",
        "train.jsonl",
    ]
    counts = json.loads(run("export", CODEX, "--format", "codex", "--json", "-o", "b").out)
    assert counts["samples"]["written"] == sum(rows_in(path) for path in Path("b").glob("[tv]*.jsonl"))


def test_explain_shows_each_weight_and_writes_nothing(run: Run) -> None:
    source = CODEX / "compacted" / "input"
    name = next(rollmill.read(source, "codex")).trace_id
    ran = run("export", source, "--format", "codex", "--explain", name[:8])
    assert ran.status == 0 and "(start)" in ran.out and "(compaction)" in ran.out
    assert list(Path().iterdir()) == []
    assert run("export", CLAUDE / "compaction" / "input", "--explain", "nothing-like-it").status == 2
    for options, words in (
        (["--max-tokens", "1"], "not written: too_long"),
        (["--mask", "success-only"], "not written: nothing_to_learn, not successful"),
        (["--where", "model_turns > 99"], "--where does not hold"),
        (["--require", "known-tools"], "--require known-tools is not met"),
    ):
        assert words in run("export", source, "--format", "codex", "--explain", name, *options).out
    assert run("export", source, "--format", "codex", "--explain", name, "--where", "nope = 1").status == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--to", "axolotl"], "no target is called 'axolotl'"),
        (["--mask", "mask-error"], "Did you mean mask-errors"),
        (["--mask", "mask-errors"], "--tokenizer"),
        (["--split", "train=0.5"], "add up to 1"),
        (["--where", "nope = 1"], "nope"),
        (["--to", "verl", "--mask", "mask-errors"], "verl"),
        (["--to", "hub", "--file-type", "jsonl"], "parquet"),
        (["nowhere"], "there is no nowhere"),
        (["--tools", "nowhere.json"], "nowhere.json"),
        (["--mask", ""], "--mask needs a name"),
        (["--max-tokens", "1", "-o", "../out"], "no sample is left"),
        (["-o", "."], "is there already"),
        (["-o", "/"], "lies inside /"),
        (["-o", CLAUDE / "compaction" / "input" / "out"], "lies inside"),
    ],
)
def test_what_the_user_can_mend(run: Run, arguments: list[str], words: str) -> None:
    path = [] if arguments == ["nowhere"] else [CLAUDE / "compaction" / "input"]
    (Path() / "mine").write_text("x")
    ran = run("export", *path, *arguments)
    assert ran.status == 2 and words in ran.err and "Traceback" not in ran.err
    assert [path.name for path in Path().iterdir()] == ["mine"]


ROW = (
    '{"trace_id": "t", "source_kind": "x", "source_path": "f", "is_sidechain": false, "messages": [], '
    '"source_meta": {"parser": "x/1"}}\n'
)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a.jsonl": ROW, "b.jsonl": "{torn\n"}, "has files of rows (a.jsonl) and others (b.jsonl)"),
        ({"a.jsonl": ROW + "5\n"}, "line 2 is no row"),
        ({"a.jsonl": ROW + "{torn\n"}, "line 2 is no JSON"),
        ({"a.parquet": "PAR1 and no more"}, "cannot be read as Parquet"),
        ({"a.jsonl": ROW, "b.jsonl": None}, "and others (b.jsonl)"),
    ],
)
def test_rows_that_are_not_whole(run: Run, files: dict[str, str | None], words: str) -> None:
    for name, text in files.items():
        path = Path("rows") / name
        path.parent.mkdir(exist_ok=True)
        path.mkdir() if text is None else path.write_text(text)
    ran = run("export", "rows", "-o", "out")
    assert ran.status == 2 and words in ran.err and "Traceback" not in ran.err
    assert not Path("out").exists()


@pytest.mark.parametrize("name", ["claude_code", "codex", "atif"])
@pytest.mark.parametrize("target", ["trl", "openai", "verl", "sharegpt", "atif", "hub"])
def test_datasets_reads_the_folder_as_it_is(tmp_path: Path, target: str, name: str) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    out = tmp_path / "out"
    splits = parse_splits("train=0.6,test=0.4")
    summary = exported(out, FORMATS / name, target=target, format=name, splits=splits, media="placeholder")
    loaded = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert {split: data.num_rows for split, data in loaded.items()} == {
        name: split.samples for name, split in summary.splits.items()
    }
    assert summary.written > 5
