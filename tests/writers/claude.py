"""Claude Code's sessions: a tree of records with inline sidechains."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from tests.writers.claude_thread import SESSION, ClaudeThread
from tests.writers.lines import Lines
from tests.writers.meant import Meant, in_order


class ClaudeLog:
    """A session's log with inline sidechains, and what it means."""

    def __init__(self, draw: Callable[[Any], Any], linear: bool = False) -> None:
        self.draw = draw
        self.lines = Lines(draw)
        self.tree: list[dict[str, Any]] = []
        self.abandoned: list[Meant] = []
        self.abandoned_lines: list[int] = []
        self.fates: dict[int, str] = {}
        """The class of every line whose class does not follow from a message."""
        self.number = 0
        self.main = ClaudeThread(self)
        self.sides: list[ClaudeThread] = []
        steps = ["prompt", "answer", "answer", "injected", "queued", "bookkeeping", "compaction", "api_error"]
        self.steps = steps if linear else [*steps, "rewind", "late_result", "duplicate", "side", "side_step"]
        self._write()

    def _write(self) -> None:
        """A prompt, what may stand before it, and whatever follows."""
        if self.lines.chance(30):
            self._outside_the_tree()
        if self.lines.chance(20):
            self.main.bookkeeping()
        self.main.prompt()
        for _ in range(self.lines.number(14)):
            step = self.lines.pick(self.steps)
            if step == "duplicate":
                self._duplicate()
            elif step == "side" and len(self.sides) < 2:
                side = {"agentId": self.new_id("agent")} if self.lines.chance(50) else {}
                self.sides.append(ClaudeThread(self, side))
                self.sides[-1].prompt()
            elif step.startswith("side"):
                if self.sides:
                    thread = self.lines.pick(self.sides)
                    getattr(thread, self.lines.pick(["answer", "answer", "prompt", "bookkeeping"]))()
            else:
                getattr(self.main, step)()
            if self.lines.chance(10):
                self._outside_the_tree()

    def _outside_the_tree(self) -> None:
        line = self.lines.add(
            self.lines.pick(
                [
                    {"type": "summary", "summary": "S", "leafUuid": "elsewhere"},
                    {"type": "file-history-snapshot", "messageId": "u1", "snapshot": {}},
                    {"type": "queue-operation", "operation": "enqueue", "content": "x", "sessionId": SESSION},
                    {"type": "custom-title", "customTitle": "T", "sessionId": SESSION},
                ]
            )
        )
        self.fates[line] = "metadata"

    def _duplicate(self) -> None:
        self.fates[self.lines.add(self.lines.pick([r for r in self.tree if r["type"] != "from-the-future"]))] = (
            "duplicate"
        )

    def new_id(self, kind: str) -> str:
        self.number += 1
        return f"{kind}_{self.number}"

    def text(self) -> str:
        self.number += 1
        return self.lines.text(self.number)

    def time(self) -> str:
        return f"2026-01-{1 + self.lines.number(27):02}T10:00:00.{self.number % 1000:03}Z"

    def __repr__(self) -> str:
        return self.lines.data().decode()

    # What it means

    @property
    def live(self) -> list[Meant]:
        return in_order(self.main.live)

    def classes(self) -> dict[str, int]:
        """The ledger of the file."""
        fates = dict(self.fates)
        for line in self.abandoned_lines:
            fates[line] = "metadata"
        for thread in (self.main, *self.sides):
            fates.update(dict.fromkeys(thread.on_branch, "metadata"))
            for message in in_order(thread.live):
                fates.update(dict.fromkeys(message.lines, "merged"))
                fates[min(message.lines)] = "used"
                fates.update(dict.fromkeys(message.repeats, "duplicate"))
        for message in in_order(self.abandoned):
            fates.update(dict.fromkeys([*message.lines, *message.repeats], "abandoned"))
        assert set(fates) == set(self.lines.record_lines)
        return dict(Counter(fates.values()))


claude_logs = st.composite(lambda draw: ClaudeLog(draw))()
linear_claude_logs = st.composite(lambda draw: ClaudeLog(draw, linear=True))()
