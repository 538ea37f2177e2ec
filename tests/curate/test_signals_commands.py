"""Commands in a shell: what they run, whether tests passed, what was edited and committed."""

from __future__ import annotations

import pytest

from rollmill.curate import _runners
from rollmill.curate._commands import runs, simple_commands, words_of
from rollmill.curate._runners import closing_line
from rollmill.curate.signals import signals
from tests.curate.conversations import bash, edit, human, model, result, rollout

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
