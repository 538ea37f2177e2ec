"""Small writers of the tests' own: Claude Code and Codex logs made from a conversation that is known beforehand.

They follow what the producers do (``docs/formats.md``) and share no code with the parsers. Each writes lines and keeps,
beside them, what a true reading says: the messages in order, the class of every record, the tokens.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from rollmill.errors import UnreadableFile
from rollmill.formats import RolloutFile, load_format
from rollmill.rollout import RECORD_CLASSES, Message, Rollout, Usage

FACTOR = int(os.environ.get("ROLLMILL_EXAMPLES", "1"))
"""How many times the usual number of examples; from 2 on they are new ones in every run."""
SHRINK = os.environ.get("ROLLMILL_SHRINK", "") == "1"
"""Whether a failing example is made smaller, which takes minutes with whole logs."""

SESSION = "0cc3a1de-58a1-4d0e-9a43-5f1f3d6e7a10"
THREAD = "019c85f8-0000-7000-8000-00000000abcd"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(200))
PNG_SHA256 = hashlib.sha256(PNG).hexdigest()
PNG_BASE64 = base64.b64encode(PNG).decode()


def examples(number: int) -> settings:
    """That many examples, the same ones in every run."""
    return settings(
        max_examples=number * FACTOR,
        deadline=None,
        derandomize=FACTOR == 1,
        database=None,
        print_blob=False,
        phases=[Phase.explicit, Phase.generate] + ([Phase.shrink] if SHRINK else []),
        suppress_health_check=list(HealthCheck),
    )


@contextmanager
def written(name: str, data: bytes, **options: Any) -> Iterator[RolloutFile]:
    """``data`` as the only file of a folder, ready to parse."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(data)
        file = RolloutFile.alone(path)
        for option, value in options.items():
            setattr(file, option, value)
        yield file


def parsed(format_name: str, data: bytes, name: str | None = None, **options: Any) -> list[Rollout]:
    """The rows of a file with these bytes."""
    usual = {"codex": f"rollout-2026-03-01T23-26-47-{THREAD}.jsonl", "claude_code": f"{SESSION}.jsonl"}
    with written(name or usual.get(format_name, "rows.jsonl"), data, **options) as file:
        return list(load_format(format_name).parse_file(file))


def readable(format_name: str, data: bytes) -> list[Rollout]:
    """The rows; none where the file is no rollout."""
    try:
        return parsed(format_name, data)
    except UnreadableFile:
        return []


def ledger(rollout: Rollout) -> dict[str, int]:
    """The record classes that are not empty, with the total."""
    counts = rollout.source_meta.fidelity.records
    return {name: n for name in ("total", *RECORD_CLASSES) if (n := getattr(counts, name))}


_VALUES = json.JSONDecoder(parse_int=str, parse_float=str)


def count_records(data: bytes) -> int:
    """How many records a log has: the JSON values of each line, and each rest of a line that is none."""
    count = 0
    for line in data.split(b"\n"):
        if not line.strip():
            continue
        text = line.strip(b"\0 \t\r").removeprefix(b"\xef\xbb\xbf").strip(b"\0 \t\r").decode("utf-8", "replace")
        count += not text
        while text:
            count += 1
            try:
                text = text[_VALUES.raw_decode(text)[1] :].lstrip("\0 \t\r")
            except (ValueError, RecursionError):
                break
    return count


# What is meant


@dataclass
class Meant:
    """One message as it was meant, with the records (their lines) it stands in."""

    role: str
    text: str = ""
    id: str | None = None
    origin: str = ""
    kind: str | None = None
    segment: int = 0
    lines: list[int] = field(default_factory=list)
    reasoning: str | None = None
    thinking: str | None = None
    calls: list[tuple[str, str, Any, str]] = field(default_factory=list)
    answers: str | None = None
    results: dict[str, Meant] = field(default_factory=dict)
    is_error: bool | None = None
    usage: Usage | None = None
    model: str | None = None
    part: int | None = None
    order: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    images: int = 0
    repeats: list[int] = field(default_factory=list)
    """Lines that say again what another of its lines says."""

    def seen(self) -> dict[str, Any]:
        ranks = [("thinking", "text", "call").index(kind) for kind in self.order]
        return {
            "role": self.role,
            "text": self.text,
            "id": self.id,
            "origin": self.origin,
            "kind": self.kind,
            "segment": self.segment,
            "line": min(self.lines),
            "reasoning": self.reasoning,
            "thinking": self.thinking,
            "calls": self.calls,
            "answers": self.answers,
            "is_error": self.is_error,
            "usage": self.usage,
            "model": self.model,
            "part": self.part,
            "block_order": None if ranks == sorted(ranks) else ",".join(self.order),
            "images": self.images,
        }


def seen(message: Message) -> dict[str, Any]:
    """A message that was read, in the terms of ``Meant.seen``."""
    extra = message.extra
    pictures = [block.media for block in message.content if block.type == "image"]
    assert all(media is not None and media.sha256 == PNG_SHA256 for media in pictures)
    return {
        "role": message.role,
        "text": message.text,
        "id": extra.id,
        "origin": extra.origin,
        "kind": extra.kind,
        "segment": extra.segment,
        "line": extra.line,
        "reasoning": message.reasoning_content,
        "thinking": extra.thinking,
        "calls": [
            (call.id, call.function.name, json.loads(call.function.arguments), call.type) for call in message.tool_calls
        ],
        "answers": message.tool_call_id,
        "is_error": extra.is_error,
        "usage": extra.usage,
        "model": extra.model,
        "part": extra.part,
        "block_order": extra.block_order,
        "images": len(pictures),
    }


def in_order(messages: list[Meant]) -> list[Meant]:
    """The messages with the results of each behind it, in the order of its calls."""
    return [
        each
        for message in messages
        for each in (message, *(message.results[c[0]] for c in message.calls if c[0] in message.results))
    ]


def usage_sum(messages: list[Meant]) -> Usage:
    total = Usage()
    for name in Usage.__struct_fields__:
        stated = [n for m in messages if m.usage is not None and (n := getattr(m.usage, name)) is not None]
        setattr(total, name, sum(stated) if stated else None)
    return total


class Lines:
    """The lines of a log, numbered from 1, in one of the ways JSON is written."""

    def __init__(self, draw: Callable[[Any], Any]) -> None:
        self.draw = draw
        self.ascii, self.spaces = self.chance(50), self.chance(50)
        self.end = self.pick(["\n", "\r\n"])
        self.start = b"\xef\xbb\xbf" if self.chance(10) else b""
        self.last_end = "" if self.chance(30) else self.end
        self.written: list[str] = []
        self.record_lines: list[int] = []

    def json(self, value: Any) -> str:
        return json.dumps(value, ensure_ascii=self.ascii, separators=(", ", ": ") if self.spaces else (",", ":"))

    def add(self, record: dict[str, Any]) -> int:
        """The line it stands on."""
        if self.written and self.chance(4):
            self.written.append("")
        self.written.append(self.json(record))
        self.record_lines.append(len(self.written))
        return len(self.written)

    def data(self) -> bytes:
        return self.start + (self.end.join(self.written) + self.last_end).encode()

    def chance(self, percent: int) -> bool:
        return self.number(99) >= 100 - percent

    def pick(self, values: list[Any]) -> Any:
        return values[self.number(len(values) - 1)]

    def number(self, largest: int) -> int:
        return int(self.draw(_up_to(largest)))

    def text(self, number: int) -> str:
        """A text that no other message has, with whatever behind it."""
        return f"t{number} " + self.draw(_TEXT)

    def shuffled(self, values: list[Any]) -> list[Any]:
        left = list(values)
        return [left.pop(self.number(len(left) - 1)) for _ in values]


_up_to = cache(lambda largest: st.integers(0, largest))
_TEXT = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        ['"quoted"\n\\n', "\u2028\x85\0\x1b[0m", "🦆 é", "<system-reminder>", "data:image/png;base64,AAAA", "line:3"]
    ),
)
_ARGUMENTS = st.one_of(
    st.just({}),
    st.dictionaries(
        st.sampled_from(["command", "a b", "é", "#line", "fate"]), st.one_of(_TEXT, st.integers(), st.none())
    ),
    st.just({"deep": [[{"x": [1.5, True]}]], "n": 10**30}),
)


# Claude Code


CLAUDE_INJECTED = [
    ("<command-name>/init</command-name>", "human", "command"),
    ("<command-message>init</command-message>", "human", "command"),
    ("<local-command-stdout>ok</local-command-stdout>", "harness", "command_output"),
    ("<bash-input>ls</bash-input>", "human", "bash"),
    ("<bash-stdout>a</bash-stdout>", "harness", "command_output"),
    ("  <system-reminder>careful", "harness", "system_reminder"),
    ("<task-notification>done", "harness", "task_notification"),
    ("<ide_opened_file>a.py", "harness", "ide"),
    ("<session-start-hook>x", "harness", "hook"),
    ("<user-prompt-submit-hook>x", "harness", "hook"),
    ("<tick>1", "harness", "injected"),
    ("<goal>win", "harness", "injected"),
    ("[Request interrupted by user for tool use]", "harness", "interrupt"),
    ("<teammate-message from=x>", "harness", "teammate"),
    ("Implement the following plan:\n1.", "harness", "plan"),
]


@dataclass
class Snapshot:
    """Where a thread stood: to rewind to."""

    head: str | None
    messages: int
    segment: int
    records: int
    after_prompt: bool


class ClaudeThread:
    """One thread of a log: the main one, or an inline sidechain."""

    def __init__(self, log: ClaudeLog, side: dict[str, Any] | None = None) -> None:
        self.log, self.lines, self.side = log, log.lines, side
        self.head: str | None = None
        self.live: list[Meant] = []
        self.on_branch: list[int] = []
        """Lines of client-made turns (API errors) on the branch."""
        self.snapshots: list[Snapshot] = []
        self.segment = 0
        self.api_errors = 0
        self.late: list[tuple[Meant, str, str]] = []
        self.first_uuid = ""

    def record(self, kind: str, parent: str | None, **fields: Any) -> tuple[str, int]:
        """Write a record of the tree: its uuid and line."""
        uuid = self.log.new_id("u")
        record = {
            "parentUuid": parent,
            "isSidechain": self.side is not None,
            "type": kind,
            "uuid": uuid,
            "sessionId": SESSION,
            "timestamp": self.log.time(),
            "cwd": "/w",
            "version": "2.1.15",
            **(self.side or {}),
            **fields,
        }
        self.first_uuid = self.first_uuid or uuid
        self.log.tree.append(record)
        return uuid, self.lines.add(record)

    def say(self, message: Meant) -> Meant:
        message.segment = self.segment
        self.live.append(message)
        return message

    def snapshot(self, after_prompt: bool) -> None:
        self.snapshots.append(Snapshot(self.head, len(self.live), self.segment, len(self.on_branch), after_prompt))

    # What can happen

    def prompt(self) -> None:
        """What a human typed, or a sub-agent's task."""
        self.snapshot(False)
        text, images, content = self.log.text(), 0, None
        if self.lines.chance(30):
            content = [{"type": "text", "text": text}]
            if self.lines.chance(30):
                images = 1
                content.append(
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG_BASE64}}
                )
        uuid, line = self.record("user", self.head, message={"role": "user", "content": content or text})
        origin = "parent_agent" if self.side is not None else "human"
        kind = "message" if self.side is not None and self.live else None
        self.say(Meant("user", text, uuid, origin, kind, lines=[line], images=images))
        self.head = uuid
        self.snapshot(True)

    def injected(self) -> None:
        """A text the harness put in, as a record of its own or in front of a prompt."""
        opening, origin, kind = self.lines.pick(CLAUDE_INJECTED)
        text = opening + self.log.text()
        fields: dict[str, Any] = {}
        parts = [Meant("user", text, origin=origin, kind=kind)]
        content: Any = text
        if self.lines.chance(30):
            kind, text = self.lines.pick([("caveat", "Caveat: "), ("meta", "Base directory"), ("meta", "<tick>")])
            fields["isMeta"] = True
            content = text = text + self.log.text()
            parts = [Meant("user", text, origin="harness", kind=kind)]
        elif self.lines.chance(20):
            content = text = self.log.text()
            fields["origin"] = {"kind": "channel"}
            parts = [Meant("user", text, origin="harness", kind="injected")]
        elif self.lines.chance(40):
            typed = self.log.text()
            content = [{"type": "text", "text": text}, {"type": "text", "text": typed}]
            parts.append(Meant("user", typed, origin="human"))
        uuid, line = self.record("user", self.head, message={"role": "user", "content": content}, **fields)
        for number, part in enumerate(parts):
            part.id, part.lines = uuid, [line]
            part.part = number if len(parts) > 1 else None
            self.say(part)
        self.head = uuid

    def queued(self) -> None:
        """A prompt typed while the agent works; a retry of what stands right before it is not written, for the log
        does not tell it from a prompt that the agent has yet to reach."""
        self.snapshots = [s for s in self.snapshots if not (s.after_prompt and s.messages == len(self.live))]
        text = self.log.text()
        self.head, line = self.record("attachment", self.head, attachment={"type": "queued_command", "prompt": text})
        self.say(Meant("user", text, self.head, "human", "queued", lines=[line]))

    def bookkeeping(self) -> None:
        """A record between the turns; the next one hangs on it."""
        kind, fields = self.lines.pick(
            [
                ("progress", {"data": {"type": "bash_progress", "output": "x"}}),
                ("system", {"subtype": "turn_duration", "durationMs": 5}),
                ("attachment", {"attachment": {"type": "todo_reminder", "content": []}}),
                ("system", {"subtype": "microcompact_boundary"}),
                ("from-the-future", {"payload": [1]}),
            ]
        )
        self.head, line = self.record(kind, self.head, **fields)
        self.log.fates[line] = "unknown" if kind == "from-the-future" else "metadata"

    def api_error(self) -> None:
        message = {"id": self.log.new_id("e"), "role": "assistant", "model": "<synthetic>"}
        message["content"] = [{"type": "text", "text": "API Error"}]
        self.head, line = self.record("assistant", self.head, message=message, isApiErrorMessage=True)
        self.on_branch.append(line)

    def compaction(self) -> None:
        if not self.live or self.side is not None:
            return
        self.segment += 1
        summary = self.log.text()
        parent: str | None = None
        if self.lines.chance(70):
            parent, line = self.record(
                "system",
                None,
                subtype="compact_boundary",
                logicalParentUuid=self.head,
                content="Conversation compacted",
            )
            self.log.fates[line] = "metadata"
        fields = {"isCompactSummary": True, "isVisibleInTranscriptOnly": True}
        self.head, line = self.record("user", parent, message={"role": "user", "content": summary}, **fields)
        self.say(Meant("user", summary, self.head, "harness", "compact_summary", lines=[line]))

    def rewind(self) -> None:
        """Go back to an earlier prompt and type another, or have it answered again."""
        places = [place for place in self.snapshots if place.messages < len(self.live)]
        if not places or self.side is not None:
            return
        place = self.lines.pick(places)
        self.log.abandoned += self.live[place.messages :]
        self.log.abandoned_lines += self.on_branch[place.records :]
        del self.live[place.messages :], self.on_branch[place.records :]
        self.snapshots = self.snapshots[: self.snapshots.index(place) + 1]
        self.head, self.segment = place.head, place.segment
        self.late = [each for each in self.late if any(each[0] is message for message in self.live)]
        self.answer() if place.after_prompt else self.prompt()

    def answer(self) -> None:
        """One API message: a line a block, the results of its calls in between or behind."""
        message = Meant("assistant", id=self.log.new_id("msg"), origin="model", model=self.lines.pick(["m-1", "m-2"]))
        blocks = self._blocks(message)
        told_once = any(block["type"].endswith("thinking") and not block.get("thinking") for block in blocks)
        cumulative = not told_once and self.lines.chance(10)
        text_beside = self.lines.chance(15)
        parent, heads = self.head, []
        asked: list[tuple[dict[str, Any], str]] = []
        self.say(message)
        for number, block in enumerate(blocks):
            content = blocks[: number + 1] if cumulative else [block]
            stated = self._usage(message, last=number == len(blocks) - 1)
            body = {"id": message.id, "role": "assistant", "model": message.model, "content": content, "usage": stated}
            parent, line = self.record("assistant", parent, message=body)
            message.lines.append(line)
            heads.append(parent)
            if block["type"] == "web_search_tool_result":
                call = block["tool_use_id"]
                message.results[call] = Meant(
                    "tool", "", parent, "tool", answers=call, lines=[line], segment=self.segment
                )
            if block["type"] == "tool_use":
                asked.append((block, parent))
            if asked and number < len(blocks) - 1 and self.lines.chance(30):
                call, caller = asked.pop(0)
                result = self._result(message, [call["id"]], caller, text_beside)
                text_beside = False
                heads.append(result)
                if self.lines.chance(50):
                    parent = result
            if self.lines.chance(10):
                _, line = self.record("progress", parent, data={"type": "hook_progress"})
                self.log.fates[line] = "metadata"
        if not told_once and self.lines.chance(8):
            body = {
                "id": message.id,
                "role": "assistant",
                "model": message.model,
                "content": blocks[-1:],
                "usage": stated,
            }
            parent, line = self.record("assistant", parent, message=body)
            message.lines.append(line)
            message.repeats.append(line)
            heads.append(parent)
        self.head = self._results(message, asked, heads[-1], text_beside)

    def _results(self, message: Meant, asked: list[tuple[dict[str, Any], str]], head: str, text_beside: bool) -> str:
        """Answer the calls, together or each for itself, in any order, late or never; where the next turn hangs."""
        heads = [head]
        if len(asked) > 1 and self.lines.chance(20):
            heads = [self._result(message, [call["id"] for call, _ in asked], asked[-1][1], text_beside)]
            asked = []
        for call, caller in self.lines.shuffled(asked):
            fate = self.lines.pick(["now", "now", "now", "now", "late", "never"])
            if fate == "late":
                self.late.append((message, call["id"], caller))
            elif fate == "now":
                result = self._result(message, [call["id"]], caller, text_beside)
                heads = [result] if heads == [head] else [*heads, result]
                text_beside = False
        return str(self.lines.pick(heads))

    def late_result(self) -> None:
        """The answer to a call after which the conversation went on."""
        if self.late and self.late[0][0] is not self.live[-1]:
            message, call, caller = self.late.pop(0)
            self._result(message, [call], caller, False)

    def _blocks(self, message: Meant) -> list[dict[str, Any]]:
        blocks: list[dict[str, Any]] = []
        if self.lines.chance(40):
            text = self.lines.pick(["", self.log.text()])
            withheld = {"type": "redacted_thinking", "data": "b3BhcXVl"}
            thought = {"type": "thinking", "thinking": text, "signature": "c2ln"}
            blocks.append(self.lines.pick([thought, thought, thought, withheld]))
        for _ in range(self.lines.pick([0, 1, 1, 2])):
            blocks.append({"type": "text", "text": self.log.text()})
        for _ in range(self.lines.pick([0, 1, 1, 2, 3])):
            arguments = self.log.draw(_ARGUMENTS)
            blocks.append({"type": "tool_use", "id": self.log.new_id("toolu"), "name": "Bash", "input": arguments})
        if self.lines.chance(10):
            name = self.log.new_id("srvtoolu")
            found = {"type": "web_search_tool_result", "tool_use_id": name, "content": [{"url": "http://x"}]}
            blocks += [{"type": "server_tool_use", "id": name, "name": "web_search", "input": {"query": "q"}}, found]
        elif self.lines.chance(20):
            blocks = self.lines.shuffled(blocks)
        blocks = blocks or [{"type": "text", "text": self.log.text()}]
        self._mean(message, blocks)
        return blocks

    def _mean(self, message: Meant, blocks: list[dict[str, Any]]) -> None:
        texts = [block["text"] for block in blocks if block["type"] == "text"]
        thoughts = [block.get("thinking") for block in blocks if block["type"] in ("thinking", "redacted_thinking")]
        message.text = "\n".join(texts)
        message.reasoning = "\n\n".join(filter(None, thoughts)) or None
        message.thinking = {None: "redacted", "": "empty"}.get(thoughts[0], "full") if thoughts else None
        kinds = {"thinking": "thinking", "redacted_thinking": "thinking", "text": "text"}
        kinds |= {"tool_use": "call", "server_tool_use": "call"}
        message.order = [kinds[block["type"]] for block in blocks if block["type"] in kinds]
        for block in blocks:
            if block["type"] in ("tool_use", "server_tool_use"):
                kind = "server" if block["type"] == "server_tool_use" else "function"
                message.calls.append((block["id"], block["name"], block["input"], kind))

    def _usage(self, message: Meant, last: bool) -> dict[str, int]:
        cached, fresh, new = (self.log.lines.number(10**6) for _ in range(3))
        if last:
            message.usage = Usage(cached + fresh + new, cached, new, fresh + 1, None)
        return {
            "input_tokens": fresh,
            "cache_creation_input_tokens": new,
            "cache_read_input_tokens": cached,
            "output_tokens": fresh + 1 if last else 1,
        }

    def _result(self, message: Meant, calls: list[str], parent: str, text_beside: bool) -> str:
        """A user record with the results of the calls, and now and then what a human said beside them."""
        blocks, said = [], []
        for call in calls:
            text = self.log.text()
            failed = self.lines.pick([None, False, True])
            content: Any = self.lines.pick([text, [{"type": "text", "text": text}]])
            blocks.append({"type": "tool_result", "tool_use_id": call, "content": content})
            if failed is not None:
                blocks[-1]["is_error"] = failed
            result = Meant("tool", text, origin="tool", answers=call, is_error=failed, segment=message.segment)
            message.results[call] = result
            said.append(result)
        if text_beside:
            beside = Meant("user", self.log.text(), origin="human")
            if self.side is not None:
                beside.origin, beside.kind = "parent_agent", "message"
            blocks.append({"type": "text", "text": beside.text})
            said.append(self.say(beside))
            beside.segment = message.segment
        uuid, line = self.record(
            "user", parent, message={"role": "user", "content": blocks}, toolUseResult={"stdout": "x"}
        )
        for number, part in enumerate(said):
            part.id, part.lines = uuid, [line]
            part.part = number if len(said) > 1 else None
        if not text_beside and self.lines.chance(6):
            again = dict(self.log.tree[-1], uuid=self.log.new_id("u"), parentUuid=uuid)
            self.log.tree.append(again)
            message.repeats.append(self.lines.add(again))
            uuid = again["uuid"]
        return uuid


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


# Codex


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
        arguments: Any = self.draw(_ARGUMENTS)
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
