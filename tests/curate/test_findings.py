"""Findings: which model messages are bad, and why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import rollmill
from rollmill.curate._study import study
from rollmill.curate.findings import findings
from rollmill.curate.signals import signals
from rollmill.rollout import Message
from tests.curate.conversations import bash, edit, harness, human, model, result, rollout

EXAMPLES = Path(__file__).parent.parent.parent / "examples" / "rollouts"


def test_failed_calls_of_a_real_session() -> None:
    """Of its 33 calls one failed, `sed` of a glob that matches nothing, beside a good one. Two `rg` ended with 1 and
    found nothing."""
    (session,) = [each for each in rollmill.read(EXAMPLES / "codex", "codex") if each.trace_id.startswith("019cabb7")]
    (failed,) = [call for call in study(session).calls if call.failed]
    assert "sed -n" in failed.arguments and "commands/*.md" in failed.arguments
    assert findings(session) == {}


@pytest.mark.parametrize(
    ("command", "output", "code", "failed"),
    [
        ("cd /r && rg -n x .", "", 1, False),
        ("ls -R | grep x", "", 1, False),
        ("git grep x", "", 1, False),
        ("rg -n x nowhere", "rg: nowhere: No such file", 2, True),
        ("rg -n x . && sed -n 1p a", "", 1, True),
        ("false", "", 1, True),
    ],
)
def test_a_search_that_finds_nothing_did_not_fail(command: str, output: str, code: int, failed: bool) -> None:
    said = result(f"Chunk ID: a\nWall time: 0.1 seconds\nProcess exited with code {code}\nOutput:\n{output}", True)
    said.extra.other = json.dumps({"exit_code": code})
    made = rollout(human("Go."), model("", ("exec_command", {"cmd": command})), said)
    assert bool(findings(made)) == failed


@pytest.mark.parametrize(
    ("failures", "bad"), [([True], True), ([True, False], False), ([True, True, False], True), ([True] * 3, True)]
)
def test_a_message_is_bad_when_most_of_its_calls_failed(failures: list[bool], bad: bool) -> None:
    calls = model("", *[("Read", {"file_path": str(number)}) for number in range(len(failures))])
    results = [result("x", failed, number) for number, failed in enumerate(failures)]
    assert findings(rollout(human("Go."), calls, results)) == ({1: ["failed_call"]} if bad else {})


def test_a_call_that_was_given_up_did_not_fail_itself() -> None:
    calls = model("", *[("Read", {"file_path": name}) for name in "abc"])
    given_up = "<tool_use_error>Sibling tool call errored</tool_use_error>"
    results = [result("gone", True), result(given_up, True, 1), result(given_up, True, 2)]
    assert findings(rollout(human("Go."), calls, results)) == {}


@pytest.mark.parametrize(
    ("command", "output", "bad"),
    [
        ("pytest -q", "1 failed in 0.2s", False),
        ("mise run test", "[test] ERROR task failed", False),
        ("cd app && go test ./...", "--- FAIL: TestA\nFAIL", False),
        ("npx tsc --noEmit", "a.ts(1,2): error TS2304: x", False),
        ("make check", "something only this project prints", False),
        ("mise run fmt && mise run lint", "[lint] ERROR task failed", False),
        ("pytest -q", "bash: pytest: command not found", True),
        ("pytest --flaky", "ERROR: usage: pytest [options]\nerror: unrecognized arguments: --flaky", True),
        ("pytest -q", "Command timed out after 2m", True),
        ("npm test", "npm error code ENOENT\nnpm error path /x/package.json", True),
        ("go build -o x . && ./x configure", "bad flag", True),
        ("pytest -q && git push", "3 passed in 0.3s\nfatal: no remote", True),
        ("cat nowhere", "cat: nowhere: No such file or directory", True),
    ],
)
def test_tests_and_builds_that_fail_have_answered(command: str, output: str, bad: bool) -> None:
    made = rollout(human("Go."), bash(command, output, True))
    assert findings(made) == ({1: ["failed_call"]} if bad else {})
    assert signals(made).tool_errors == 1


# Reverted edits


@pytest.mark.parametrize(
    "command",
    [
        "git checkout -- src/app.py",
        "git checkout .",
        "git checkout src/app.py",
        "git checkout HEAD -- src",
        "cd /r && git restore .",
        "git reset --hard HEAD",
        "git -C /r restore --source=HEAD~1 src/app.py",
        "cd /r/src && git checkout .",
        "cd /r && cd src && git checkout app.py",
        "cd /other && make; cd /r && git checkout .",
        "cd $HOME && git checkout .",
        "cd src && git restore .",
        "cd ../../../r && git checkout .",
    ],
)
def test_an_edit_that_git_undoes(command: str) -> None:
    made = rollout(human("Go."), edit("/r/src/app.py", "1", "2"), bash(command))
    assert findings(made) == {1: ["reverted_edit"]}


@pytest.mark.parametrize(
    "command",
    [
        "git checkout -- src/other.py",
        "git checkout main",
        "git checkout -b app.py",
        "git restore --staged src/app.py",
        "git reset HEAD~1",
        "git stash && git stash pop",
        "git -C /other checkout .",
        "cd /other/repo && git checkout .",
        "cd /other; git reset --hard",
        "bash -c 'cd /other && git checkout src/app.py'",
        "cd ../other && git checkout .",
        "cd docs && git checkout .",
        "echo git checkout .",
    ],
)
def test_an_edit_that_stays(command: str) -> None:
    assert findings(rollout(human("Go."), edit("/r/src/app.py", "1", "2"), bash(command))) == {}


def test_the_folder_that_a_call_names() -> None:
    def shell(folder: str) -> list[Message]:
        return [model("", ("shell", {"command": ["git", "checkout", "."], "workdir": folder})), result("", False)]

    patch = "*** Begin Patch\n*** Update File: src/app.py\n-1\n+2\n*** End Patch"
    edited = [human("Go."), model("", ("apply_patch", {"input": patch})), result("ok", False)]
    assert findings(rollout(edited, shell("/home/ann/shop"))) == {1: ["reverted_edit"]}
    assert findings(rollout(edited, shell("/home/ann/bank"))) == {}


def test_a_commit_elsewhere_makes_nothing_permanent_here() -> None:
    committed = bash("git -C /other commit -m x", "[main 1a2b3c4] x")
    made = rollout(human("Go."), edit("/r/a.py", "1", "2"), committed, bash("git checkout ."))
    assert findings(made) == {1: ["reverted_edit"]}


def test_a_revert_that_failed_undoes_nothing() -> None:
    made = rollout(human("Go."), edit("/r/a.py", "1", "2"), bash("git checkout a.py", "error: pathspec", True))
    assert findings(made) == {3: ["failed_call"]}


def test_what_was_committed_is_not_undone_by_a_checkout() -> None:
    made = rollout(
        human("Go."),
        edit("/r/a.py", "1", "2"),
        bash("git commit -am x"),
        edit("/r/a.py", "2", "3"),
        bash("git checkout ."),
    )
    assert findings(made) == {5: ["reverted_edit"]}


def test_the_inverse_edit_and_a_new_try() -> None:
    made = rollout(
        human("Go."),
        edit("/r/a.py", "one", "two"),
        edit("/r/b.py", "two", "one"),
        edit("/r/a.py", "two", "one"),
        edit("/r/a.py", "one", "two"),
    )
    assert findings(made) == {1: ["reverted_edit"]}


def test_the_inverse_patch() -> None:
    def patch(out: str, put: str) -> list[Message]:
        text = f"*** Begin Patch\n*** Update File: a.py\n@@\n x = 1\n-{out}\n+{put}\n y = 2\n*** End Patch"
        return [model("", ("apply_patch", {"input": text})), result("Done", False)]

    assert findings(rollout(human("Go."), patch("a", "b"), patch("b", "c"), patch("c", "b"))) == {3: ["reverted_edit"]}


def test_undo_edit_takes_back_the_last_edit_of_its_file() -> None:
    def tool(**arguments: str) -> list[Message]:
        return [model("", ("str_replace_editor", {"path": "/r/a.py", **arguments})), result("ok", False)]

    made = rollout(
        human("Go."),
        tool(command="create", file_text="1"),
        tool(command="str_replace", old_str="1", new_str="2"),
        tool(command="undo_edit"),
    )
    assert findings(made) == {3: ["reverted_edit"]}


# Loops


def test_the_same_call_with_the_same_result_again_is_a_loop() -> None:
    made = rollout(human("Go."), bash("ls", "a"), bash("ls", "a"), bash("pwd", "/"), bash("ls", "a"))
    assert findings(made) == {3: ["loop"], 7: ["loop"]}


def test_what_is_no_loop() -> None:
    other_result = rollout(human("Go."), bash("date", "1"), bash("date", "2"))
    asked_again = rollout(human("Go."), bash("ls", "a"), model("There."), human("again"), bash("ls", "a"))
    after_an_edit = rollout(human("Go."), bash("make", "no"), edit("a", "1", "2"), bash("make", "no"))
    unanswered = rollout(human("Go."), model("", ("Bash", {"command": "ls"})), model("", ("Bash", {"command": "ls"})))
    polled = [model("", ("BashOutput", {"bash_id": "1"})), result("running")]
    long_ago = [bash("ls", "a"), bash("a"), bash("b"), bash("c"), bash("ls", "a")]
    for made in (other_result, asked_again, after_an_edit, unanswered, rollout(human("Go."), polled, polled)):
        assert findings(made) == {}
    assert findings(rollout(human("Go."), *long_ago)) == {}


@pytest.mark.parametrize(
    "command",
    [
        "sleep 5; curl localhost:3000/health",
        "git status",
        "cd /r && docker ps",
        "wait",
        "ps aux | grep x",
        "gh pr checks 3",
    ],
)
def test_asking_again_how_something_is_is_no_loop(command: str) -> None:
    assert findings(rollout(human("Go."), bash(command, "starting"), bash(command, "starting"))) == {}


def test_what_codex_puts_around_an_output_does_not_hide_a_loop() -> None:
    def ran(seconds: str) -> list[Message]:
        text = f"Chunk ID: {seconds}\nWall time: 0.{seconds} seconds\nProcess exited with code 0\nOutput:\na.txt\n"
        old = '{"output":"a.txt\\n","metadata":{"exit_code":0,"duration_seconds":0.' + seconds + "}}"
        calls = ("exec_command", {"cmd": "ls"}), ("shell", {"command": ["ls"]})
        return [model("", *calls), result(text, False), result(old, False, 1)]

    assert findings(rollout(human("Go."), ran("17"), ran("42"))) == {4: ["loop"]}


# People


def test_a_correction_meets_the_answer_and_the_last_edit_it_reports() -> None:
    made = rollout(
        human("Make it blue."),
        edit("a.css", "1", "2"),
        edit("b.css", "1", "2"),
        bash("make"),
        model("It is blue."),
        human("no, the other button"),
        model("Sorry."),
    )
    assert findings(made) == {3: ["corrected"], 7: ["corrected"]}


def test_a_correction_of_an_answer_meets_no_edit_of_an_earlier_turn() -> None:
    blue = [human("Make it blue."), *edit("a.css", "1", "2"), model("It is.")]
    made = rollout(blue, human("Why?"), model("Red is out."), human("wrong"))
    assert findings(made) == {5: ["corrected"]}


def test_an_interruption_meets_the_message_it_stopped() -> None:
    made = rollout(human("Go."), bash("ls"), model("Now I will"), harness("interrupt"))
    assert findings(made) == {3: ["interrupted"]}


def test_an_interruption_before_any_answer_meets_nobody() -> None:
    made = rollout(human("Go."), model("Done."), human("And now?"), harness("interrupt"))
    assert findings(made) == {}
