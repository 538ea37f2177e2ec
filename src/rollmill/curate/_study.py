"""A rollout looked at once for signals and findings: its calls, what the human did, its edits, its commands."""

from __future__ import annotations

from posixpath import normpath

from msgspec import Struct

from rollmill.curate._calls import Call, calls, found_nothing
from rollmill.curate._commands import Run, only_searches, runs
from rollmill.curate._human import People, people
from rollmill.curate._runners import closing_line, committed, joined, not_started, ran_nothing
from rollmill.curate._tools import Edit, command, edits, kind_of, patch_edits, patch_text
from rollmill.rollout import Rollout


class Ran(Struct, gc=False):
    """A recognised command that was run: in which message, and whether it passed (None: nothing says so)."""

    message: int
    run: Run
    passed: bool | None


class Study(Struct):
    """What a rollout's calls did. ``edits`` are those that were not refused and did not fail, in order; their paths are
    seen from ``folder`` where they are relative."""

    calls: list[Call]
    people: People
    edits: list[Edit]
    ran: list[Ran]
    folder: str = ""
    commands: int = 0


def study(rollout: Rollout) -> Study:
    """Look at a rollout once; ``signals`` and ``findings`` take the result, or do it themselves."""
    made = calls(rollout.messages)
    found = Study(made, people(rollout.messages, made), [], [], rollout.cwd or "")
    for call in made:
        kind = kind_of(call.name)
        if kind == "shell":
            _look_at_command(found, call)
        elif kind == "edit" and not (call.failed or call.rejected):
            _take(found, edits(call))
        elif kind == "patch" and not (call.failed or call.rejected):
            _take(found, patch_edits(call.message, patch_text(call)))
    return found


def _take(found: Study, made: list[Edit], folder: str = "") -> None:
    """Note edits, with their paths as they are seen from the rollout's folder."""
    base = joined(found.folder, folder or ".")
    for edit in made:
        edit.path = joined(base, edit.path)
    found.edits += made


def _look_at_command(found: Study, call: Call) -> None:
    given = command(call)
    if given is None or call.rejected:
        return
    found.commands += 1
    if call.failed and found_nothing(call) and only_searches(given.text):
        call.failed = False
    if given.patch and not call.failed:
        _take(found, patch_edits(call.message, given.patch), given.folder)
    for run in runs(given.text):
        run.paths = [_resolved(joined(given.folder, path), found.folder) for path in run.paths]
        passed = None if given.background else _passed(run, call)
        found.ran.append(Ran(call.message, run, passed))
        if passed is False and call.failed and _answers(run, call):
            call.excused = True


def _answers(run: Run, call: Call) -> bool:
    """Whether a run that failed failed as tests and builds do, which is the answer to what was asked."""
    if run.kind not in ("test", "build") or not_started(call.said):
        return False
    return run.decides_failure or closing_line(call.said) is False


def _resolved(path: str, folder: str) -> str:
    """A path that leads out of where the command began, from the rollout's folder."""
    return normpath(joined(folder, path)) if "../" in f"{path}/" else path


def _passed(run: Run, call: Call) -> bool | None:
    """By the exit status where it is the command's own, else by the runner's closing line or git's words, else by the
    status of the whole command line when that would have failed with it. Tests of which none ran did neither."""
    if run.kind == "test" and ran_nothing(call.said):
        return None
    if call.failed is False and run.decides_success:
        return not run.negated
    if call.failed and run.decides_failure:
        return run.negated
    said = _said(run, call)
    if said is None and call.failed and run.decides_success and not run.negated:
        return False
    return said


def _said(run: Run, call: Call) -> bool | None:
    if run.kind == "commit":
        return committed(run.text, call.said)
    return closing_line(call.said) if run.kind in ("test", "build") else None
