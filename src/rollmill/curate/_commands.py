"""A shell command taken apart far enough to know what it runs: tests, a build, a commit, a revert.

    cd app && FOO=1 uv run pytest -q 2>&1 | tail -5; git commit -m "done"

is three simple commands. Nothing is run or expanded. What cannot be taken apart is looked at word by word, and what is
not recognised is simply not a test, a build, a commit or a revert.
"""

from __future__ import annotations

import re
from functools import lru_cache

from msgspec import Struct

from rollmill.curate._runners import RunKind, git_paths, joined, kind_of_run, spelled_out, unwrapped


class Simple(Struct, gc=False):
    """One simple command: its text, and the operator behind it (``&&``, ``||``, ``;``, ``|``, ``&``, or nothing)."""

    text: str
    then: str


class Run(Struct, gc=False):
    """A simple command that is recognised.

    ``decides_success``: when the whole command succeeds, this one did. ``decides_failure``: when the whole command
    fails, it was this one. ``negated``: behind ``!``, so that it failed where the command succeeds. ``paths`` are the
    files a revert restores or a commit holds (``.`` for all), seen from where the command began.
    """

    kind: RunKind
    text: str
    decides_success: bool = False
    decides_failure: bool = False
    paths: list[str] = []
    negated: bool = False


_INTERESTING = re.compile(
    "test|jest|nose|git|cargo|mvn|pre-commit|build|make|check|lint|tox|nox|mocha|rspec|phpunit|verify|tsc|mypy|ruff|flake8|pyright|clippy|vet|compile"
    "|package|assemble|webpack|rollup|biome|black|karma|cypress|playwright|ninja|bats|analyze"
)
_PIECE = re.compile(
    r"""(?<![^\s;&|(])\#[^\n]*|'[^']*'?|"(?:[^"\\]|\\.)*"?|\\.|\d{0,2}>&\d{0,2}-?|&>>?|&&|\|\||\|&|;;|[;|&\n()]"""
    r"""|[^'"\\&|;\n()>\d\#]+|.""",
    re.DOTALL,
)
_WORD = re.compile(r"""(?:'[^']*'?|"(?:[^"\\]|\\.)*"?|\\.|[^\s'"\\])+""", re.DOTALL)
_QUOTES = re.compile(r"""'[^']*'?|"(?:[^"\\]|\\.)*"?|\\.""", re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\$`])')
_QUOTED = re.compile(r"""['"\\]""")
_OPERATORS = {"&&": "&&", "||": "||", "|": "|", "|&": "|", ";": ";", ";;": ";", "\n": ";", "&": "&", "(": "", ")": ""}
_HEREDOC = re.compile(r"<<-?[ \t]*(['\"]?)([A-Za-z_]\w*)\1")
_SEARCHES = {"rg", "grep", "egrep", "fgrep", "zgrep", "ag", "ack", "diff", "cmp", "test", "[", "which", "type", "pgrep"}
_LONGEST = 20_000
_LONGEST_SIMPLE = 2_000
_MOST = 200
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_SHELLS = {"bash", "sh", "zsh", "dash", "ksh"}
_GOES = ("cd ", "pushd ", "popd")
_WAITS = set("sleep wait watch ps pgrep jobs top uptime squeue sacct nvidia-smi".split())
_STATES = {"status", "ps", "checks", "wait", "watch"}
_HARMLESS = {"cd", "export", "source", ".", "set", "pushd", "popd", "unset", "ulimit", "true", "echo", "pwd"}


def runs(text: str, depth: int = 0) -> list[Run]:
    """The tests, builds, commits and reverts that a command runs, in order."""
    text = without_heredocs(text)[:_LONGEST]
    if not _INTERESTING.search(text):
        return []
    parts = simple_commands(text)[:_MOST]
    found: list[Run] = []
    folder = ""
    for number, part in enumerate(parts):
        if part.text.startswith(_GOES):
            folder = _gone(folder, words_of(part.text))
        elif _INTERESTING.search(part.text):
            for run in _recognised(part, depth):
                run.paths = [joined(folder, path) for path in run.paths]
                run.decides_success = run.decides_success and _success_reaches_the_end(parts, number)
                run.decides_failure = run.decides_success and run.decides_failure and _alone(parts, number)
                found.append(run)
    return found


def only_searches(text: str) -> bool:
    """Whether the last thing a command does is to look for something: then status 1 says that nothing was found."""
    parts = simple_commands(without_heredocs(text)[:_LONGEST])
    words = unwrapped(words_of(parts[-1].text)) if parts else []
    return bool(words) and (words[0].rsplit("/", 1)[-1] in _SEARCHES or words[:2] == ["git", "grep"])


def polls(text: str) -> bool:
    """Whether a command waits, or asks how something is: asking that again is not doing the same again."""
    for part in simple_commands(without_heredocs(text)[:_LONGEST])[:_MOST]:
        words = unwrapped(words_of(part.text))
        if words and (words[0].rsplit("/", 1)[-1] in _WAITS or not _STATES.isdisjoint(words[1:3])):
            return True
    return False


def without_heredocs(text: str) -> str:
    """The text without the bodies of its here-documents; one that does not end takes all that follows."""
    kept, begin = [], 0
    while "<<" in text and (found := _HEREDOC.search(text, begin)):
        line_end = text.find("\n", found.end())
        kept.append(text[begin : found.start()])
        if line_end < 0:
            begin = found.end()
            break
        kept.append(text[found.end() : line_end])
        end = _end_of(found[2]).search(text, line_end)
        if end is None:
            return "".join(kept)
        begin = end.end()
    return "".join([*kept, text[begin:]]) if begin else text


@lru_cache(256)
def _end_of(word: str) -> re.Pattern[str]:
    return re.compile(rf"\n\t*{word}(?=[\r\n)\"]|\Z)")


def simple_commands(text: str) -> list[Simple]:
    """The text cut at its operators, which count only outside quotes."""
    found: list[Simple] = []
    waiting: list[str] = []
    for piece in _PIECE.findall(text):
        if (operator := _OPERATORS.get(piece)) is None:
            waiting.append("" if piece[0] == "#" and len(piece) > 1 else piece)
        elif words := "".join(waiting).strip():
            found.append(Simple(words, operator))
            waiting = []
        elif found and operator and found[-1].then in ("", ";"):
            found[-1].then = operator
    if words := "".join(waiting).strip():
        found.append(Simple(words, ""))
    return found


def _success_reaches_the_end(parts: list[Simple], number: int) -> bool:
    """Whether the whole succeeding means that this part was run and succeeded."""
    if number and parts[number - 1].then == "||":
        return False
    if parts[number].then == "|" and not any("pipefail" in part.text for part in parts[:number]):
        return False
    return parts[-1].then != "&" and all(part.then in ("&&", "|", "") for part in parts[number:-1])


def _alone(parts: list[Simple], number: int) -> bool:
    """Whether nothing else in the command could have failed."""
    others = [part for at, part in enumerate(parts) if at != number]
    return all(_first_word(part.text) in _HARMLESS or _ASSIGNMENT.match(part.text) for part in others)


def _gone(folder: str, words: list[str]) -> str:
    """Where ``cd`` leads from a folder; what is not spelled out is taken for where the command began."""
    to = next((word for word in words[1:] if not word.startswith("-")), "")
    return joined(folder, to) if to and spelled_out(to) else ""


def _first_word(text: str) -> str:
    return text.split(None, 1)[0] if text else ""


def words_of(text: str) -> list[str]:
    """The words of a simple command without their quotes. (``shlex`` does the same a hundred times slower.)"""
    words = _WORD.findall(text[:_LONGEST_SIMPLE])
    return [_QUOTES.sub(_unquoted, word) if _QUOTED.search(word) else word for word in words]


def _unquoted(piece: re.Match[str]) -> str:
    text = piece[0]
    if text[0] == "\\":
        return text[1:]
    inside = text[1:].removesuffix(text[0])
    return inside if text[0] == "'" else _ESCAPED.sub(r"\1", inside)


def _recognised(part: Simple, depth: int) -> list[Run]:
    given = words_of(part.text)
    words = unwrapped(given)
    if not words:
        return []
    name = words[0].rsplit("/", 1)[-1]
    if name in _SHELLS and depth < 3:
        inner = _inner(words)
        found = runs(inner, depth + 1) if inner else _script(words, part)
    else:
        kind = kind_of_run(name, words[1:])
        found = [Run(kind, part.text, True, True, git_paths(kind, words[1:]))] if kind else []
    return [_negated(run) for run in found] if "!" in given[: len(given) - len(words)] else found


def _negated(run: Run) -> Run:
    run.negated = not run.negated
    run.decides_success, run.decides_failure = run.decides_failure, run.decides_success
    return run


def _inner(words: list[str]) -> str:
    """TEXT of ``bash -lc TEXT``."""
    for at, word in enumerate(words[1:-1], 1):
        if word.startswith("-") and not word.startswith("--") and word.endswith("c"):
            return words[at + 1]
    return ""


def _script(words: list[str], part: Simple) -> list[Run]:
    """``bash run_tests.sh`` is what ``./run_tests.sh`` is."""
    rest = [word for word in words[1:] if not word.startswith("-")]
    kind = kind_of_run(rest[0].rsplit("/", 1)[-1], rest[1:]) if rest else None
    return [Run(kind, part.text, True, True)] if kind in ("test", "build") else []
