"""``rollmill formats``: the rollout formats that can be read."""

from __future__ import annotations

from typing import Any

import click


@click.command("formats")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for a script.")
def command(as_json: bool) -> None:
    """List the rollout formats that can be read.

    Each with its default folder, the names of its files, and what it is.

    \b
    Example:
      rollmill formats
    """
    from rollmill.cli.printing import say_json, say_table

    listed = _formats()
    if as_json:
        say_json(listed)
        return
    keys = ["format", "folder", "file_pattern", "about"]
    rows = [[entry[key] or "(a path is needed)" for key in keys] for entry in listed]
    say_table(["FORMAT", "DEFAULT FOLDER", "FILES", "WHAT IT IS"], rows)


def _formats() -> list[dict[str, Any]]:
    from rollmill.formats import formats

    return [
        {
            "format": name,
            "folder": module.DEFAULTS.path,
            "file_pattern": module.DEFAULTS.file_pattern,
            "home_variable": module.DEFAULTS.home_variable,
            "about": (module.__doc__ or "").strip().partition("\n")[0],
        }
        for name, module in formats()
    ]
