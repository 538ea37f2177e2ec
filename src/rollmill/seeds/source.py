"""Where seed rows come from, as data: what is written to a config file and checked before any file is looked at.

    AgentRolloutSeedSource(format="claude_code")                       the agent's own folder on this machine
    AgentRolloutSeedSource(format="atif", path="runs", recursive=False)

``path`` and ``file_pattern`` stay None when they were left out, so that a saved config names no machine's folders;
``runtime_path`` and ``resolved_file_pattern`` say what they stand for here and now.
"""

from __future__ import annotations

import codecs
import os
import re
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from rollmill.errors import ConfigError
from rollmill.formats import Branches, FormatDefaults, format_names, load_format

if TYPE_CHECKING:

    class AgentRolloutFormat(StrEnum):
        """The rollout formats. Type checkers see the built-in ones; a test holds this list against ``formats/``."""

        ATIF = "atif"
        CHAT_COMPLETION_JSONL = "chat_completion_jsonl"
        CLAUDE_CODE = "claude_code"
        CODEX = "codex"

else:

    def _member_name(format_name: str) -> str:
        return re.sub(r"\W", "_", format_name.upper())

    AgentRolloutFormat = StrEnum(
        "AgentRolloutFormat",
        {_member_name(name): name for name in format_names()},
        module=__name__,
    )
    AgentRolloutFormat.__doc__ = "The rollout formats: every module in ``formats/`` and of outside packages, by name."


def get_agent_rollout_format_defaults(format: AgentRolloutFormat | str) -> FormatDefaults:
    """The format's default folder and file pattern; ``path`` is None when a folder must be given."""
    return load_format(str(format)).DEFAULTS


def _as_text(path: Any) -> Any:
    """A ``pathlib.Path`` as its text, so that it reads the same after a round trip; anything else as it is."""
    return os.fspath(path) if isinstance(path, os.PathLike) else path


PathText = Annotated[str, BeforeValidator(_as_text)]


class SeedSource(BaseModel):
    """Any place that seed rows come from. ``seed_type`` tells the kinds apart in a saved config; a subclass gives it
    as a ``Literal`` with a default."""

    model_config = ConfigDict(extra="forbid")

    seed_type: str


class FileSystemSeedSource(SeedSource):
    """A folder of files. Whether it is there is looked at when it is read, not when the config is made."""

    path: PathText = Field(description="The folder. `~` and relative paths are resolved when it is read.")
    file_pattern: str = Field("*", description="Shell pattern for file names, case-sensitive, without folders.")
    recursive: bool = Field(True, description="Whether files in sub-folders count too.")

    @field_validator("path")
    @classmethod
    def _check_path(cls, path: str | None) -> str | None:
        if path is not None and not path.strip():
            raise ConfigError("path is empty; give the folder that holds the files, '.' for the current one")
        return path

    @field_validator("file_pattern")
    @classmethod
    def _check_file_pattern(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            _refuse_separators(pattern)
        return pattern

    @property
    def runtime_path(self) -> str:
        """The folder to read now, as the user wrote it."""
        return self.path


def _refuse_separators(pattern: str) -> None:
    if not pattern.strip():
        raise ConfigError("file_pattern is empty; '*' takes every file")
    if "/" in pattern or "\\" in pattern:
        name = re.split(r"[/\\]", pattern)[-1] or "*"
        raise ConfigError(
            f"file_pattern {pattern!r} has a folder in it, but it is matched against file names alone; "
            f"put the folder into path and write file_pattern={name!r} (recursive=True looks into sub-folders)"
        )


class DirectorySeedSource(FileSystemSeedSource):
    """One row for each file of a folder: its names, not its content."""

    seed_type: Literal["directory"] = "directory"


class FileContentsSeedSource(FileSystemSeedSource):
    """One row for each text file of a folder, with its content."""

    seed_type: Literal["file_contents"] = "file_contents"

    encoding: str = Field("utf-8", description="Text encoding of the files, by its Python name.")

    @field_validator("encoding")
    @classmethod
    def _check_encoding(cls, encoding: str) -> str:
        try:
            codecs.lookup(encoding)
        except LookupError:
            raise ConfigError(f"no encoding is called {encoding!r}; 'utf-8', 'latin-1' and 'cp1252' are some") from None
        return encoding


class AgentRolloutSeedSource(FileSystemSeedSource):
    """A folder of agent rollouts of one format: one row for each thread of an agent (``docs/rows.md``).

    A ``path`` may also name one file. ``branches="all"`` adds a row for each branch that a user abandoned.
    """

    seed_type: Literal["agent_rollout"] = "agent_rollout"

    format: AgentRolloutFormat = Field(description=f"The agent's format: {', '.join(format_names())}.")
    path: PathText | None = Field(  # type: ignore[assignment]
        None, description="The folder (or one file). Left out: the agent's own folder, for formats that have one."
    )
    file_pattern: str | None = Field(  # type: ignore[assignment]
        None, description="Shell pattern for file names, case-sensitive. Left out: the format's own."
    )
    branches: Branches = Field("live", description="`live`: each thread as it stands; `all`: abandoned branches too.")

    @model_validator(mode="after")
    def _check_path_given(self) -> AgentRolloutSeedSource:
        if self.path is None and self.defaults.root is None:
            raise ConfigError(
                f"path is missing: format {self.format.value!r} has no default folder, "
                f"because its files lie wherever they were written; pass path='FOLDER'"
            )
        return self

    @property
    def defaults(self) -> FormatDefaults:
        """The format's default folder and file pattern."""
        return get_agent_rollout_format_defaults(self.format)

    @property
    def runtime_path(self) -> str:
        """The folder to read now: ``path`` as written, else the format's default, an environment variable of the
        agent's own (``CLAUDE_CONFIG_DIR``, ``CODEX_HOME``) included."""
        return self.path if self.path is not None else str(self.defaults.path)

    @property
    def resolved_file_pattern(self) -> str:
        """``file_pattern``, else the format's own."""
        return self.file_pattern if self.file_pattern is not None else self.defaults.file_pattern
