"""Who wrote the text of a Claude Code user record, told by what it opens with.

{"type":"user","message":{"role":"user","content":"<command-name>/clear</command-name>…"}}
"""

from __future__ import annotations

from collections.abc import Sequence

from rollmill.formats._claude_records import ContentBlock
from rollmill.rollout import Origin

_KINDS: tuple[tuple[str, Origin, str], ...] = (
    ("<command-name>", "human", "command"),
    ("<command-message>", "human", "command"),
    ("<command-args>", "human", "command"),
    ("<local-command-stdout>", "harness", "command_output"),
    ("<local-command-stderr>", "harness", "command_output"),
    ("<bash-input>", "human", "bash"),
    ("<bash-stdout>", "harness", "command_output"),
    ("<bash-stderr>", "harness", "command_output"),
    ("<system-reminder>", "harness", "system_reminder"),
    ("<task-notification>", "harness", "task_notification"),
    ("<bash-notification>", "harness", "task_notification"),
    ("<ide_", "harness", "ide"),
    ("<session-start-hook>", "harness", "hook"),
    ("<user-prompt-submit-hook>", "harness", "hook"),
    ("<tick>", "harness", "injected"),
    ("<goal>", "harness", "injected"),
    ("[Request interrupted by user", "harness", "interrupt"),
    ("This session is being continued from a previous conversation", "harness", "compact_summary"),
    ("<teammate-message", "harness", "teammate"),
    ("Implement the following plan:", "harness", "plan"),
)


def known_opening(text: str) -> tuple[Origin, str] | None:
    """``(origin, kind)`` of text that opens as only the harness or a command does; None of any other."""
    return next(((origin, kind) for opening, origin, kind in _KINDS if text.startswith(opening)), None)


def by_origin(blocks: Sequence[ContentBlock]) -> list[list[ContentBlock]]:
    """Neighbouring blocks of one kind together: what the harness put in front of a prompt stands apart from it.
    Images go with the prompt."""
    groups: list[tuple[tuple[str, str] | None, list[ContentBlock]]] = []
    for block in blocks:
        kind = known_opening((block.text or "").lstrip())
        if groups and groups[-1][0] == kind:
            groups[-1][1].append(block)
        else:
            groups.append((kind, [block]))
    return [members for _, members in groups]
