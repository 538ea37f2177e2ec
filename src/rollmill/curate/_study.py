"""A rollout looked at once for signals and findings: its calls, what the human did, its edits, its commands."""

from __future__ import annotations

from msgspec import Struct

from rollmill.curate._calls import Call, calls, found_nothing
from rollmill.curate._commands import Run, only_searches, runs
from rollmill.curate._human import People, people
from rollmill.curate._runners import closing_line
from rollmill.curate._tools import Edit, command, edits, kind_of, patch_edits, patch_text
from rollmill.rollout import Rollout


class Ran(Struct, gc=False):
    """A recognised command that was run: in which message, and whether it passed (None: nothing says so)."""

    message: int
    run: Run
    passed: bool | None


class Study(Struct):
    """What a rollout's calls did. ``edits`` are those that were not refused and did not fail, in order."""

    calls: list[Call]
    people: People
    edits: list[Edit]
    ran: list[Ran]
    commands: int = 0


def study(rollout: Rollout) -> Study:
    """Look at a rollout once; ``signals`` and ``findings`` take the result, or do it themselves."""
    made = calls(rollout.messages)
    found = Study(made, people(rollout.messages, made), [], [])
    for call in made:
        kind = kind_of(call.name)
        if kind == "shell":
            _look_at_command(found, call)
        elif kind == "edit" and not (call.failed or call.rejected):
            found.edits += edits(call)
        elif kind == "patch" and not (call.failed or call.rejected):
            found.edits += patch_edits(call.message, patch_text(call))
    return found


def _look_at_command(found: Study, call: Call) -> None:
    given = command(call)
    if given is None or call.rejected:
        return
    found.commands += 1
    if call.failed and found_nothing(call) and only_searches(given.text):
        call.failed = False
    if given.patch and not call.failed:
        found.edits += patch_edits(call.message, given.patch)
    for run in runs(given.text):
        found.ran.append(Ran(call.message, run, None if given.background else _passed(run, call)))


def _passed(run: Run, call: Call) -> bool | None:
    """By the exit status where it is the command's own, else by the runner's closing line, else by the status of the
    whole command line when that would have failed with it."""
    if call.failed is False and run.decides_success:
        return True
    if call.failed and run.decides_failure:
        return False
    said = closing_line(call.said) if run.kind in ("test", "build") else None
    if said is None and call.failed and run.decides_success:
        return False
    return said
