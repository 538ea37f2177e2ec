"""The folders in which agents leave rollouts, and what lies there. Nothing is opened."""

from __future__ import annotations

from pathlib import Path

from rollmill.errors import SeedReaderError
from rollmill.formats import load_format
from rollmill.seeds.discovery import Discovery, discover


def look_into(folder: Path, format_name: str) -> Discovery:
    """The rollouts of a format in a folder. Raises ``SeedReaderError`` when it cannot be listed."""
    try:
        return discover(folder, format_name, load_format(format_name).DEFAULTS.file_pattern)
    except OSError as error:
        raise SeedReaderError(f"{folder} cannot be listed: {error.strerror}; check its permissions") from error
