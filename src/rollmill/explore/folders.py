"""The folders in which agents leave rollouts, and what lies there. Nothing is opened."""

from __future__ import annotations

from pathlib import Path

from rollmill.errors import SeedReaderError
from rollmill.formats import formats, load_format
from rollmill.seeds.discovery import Discovery, discover


def default_folders() -> dict[str, Path]:
    """The default folder of every format that has one, whether it is there or not."""
    return {name: Path(path) for name, module in formats() if (path := module.DEFAULTS.path) is not None}


def default_folders_here() -> dict[str, Path]:
    """The default folders that are on this machine. Raises ``SeedReaderError`` with all of them when none is."""
    folders = default_folders()
    if here := {name: folder for name, folder in folders.items() if folder.is_dir()}:
        return here
    looked_at = ", ".join(f"{folder} ({name})" for name, folder in folders.items())
    raise SeedReaderError(f"no agent has left rollouts in its default folder: looked at {looked_at}; give a path")


def look_into(folder: Path, format_name: str) -> Discovery:
    """The rollouts of a format in a folder. Raises ``SeedReaderError`` when it cannot be listed."""
    try:
        return discover(folder, format_name, load_format(format_name).DEFAULTS.file_pattern)
    except OSError as error:
        raise SeedReaderError(f"{folder} cannot be listed: {error.strerror}; check its permissions") from error
