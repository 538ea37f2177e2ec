"""``rollmill scan``: what agents left in their default folders. Nothing is opened."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click


@click.command("scan")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for a script.")
def command(as_json: bool) -> None:
    """Show what agents left on this machine.

    Looks into every known agent's default folder, opens no file, and tells how many rollout files there are, their
    size, and the first and last day (UTC) on which one was written.

    \b
    Example:
      rollmill scan
    """
    from rollmill.cli.printing import say, say_json, say_table
    from rollmill.reading import default_folders

    found = [_folder(name, folder) for name, folder in default_folders().items()]
    if as_json:
        say_json(found)
        return
    say_table(["FORMAT", "FOLDER", "FILES", "SIZE", "FIRST", "LAST"], map(_cells, found), right=(2, 3))
    for entry in found:
        for problem in entry["problems"]:
            say(f"{entry['format']}: {problem}")


def _folder(name: str, folder: Path) -> dict[str, Any]:
    from rollmill.errors import SeedReaderError
    from rollmill.explore.folders import look_into

    entry = {"format": name, "folder": str(folder), "exists": folder.is_dir(), **_figures([]), "problems": []}
    if not folder.is_dir():
        return entry
    try:
        found = look_into(folder, name)
    except SeedReaderError as error:
        return {**entry, "problems": [str(error)]}
    return {**entry, **_figures(found.rows), "problems": [f"not listed: {message}" for _, message in found.unlisted]}


def _figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    times = [row["mtime"] for row in rows]
    return {
        "files": len(rows),
        "bytes": sum(row["size"] for row in rows),
        "first": _time(min(times)) if times else None,
        "last": _time(max(times)) if times else None,
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _cells(entry: dict[str, Any]) -> list[str]:
    from rollmill.cli.printing import size_text

    name, folder = entry["format"], entry["folder"]
    if not entry["exists"]:
        return [name, folder, "-", "-", "not there", ""]
    days = [(entry[key] or "-")[:10] for key in ("first", "last")]
    return [name, folder, f"{entry['files']:,}", size_text(entry["bytes"]), *days]
