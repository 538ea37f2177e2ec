"""Which programs run tests, build or check code, commit, and throw changes away; and how test runners end.

The words of one simple command come in, wrappers such as ``sudo``, ``timeout 60`` or ``uv run`` taken off.
"""

from __future__ import annotations

import re
from typing import Literal

RunKind = Literal["test", "build", "commit", "revert"]

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_WRAPPERS = set("sudo time env nice nohup command exec xvfb-run stdbuf npx bunx pnpx ! { then do else if while".split())
_WRAPPERS_WITH_A_VALUE = {"timeout", "gtimeout", "dotenvx"}
_RUNNERS = {
    "uv": {"run"},
    "poetry": {"run"},
    "pipenv": {"run"},
    "pdm": {"run"},
    "hatch": {"run"},
    "rye": {"run"},
    "bundle": {"exec"},
    "pnpm": {"exec", "dlx"},
    "yarn": {"exec", "dlx"},
    "npm": {"exec"},
    "coverage": {"run"},
}
_SCRIPTS = set("npm yarn pnpm bun make gmake just task mise rake invoke inv deno turbo nx".split())
_TEST_PROGRAMS = set(
    ("pytest py.test tox nox jest vitest mocha rspec phpunit ctest unittest nose2 nosetests bats karma").split()
)
_BUILD_PROGRAMS = set(
    (
        "tsc mypy ruff eslint flake8 pylint pyright golangci-lint webpack rollup ninja vue-tsc biome "
        "stylelint shellcheck black staticcheck"
    ).split()
)
_SUBCOMMANDS: dict[str, dict[RunKind, set[str]]] = {
    "go": {"test": {"test"}, "build": {"build", "vet"}},
    "cargo": {"test": {"test", "t", "nextest"}, "build": {"build", "b", "check", "c", "clippy"}},
    "mvn": {"test": {"test", "verify", "integration-test"}, "build": {"compile", "package", "install"}},
    "mvnw": {"test": {"test", "verify", "integration-test"}, "build": {"compile", "package", "install"}},
    "gradle": {"test": {"test", "check"}, "build": {"build", "assemble"}},
    "gradlew": {"test": {"test", "check"}, "build": {"build", "assemble"}},
    "dotnet": {"test": {"test"}, "build": {"build"}},
    "swift": {"test": {"test"}, "build": {"build"}},
    "mix": {"test": {"test"}, "build": {"compile"}},
    "bazel": {"test": {"test"}, "build": {"build"}},
    "zig": {"test": {"test"}, "build": {"build"}},
    "sbt": {"test": {"test"}, "build": {"compile"}},
    "flutter": {"test": {"test"}, "build": {"build", "analyze"}},
    "dart": {"test": {"test"}, "build": {"analyze", "compile"}},
    "playwright": {"test": {"test"}},
    "cypress": {"test": {"run"}},
    "xcodebuild": {"test": {"test"}, "build": {"build"}},
    "docker": {"build": {"build"}},
    "next": {"build": {"build", "lint"}},
    "vite": {"build": {"build"}},
    "cmake": {"build": {"--build"}},
    "manage.py": {"test": {"test"}},
    "pre-commit": {"build": {"run"}},
}
_TEST_TARGET = re.compile(r"(?:.*[-_:./])?(?:tests?|check|e2e|spec|unittests?|pytest|vitest|jest)(?:[-_:.].*)?$|t$")
_BUILD_TARGET = re.compile(
    r"(?:.*[-_:./])?(?:build|compile|lint|typecheck|type-check|types|tsc|all|vet|clippy|mypy)(?:[-_:.].*)?$"
)
_TEST_SCRIPT = re.compile(r"(?:run[-_]?)?(?:all[-_]?)?(?:unit[-_]?)?tests?(?:\.sh|\.py|\.bash|\.js|\.ts)?$")
_TEST_FILE = re.compile(r"(?:test_.+|.+_tests?)\.py$")
_NO_RUN = set("--version --help -h -V --collect-only --co --listTests --fixtures --list --dry-run".split())
_ABSOLUTE = re.compile(r"[/\\~]|[A-Za-z]:[/\\]")
_GIT_OPTIONS_WITH_A_VALUE = {"-C", "-c", "--git-dir", "--work-tree"}


def unwrapped(words: list[str]) -> list[str]:
    """The words without assignments and wrappers in front; of ``python -m pytest`` the words from ``pytest`` on."""
    at = 0
    while at < len(words):
        word, rest = words[at].rsplit("/", 1)[-1], words[at + 1 :]
        if _ASSIGNMENT.match(words[at]) or word in _WRAPPERS or (word.startswith("-") and at):
            at += 1
        elif word in _WRAPPERS_WITH_A_VALUE:
            at += 1 + next((n for n, each in enumerate(rest) if not each.startswith("-")), 0) + 1
        elif rest and rest[0] in _RUNNERS.get(word, ()):
            at += 2
        elif word.startswith("python") and (module := _module(rest)):
            return module
        else:
            return words[at:]
    return []


def _module(rest: list[str]) -> list[str]:
    """What Python runs: a module with its arguments, or a script with its own."""
    for at, word in enumerate(rest):
        if word == "-m" and at + 1 < len(rest):
            return unwrapped(rest[at + 1 :])
        if word == "-c":
            return []
        if not word.startswith("-"):
            return rest[at:]
    return []


def kind_of_run(name: str, arguments: list[str]) -> RunKind | None:
    """What the program does with these arguments; None for anything else than tests, builds, commits and reverts."""
    if name == "git":
        return _git(arguments)
    if not _NO_RUN.isdisjoint(arguments):
        return None
    if name in _TEST_PROGRAMS or _TEST_SCRIPT.match(name) or _TEST_FILE.match(name):
        return "test"
    if name in _BUILD_PROGRAMS:
        return None if name in ("ruff", "biome") and arguments[:1] == ["format"] else "build"
    if name in _SCRIPTS:
        return _script(name, arguments)
    return _subcommand(name, arguments)


def _subcommand(name: str, arguments: list[str]) -> RunKind | None:
    kinds = _SUBCOMMANDS.get(name)
    if kinds is None:
        return None
    plain = {word.rpartition(":")[2] for word in arguments if not word.startswith("-") or word == "--build"}
    first = next((word for word in arguments if not word.startswith(("-", "+"))), "")
    several = name in ("mvn", "mvnw", "gradle", "gradlew", "sbt", "xcodebuild", "cmake")
    for kind, known in kinds.items():
        if first in known or (several and known & plain):
            return kind
    return None


def _script(name: str, arguments: list[str]) -> RunKind | None:
    """The target of ``make test``, ``npm run build``, ``mise run lint``."""
    targets = [word for word in arguments if not word.startswith("-") and "=" not in word]
    if targets[:1] in (["run"], ["run-script"], ["task"]):
        targets = targets[1:]
    elif name in ("mise", "npm") and targets and targets[0] not in ("test", "t", "tst"):
        return None
    if name in ("make", "gmake"):
        return _of_targets(targets) if targets else "build"
    return _of_targets(targets[:1])


def _of_targets(targets: list[str]) -> RunKind | None:
    if any(_TEST_TARGET.match(target) for target in targets):
        return "test"
    return "build" if any(_BUILD_TARGET.match(target) for target in targets) else None


def _git(arguments: list[str]) -> RunKind | None:
    command, rest = _git_command(arguments)
    if command == "commit":
        return None if "--dry-run" in rest else "commit"
    return "revert" if command in ("checkout", "restore", "reset") and reverted_paths(arguments) else None


def _git_command(arguments: list[str]) -> tuple[str, list[str]]:
    at = 0
    while at < len(arguments) and arguments[at].startswith("-"):
        at += 2 if arguments[at] in _GIT_OPTIONS_WITH_A_VALUE else 1
    return (arguments[at], arguments[at + 1 :]) if at < len(arguments) else ("", [])


def reverted_paths(arguments: list[str]) -> list[str]:
    """The paths whose changes ``git checkout``, ``git restore`` or ``git reset --hard`` throws away; ``.`` for all.

    ``git checkout NAME`` names a branch, unless NAME looks like a file or ends in a slash.
    """
    command, rest = _git_command(arguments)
    if command == "reset":
        return ["."] if "--hard" in rest else []
    if command == "restore":
        staged_only = not {"--staged", "-S"}.isdisjoint(rest) and {"--worktree", "-W"}.isdisjoint(rest)
        return [] if staged_only else _operands(rest)
    if command != "checkout" or not {"-b", "-B", "--orphan", "--track", "-t"}.isdisjoint(rest):
        return []
    if "--" in rest:
        return rest[rest.index("--") + 1 :]
    return [word for word in _operands(rest) if "." in word.rpartition("/")[2] or word.endswith("/")]


def git_paths(kind: RunKind, arguments: list[str]) -> list[str]:
    """The paths that a revert restores, and ``.`` for a commit, seen from where git was started."""
    if kind not in ("revert", "commit"):
        return []
    options = arguments[: arguments.index(_git_command(arguments)[0])]
    folder = options[options.index("-C") + 1] if "-C" in options[:-1] else ""
    return [joined(folder, path) for path in (reverted_paths(arguments) if kind == "revert" else ["."])]


def joined(folder: str, path: str) -> str:
    """The path as it is seen from where the folder is seen from; ``.`` in a folder is the folder."""
    if not folder or not spelled_out(folder) or _ABSOLUTE.match(path):
        return path
    return folder if path in (".", "./", ":/", ":") else f"{folder.rstrip('/')}/{path.removeprefix('./')}"


def spelled_out(folder: str) -> bool:
    """Whether the folder's name stands there, and not a variable or a command that gives it."""
    return "$" not in folder and "`" not in folder


def _operands(words: list[str]) -> list[str]:
    found, skip = [], False
    for word in words:
        if not skip and not word.startswith("-"):
            found.append(word)
        skip = word in ("--source", "-s")
    return found


_FAILURES = re.compile(
    r"\b[1-9]\d* (?:failed|errors?)\b.* in [\d.]+ ?m?s"  # pytest
    r"|^FAILED \((?:failures|errors)"  # unittest
    r"|^FAIL\b|^--- FAIL"  # go
    r"|^test result: FAILED|^error: could not compile|^error: test failed|^error\[E\d+\]: "  # cargo
    r"|^ *Tests?:? .*\b[1-9]\d* failed|^ *[1-9]\d* failing\b"  # jest, vitest, mocha
    r"|error TS\d+:|✖ [1-9]\d* problem|^npm (?:ERR!|error)|^> Build failed|Build error occurred"
    r"|^Found [1-9]\d* errors?\b|^[1-9]\d* issues?:|ERROR task failed"  # ruff and mypy, golangci-lint, mise
    r"|BUILD FAIL|[1-9]\d* tests? failed|^\*\* (?:BUILD|TEST) FAILED"  # maven and gradle, ctest, Xcode
    r"|\b[1-9]\d* failures?\b|^FAILURES!|^Failed!"  # rspec, phpunit, dotnet
    r"|^(?:make|gmake|ninja)(?:\[\d+\])?: \*\*\*",
    re.MULTILINE,
)
_SUCCESSES = re.compile(
    r"\b\d+ passed\b.* in [\d.]+ ?m?s|^OK(?: \(.*\))?$|^ok\s+\S+\s|^PASS$|^test result: ok"
    r"|^ *Tests?:? .*\b\d+ passed|^ *\d+ passing\b|^All checks passed!|^Success: no issues found|BUILD SUCCESS"
    r"|^ *Finished .*(?:dev|release|test)|100% tests passed|\b0 issues\.|\b\d+ examples?, 0 failures"
    r"|^Passed!|✓ Compiled successfully|^\*\* (?:BUILD|TEST) SUCCEEDED",
    re.MULTILINE,
)
_NONE_RAN = re.compile(
    r"\bno tests?\b(?! (?:failed|failures?|failing|errors?))|\bno-source\b"
    r"|^make.*: (?:nothing to be done|.* is up to date)"
    r"|\b0 (?:tests?(?! fail)|passed|passing|examples?|items)\b|\btests run: 0\b|^# tests 0$"
    r"|\b\d+ (?:skipped|deselected)\b.* in [\d.]+ ?m?s",
    re.MULTILINE,
)
_HINTS_OF_NONE = (
    *("no test", "no-source", "to be done", "up to date", "0 test", "0 pass", "0 example", "0 item", "run: 0"),
    *("# tests 0", " skipped", " deselected"),
)
_SOME_RAN = re.compile(
    r"\b[1-9]\d* (?:x?passed|x?failed|passing|failing|examples?\b)|^ok\s+\S+\s+(?!.*\[no tests to run\])"
    r"|^ *--- (?:PASS|FAIL)|\b(?:Ran|Executed|Tests run:|OK \() ?[1-9]|\d% tests passed",
    re.MULTILINE,
)
_COMMITTED = re.compile(r"^\[[^\]\n]+ [0-9a-f]{7,40}\] ", re.MULTILINE)
_NOT_COMMITTED = re.compile(r"nothing to commit|nothing added to commit|no changes added to commit|Aborting commit")
_QUIET = re.compile(r"\s(?:--quiet|-[a-z]*q[a-z]*)\b")
_NOT_STARTED = (
    *("command not found", "not recognized as", "no such file or directory", "no module named", "missing script"),
    *("unknown command", "unknown option", "unknown flag", "unrecognized", "no rule to make target", "\nusage: "),
    *("error: usage: ", "timed out", "killed by"),
)
_NPM_NOT_STARTED = re.compile(r"^npm (?:ERR!|error) (?:code (?:ENOENT|E404)|Missing script)", re.MULTILINE)
_TAIL = 3_000


def closing_line(text: str) -> bool | None:
    """What the runner's own last lines say: True passed, False failed, None neither. A failure outweighs."""
    tail = _tail(text)
    if _FAILURES.search(tail):
        return False
    return True if _SUCCESSES.search(tail) else None


def ran_nothing(text: str) -> bool:
    """Whether a test runner says that it had no test to run, and nowhere that one ran or failed."""
    tail = _tail(text).lower()
    if not any(hint in tail for hint in _HINTS_OF_NONE) or not _NONE_RAN.search(tail):
        return False
    return not _SOME_RAN.search(text) and closing_line(text) is not False


def committed(command: str, text: str) -> bool | None:
    """Whether git's own words say that a commit was made; None when they say nothing, as it was told to."""
    if _COMMITTED.search(text):
        return True
    return False if _NOT_COMMITTED.search(text) and not _QUIET.search(command) else None


def not_started(text: str) -> bool:
    """Whether a run that failed never came to an answer: it was not found, called wrongly, or out of time."""
    tail = _tail(text)
    if _NPM_NOT_STARTED.search(tail):
        return True
    lowered = f"\n{tail}".lower()
    return any(words in lowered for words in _NOT_STARTED) and closing_line(text) is None


def _tail(text: str) -> str:
    return text[-_TAIL:].replace("\\n", "\n") if text.startswith("{") else text[-_TAIL:]
