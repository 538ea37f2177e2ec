"""The error tree.

    RollmillError                the user can fix it: one clear message, exit status 2
    ├── ConfigError              a setting, name or path is wrong (also a ValueError)
    ├── DetectionError           a file's or folder's format cannot be told
    └── SeedReaderError          a seed could not be read (the reference's name)
    UnreadableFile               one file is no rollout: kept out, counted, the others go on

A bad record inside a readable file is data, never an exception: the fidelity ledger counts it.
Anything else that escapes is a bug and keeps its traceback.
"""

from __future__ import annotations


class RollmillError(Exception):
    """Something the user can fix. The message says what was looked at, what was found and what would be right."""


class ConfigError(RollmillError, ValueError):
    """A setting, name or path is wrong. Also a ``ValueError``, so that pydantic reports it as a validation error."""


class DetectionError(RollmillError):
    """No format, or more than one, fits the records that were looked at."""


class SeedReaderError(RollmillError):
    """A seed could not be read: a missing folder, an unreadable file, a reader that breaks its contract."""


class UnreadableFile(Exception):
    """A whole file is not a rollout of the expected format. Bulk reading counts it as one problem and goes on.

    ``kind`` is a short stable word for the summary's counts (``not_json``, ``not_a_rollout``, …);
    ``line`` is the 1-based line that spoilt the file, when one line did.
    """

    def __init__(self, kind: str, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.line = line
