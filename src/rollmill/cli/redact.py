"""``rollmill redact``: secrets out of rows, or a report of where they are."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rollmill.cli.options import FormatName

if TYPE_CHECKING:
    from rollmill.export.pipeline.inputs import Input
    from rollmill.rollout import Rollout

USER = "home_user"
"""In every path of a row, mostly: told once for the row."""
FOUND = 1
"""The exit status of ``--check`` when there is something to redact."""


@click.command("redact")
@click.argument("path", metavar="ROWS|PATH", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    metavar="FILE|FOLDER",
    type=click.Path(path_type=Path),
    help="rows.parquet, rows.jsonl, or a folder.",
)
@click.option(
    "--check", is_flag=True, help="Write nothing; tell what kinds of secrets are where. Exit status 1 if any."
)
@click.option(
    "--format", "format_name", type=FormatName(), default="auto", show_default=True, help="The rollouts' format."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for a script.")
@click.option("--quiet", is_flag=True, help="Print nothing but problems.")
def command(path: Path, output: Path | None, check: bool, format_name: str, as_json: bool, quiet: bool) -> None:
    """Take secrets out of rows.

    Reads rows that `rollmill ingest` wrote, or rollouts as agents left them, and writes rows in which keys, tokens,
    passwords, cookies, e-mail addresses and users' names are replaced by names such as <API_KEY_1>, one for each
    secret. --check only tells what is where and never shows it.

    \b
    Examples:
      rollmill redact rows.parquet -o shared.parquet
      rollmill redact --check ~/.codex/sessions
    """
    if check == (output is not None):
        raise click.UsageError("give either -o, where to write, or --check, to write nothing")
    from rollmill.export.pipeline.inputs import Input

    source = Input(path, format_name)
    run = _Run(source)
    if output is None:
        run.check(as_json, quiet)
        if run.counts:
            raise click.exceptions.Exit(FOUND)
    else:
        run.write(output, as_json, quiet)


@dataclass
class _Progress:
    bytes_done: int
    bytes_total: int
    rows: int
    places: int
    seconds: float


@dataclass
class _Run:
    """What was found in the rows."""

    source: Input
    rows: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    began: float = field(default_factory=time.monotonic)

    def write(self, output: Path, as_json: bool, quiet: bool) -> None:
        """Write the redacted rows and tell how many places of each kind were replaced."""
        from rollmill.engine.outputs import explained, open_output
        from rollmill.engine.preload import without_pandas
        from rollmill.rows import batches

        without_pandas()
        self.source.refuse_output(output)
        target = open_output(output)
        try:
            with explained(output):
                for batch in batches(self._redacted(quiet)):
                    target.write(batch)
                target.close()
        except BaseException:
            target.discard()
            raise
        self._tell(target.paths, as_json, quiet)

    def check(self, as_json: bool, quiet: bool) -> None:
        """Tell every place in which there is something, as it is found, and the sums at the end."""
        from rollmill.cli.printing import say

        if as_json:
            sys.stdout.write('{"places": [')
        for number, place in enumerate(self._places(quiet)):
            if as_json:
                sys.stdout.write(f"{',' if number else ''}\n{json.dumps(place)}")
            elif not quiet:
                say(_place_line(place))
        if as_json:
            sys.stdout.write(f"\n], {json.dumps(self._summary())[1:]}\n")
        else:
            self._tell_sums("found", quiet)

    def _redacted(self, quiet: bool) -> Iterator[Rollout]:
        from rollmill.curate.redaction import Redactor, mark

        redactor = Redactor()
        for rollout in self._read(quiet):
            redactor.rollout(rollout)  # Only looked at: what the last row gives away is to go from the first.
        self._begin_again()
        for rollout in self._read(quiet):
            rollout, counts = redactor.rollout(rollout)
            mark(rollout, counts)
            self.counts.update(counts)
            yield rollout

    def _begin_again(self) -> None:
        from rollmill.export.pipeline.inputs import Input

        self.source, self.rows = Input(self.source.path, self.source.format), 0

    def _places(self, quiet: bool) -> Iterator[dict[str, Any]]:
        from rollmill.curate.redaction import Redactor

        redactor = Redactor()
        for rollout in self._read(quiet):
            where = {"file": rollout.source_path, "trace_id": rollout.trace_id}  # The user's own file, as they call it.
            users = 0
            for place in redactor.places(rollout):
                self.counts.update(place.counts)
                counts = {kind: count for kind, count in place.counts.items() if kind != USER}
                users += place.counts.get(USER, 0)
                if counts:
                    yield {**where, **place._asdict(), "counts": counts}
            if users:
                yield {**where, "message": None, "field": "everywhere", "counts": {USER: users}}

    def _read(self, quiet: bool) -> Iterator[Rollout]:
        from rollmill.cli.interrupts import between_tasks
        from rollmill.cli.progress import shown_progress

        with shown_progress(quiet, _line) as show, between_tasks() as stop_here:
            for rollout in self.source:
                stop_here()
                self.rows += 1
                yield rollout
                show(self._progress())

    def _progress(self) -> _Progress:
        source, seconds = self.source, time.monotonic() - self.began
        return _Progress(source.bytes_done, source.bytes_total, self.rows, self.counts.total(), seconds)

    def _tell(self, paths: list[Path], as_json: bool, quiet: bool) -> None:
        from rollmill.cli.printing import say, say_json

        if as_json:
            say_json({**self._summary(), "paths": [str(path) for path in paths]})
            return
        self._tell_sums("replaced", quiet)
        if not quiet:
            say(f"{_counted(self.rows, 'row')} written to {', '.join(map(str, paths)) or 'nothing'}")

    def _tell_sums(self, what: str, quiet: bool) -> None:
        from rollmill.cli.printing import complain, say

        for problem in self.source.problems():
            complain(f"problem: {problem}")
        if quiet:
            return
        say(f"{_counted(self.counts.total(), 'place')} {what} in {_counted(self.rows, 'row')}")
        for kind, count in self.counts.most_common():
            say(f"  {count:,} {kind}")

    def _summary(self) -> dict[str, Any]:
        from rollmill.curate.redaction import POLICY

        return {"policy": POLICY, "rows": self.rows, "counts": dict(self.counts), "problems": self.source.problems()}


def _place_line(place: dict[str, Any]) -> str:
    where = "row" if place["message"] is None else f"message {place['message']}"
    kinds = ", ".join(f"{count} {kind}" for kind, count in place["counts"].items())
    return f"{place['trace_id']}, {where}, {place['field']}: {kinds} ({place['file']})"


def _line(state: _Progress) -> str:
    from rollmill.cli.printing import size_text

    return f"{size_text(state.bytes_done)} read, {state.rows:,} rows, {state.places:,} places"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
