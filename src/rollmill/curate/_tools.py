"""What a tool is for, by its name: running commands, editing files, asking how a running command is.

Agents name the same tools differently, and servers put names of their own in front (``mcp__files__write_file``). Only
the arguments of these tools are ever decoded.
"""

from __future__ import annotations

import re
import shlex
from functools import lru_cache
from typing import Any, Literal

import msgspec
from msgspec import Struct

from rollmill.curate._calls import Call

Kind = Literal["shell", "edit", "patch", "poll", "other"]

_NAMES: dict[Kind, str] = {
    "shell": "bash shell local_shell exec_command container.exec shell_command execute_bash bash_command run_command"
    " run_shell_command run_terminal_cmd run_terminal_command run_in_terminal execute_command terminal run_bash"
    " powershell cmd run exec",
    "edit": "edit multiedit multi_edit write notebookedit str_replace str_replace_editor str_replace_based_edit_tool"
    " file_editor edit_file write_file create_file write_to_file replace replace_in_file replace_string_in_file"
    " insert_edit_into_file search_replace edit_notebook notebook_edit",
    "patch": "apply_patch applypatch apply_diff",
    "poll": "bashoutput taskoutput write_stdin wait agentoutputtool get_terminal_output read_terminal",
}
_KINDS: dict[str, Kind] = {name: kind for kind, names in _NAMES.items() for name in names.split()}
_PREFIX = re.compile(r".*(?:__|\.|/)")
_PATCH_FILE = re.compile(r"^\*\*\* (?:Add|Update|Delete) File: (.+)$", re.MULTILINE)
_OUT, _IN = re.compile("^-(.*)", re.MULTILINE), re.compile(r"^\+(.*)", re.MULTILINE)
_BEGIN_PATCH = "*** Begin Patch"
_LONGEST_PATH = 4096


@lru_cache(4096)
def kind_of(name: str) -> Kind:
    """What the tool of that name does."""
    lowered = name[:200].lower()
    return _KINDS.get(lowered) or _KINDS.get(_PREFIX.sub("", lowered)) or "other"


class Edit(Struct, gc=False):
    """A change of one file: what stood there and what stands there now, None where the call does not say; of a patch
    its section for the file."""

    message: int
    path: str
    old: str | None = None
    new: str | None = None
    patch: str | None = None
    undo: bool = False

    def undoes(self, edit: Edit) -> bool:
        """Whether it puts back what an earlier edit of the same file took out, and takes out what that put in."""
        if self.patch is not None and edit.patch is not None:
            # Turned round, a patch has as many characters as before; most are told apart by that.
            return len(self.patch) == len(edit.patch) and _lines(self.patch) == _lines(edit.patch)[::-1]
        return edit.old is not None and edit.old != edit.new and (self.old, self.new) == (edit.new, edit.old)


def _lines(patch: str) -> tuple[list[str], list[str]]:
    """The lines that a patch takes out, and those that it puts in."""
    return _OUT.findall(patch), _IN.findall(patch)


class Command(Struct, gc=False):
    """What a shell was told to run, as text; ``patch`` when it only carries a patch for ``apply_patch``; the folder it
    was told to run in."""

    text: str
    patch: str = ""
    background: bool = False
    folder: str = ""


class _ShellArguments(Struct, gc=False):
    command: str | list[str] | None = None
    cmd: str | list[str] | None = None
    keystrokes: str | None = None
    script: str | None = None
    run_in_background: bool | None = None
    is_input: str | bool | None = None
    workdir: str | None = None


class _Replacement(Struct, gc=False):
    old_string: str | None = None
    new_string: str | None = None


class _EditArguments(Struct, gc=False):
    command: str | None = None
    file_path: str | None = None
    path: str | None = None
    filePath: str | None = None
    target_file: str | None = None
    notebook_path: str | None = None
    absolute_path: str | None = None
    filename: str | None = None
    old_string: str | None = None
    new_string: str | None = None
    old_str: str | None = None
    new_str: str | None = None
    content: str | None = None
    file_text: str | None = None
    edits: list[_Replacement] | None = None


class _PatchArguments(Struct, gc=False):
    input: str | None = None
    patch: str | None = None
    diff: str | None = None
    command: str | list[str] | None = None


_shell = msgspec.json.Decoder(_ShellArguments)
_edit = msgspec.json.Decoder(_EditArguments)
_patch = msgspec.json.Decoder(_PatchArguments)


def _decoded(decoder: msgspec.json.Decoder[Any], arguments: str) -> Any:
    """The arguments, or None when they are of another shape: then the call says nothing to us."""
    try:
        return decoder.decode(arguments)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None


def command(call: Call) -> Command | None:
    """What a call of a shell tool runs; None when it only sends input to what runs already, or is not understood."""
    given = _decoded(_shell, call.arguments)
    if given is None or given.is_input in (True, "true"):
        return None
    told = given.command or given.cmd or given.keystrokes or given.script
    if not told:
        return None
    text = told if isinstance(told, str) else _joined(told)
    patch = text if _BEGIN_PATCH in text else ""
    return Command(text, patch, bool(given.run_in_background), given.workdir or "")


def _joined(words: list[str]) -> str:
    """The words of a command as a shell would be given them: of ``bash -lc TEXT`` the text alone."""
    if len(words) == 3 and words[1] in ("-c", "-lc", "-ic", "-cl"):
        return words[2]
    return shlex.join(words)


def edits(call: Call) -> list[Edit]:
    """The changes that a call of an editing tool makes, whether it succeeded or not; none for a look at a file."""
    given = _decoded(_edit, call.arguments)
    if given is None or given.command in ("view", "open", "read"):
        return []
    path = _path(given)
    if not path:
        return []
    if given.command == "undo_edit":
        return [Edit(call.message, path, undo=True)]
    if given.edits:
        return [Edit(call.message, path, each.old_string, each.new_string) for each in given.edits]
    old = _first(given.old_string, given.old_str)
    return [Edit(call.message, path, old, _first(given.new_string, given.new_str, given.content, given.file_text))]


def _path(given: _EditArguments) -> str:
    path = given.file_path or given.path or given.filePath or given.target_file or given.notebook_path
    return (path or given.absolute_path or given.filename or "")[:_LONGEST_PATH]


def _first(*values: str | None) -> str | None:
    return next((value for value in values if value is not None), None)


def patch_text(call: Call) -> str:
    """The patch that a call of a patching tool carries; an empty string when it carries none."""
    given = _decoded(_patch, call.arguments)
    if given is None:
        return ""
    told = given.input or given.patch or given.diff or given.command or ""
    return told if isinstance(told, str) else "\n".join(told)


def patch_edits(message: int, text: str) -> list[Edit]:
    """The files that an ``apply_patch`` text changes."""
    heads = list(_PATCH_FILE.finditer(text))
    ends = [*(head.start() for head in heads[1:]), len(text)]
    return [
        Edit(message, head[1].strip()[:_LONGEST_PATH], patch=text[head.end() : end].strip())
        for head, end in zip(heads, ends, strict=False)  # without a head there is one end too many
    ]
