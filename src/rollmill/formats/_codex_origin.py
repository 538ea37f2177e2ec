"""Who wrote a Codex user item: a human, by the events that tell what was typed, or the harness.

{"type":"message","role":"user","content":[{"type":"input_text","text":"<environment_context>…"}]}
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from rollmill.formats._codex_records import Part

INJECTED = (
    ("# AGENTS.md instructions", "instructions"),
    ("<user_instructions>", "instructions"),
    ("<environment_context>", "environment"),
    ("<turn_aborted>", "interrupt"),
    ("<user_action>", "user_action"),
    ("<user_shell_command>", "user_shell"),
    ("<skill>", "skill"),
    ("<subagent_notification>", "subagent_notification"),
    ("<codex_internal_context", "injected"),
    ("<goal_context>", "injected"),
    ("<recommended_plugins>", "injected"),
    ("<external_", "injected"),
    ("<model_switch>", "injected"),
    ("<personality_spec>", "injected"),
    ("<image_resize_notice>", "injected"),
    ("<permissions instructions>", "developer"),
    ("<collaboration_mode>", "developer"),
    ("<hook_prompt", "hook"),
    ("Warning: The maximum number of unified exec processes", "injected"),
    ("Warning: apply_patch was requested via", "injected"),
)
_IMAGE_WRAPPER = re.compile(r"\s*</?image\b[^>]*>\s*")


def injected_kind(text: str) -> str | None:
    """The kind of injected text, by what it opens with; None when it opens like a prompt."""
    stripped = text.lstrip()
    return next((kind for opening, kind in INJECTED if stripped.startswith(opening)), None)


class Texts:
    """Texts, to ask whether one of them is said again. Only a text's beginning is hashed: most are long."""

    def __init__(self) -> None:
        self._by_beginning: dict[tuple[int, str], list[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_beginning)

    def add(self, text: str) -> None:
        self._by_beginning.setdefault((len(text), text[:32]), []).append(text)

    def __contains__(self, text: str) -> bool:
        return text in self._by_beginning.get((len(text), text[:32]), ())


@dataclass
class Said:
    """The texts of a log: what events say a human typed, and what the items say that events may repeat."""

    typed: Texts = field(default_factory=Texts)
    user_items: Texts = field(default_factory=Texts)
    assistant_items: Texts = field(default_factory=Texts)
    reasoning_items: Texts = field(default_factory=Texts)

    def by_origin(self, parts: Sequence[Part]) -> list[tuple[str | None, list[int]]]:
        """``(kind of injected text, or None for a prompt; positions of the parts)``, neighbours of one sort together.
        Images and the tags around them go with their neighbours."""
        texts = [part.text or "" for part in parts]
        if self._was_typed("".join(texts)):
            return [(None, list(range(len(parts))))]
        sorts = [None if _is_media(part) else self._sort(part.text or "") for part in parts]
        known = [sort for sort in sorts if sort is not None]
        default = "" if not known or "" in known else known[0]
        groups: list[tuple[str, list[int]]] = []
        for position, sort in enumerate(default if sort is None else sort for sort in sorts):
            if groups and bool(groups[-1][0]) == bool(sort):
                groups[-1][1].append(position)
            else:
                groups.append((sort, [position]))
        return [(sort or None, members) for sort, members in groups] or [("injected", [])]

    def _sort(self, text: str) -> str:
        """An empty string for what a human typed, else the kind of injected text."""
        kind = injected_kind(text)
        if self.typed:
            return "" if self._was_typed(text) else kind or "injected"
        return kind or ""

    def _was_typed(self, text: str) -> bool:
        return bool(text) and (text in self.typed or text.strip() in self.typed)


def _is_media(part: Part) -> bool:
    return part.image_url is not None or bool(_IMAGE_WRAPPER.fullmatch(part.text or ""))
