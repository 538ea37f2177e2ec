"""Codex's threads: items, the events that say them again, and the token counts of each version."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from rollmill.rollout import Usage
from tests.writers.lines import ARGUMENTS, Lines
from tests.writers.meant import Meant, in_order
from tests.writers.picture import PNG_BASE64

THREAD = "019c85f8-0000-7000-8000-00000000abcd"
CODEX_INJECTED = [
    ("# AGENTS.md instructions for /w\n", "instructions"),
    ("<user_instructions>\n", "instructions"),
    ("<environment_context>\n  <shell>zsh</shell>\n", "environment"),
    ("<user_action>", "user_action"),
    ("<user_shell_command>", "user_shell"),
    ("<skill>", "skill"),
    ("<subagent_notification>", "subagent_notification"),
    ("nobody typed this ", "injected"),
]
_OUTPUT_SHAPES = [
    ("plain {text}", None),
    ("Exit code: 1 quoted\nExit code: 3\n{text}", None),
    ("Exit code: 0\nWall time: 1 seconds\nOutput:\n{text}", 0),
    ("Exit code: 2\nWall time: 1 seconds\nOutput:\n{text}", 2),
    ("Chunk ID: a1\nWall time: 0.5 seconds\nProcess exited with code 127\nOutput:\n{text}", 127),
]


class CodexLog:
    """A thread's log and what it means. ``counts`` is where its version writes token counts: before the items of a
    model call, behind them, or nowhere."""

    def __init__(self, draw: Callable[[Any], Any], linear: bool = False) -> None:
        self.draw = draw
        self.lines = Lines(draw)
        self.live: list[Meant] = []
        self.turns: list[int] = []
        """For each turn where in ``live`` it begins."""
        self.abandoned: list[Meant] = []
        self.fates: dict[int, str] = {}
        self.number = 0
        self.total = 0
        self.segment = 0
        self.model: str | None = None
        self.counts = self.lines.pick(["before", "behind", "never"])
        self.old_count: dict[str, Any] | None = None
        self.kept: list[tuple[Meant, list[Meant]]] = []
        self.last_compaction: list[int] = []
        self._header()
        self._turn()
        steps = ["turn", "turn", "injected", "compaction", "rename"]
        for _ in range(self.lines.number(6)):
            getattr(self, "_" + self.lines.pick(steps if linear else [*steps, "rollback"]))()

    def __repr__(self) -> str:
        return self.lines.data().decode()

    def new_id(self, kind: str) -> str:
        self.number += 1
        return f"{kind}_{self.number}"

    def text(self) -> str:
        self.number += 1
        return self.lines.text(self.number)

    def record(self, kind: str, fate: str = "metadata", **payload: Any) -> int:
        time = f"2026-03-{1 + self.lines.number(27):02}T23:26:47.{self.number % 1000:03}Z"
        line = self.lines.add({"timestamp": time, "type": kind, "payload": payload})
        self.fates[line] = fate
        return line

    def event(self, kind: str, fate: str = "metadata", **payload: Any) -> int:
        return self.record("event_msg", fate, type=kind, **payload)

    def item(self, kind: str, message: Meant, **payload: Any) -> int:
        """An item that is, or is part of, the message."""
        name = self.new_id("item") if self.lines.chance(30) else None
        if name is not None:
            payload["id"] = name
            message.id = message.id or name
        line = self.record("response_item", "merged" if message.lines else "used", type=kind, **payload)
        message.lines.append(line)
        return line

    def say(self, message: Meant) -> Meant:
        message.segment = self.segment
        self.live.append(message)
        return message

    def _header(self) -> None:
        header: dict[str, Any] = {"id": THREAD, "cwd": "/w", "cli_version": "0.99.0", "source": "cli"}
        if self.lines.chance(50):
            header["base_instructions"] = {"text": self.text()}
            line = self.record("session_meta", "used", **header)
            text = header["base_instructions"]["text"]
            self.say(Meant("system", text, origin="harness", kind="base_instructions", lines=[line]))
        else:
            self.record("session_meta", **header)
        if self.lines.chance(50):
            self._injected()

    # Turns

    def _turn(self) -> None:
        if self.lines.chance(70):
            self.event("task_started", model_context_window=5)
        if self.lines.chance(80) or self.model is None:
            self.model = self.lines.pick(["gpt-a", "gpt-b"])
            self.record("turn_context", model=self.model, cwd="/w")
        if self.lines.chance(20):
            developer = self.say(Meant("system", self.text(), origin="harness", kind="developer"))
            self.item("message", developer, role="developer", content=[{"type": "input_text", "text": developer.text}])
        self._prompt()
        for _ in range(self.lines.pick([0, 1, 2, 3])):
            if self.lines.chance(20):
                self._injected()
            self._model_call(final=False)
        if self.lines.chance(15):
            self._abort()
        else:
            self._model_call(final=True)
            self.event("task_complete")

    def _prompt(self) -> None:
        message = self.say(Meant("user", self.text(), origin="human"))
        self.turns.append(len(self.live) - 1)
        content = [{"type": "input_text", "text": message.text}]
        if self.lines.chance(20):
            message.images = 1
            content.append({"type": "input_image", "image_url": f"data:image/png;base64,{PNG_BASE64}"})
        if self.lines.chance(15):
            reminder = self.say(
                Meant("user", "<environment_context>" + self.text(), origin="harness", kind="environment")
            )
            content.append({"type": "input_text", "text": reminder.text})
            self.item("message", message, role="user", content=content)
            reminder.lines, reminder.id = message.lines, message.id
            message.part, reminder.part = 0, 1
        else:
            self.item("message", message, role="user", content=content)
        self.event("user_message", "duplicate", message=message.text)

    def _injected(self) -> None:
        opening, kind = self.lines.pick(CODEX_INJECTED)
        message = self.say(Meant("user", opening + self.text(), origin="harness", kind=kind))
        self.item("message", message, role="user", content=[{"type": "input_text", "text": message.text}])

    def _abort(self) -> None:
        """A call begun and never answered."""
        message = self._open("never")
        self._items(message, calls=self.lines.pick([0, 1]))
        self.event("turn_aborted", reason="interrupted")
        marker = self.say(Meant("user", "<turn_aborted>" + self.text(), origin="harness", kind="interrupt"))
        self.item("message", marker, role="user", content=[{"type": "input_text", "text": marker.text}])

    def _model_call(self, final: bool) -> None:
        message = self._open(self.counts)
        answered = [] if final else self._items(message, calls=self.lines.pick([1, 1, 2, 3]))
        if final:
            self._items(message, calls=0)
        if self.counts == "behind":
            self._noise()
            message.usage = self._count()
        for number, (call, kind) in enumerate(self.lines.shuffled(answered)):
            if number == 0 or not self.lines.chance(15):
                self._output(message, call, kind)
            self._noise()

    def _open(self, counts: str) -> Meant:
        usage = self._count() if counts == "before" else None
        return self.say(Meant("assistant", origin="model", model=self.model, usage=usage))

    def _items(self, message: Meant, calls: int) -> list[tuple[str, str]]:
        """Reasoning, text and calls; the calls that get an answer, with their kind."""
        kinds = ["thinking"] * self.lines.pick([0, 1, 1, 2]) + ["text"] * self.lines.pick([0, 1, 2]) + ["call"] * calls
        kinds = kinds or ["text"]
        thoughts: list[tuple[str, str]] = []
        answered = []
        for kind in self.lines.shuffled(kinds) if self.lines.chance(20) else kinds:
            if kind == "thinking":
                thoughts.append(self._reasoning(message))
            elif kind == "text":
                self._text(message)
            else:
                answered.append(self._call(message))
            message.order.append(kind)
            self._noise()
        if calls and self.lines.chance(10):
            action = {"type": "search", "query": "q"}
            self.item("web_search_call", message, status="completed", action=action)
            name = json.loads(self.lines.written[-1])["payload"].get("id") or f"line:{message.lines[-1]}"
            message.calls.append((name, "web_search", action, "server"))
            message.order.append("call")
        found = [kind for kind in ("full", "summary", "encrypted", "empty") if kind in {k for k, _ in thoughts}]
        message.thinking = found[0] if found else None
        readable = [t for kind, t in thoughts if kind == "full"] or [t for kind, t in thoughts if kind == "summary"]
        message.reasoning = "\n\n".join(readable) or None
        return answered

    def _reasoning(self, message: Meant) -> tuple[str, str]:
        kind, text = self.lines.pick(["summary", "summary", "full", "encrypted", "empty"]), self.text()
        payload: dict[str, Any] = {"summary": [], "encrypted_content": None}
        if kind == "summary":
            payload["summary"] = [{"type": "summary_text", "text": text}]
            payload["encrypted_content"] = "gAAAA"
            if self.lines.chance(50):
                self.event("agent_reasoning", "duplicate", text=text)
        elif kind == "full":
            payload["content"] = [{"type": "reasoning_text", "text": text}]
        elif kind == "encrypted":
            payload["encrypted_content"] = "gAAAA"
        self.item("reasoning", message, **payload)
        return kind, text

    def _text(self, message: Meant) -> None:
        text = self.text()
        message.texts.append(text)
        message.text = "\n".join(message.texts)
        if self.lines.chance(40):
            self.event("agent_message", "duplicate", message=text)
        self.item("message", message, role="assistant", content=[{"type": "output_text", "text": text}])

    def _call(self, message: Meant) -> tuple[str, str]:
        name, kind = (
            self.new_id("call"),
            self.lines.pick(["function_call", "function_call", "custom_tool_call", "local_shell_call"]),
        )
        arguments: Any = self.draw(ARGUMENTS)
        if kind == "function_call":
            self.item(kind, message, name="shell", arguments=self.lines.json(arguments), call_id=name)
            message.calls.append((name, "shell", arguments, "function"))
        elif kind == "custom_tool_call":
            raw = self.text()
            self.item(kind, message, name="apply_patch", input=raw, call_id=name, status="completed")
            message.calls.append((name, "apply_patch", {"input": raw}, "function"))
        else:
            action = {"type": "exec", "command": ["ls", self.text()]}
            self.item(kind, message, action=action, call_id=name, status="completed")
            message.calls.append((name, "local_shell", action, "function"))
        return name, kind

    def _output(self, message: Meant, call: str, kind: str) -> None:
        shape, code = self.lines.pick(_OUTPUT_SHAPES)
        result = Meant("tool", shape.format(text=self.text()), origin="tool", answers=call, segment=self.segment)
        result.is_error = None if code is None else code != 0
        output: Any = result.text
        if code is None and self.lines.chance(20):
            output = [{"type": "input_text", "text": result.text}]
        kinds = {"custom_tool_call": "custom_tool_call_output"}
        self.item(kinds.get(kind, "function_call_output"), result, call_id=call, output=output)
        message.results[call] = result

    # What stands between

    def _noise(self) -> None:
        kind = self.lines.pick(["no"] * 6 + ["old", "limits", "event", "reading"])
        if kind == "old" and self.old_count is not None:
            self.event("token_count", info=self.old_count)
        elif kind == "limits":
            self.event("token_count", info=None, rate_limits={})
        elif kind == "event":
            self.event("exec_command_begin", call_id="x")
        elif kind == "reading":
            self.record("world_state", full=False, state={})

    def _count(self) -> Usage:
        """A token count whose total changed, and the figure of its call."""
        fresh, cached, new, thought = (self.lines.number(10**6) for _ in range(4))
        self.total += fresh + cached + new + thought + 1
        last = {
            "input_tokens": fresh + cached,
            "cached_input_tokens": cached,
            "output_tokens": new + thought,
            "reasoning_output_tokens": thought,
            "total_tokens": fresh + cached + new + thought,
        }
        self.old_count = {"total_token_usage": {**last, "total_tokens": self.total}, "last_token_usage": last}
        self.event("token_count", info=self.old_count)
        return Usage(fresh + cached, cached, None, new + thought, thought)

    def _rename(self) -> None:
        self.event("thread_name_updated", thread_name=self.text())

    def _compaction(self) -> None:
        """The context is replaced by a summary, some earlier messages and new text."""
        if not self.live or self.live[-1].lines == self.last_compaction:
            self._turn()
        self.segment += 1
        able = [m for m in self.live if m.role in ("user", "assistant") and m.text and m.part is None]
        kept = [message for message in able if self.lines.chance(30)]
        fresh = Meant("user", "<environment_context>" + self.text(), origin="harness", kind="environment")
        news = [fresh] if self.lines.chance(40) else []
        said = [(message.role, text) for message in (*kept, *news) for text in message.texts or [message.text]]
        parts = {"user": "input_text", "assistant": "output_text"}
        history = [{"type": "message", "role": r, "content": [{"type": parts[r], "text": t}]} for r, t in said]
        summary = self.say(Meant("user", self.lines.pick(["", self.text()]), origin="harness", kind="compact_summary"))
        line = self.record("compacted", "used", message=summary.text, replacement_history=history)
        self.event("context_compacted")
        self.last_compaction = summary.lines = [line]
        summary.part = 0 if news else None
        for message in news:
            self.say(message)
            message.lines, message.part = [line], 1
        self.kept.append((summary, kept))

    def _rollback(self) -> None:
        """The last turns are taken back, but none from before a compaction."""
        since = next((n for n in range(len(self.live) - 1, -1, -1) if self.live[n].kind == "compact_summary"), -1)
        turns = [start for start in self.turns if start > since]
        if not turns:
            return
        number = 1 + self.lines.number(len(turns) - 1)
        start = turns[-number]
        self.event("thread_rolled_back", num_turns=number)
        self.abandoned += self.live[start:]
        del self.live[start:]
        self.turns = [turn for turn in self.turns if turn < start]

    # What it means

    @property
    def messages(self) -> list[Meant]:
        return in_order(self.live)

    def classes(self) -> dict[str, int]:
        fates = dict(self.fates)
        for message in in_order(self.abandoned):
            fates.update(dict.fromkeys(message.lines, "abandoned"))
        return dict(Counter(fates.values()))


codex_logs = st.composite(lambda draw: CodexLog(draw))()
linear_codex_logs = st.composite(lambda draw: CodexLog(draw, linear=True))()
