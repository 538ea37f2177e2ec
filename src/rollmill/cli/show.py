"""``rollmill show``: one rollout to read, as text or as a page."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rollmill.cli.options import FormatName

if TYPE_CHECKING:
    from rollmill.explore.transcript import Tone
    from rollmill.rollout import Rollout
    from rollmill.seeds.discovery import Discovery

STYLES: dict[Tone, dict[str, Any]] = {
    "dim": {"dim": True},
    "title": {"bold": True},
    "human": {"fg": "yellow", "bold": True},
    "harness": {"fg": "bright_black"},
    "model": {"fg": "cyan"},
    "tool": {"fg": "green"},
    "error": {"fg": "red"},
}


@click.command("show")
@click.argument("target", metavar="TRACE|FILE")
@click.option("--trace", metavar="ID", help="The row to show when FILE holds several: a trace id, or part of one.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a page for the browser instead.")
@click.option(
    "--format", "format_name", type=FormatName(), default="auto", show_default=True, help="The rollout's format."
)
@click.option(
    "--path",
    "root",
    type=click.Path(path_type=Path),
    help="Look for TRACE below this folder, or in this file, not in the agents' own folders.",
)
@click.option("--full", is_flag=True, help="Shorten nothing.")
@click.option("--no-redact", is_flag=True, help="Leave secrets and names in the page.")
def command(
    target: str,
    trace: str | None,
    html: Path | None,
    format_name: str,
    root: Path | None,
    full: bool,
    no_redact: bool,
) -> None:
    """Show one rollout to read.

    Its turns, thinking, calls and results, and at the end what the log has and what it lacks.

    TRACE is a trace id, or enough of one to find it in the agents' default folders. FILE is a rollout file, or a file
    (or folder) of rows that `rollmill ingest` wrote, of which --trace names the row. Control characters in the text
    are shown, never sent to the terminal. Secrets and names are taken out of a page, since pages are passed on.

    \b
    Examples:
      rollmill show 0ccf1a04 | less -R
      rollmill show rows.parquet --trace 0ccf1a04 --html session.html
    """
    rollout, others = _found(target, trace, format_name, root)
    if html is not None:
        from rollmill.cli.printing import say
        from rollmill.curate.redaction import Redactor
        from rollmill.explore.page import write_page

        write_page(rollout if no_redact else Redactor().rollout(rollout)[0], html, full)
        say(f"{rollout.trace_id} is in {html}")
    else:
        _print(rollout, full)
    _name_others(others)


def _found(target: str, trace: str | None, format_name: str, root: Path | None) -> tuple[Rollout, list[str]]:
    from rollmill.cli.printing import complain
    from rollmill.explore.find import in_folders, in_path

    path, root = Path(os.path.expanduser(target)), root and Path(os.path.expanduser(root))
    if root is None and os.path.lexists(path):
        return in_path(path, format_name, trace)
    if root is not None and trace is None and (root.is_file() or _holds_rows(root)):
        return in_path(root, format_name, target)
    if trace is not None or _is_file_name(target):
        raise click.BadParameter(f"there is no file {target!r}", param_hint="TRACE|FILE")
    return in_folders(_folders(format_name, root), target, complain)


def _holds_rows(folder: Path) -> bool:
    """Whether a folder holds rows and no logs beside them."""
    from rollmill.errors import ConfigError
    from rollmill.stored import row_files

    try:
        return bool(row_files(folder))
    except (OSError, ConfigError):
        return False


def _is_file_name(target: str) -> bool:
    return target.endswith((".jsonl", ".parquet", ".json", ".zst")) and ":" not in target


def _folders(format_name: str, root: Path | None) -> list[Discovery]:
    from rollmill.detection import detect
    from rollmill.explore.folders import look_into
    from rollmill.reading import default_folders_here

    if root is not None:
        return [look_into(root.resolve(), detect(root) if format_name == "auto" else format_name)]
    here = default_folders_here()
    wanted = {name: folder for name, folder in here.items() if format_name in ("auto", name)}
    if not wanted:
        raise click.UsageError(f"there is no default folder of format {format_name}; say with --path where to look")
    return [look_into(folder, name) for name, folder in wanted.items()]


def _print(rollout: Rollout, full: bool) -> None:
    from rollmill.cli.printing import in_colour
    from rollmill.explore.transcript import transcript

    colour = in_colour()
    for line in transcript(rollout, full):
        # Already made visible: escapes printed here are ours.
        click.echo(click.style(line.text, **STYLES.get(line.tone, {})) if colour else line.text, color=colour)


def _name_others(others: list[str]) -> None:
    from rollmill.cli.printing import complain

    if others:
        shown = "\n".join(others[:20]) + (f"\nand {len(others) - 20} more" if len(others) > 20 else "")
        complain(f"There are {len(others)} more rollouts with it; name one by its trace id:\n{shown}")
