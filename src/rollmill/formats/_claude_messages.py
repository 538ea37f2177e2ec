"""One branch of a Claude Code log, record by record, to messages.

The lines of one API message become one message; tool results move behind their calls; every text that the harness put
in says so. What each record became stands in its ``fate``, for the ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from msgspec import Struct

from rollmill.formats import RolloutFile
from rollmill.formats._claude_blocks import Blocks
from rollmill.formats._claude_origin import by_origin, known_opening
from rollmill.formats._claude_records import ContentBlock, Record, ToolUseResult
from rollmill.formats._conversation import answered_in_place, json_text, strongest, unusual_order
from rollmill.formats._times import span, utc
from rollmill.rollout import Block, Child, Extra, Function, Message, Origin, Thinking, ToolCall, Usage

_USUAL_STOPS = (None, "end_turn", "tool_use", "stop_sequence")


@dataclass
class Conversation:
    """The messages of one branch, and what the row's ledger and metadata take from its records."""

    messages: list[Message] = field(default_factory=list)
    span: tuple[str | None, str | None] = (None, None)
    children: list[Child] = field(default_factory=list)
    segment_reasons: dict[int, str] = field(default_factory=dict)
    compactions: int = 0
    api_errors: int = 0
    truncated_outputs: int = 0
    undecodable_media: int = 0


def build(records: Sequence[Record], file: RolloutFile, session_id: str, is_sub_agent: bool) -> Conversation:
    """The conversation of one branch."""
    builder = _Builder(records, file, session_id, is_sub_agent)
    builder.take_all()
    return builder.finish()


def usage_of(record: Record) -> Usage | None:
    """The tokens a line states. Cached input counts as input, as in every format."""
    if record.message is None or (stated := record.message.usage) is None:
        return None
    inputs = (stated.input_tokens, stated.cache_creation_input_tokens, stated.cache_read_input_tokens)
    known = [figure for figure in inputs if figure is not None]
    return Usage(
        input_tokens=sum(known) if known else None,
        cache_read_tokens=stated.cache_read_input_tokens,
        cache_write_tokens=stated.cache_creation_input_tokens,
        output_tokens=stated.output_tokens,
    )


def call_id(record: Record, position: int) -> str:
    """The id a call without one gets: its line, and its number when the line has several."""
    before = sum(_is_nameless_call(block) for block in record.blocks[:position])
    return f"line:{record.line}:{before + 1}" if before else f"line:{record.line}"


class _Builder:
    """Holds the messages of one branch while its records pass."""

    def __init__(self, records: Sequence[Record], file: RolloutFile, session_id: str, is_sub_agent: bool) -> None:
        self.records = records
        self.blocks = Blocks(file, session_id)
        self.is_sub_agent = self.task_expected = is_sub_agent
        self.conversation = Conversation()
        self.messages = self.conversation.messages
        self.times: list[str | float | None] = []
        self.lines: dict[str, list[Record]] = {}
        self.assistants: list[tuple[Message, list[Record]]] = []
        self.segment = 0
        self.segment_is_new = True
        self.results: list[tuple[Message, Record]] = []
        self.nameless_calls: list[str] = []

    def take_all(self) -> None:
        for record in self.records:
            if record.is_conversation:
                if record.type == "assistant":
                    self._assistant(record)
                elif record.type == "user":
                    self._user(record)
                else:
                    self._queued_prompt(record)
            elif record.subtype == "compact_boundary":
                self._compaction()
            elif record.subtype == "api_error":
                self.conversation.api_errors += 1

    def finish(self) -> Conversation:
        for message, lines in self.assistants:
            self._fill(message, lines)
        self.blocks.spell_out_odd()
        self.conversation.messages, repeated = answered_in_place(self.messages)
        self._leave_out(repeated)
        self.conversation.span = span(self.times)
        self.conversation.truncated_outputs = self.blocks.truncated_outputs
        self.conversation.undecodable_media = self.blocks.undecodable_media
        return self.conversation

    def _leave_out(self, repeated: list[Message]) -> None:
        """A record of which nothing is left in the row said again what another had said."""
        if not repeated:
            return
        gone = {id(message) for message in repeated}
        left = {id(record) for message, record in self.results if id(message) not in gone}
        for message, record in self.results:
            if id(message) in gone and id(record) not in left:
                record.fate = "duplicate"

    def _add(self, message: Message, record: Record) -> None:
        self.messages.append(message)
        self.segment_is_new = False
        record.fate = "used"
        self.times.append(record.timestamp)

    def _compaction(self) -> None:
        """A new segment; the boundary and the summary behind it are one compaction."""
        if self.segment_is_new and self.segment in self.conversation.segment_reasons:
            return
        self.conversation.compactions += 1
        self.segment += bool(self.messages)
        self.segment_is_new = True
        self.conversation.segment_reasons[self.segment] = "compaction"

    # Assistants: one message of all the lines that share an id

    def _assistant(self, record: Record) -> None:
        if not record.is_model_output:
            record.fate = "metadata"
            self.conversation.api_errors += bool(record.isApiErrorMessage)
            return
        for position, block in enumerate(record.blocks):
            if block.type == "tool_use" and block.id is None:
                self.nameless_calls.append(call_id(record, position))
        key = record.message_key
        if (lines := self.lines.get(key)) is not None:
            lines.append(record)
            return
        self.lines[key] = lines = [record]
        extra = Extra(_own_id(key), "model", segment=self.segment)
        message = Message("assistant", [], extra=extra)
        self.assistants.append((message, lines))
        self._add(message, record)

    def _fill(self, message: Message, lines: list[Record]) -> None:
        if len(lines) > 1:
            lines.sort(key=_line)
            self.times += [line.timestamp for line in lines[1:]]
        first, extra = lines[0], message.extra
        extra.timestamp, extra.line = utc(first.timestamp), first.line
        content = _AssistantContent(message, self)
        for line in lines:
            line.fate = content.take(line)
        first.fate = "used"
        if first.message is not None:
            extra.model = first.message.model
        content.close()
        for line in reversed(lines):
            if extra.usage is None:
                extra.usage = usage_of(line)
            if line.message is not None and line.message.stop_reason not in _USUAL_STOPS and extra.other is None:
                extra.other = json_text({"stop_reason": line.message.stop_reason})

    # Users: results first, then what else the record says

    def _user(self, record: Record) -> None:
        blocks = record.blocks
        if len(blocks) == 1 and blocks[0].type == "tool_result":
            self._add(self._result(blocks[0], record), record)
            return
        results = [block for block in blocks if block.type == "tool_result"]
        rest = [block for block in blocks if block.type != "tool_result"] if results else blocks
        messages = [self._result(block, record) for block in results]
        if rest or not results:
            messages += self._prompts(record, rest)
        if len(messages) > 1:
            self.results += [(message, record) for message in messages[len(results) :]]
            for part, message in enumerate(messages):
                message.extra.part = part
        for message in messages:
            self._add(message, record)

    def _result(self, block: ContentBlock, record: Record) -> Message:
        call_id = block.tool_use_id or (self.nameless_calls.pop(0) if self.nameless_calls else f"line:{record.line}")
        extra = Extra(
            id=_own_id(record.uuid),
            origin="tool",
            timestamp=utc(record.timestamp),
            is_error=block.is_error,
            line=record.line,
            segment=self.segment,
        )
        twin = record.toolUseResult
        if isinstance(twin, ToolUseResult) and twin.agentId:
            self.conversation.children.append(Child(twin.agentId, call_id))
        message = Message("tool", self.blocks.of_result(block.content), None, [], call_id, extra)
        self.results.append((message, record))
        return message

    def _prompts(self, record: Record, blocks: Sequence[ContentBlock]) -> list[Message]:
        """One message, or several when only some of the blocks are injected text."""
        flagged = record.isCompactSummary or record.isMeta
        groups = [blocks] if flagged or len(blocks) < 2 else by_origin(blocks)
        return [self._prompt(record, group) for group in groups]

    def _prompt(self, record: Record, blocks: Sequence[ContentBlock]) -> Message:
        origin, kind = self._origin(record, _opening(blocks))
        if kind == "compact_summary":
            self._compaction()
        return self._user_message(record, blocks, origin, kind)

    def _is_harness_text(self, text: str) -> bool:
        known = known_opening(text)
        return known is not None and known[0] == "harness"

    def _user_message(
        self, record: Record, blocks: Sequence[ContentBlock], origin: Origin, kind: str | None
    ) -> Message:
        extra = Extra(
            id=_own_id(record.uuid),
            origin=origin,
            kind=kind,
            timestamp=utc(record.timestamp),
            line=record.line,
            segment=self.segment,
        )
        positions = {id(block): n for n, block in enumerate(record.blocks)}
        content = [self.blocks.of(block, record, positions.get(id(block), 0)) for block in blocks]
        return Message("user", [block for block in content if block.text != "" or block.type != "text"], extra=extra)

    @cached_property
    def prompts(self) -> set[str | None]:
        """The uuids of the branch's user records."""
        return {record.uuid for record in self.records if record.type == "user"}

    def _queued_prompt(self, record: Record) -> None:
        if record.attachment is not None and record.attachment.source_uuid in self.prompts:
            record.fate = "duplicate"
            return
        notification = record.attachment is not None and record.attachment.commandMode == "task-notification"
        if notification or _opening(record.blocks).startswith("<task-notification>"):
            message = self._user_message(record, record.blocks, "harness", "task_notification")
        else:
            message = self._user_message(record, record.blocks, "human", "queued")
        self._add(message, record)

    def _origin(self, record: Record, text: str) -> tuple[Origin, str | None]:
        """Who a user record's text is from, and what kind of text it is."""
        if self.is_sub_agent and not record.isMeta and not self._is_harness_text(text):
            first, self.task_expected = self.task_expected, False
            return "parent_agent", None if first else "message"
        if record.isCompactSummary:
            return "harness", "compact_summary"
        if record.isMeta:
            return "harness", "caveat" if text.startswith(("<local-command-caveat>", "Caveat:")) else "meta"
        if (known := known_opening(text)) is not None:
            return known
        if record.planContent:
            return "harness", "plan"
        stated = record.origin if isinstance(record.origin, str) or record.origin is None else record.origin.kind
        if stated in (None, "human", "cli", "user"):
            return "human", None
        return "harness", "task_notification" if stated == "task-notification" else "injected"


class _AssistantContent(Struct, gc=False):
    """The blocks of one assistant message, gathered from its lines; what was said before is not said again."""

    message: Message
    builder: _Builder
    order: list[str] = []
    thoughts: list[str] = []
    kinds: list[Thinking] = []
    signatures: set[bytes] = set()
    server_results: list[Message] = []

    def take(self, record: Record) -> str:
        """Add the line's blocks and say its class: ``used`` when a message of its own begins in it, ``merged`` when
        it adds to this one, ``duplicate`` when it says nothing new."""
        order = self.order
        before, answered = len(order), len(self.server_results)
        for position, block in enumerate(record.blocks):
            kind = block.type
            if kind == "tool_use":
                self._call(block, record, position)
            elif kind == "text":
                self._text(block.text)
            elif kind == "thinking":
                self._thinking(block)
            else:
                self._other(block, record, position)
        if len(self.server_results) > answered:
            return "used"
        return "merged" if len(order) > before else "duplicate"

    def _text(self, text: str | None) -> None:
        content = self.message.content
        if text and not (content and any(known.text == text for known in content)):
            content.append(Block("text", text))
            self.order.append("text")

    def _thinking(self, block: ContentBlock) -> None:
        if block.thinking:
            if block.thinking not in self.thoughts:
                self._think(block.thinking, "full")
        elif (signature := bytes(block.signature)) not in self.signatures:
            self.signatures.add(signature)
            self._think("", "empty")

    def _other(self, block: ContentBlock, record: Record, position: int) -> None:
        kind = block.type
        if kind == "server_tool_use":
            self._call(block, record, position)
        elif kind == "redacted_thinking":
            self._think("", "redacted")
        elif kind.endswith("_tool_result") and block.tool_use_id:
            self._server_result(block, record)
        else:
            self.message.content.append(self.builder.blocks.of(block, record, position))
            self.order.append("text")

    def _think(self, text: str, kind: Thinking) -> None:
        self.kinds.append(kind)
        self.order.append("thinking")
        if text:
            self.thoughts.append(text)

    def _call(self, block: ContentBlock, record: Record, position: int) -> None:
        name = block.id or call_id(record, position)
        calls = self.message.tool_calls
        if not (calls and any(call.id == name for call in calls)):
            arguments = str(block.input, "utf-8", "replace") or "{}"
            kind = "server" if block.type == "server_tool_use" else "function"
            calls.append(ToolCall(name, Function(block.name or "", arguments), kind))
            self.order.append("call")

    def _server_result(self, block: ContentBlock, record: Record) -> None:
        if block.tool_use_id and all(m.tool_call_id != block.tool_use_id for m in self.server_results):
            extra = Extra(
                id=_own_id(record.uuid),
                origin="tool",
                timestamp=utc(record.timestamp),
                line=record.line,
                segment=self.message.extra.segment,
            )
            content = [Block(block.type, json_text(block.content))]
            result = Message("tool", content, None, [], block.tool_use_id, extra)
            if record.line == self.message.extra.line:
                self.message.extra.part, extra.part = 0, len(self.server_results) + 1
            self.server_results.append(result)
            self.builder.messages.append(result)

    def close(self) -> None:
        if self.kinds:
            self.message.reasoning_content = "\n\n".join(self.thoughts) or None
            self.message.extra.thinking = strongest(self.kinds)
        if len(self.order) > 1:
            self.message.extra.block_order = unusual_order(self.order)


def _is_nameless_call(block: ContentBlock) -> bool:
    return block.type == "tool_use" and not block.id


def _own_id(name: str | None) -> str | None:
    """The source's own id; None for the stand-in of a record without one."""
    return None if name is None or name.startswith("line:") else name


def _opening(blocks: Sequence[ContentBlock]) -> str:
    """The text the blocks begin with, without leading white space; empty when they begin with none."""
    return next((block.text for block in blocks if block.type == "text" and block.text), "").lstrip()


def _line(record: Record) -> int:
    return record.line
