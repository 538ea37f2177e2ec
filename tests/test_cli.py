"""The command line as its users meet it: what it prints where, its exit status, and what it leaves on the disk.

A real process runs where a process matters (signals, pipes, terminals, what is imported); else ``main`` runs here.
"""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rollmill.cli import main
from rollmill.cli.printing import size_text
from tests.command_line import Ran, Run, process, session
from tests.test_transcript import HOSTILE, acts

FORMATS = Path(__file__).parent / "formats"
CLAUDE = FORMATS / "claude_code"
CODEX = FORMATS / "codex"
REWIND = CLAUDE / "rewind" / "input"
SUBAGENTS = CLAUDE / "subagents_new_layout" / "input"
SESSION = "4b2030ed-5563-49ea-b703-6a002f2d3cc8"
MAIN_FILE = SUBAGENTS / "claude-code-projects" / f"{SESSION}.jsonl"


@pytest.fixture
def agents(home: Path) -> Path:
    """A home in which Claude Code and Codex have left rollouts."""
    shutil.copytree(SUBAGENTS / "claude-code-projects", home / ".claude" / "projects" / "p")
    shutil.copytree(CODEX / "subagent" / "input" / "sessions", home / ".codex" / "sessions")
    return home


def rows_of(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return found


# Help and usage


def test_help_and_version(run: Run) -> None:
    assert run("--help").out.startswith("Usage: rollmill ")
    assert run("--version").out.startswith("rollmill 0.")


@pytest.mark.parametrize("command", ["scan", "ingest", "show", "formats"])
def test_every_command_is_listed_and_has_an_example(run: Run, command: str) -> None:
    assert f"\n  {command} " in run("--help").out
    ran = run(command, "--help")
    assert (ran.status, ran.err) == (0, "")
    assert f"  rollmill {command}" in ran.out.partition("Example")[2]


def test_help_imports_nothing_but_click(home: Path) -> None:
    script = "import sys, rollmill.cli\ntry: rollmill.cli.main(['--help'])\nexcept SystemExit: print(*sys.modules)"
    modules = set(subprocess.check_output([sys.executable, "-c", script], text=True).split())
    assert "click" in modules
    assert not modules & {"pydantic", "msgspec", "pyarrow", "duckdb", "rich", "zstandard", "rollmill.formats"}


def test_no_command_at_all_is_the_help_on_stderr(run: Run) -> None:
    ran = run()
    assert (ran.status, ran.out) == (2, "") and "Commands:" in ran.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ingst"], "No such command 'ingst'"),
        (["scan", "--jsn"], "No such option"),
        (["ingest", "--format", "cloud_code"], "no rollout format is called 'cloud_code'"),
        (["ingest", "--limit", "0"], "--limit"),
        (["ingest", "--partition-index", "0"], "give both"),
        (["ingest", "--partition-index", "2", "--num-partitions", "2"], "counted from 0 to 1"),
        (["ingest", "--seed", "1"], "--shuffle"),
        (["show"], "Missing argument"),
        (["show", "missing.jsonl"], "there is no file 'missing.jsonl'"),
        (["show", "a\x1b[2Jb.jsonl"], "a\\x1b[2Jb.jsonl"),
    ],
)
def test_usage_errors(run: Run, arguments: list[str], words: str) -> None:
    ran = run(*arguments)
    assert (ran.status, ran.out) == (2, "")
    assert words in ran.err and "Traceback" not in ran.err and "\x1b" not in ran.err


def test_a_bug_keeps_its_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("rollmill.reading.default_folders", broken)
    with pytest.raises(ZeroDivisionError):
        main(["scan"])


def test_completion_knows_commands_and_formats(home: Path) -> None:
    def complete(words: str, number: int) -> str:
        asked = {"_ROLLMILL_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(number)}
        return process(env={**os.environ, **asked}).communicate()[0]

    assert complete("rollmill in", 1) == "plain,ingest\n"
    assert complete("rollmill ingest --format cl", 3) == "plain,claude_code\n"


# formats and scan


def test_formats(run: Run, home: Path) -> None:
    listed = {entry["format"]: entry for entry in json.loads(run("formats", "--json").out)}
    assert listed["claude_code"]["folder"] == str(home / ".claude" / "projects")
    assert listed["codex"]["file_pattern"] == "*.json*"
    table = run("formats").out
    assert all(name in table for name in listed)


def test_scan_counts_files_and_opens_none(run: Run, agents: Path) -> None:
    first, last = sorted((agents / ".codex").rglob("*.jsonl"))[:2]
    (agents / ".claude" / "projects" / "history.jsonl").write_text("{}")
    for path in agents.rglob("*.jsonl"):
        os.utime(path, (1_767_225_600, 1_767_225_600))
    os.utime(first, (1_700_000_000, 1_700_000_000))
    last.chmod(0)
    found = {entry["format"]: entry for entry in json.loads(run("scan", "--json").out)}
    claude = sum(path.stat().st_size for path in (agents / ".claude" / "projects" / "p").rglob("*.jsonl"))
    assert (found["claude_code"]["files"], found["claude_code"]["bytes"]) == (2, claude)
    assert found["codex"]["files"] == 3
    assert found["codex"]["first"] == "2023-11-14T22:13:20Z" and found["codex"]["last"] == "2026-01-01T00:00:00Z"
    assert "2023-11-14  2026-01-01" in run("scan").out


def test_scan_of_an_empty_home_says_what_is_not_there(run: Run, home: Path) -> None:
    (home / ".claude" / "projects").mkdir(parents=True)
    ran = run("scan")
    lines = {line.split()[0]: line for line in ran.out.splitlines()}
    assert ran.status == 0
    assert lines["claude_code"].split()[2:4] == ["0", "0"] and "not there" in lines["codex"]


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (99_499, "99.5 kB"),
        (123_456, "123 kB"),
        (999_600, "1.0 MB"),
        (2**62, "4611686 TB"),
    ],
)
def test_sizes_are_short(size: int, text: str) -> None:
    assert size_text(size) == text


# ingest


@pytest.mark.parametrize("output", ["rows.parquet", "rows.jsonl", "rows/"])
def test_ingest_writes_every_kind_of_output(run: Run, output: str) -> None:
    ran = run("ingest", SUBAGENTS, "--format", "claude_code", "-o", output)
    assert (ran.status, ran.err) == (0, "")
    path = {"rows/": "rows/part-00000.parquet"}.get(output, output)
    found = duckdb.sql(f"SELECT trace_id FROM '{path}' ORDER BY 1").fetchall()
    assert found == [(SESSION,), (f"{SESSION}:a2018e5",)]
    assert f"2 rows written to {path}" in ran.out


def test_ingest_tells_the_format_and_names_the_default_output(run: Run) -> None:
    ran = run("ingest", SUBAGENTS)
    assert ran.status == 0 and "written to rollouts.parquet" in ran.out
    again = run("ingest", SUBAGENTS)
    assert again.status == 2 and "rollouts.parquet is there already" in again.err


def test_ingest_without_a_path_reads_every_default_folder(run: Run, agents: Path) -> None:
    assert run("ingest", "-o", "rows.parquet").status == 0
    assert {row["source_kind"] for row in rows_of(Path("rows.parquet"))} == {"claude_code", "codex"}
    assert run("ingest", "--format", "codex", "-o", "rows.parquet").status == 0
    assert {row["source_kind"] for row in rows_of(Path("rows.parquet"))} == {"codex"}


def test_an_empty_default_folder_does_not_hide_the_others(run: Run, agents: Path) -> None:
    shutil.rmtree(agents / ".claude" / "projects" / "p")
    assert run("ingest", "-o", "rows.parquet").status == 0
    assert {row["source_kind"] for row in rows_of(Path("rows.parquet"))} == {"codex"}


def test_the_json_summary_adds_up(run: Run) -> None:
    shutil.copytree(CLAUDE / "_bad" / "binary" / "input", "mixed")
    shutil.copytree(SUBAGENTS, "mixed", dirs_exist_ok=True)
    summary = json.loads(run("ingest", "mixed", "--format", "claude_code", "-o", "rows.parquet", "--json").out)
    problems = summary["problems"]
    assert len(problems) == 1 and summary["rows"] == 2 == len(rows_of(Path("rows.parquet")))
    assert summary["files_seen"] == summary["files_read"] + sum(summary["skipped"].values()) + len(problems)


def test_quiet_prints_problems_and_nothing_else(run: Run) -> None:
    assert run("ingest", SUBAGENTS, "--quiet", "-o", "rows.parquet") == Ran(0, "", "")
    shutil.copytree(CLAUDE / "_bad" / "binary" / "input", "bad")
    session(Path("bad"))
    ran = run("ingest", "bad", "--format", "claude_code", "--quiet", "-o", "rows.parquet")
    assert (ran.status, ran.out) == (0, "") and ran.err.startswith("problem: ")


@pytest.mark.usefixtures("by_workers")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_condition_that_fails_on_a_row_is_one_message(run: Run, workers: str) -> None:
    where = "cast(trace_id as int) > 1"
    ran = run("ingest", SUBAGENTS, "--where", where, "--workers", workers, "-o", "rows.parquet")
    assert ran.status == 2 and f"the where condition {where!r} does not work" in ran.err
    assert "Traceback" not in ran.err and "__number" not in ran.err and list(Path().iterdir()) == []


def test_on_error_raise_stops_at_the_bad_file(run: Run) -> None:
    source = CLAUDE / "_bad" / "binary" / "input"
    ran = run("ingest", source, "--format", "claude_code", "--on-error", "raise", "-o", "rows.parquet")
    assert ran.status == 2 and "cannot be read" in ran.err and not list(Path().iterdir())


@pytest.mark.usefixtures("by_workers")
def test_selection_options(run: Run) -> None:
    def traces(*options: str) -> list[str]:
        assert run("ingest", CODEX / "subagent" / "input", "--format", "codex", "-o", "r.parquet", *options).status == 0
        return [row["trace_id"] for row in rows_of(Path("r.parquet"))]

    everything = traces()
    assert len(everything) == 3
    assert traces("--limit", "1") == everything[:1]
    assert traces("--where", "agent_id IS NULL") == everything[:1]
    parts = [traces("--partition-index", str(index), "--num-partitions", "2") for index in (0, 1)]
    assert [*parts[0], *parts[1]] == everything
    assert traces("--shuffle", "--seed", "3") == traces("--shuffle", "--seed", "3")
    assert sorted(traces("--shuffle", "--seed", "3")) == sorted(everything)
    assert traces("--pattern", "*2f839b3*") == [trace for trace in everything if "2f839b3" in trace]
    assert traces("--workers", "2") == everything


def test_branches_and_recursion_reach_the_source(run: Run) -> None:
    source = CLAUDE / "rewind_all" / "input"
    assert run("ingest", source, "--branches", "all", "-o", "rows.parquet").status == 0
    assert any("#b1" in row["trace_id"] for row in rows_of(Path("rows.parquet")))
    ran = run("ingest", source, "--no-recursive", "--format", "claude_code", "-o", "other.parquet")
    assert ran.status == 2 and not Path("other.parquet").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ingest", "missing"], "does not exist"),
        (["ingest", "missing", "--format", "codex"], "does not exist"),
        (["ingest", "empty"], "looked at its 0 JSON files"),
        (["ingest", "empty", "--format", "codex"], "no codex rollout below"),
        (["ingest", CODEX / "subagent" / "input", "--format", "claude_code", "--pattern", "x/y"], "file_pattern"),
        (["ingest"], "looked at"),
        (["ingest", "--format", "codex"], "CODEX_HOME"),
        (["ingest", SUBAGENTS, "--where", "tool_cal_count > 1"], "tool_call_count"),
        (["ingest", SUBAGENTS, "--where", "1; DROP TABLE rows"], "where"),
        (["ingest", SUBAGENTS, "-o", "file.txt/rows.parquet"], "cannot be written"),
        (["ingest", SUBAGENTS, "-o", "rows.csv"], ".csv"),
        (["ingest", SUBAGENTS, "-o", "/dev/full"], "/dev/full is there and is no folder"),
        (["ingest", SUBAGENTS, "-o", "a" * 300 + ".parquet"], "File name too long"),
        (["ingest", SUBAGENTS, "-o", "a" * 300], "File name too long"),
        (["ingest", SUBAGENTS, "--partition-index", "0", "--num-partitions", "99"], "partitions"),
        (["ingest", "session.jsonl", "-o", "session.jsonl"], "what is to be read"),
        (["show", "nobody"], "looked at"),
        (["show", "empty"], "folder"),
        (["show", "file.txt"], "fits no known format"),
        (["show", "broken.parquet"], "cannot be read"),
        (["show", "other.parquet"], "lacks the columns"),
        (["show", "nobody", "--path", "missing"], "missing"),
        (["show", MAIN_FILE, "--html", "missing/page.html"], "cannot be written"),
        (["show", MAIN_FILE, "--trace", "other"], "has no rollout whose trace_id is or contains 'other'"),
    ],
)
def test_what_the_user_can_mend_is_one_message(run: Run, arguments: list[str], words: str) -> None:
    Path("empty").mkdir()
    Path("file.txt").write_text("text")
    Path("broken.parquet").write_text("text")
    pq.write_table(pa.table({"a": [1]}), "other.parquet")
    session(Path(), "session.jsonl")
    before = sorted(Path().rglob("*"))
    ran = run(*arguments)
    assert (ran.status, ran.out) == (2, ""), ran
    assert words in ran.err and "Traceback" not in ran.err
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("delay", [0.0, 0.4])
def test_ctrl_c_leaves_nothing_behind(home: Path, many: Path, workers: str, delay: float) -> None:
    arguments = ["ingest", many, "--format", "claude_code", "-o", "out/rows.parquet", "--workers", workers]
    running = process(*arguments, start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(Path("out").glob(".*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(delay)
    # As a terminal does it: to every process of the group.
    os.killpg(running.pid, signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out, err) == (130, "", "Stopped by Ctrl-C.\n")
    assert list(Path("out").rglob("*")) == []


@pytest.mark.parametrize("pause", [0.02, 0.2])
def test_ctrl_c_pressed_again_and_again_changes_nothing(home: Path, many: Path, pause: float) -> None:
    arguments = ["ingest", many, "--format", "claude_code", "-o", "out/rows.parquet", "--workers", "2"]
    running = process(*arguments, start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(Path("out").glob(".*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    for _ in range(4):
        time.sleep(pause)
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode in (130, -signal.SIGINT) and "Traceback" not in err
    assert list(Path("out").rglob("*")) == []


@pytest.fixture
def many(home: Path) -> Path:
    """A gigabyte of rollouts that takes no room: one file under many names."""
    text = "".join(session(home, text="x" * 20_000).read_text() for _ in range(10))
    folder = home / "many"
    folder.mkdir()
    (folder / "0.jsonl").write_text(text)
    for number in range(1, 1000):
        os.link(folder / "0.jsonl", folder / f"{number}.jsonl")
    return folder


def test_progress_is_drawn_in_a_terminal(home: Path) -> None:
    status, shown, out = _in_a_terminal("ingest", SUBAGENTS, "-o", "rows.parquet", which="stderr")
    assert status == 0 and "2/2 files" in shown and "2 rows" in shown and "MB/s" in shown
    assert "2 rows written to rows.parquet" in out


def _in_a_terminal(*arguments: str | Path, which: str) -> tuple[int, str, str]:
    """``(status, what the terminal got, the other stream)`` with one stream of the process being a terminal."""
    ours, theirs = pty.openpty()
    other = "stdout" if which == "stderr" else "stderr"
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    env.pop("NO_COLOR", None)
    with process(*arguments, env=env, **{which: theirs}) as running:
        os.close(theirs)
        got = b""
        try:
            while part := os.read(ours, 65536):
                got += part
        except OSError:
            pass  # The other end is closed: that is how a terminal ends.
        rest = getattr(running, other).read()
    os.close(ours)
    return running.returncode, got.decode(), rest


# show


def test_show_a_rollout_file(run: Run) -> None:
    ran = run("show", MAIN_FILE)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith(f"{SESSION}\n")
    assert "→ Task [" in ran.out and "records           12 = " in ran.out


@pytest.mark.parametrize("output", ["rows.parquet", "rows.jsonl", "rows"])
def test_rows_are_shown_like_the_file_they_came_from(run: Run, output: str) -> None:
    assert run("ingest", SUBAGENTS, "-o", output).status == 0
    assert run("show", output, "--trace", SESSION).out == run("show", MAIN_FILE).out
    assert run("show", output, "--trace", "a2018e5").out.startswith(f"{SESSION}:a2018e5\n")
    assert run("show", "a2018e5", "--path", output).out.startswith(f"{SESSION}:a2018e5\n")


def test_a_log_is_found_beside_other_files(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    session(folder)
    (folder / "stats.parquet").write_bytes(b"PAR1")
    assert run("show", "11111111", "--path", folder).out.startswith("11111111-0000-4000-8000-000000000000\n")


@pytest.mark.parametrize("situation", ["codex/call_types", "claude_code/images", "claude_code/compaction"])
def test_rows_come_back_whole_from_both_kinds_of_file(run: Run, situation: str) -> None:
    source = FORMATS / situation / "input"
    shown = []
    for output in ("rows.parquet", "rows.jsonl"):
        assert run("ingest", source, "-o", output).status == 0
        trace = rows_of(Path("rows.parquet"))[0]["trace_id"]
        shown.append(run("show", output, "--trace", trace, "--full").out)
    assert shown[0] == shown[1] and trace in shown[0]


def test_show_finds_a_trace_by_file_names(run: Run, agents: Path) -> None:
    by_id = run("show", SESSION)
    assert by_id.out.startswith(f"{SESSION}\n") and f"{SESSION}:a2018e5" in by_id.err
    assert run("show", SESSION[:8]).out == by_id.out
    assert run("show", f"{SESSION}:a2018e5").out.startswith(f"{SESSION}:a2018e5\n")
    assert run("show", "019fbcca").out.startswith("019fbcca-9fd4-7d20-83dc-0762b2f839b3\n")


def test_show_looks_into_files_only_when_no_name_helps(run: Run, home: Path) -> None:
    path = session(home / "logs" / "s", "22222222-0000-4000-8000-000000000000.jsonl")
    path.rename(home / "logs" / "s" / "renamed.jsonl")
    session(home / "logs" / "s", "33333333-0000-4000-8000-000000000000.jsonl")
    ran = run("show", "22222222-0000-4000-8000-000000000000", "--path", home / "logs")
    assert ran.out.startswith("22222222-0000-4000-8000-000000000000\n")
    assert "no file name leads to 22222222" in ran.err
    assert "no file name" not in run("show", "33333333", "--path", home / "logs").err


def test_show_finds_an_abandoned_branch(run: Run) -> None:
    source = CLAUDE / "rewind_all" / "input"
    trace = "2969822b-3c7d-47bd-8814-4bc86f67056a#b1"
    ran = run("show", trace, "--path", source)
    assert ran.out.startswith(f"{trace}\n") and "an abandoned branch" in ran.out


def test_several_matches_are_listed(run: Run) -> None:
    copies = CLAUDE / "copies_in_two_projects" / "input"
    ran = run("show", "2969822b", "--path", copies)
    assert (ran.status, ran.out) == (2, "")
    assert "2 rollouts" in ran.err and ran.err.count("2969822b-3c7d-47bd-8814-4bc86f67056a.jsonl") == 2
    assert run("ingest", CODEX / "fork_with_id" / "input", "-o", "rows.parquet").status == 0
    assert "name one with --trace" in run("show", "rows.parquet").err


def test_show_writes_a_page(run: Run) -> None:
    ran = run("show", MAIN_FILE, "--html", "page.html")
    assert ran == Ran(0, f"{SESSION} is in page.html\n", "")
    assert Path("page.html").read_text().startswith("<!doctype html>")
    assert run("show", MAIN_FILE, "--html", MAIN_FILE.name).status == 2


def test_a_page_has_no_secrets_unless_asked_for(run: Run) -> None:
    secret = "ghp_" + "R7kQ2mZx9LpVn4TbWc8YhJd3FsGa6Ue1Xo5K"
    source = session(Path("in"), text=f"the token {secret}", call_id="toolu_1")
    assert run("show", source, "--html", "page.html").status == 0
    assert secret not in Path("page.html").read_text()
    assert run("show", source, "--html", "page.html", "--no-redact").status == 0
    assert secret in Path("page.html").read_text()
    assert secret in run("show", source).out


def test_hostile_text_reaches_no_terminal(run: Run) -> None:
    text = HOSTILE.replace("\ud800", "")
    folder = Path("p\x1b[2J\u202eq")
    path = session(folder, text=text)
    (folder / "bad\x1b]0;x\x07\n.jsonl").write_bytes(b"\x00\xff" * 100)
    shown = [run("show", path), run("show", path, "--full"), run("show", path, "--html", "page.html")]
    shown += [
        run("ingest", folder, "--format", "claude_code", "-o", "rows.parquet"),
        run("show", "11111111", "--path", folder),
    ]
    shown += [run("show", "rows.parquet"), run("show", "rows.parquet", "--trace", "nobody\x1b[2J")]
    shown += [run("ingest", folder, "--format", "claude_code", "--on-error", "raise", "-o", "x.parquet")]
    shown += [run("ingest", folder, "--format", "claude_code", "--json", "-o", "y.parquet")]
    printed = [ran.out + ran.err for ran in shown] + [Path("page.html").read_text()]
    assert [text for text in printed if any(map(acts, text))] == []
    assert "\\x1b[2J" in printed[0] and "\\u202e" in printed[0]


def test_a_terminal_gets_colours_of_ours_and_nothing_else(home: Path) -> None:
    import re

    path = session(home, text=HOSTILE.replace("\ud800", ""))
    status, shown, _ = _in_a_terminal("show", path, which="stdout")
    plain = re.sub("\x1b\\[[0-9;]*m", "", shown).replace("\r\n", "\n")
    assert status == 0 and plain != shown
    assert not any(map(acts, plain)) and "\\x1b[2J" in plain


def test_a_reader_that_goes_away_is_no_error(home: Path) -> None:
    path = session(home, text="long text\n" * 50_000)
    with process("show", path, "--full") as running:
        assert running.stdout and running.stderr
        running.stdout.readline()
        running.stdout.close()
        assert running.stderr.read() == ""
    assert running.returncode == 141


def test_an_output_without_unicode_gets_escapes(home: Path) -> None:
    path = session(home, text="日本")
    env = {**os.environ, "PYTHONIOENCODING": "iso8859-15"}
    out, err = process("show", path, env=env, encoding="iso8859-15").communicate()
    assert "\\u65e5\\u672c" in out and err == ""
