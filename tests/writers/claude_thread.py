"""One thread of a Claude Code session: what can happen in it, record by record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rollmill.rollout import Usage
from tests.writers.lines import ARGUMENTS
from tests.writers.meant import Meant
from tests.writers.picture import PNG_BASE64

if TYPE_CHECKING:
    from tests.writers.claude import ClaudeLog

SESSION = "0cc3a1de-58a1-4d0e-9a43-5f1f3d6e7a10"
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
            arguments = self.log.draw(ARGUMENTS)
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
