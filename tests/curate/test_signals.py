"""Signals: on real samples worked out by reading them, on conversations made for one question each, and at random."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rollmill
from rollmill.curate import _runners
from rollmill.curate._commands import runs, simple_commands, words_of
from rollmill.curate._groups import rate
from rollmill.curate._runners import closing_line
from rollmill.curate.findings import FINDINGS, findings
from rollmill.curate.signals import SIGNALS, Signals, check_where, rows_where, signal_batch, signals
from rollmill.curate.task_id import task_id
from rollmill.errors import ConfigError
from rollmill.rollout import COLUMNS, Child, Fidelity, Message, Rollout, Usage
from tests.curate.conversations import bash, edit, harness, human, model, result, rollout

ROOT = Path(__file__).parent.parent.parent
FORMATS = ROOT / "tests" / "formats"
REFUSED = (
    "The user doesn't want to proceed with this tool use. The tool use was rejected (eg. if it was a file edit, the "
    "new_string was NOT written to the file). "
)
REFUSED_WITH_WORDS = REFUSED + "To tell you how to proceed, the user said:\nlet's cut a branch first"


def read(situation: str) -> list[Rollout]:
    return list(rollmill.read(FORMATS / situation / "input", situation.partition("/")[0]))


# Definitions


def test_the_struct_has_the_columns_of_the_list() -> None:
    assert [signal.name for signal in SIGNALS] == list(Signals.__struct_fields__)


def test_no_signal_is_called_like_a_column_of_the_row() -> None:
    assert not {signal.name for signal in SIGNALS} & set(COLUMNS)
    assert all(re.fullmatch("[a-z][a-z_]*[a-z]", signal.name) for signal in SIGNALS)


def test_the_page_has_the_definitions_of_the_code() -> None:
    page = (ROOT / "docs" / "signals.md").read_text(encoding="utf-8")
    rows = [f"| `{signal.name}` | {signal.type} | {signal.definition} |" for signal in SIGNALS]
    assert [line for line in page.splitlines() if line in rows] == rows
    rows = [f"| `{name}` | {definition} |" for name, definition in FINDINGS.items()]
    assert [line for line in page.splitlines() if line in rows] == rows


def test_values_have_the_types_they_are_said_to_have() -> None:
    types = {"str": str, "json": str, "int": int, "float": float, "bool": bool}
    made = rollout(human("Fix it."), bash("pytest -q", "1 passed in 0.1s"), model("Done.", model="m-1"))
    found = signals(made, task_id(made))
    for signal in SIGNALS:
        value = getattr(found, signal.name)
        assert value is None or type(value) is types[signal.type], signal.name


# Real samples


def test_a_codex_turn_that_was_stopped() -> None:
    """`ls` was running when the human stopped it and said what to do instead; the model began, was cut off by a
    restart, and began again."""
    (stopped,) = read("codex/aborted_turn")
    found = signals(stopped)
    assert (found.human_turns, found.interruptions, found.corrections) == (2, 1, 1)
    assert (found.model_turns, found.commands, found.calls_by_tool) == (3, 1, '{"shell": 1}')
    assert (found.input_tokens, found.cached_tokens, found.output_tokens, found.reasoning_tokens) == (
        3766,
        2048,
        105,
        64,
    )
    assert found.largest_context == 3766 + 105
    assert (found.ended, found.reasoning, found.full_reasoning) == ("complete", "summary", False)
    assert (found.all_answered, found.whole_file) == (False, True)
    assert found.duration_s == 19.0
    assert findings(stopped) == {1: ["corrected", "interrupted"]}


def test_claude_answers_that_were_cut_and_refused() -> None:
    refused = read("claude_code/refusal")[0]
    found = signals(refused)
    assert (found.refusals, found.human_turns, found.model_turns) == (1, 3, 3)
    assert found.largest_context == 8010
    assert found.model == "claude-sonnet-4-6"


def test_a_linter_behind_a_pipe_and_an_edit_that_was_refused() -> None:
    """The first log ends in `mise run lint 2>&1 | head -50`: its status is that of `head`, its last line says ERROR."""
    failed, refused = read("claude_code/api_error")[0], read("claude_code/interrupted_call")[0]
    found = signals(failed)
    assert (found.human_turns, found.commands, found.build_runs) == (1, 1, 1)
    assert (found.last_build, found.last_build_command) == ("failed", "mise run lint 2>&1")
    assert (found.tool_errors, found.ended) == (0, "aborted")
    found = signals(refused)
    assert (found.rejections, found.interruptions, found.edits) == (1, 1, 0)
    assert found.tool_errors == 0, "a refused call is no error of the tool"


def test_every_codex_tool_once() -> None:
    (tools,) = read("codex/call_types")
    found = signals(tools)
    assert json.loads(found.calls_by_tool)["web_search"] == 2
    assert (found.edits, found.files_touched, found.commands) == (1, 1, 2)
    assert found.model_turns == 3


def test_harbor_rewards_and_exceptions() -> None:
    found = {each.trace_id: signals(each) for each in read("atif/harbor_job")}
    assert (found["s-a"].reward, found["s-a"].outcome, found["s-a"].outcome_reason) == (1.0, "success", "reward 1")
    assert (found["s-b"].reward, found["s-b"].outcome, found["s-b"].ended) == (None, "unknown", "out_of_budget")
    assert found["s-b"].outcome_reason == "no reward, exception AgentTimeoutError"
    assert (found["s-d"].outcome, found["s-d"].outcome_reason) == ("failure", "reward 0.25")
    assert (found["s-f"].outcome, found["s-f"].reward) == ("failure", 0.0)


def test_labels_of_chat_rows() -> None:
    (nebius,) = read("chat_completion_jsonl/nebius_trajectory")
    assert (signals(nebius).resolved, signals(nebius).ended) == (True, "complete")
    (unknown,) = read("chat_completion_jsonl/open_swe_traces")
    assert (signals(unknown).resolved, signals(unknown).outcome) == (None, "unknown"), "-1 says nothing"


# People


CORRECTIONS = [
    "No, not that file.",
    "no. use the other one",
    "that's wrong, the total is 7",
    "Don't hard code the roles, I want the roles to be determined by the domain",
    "let's not leave _all_ the tests to the very end...",
    "claude stop is not correct, that is at the end of the assistant's turn.",
    "I think you broke something: opk-gui\nTraceback (most recent call last):",
    "it does not clear the sessions created inside .git",
    "revert that",
    "Undo the last change please",
    "ok, but that's not what I asked for",
    "why did you delete the test?",
    "still failing",
    "Stop.",
    "You didn’t run the tests",
    "wrong file",
    "this still has the same bug",
    "hm, this is wrong: 2 + 2 is 4",
    "don't touch that",
    "The tests pass. Please revert this though",
]
NO_CORRECTIONS = [
    "yes please",
    "no problem, go on",
    "no worries",
    "stop the server and commit",
    "don't forget to push",
    "wait for the tests, then commit",
    "commit please, then push and open a PR",
    "Can you add a test that says what happens when it is not there?",
    "now add the nopes to the list",
    "not sure, what do you think?",
    "this is great",
    "linting is failing now",
    "notes.md should list them",
    "Undo/redo support please",
    "Revert button: add one to the UI",
    "Rollback support: implement",
    "wrong-way tests: add them",
    "It doesn't matter, go on with plan B",
    "you missed nothing, good job",
    "this still has potential, add more",
    "the config is wrong in prod, please look into it",
    "don't use semicolons in the new file",
    "Don't you think we should also test X? great work",
    "why did you choose redis? just curious",
    "I said hello to the team; now next task",
    "add a button to undo all changes",
    "tell me if this is wrong",
    "",
]


@pytest.mark.parametrize("text", CORRECTIONS)
def test_a_turn_that_corrects(text: str) -> None:
    made = rollout(human("Add it up."), model("Done."), human(text), model("Sorry."))
    assert (signals(made).corrections, findings(made)) == (1, {1: ["corrected"]})


@pytest.mark.parametrize("text", NO_CORRECTIONS)
def test_a_turn_that_does_not(text: str) -> None:
    assert signals(rollout(human("Add it up."), model("Done."), human(text), model("Yes."))).corrections == 0


def test_the_first_prompt_corrects_nothing() -> None:
    assert signals(rollout(human("That's wrong, fix it."), model("Done."))).corrections == 0


def test_no_is_an_answer_to_a_question() -> None:
    assert signals(rollout(human("Go."), model("Shall I push?"), human("No, don't."), model("ok"))).corrections == 0


def test_what_is_said_behind_an_interruption_is_a_correction_unless_it_is_to_go_on() -> None:
    begun = [human("Go."), model("I will"), harness("interrupt")]
    assert signals(rollout(*begun, human("use make"), model("ok"))).corrections == 1
    assert signals(rollout(*begun, human("OK, continue"), model("ok"))).corrections == 0


def test_a_refusal_with_words_is_a_correction_and_one_without_is_not() -> None:
    call = model("", ("Edit", {"file_path": "a.py", "old_string": "1", "new_string": "2"}))
    with_words = signals(rollout(human("Go."), call, result(REFUSED_WITH_WORDS, True), model("ok")))
    without = signals(rollout(human("Go."), call, result(REFUSED, True), harness("interrupt")))
    assert (with_words.rejections, with_words.corrections, with_words.edits) == (1, 1, 0)
    assert (without.rejections, without.corrections, without.ended) == (1, 0, "interrupted")


def test_a_bare_refusal_and_the_turn_behind_it_are_one_correction() -> None:
    call = model("", ("Bash", {"command": "rm -rf build"}))
    made = rollout(
        human("Go."), call, result(REFUSED, True), harness("interrupt"), human("use make clean"), model("ok")
    )
    assert signals(made).corrections == 1


def test_a_revert_typed_into_a_shell_is_a_correction() -> None:
    typed = human("<bash-input>git checkout -- app.py</bash-input>", "bash")
    made = rollout(human("Go."), edit("/r/app.py", "1", "2"), model("Done."), typed)
    assert signals(made).corrections == 1
    assert findings(made) == {1: ["reverted_edit", "corrected"], 3: ["corrected"]}


def test_human_turns_leave_out_injected_text_local_commands_and_copies() -> None:
    copied = human("Before.", "copied")
    local = [harness("caveat"), human("<command-name>/exit</command-name>", "command"), harness("command_output")]
    asked = human("<command-name>/init</command-name>", "command")
    made = rollout(
        copied, harness("environment"), asked, model("a"), human("b"), human("c", "queued"), model("d"), local
    )
    assert signals(made).human_turns == 2


# Calls


def test_errors_by_tool_and_repeats() -> None:
    read_a, read_b = ("Read", {"file_path": "a"}), ("Read", {"file_path": "b"})
    made = rollout(
        human("Go."),
        model("", read_a, read_a, read_b),
        [result("x", None, 0), result("x", None, 1), result("no such file", True, 2)],
        model("", read_b),
        result("no such file", True),
        human("again"),
        model("", read_b),
        result("there", False),
    )
    found = signals(made)
    assert (found.tool_errors, found.calls_by_tool, found.errors_by_tool) == (2, '{"Read": 5}', '{"Read": 2}')
    assert found.repeats == 2, "a a, b b; behind a human turn nothing repeats"


def test_ids_that_come_again_belong_to_the_message_before() -> None:
    made = rollout(human("Go."), bash("ls"), bash("lss", "not found", True), bash("pwd"))
    assert findings(made) == {3: ["failed_call"]}


@pytest.mark.parametrize(
    ("text", "failed"),
    [
        (
            "failed in sandbox LinuxSeccomp with execution error: sandbox denied exec error, exit code: 1, stdout: x",
            True,
        ),
        ("error: Failed to find expected lines in /r/a.py:\nx", True),
        ("execution error: No such file or directory (os error 2)", True),
        ("<returncode>1</returncode>\n<output>\n</output>", True),
        ("<returncode>0</returncode>\n<output>\nerror: 3\n</output>", False),
        ("x\n[Command finished with exit code 2]", True),
        ("x\n[The command completed with exit code 0.]\n[Command finished with exit code 0]", False),
        ("error: 3 things are wrong", False),
        ("Traceback (most recent call last):", False),
    ],
)
def test_errors_that_only_an_agents_own_words_tell(text: str, failed: bool) -> None:
    assert signals(rollout(human("Go."), bash("x", text, None))).tool_errors == failed


# Commands


COMMANDS = [
    ("pytest -q", ["test"]),
    ("cd app && PYTHONPATH=. uv run pytest -q 2>&1 | tail -5; git commit -m 'it works'", ["test", "commit"]),
    ("bash -lc 'python3 -m unittest discover -s tests'", ["test"]),
    ("timeout 60 go test ./... -run 'TestA|TestB'", ["test"]),
    ("npm run test:unit -- --watch=false", ["test"]),
    ("npx jest src && npx tsc --noEmit", ["test", "build"]),
    ("make", ["build"]),
    ("make -j4 check", ["test"]),
    ("mise run fmt && mise run lint", ["build"]),
    ("mvn -q -DskipTests package", ["build"]),
    ("./gradlew :app:test", ["test"]),
    ("cargo clippy --all && cargo test --quiet", ["build", "test"]),
    ("bash ./run_tests.sh --fast", ["test"]),
    ("git -C /r commit -am x", ["commit"]),
    ("git add . && git commit -m \"$(cat <<'EOF'\nfeat: run \"pytest\"; make test\nEOF\n)\"", ["commit"]),
    ("git checkout -- a.py b.py", ["revert"]),
    ("git restore --staged a.py", []),
    ("git checkout main", []),
    ("git checkout -b fix/tests", []),
    ("git reset --hard HEAD~1", ["revert"]),
    ("pytest --version", []),
    ("ls tests && cat tests/test_a.py", []),
    ("echo 'pytest -q'", []),
    ("grep -rn 'make test' .", []),
    ("# don't run pytest\npytest", ["test"]),
    ("pip install pytest", []),
    ("apply_patch << 'P'\n*** Begin Patch\n*** Add File: Makefile\n+test: pytest\n*** End Patch\nP\nmake", ["build"]),
]  # fmt: skip


@pytest.mark.parametrize(("command", "kinds"), COMMANDS)
def test_what_a_command_runs(command: str, kinds: list[str]) -> None:
    assert [run.kind for run in runs(command)] == kinds


def test_the_words_of_a_command() -> None:
    assert words_of("""FOO=1 git commit -m "a \\"b\\" c" --author='A B' x\\ y""") == [
        "FOO=1", "git", "commit", "-m", 'a "b" c', "--author=A B", "x y",
    ]  # fmt: skip
    assert [part.text for part in simple_commands("a 'x && y' && (b | c); d &")] == ["a 'x && y'", "b", "c", "d"]


@pytest.mark.parametrize(
    ("command", "output", "is_error", "expected"),
    [
        ("pytest -q", "2 failed, 1 passed in 0.3s", True, "failed"),
        ("cd app && pytest -q", "", True, "failed"),
        ("pytest -q", "", False, "passed"),
        ("pytest -q | tail -2", "FAILED tests/a.py::b\n2 failed, 1 passed in 0.3s", False, "failed"),
        ("pytest -q | tail -2", "3 passed in 0.3s", False, "passed"),
        ("pytest -q | head -2", "collecting", False, "unknown"),
        ("set -o pipefail; pytest -q | tail", "", False, "passed"),
        ("pytest -q || true", "1 failed in 0.1s", False, "failed"),
        ("pytest -q; echo done", "done", False, "unknown"),
        ("pytest -q && git push", "3 passed in 0.3s\nfatal: no remote", True, "passed"),
        ("npm ci && npm test", "npm error code E404", True, "failed"),
        ("make fmt && make test", "nothing known", True, "failed"),
        ("pytest &", "", False, "unknown"),
        ("pytest -q", "", None, "unknown"),
        ("! pytest tests", "1 failed, 2 passed in 0.1s", False, "failed"),
        ("! pytest tests", "3 passed in 0.1s", True, "passed"),
        ("! pytest tests", "", None, "unknown"),
        ("bash -c '! pytest tests'", "", False, "failed"),
        ("! bash -c 'cd x && pytest tests'", "", True, "passed"),
        ("! pytest tests || git push", "", True, "unknown"),
        ("go test -run NoSuch ./...", "ok  \tpkg\t0.01s [no tests to run]", False, "unknown"),
        ("go test ./...", "?   \ta\t[no test files]\nok  \tb\t0.2s", False, "passed"),
        ("go test ./...", "?   \ta\t[no test files]", False, "unknown"),
        ("go test ./...", "ok  \ta\t0.1s [no tests to run]\nok  \tb\t(cached)", False, "passed"),
        ("cargo test x", "test result: ok. 0 passed; 0 failed; 12 filtered out", False, "unknown"),
        ("cargo test", "test result: ok. 5 passed; 0 failed\n\nrunning 0 tests\n\ntest result: ok. 0 passed; 0 failed",
         False, "passed"),
        ("cargo test x | tail -1", "test result: ok. 0 passed; 0 failed; 12 filtered out", False, "unknown"),
        ("npm test", '> test\n> echo "no tests"\nno tests', False, "unknown"),
        ("pytest -k x", "===== 7 deselected in 0.01s =====", True, "unknown"),
        ("pytest", "===== 10 passed, 2 skipped in 0.01s =====", False, "passed"),
        ("pytest", "===== 2 skipped in 0.01s =====", False, "unknown"),
        ("pytest", "===== no tests ran in 0.00s =====", True, "unknown"),
        ("python -m unittest", "Ran 0 tests in 0.000s\n\nOK", False, "unknown"),
        ("ctest", "100% tests passed, 0 tests failed out of 10", False, "passed"),
        ("make test", "make: Nothing to be done for 'test'.", False, "unknown"),
        ("make test", "all fine: no test failures", False, "passed"),
    ],
)  # fmt: skip
def test_whether_tests_passed(command: str, output: str, is_error: bool | None, expected: str) -> None:
    found = signals(rollout(human("Go."), bash(command, output, is_error)))
    assert (found.test_runs, found.last_test) == (1, expected)


def test_a_run_in_the_background_has_no_result_yet() -> None:
    call = model("", ("Bash", {"command": "pytest", "run_in_background": True}))
    assert signals(rollout(human("Go."), call, result("Command running in background", False))).last_test == "unknown"


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("ok  \tentire.io/cli\t0.2s\nFAIL\tentire.io/cli/x\t0.4s\nFAIL", False),
        ("ok  \tentire.io/cli\t(cached)", True),
        ("test result: ok. 5 passed; 0 failed; 0 ignored", True),
        ("test result: FAILED. 4 passed; 1 failed; 0 ignored", False),
        ("Tests:       1 failed, 5 passed, 6 total", False),
        ("Tests:       5 passed, 5 total", True),
        ("  3 passing (4ms)", True),
        ("Ran 10 tests in 0.006s\n\nFAILED (errors=10)", False),
        ("Ran 15 tests in 0.001s\n\nOK", True),
        ("Found 3 errors.", False),
        ("Success: no issues found in 3 source files", True),
        ("12 examples, 0 failures", True),
        ("12 examples, 2 failures", False),
        ("[lint:go] * exhaustive: 1\n[lint:go] ERROR task failed", False),
        ("I think it failed", None),
        ("", None),
    ],
)
def test_closing_lines(text: str, passed: bool | None) -> None:
    assert closing_line(text) is passed


def test_edits_commits_and_files() -> None:
    patch = "*** Begin Patch\n*** Update File: a.py\n-1\n+2\n*** Add File: b.md\n+x\n*** End Patch"
    made = rollout(
        human("Go."),
        edit("/r/a.py", "1", "2"),
        edit("/r/a.py", "9", "8", is_error=True),
        bash("pytest -q"),
        [model("", ("shell", {"command": ["bash", "-lc", f"apply_patch << 'P'\n{patch}\nP"]})), result("ok", False)],
        [model("", ("apply_patch", {"input": patch})), result("ok", False)],
        [model("", ("str_replace_editor", {"command": "view", "path": "/r/c.py"})), result("1")],
        bash("git commit -am x"),
        bash("git commit -am y", "nothing to commit", True),
    )
    found = signals(made)
    assert (found.edits, found.files_touched, found.commits, found.commands) == (5, 3, 1, 4)
    assert found.edits_after_test == 2, "documents do not count"


@pytest.mark.parametrize(
    ("command", "output", "is_error", "commits"),
    [
        ("git commit -m x; git status", "nothing to commit, working tree clean", False, 0),
        ("git commit -m x; git status", "[main 1a2b3c4] x\n 1 file\nnothing to commit, working tree clean", False, 1),
        ("git commit -m x && git push", "[main (root-commit) 1a2b3c4] x\nfatal: no remote", True, 1),
        ("git commit -qm x; git status", "nothing to commit, working tree clean", False, 1),
        ("git commit -m x && git status", "nothing to commit, working tree clean", False, 1),
        ("git commit -m x; true", "no changes added to commit", False, 0),
        ("git commit -m x", "", True, 0),
    ],
)
def test_a_commit_that_was_made(command: str, output: str, is_error: bool, commits: int) -> None:
    assert signals(rollout(human("Go."), bash(command, output, is_error))).commits == commits


def test_every_program_that_is_known_is_looked_at() -> None:
    """A command is only taken apart when a word in it may matter."""
    for program in sorted(_runners._TEST_PROGRAMS | _runners._BUILD_PROGRAMS):
        assert [run.kind for run in runs(program)] in (["test"], ["build"]), program
    for program, kinds in _runners._SUBCOMMANDS.items():
        for kind, words in kinds.items():
            for word in words:
                assert [run.kind for run in runs(f"{program} {word}")] == [kind], (program, word)


# The end


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ([model("Done.")], "complete"),
        ([model("."), harness("caveat"), human("/exit", "command"), harness("command_output")], "complete"),
        ([model("Done."), human("and the docs?")], "aborted"),
        ([model("", ("Bash", {"command": "ls"}))], "aborted"),
        ([*bash("ls")], "aborted"),
        ([model("I will"), harness("interrupt")], "interrupted"),
        ([model("Once upon", other='{"stop_reason":"max_tokens"}')], "out_of_budget"),
        ([model("Once upon", other='{"finish_reason":"length"}')], "out_of_budget"),
        ([], "unknown"),
    ],
)  # fmt: skip
def test_how_it_ended(last: list[Message], expected: str) -> None:
    assert signals(rollout(human("Go."), *last)).ended == expected


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"exit_status": "submitted"}, "complete"),
        ({"exit_status": "submitted (exit_cost)"}, "out_of_budget"),
        ({"exit_status": "LimitsExceeded"}, "out_of_budget"),
        ({"exception": "AgentTimeoutError"}, "out_of_budget"),
        ({"exception": "DockerError"}, "aborted"),
        ({"exit_status": 3}, "complete"),
    ],
)
def test_how_it_ended_by_label(labels: dict[str, object], expected: str) -> None:
    assert signals(rollout(human("Go."), model("Done."), meta={"labels": labels})).ended == expected


def test_fidelity_gates_and_what_the_row_says_of_itself() -> None:
    fidelity = Fidelity(thinking={"full": 2, "none": 1}, system_prompt=True, unanswered_calls=1, api_errors=3)
    made = rollout(
        human("Go."),
        model("a", model="m-1", usage=Usage(input_tokens=10, output_tokens=5)),
        model("b", model="m-2", usage=Usage(input_tokens=40)),
        model("c", model="m-2"),
        meta={"fidelity": fidelity, "agent_version": "2.1", "children": [Child("a1")]},
    )
    found = signals(made)
    assert (found.model, found.agent_version, found.subagents, found.largest_context) == ("m-2", "2.1", 1, 40)
    assert (found.full_reasoning, found.has_system_prompt, found.has_tool_schemas) == (True, True, False)
    assert (found.whole_file, found.all_answered, found.api_errors) == (True, False, 3)
    fidelity.thinking["summary"], fidelity.torn_tail = 1, True
    found = signals(made)
    assert (found.reasoning, found.full_reasoning, found.whole_file) == ("mixed", False, False)


# Conditions


def test_a_condition_sees_columns_and_signals() -> None:
    made = [
        rollout(human("Go."), bash("pytest"), model("Done.")),
        rollout(human("Go."), bash("pytest", "", True), model("Done."), is_sidechain=True),
    ]
    found = [signals(each) for each in made]
    assert rows_where(made, found, "last_test = 'passed' and not is_sidechain") == [True, False]
    assert rows_where(made, found, "CAST(errors_by_tool ->> 'Bash' AS INT) = 1 and tool_call_count = 1") == [
        False,
        True,
    ]
    assert rows_where(made, found, "true -- all") == [True, True]
    assert signal_batch(made, found).schema.names == [*COLUMNS, *(signal.name for signal in SIGNALS)]


def test_a_condition_that_does_not_work_is_told_before_anything_is_read() -> None:
    check_where(None)
    check_where("corrections = 0 -- none")
    with pytest.raises(ConfigError, match="corections"):
        check_where("corections = 0")


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("", "it is empty"),
        (" \n", "it is empty"),
        ("-- a remark", "must be true or false"),
        ("'x'", "must be true or false.* and is VARCHAR"),
        ("tool_errors", "must be true or false.* and is BIGINT"),
        ("null", "must be true or false"),
        ("corrections = 0 and", "syntax error"),
        ("count(*) > 1", "aggregates"),
        ("true) union select (true", "syntax error"),
        ("number = 1", "Referenced column"),
        ("place = 1", "Referenced column"),
    ],
)
def test_what_is_no_condition(where: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as told:
        check_where(where)
    assert str(told.value).startswith(f"the where condition {where!r} does not work: ")
    assert "__" not in str(told.value) and "SELECT" not in str(told.value)


def test_a_condition_that_fails_on_a_row() -> None:
    where = "cast(agent_version as int) > 1"
    check_where(where)
    made = [rollout(human("Go."), model("a"), meta={"agent_version": "2.1.0"})]
    with pytest.raises(ConfigError, match=r"does not work: Conversion Error.*'2\.1\.0'"):
        rows_where(made, [signals(each) for each in made], where)


# At random


NAMES = st.sampled_from(["Bash", "shell", "Edit", "apply_patch", "write_stdin", "x"])
ARGUMENTS = st.one_of(
    st.sampled_from(['{"command":"pytest | tail"}', '{"command":["git","commit"]}', "{", "[]", '{"file_path":"a.py"}']),
    st.text(max_size=30),
)
MODELS = st.builds(
    lambda text, calls: model(text, *calls), st.text(max_size=20), st.lists(st.tuples(NAMES, ARGUMENTS), max_size=3)
)
RESULTS = st.builds(
    result, st.one_of(st.text(max_size=20), st.just(REFUSED)), st.sampled_from([None, True, False]), st.integers(0, 2)
)
PEOPLE = st.builds(
    human,
    st.one_of(st.sampled_from([*CORRECTIONS, "<bash-input>git checkout .</bash-input>"]), st.text(max_size=20)),
    st.sampled_from([None, "queued", "command", "bash"]),
)
OTHERS = st.builds(
    harness, st.sampled_from(["interrupt", "caveat", "command_output", "compact_summary"]), st.text(max_size=9)
)
ROLLOUTS = st.lists(st.one_of(MODELS, RESULTS, PEOPLE, OTHERS), max_size=12).map(lambda messages: rollout(*messages))


@given(ROLLOUTS)
def test_counts_are_those_of_a_naive_count(made: Rollout) -> None:
    found = signals(made)
    names = [call.function.name for message in made.messages for call in message.tool_calls]
    assert json.loads(found.calls_by_tool) == Counter(names)
    assert sum(json.loads(found.errors_by_tool).values()) == found.tool_errors <= len(names)
    assert found.model_turns == sum(message.role == "assistant" for message in made.messages)
    assert found.interruptions == sum(message.extra.kind == "interrupt" for message in made.messages)
    typed = [message for message in made.messages if message.extra.origin == "human"]
    assert found.human_turns <= len(typed)
    assert found.outcome in ("success", "failure", "unknown")
    assert signals(made) == found


@given(ROLLOUTS)
def test_findings_are_of_model_messages(made: Rollout) -> None:
    for index, reasons in findings(made).items():
        assert made.messages[index].role == "assistant"
        assert reasons == [name for name in FINDINGS if name in reasons] != []


@given(st.text(alphabet="ab'\"\\ \n&|;()<>#$git test-c", max_size=80))
def test_any_text_is_a_command(text: str) -> None:
    for run in runs(text):
        assert run.kind in ("test", "build", "commit", "revert")


@given(st.integers(0, 50), st.integers(0, 50))
def test_an_interval_holds_its_share(part: int, rest: int) -> None:
    found = rate(part, part + rest)
    if part + rest:
        assert found.share is not None and found.low is not None and found.high is not None
        assert 0 <= found.low <= found.share <= found.high <= 1
    else:
        assert found.share is None


def test_an_interval_worked_out_by_hand() -> None:
    """Wilson, 8 of 10 at z = 1.96: (0.8 + 0.19208 ± 1.96·√(0.016 + 0.009604)) / 1.38416."""
    found = rate(8, 10)
    assert found.low == pytest.approx(0.4902, abs=1e-3)
    assert found.high == pytest.approx(0.9433, abs=1e-3)
