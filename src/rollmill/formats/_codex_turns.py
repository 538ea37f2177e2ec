"""The records of one Codex thread, one by one, to messages.

Content comes from the items the model saw; events tell where turns end, what was rolled back, what a call cost and
which user items a human typed. What each record became stands in its ``fate``, for the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, get_args

from msgspec import Struct, field

from rollmill.formats import RolloutFile
from rollmill.formats._codex_compaction import parts_of, replacement
from rollmill.formats._codex_content import Blocks, exit_code, spawned_agent, without_empty
from rollmill.formats._codex_origin import Said, injected_kind
from rollmill.formats._codex_records import (
    ChatFunction,
    Item,
    Part,
    Record,
    TokenInfo,
    Tokens,
    UsualItem,
    is_encrypted,
    json_source,
)
from rollmill.formats._conversation import answered_in_place, json_text, strongest, unusual_order
from rollmill.formats._lift import embedded
from rollmill.formats._times import utc
from rollmill.rollout import Block, Child, Extra, Function, Message, Thinking, ToolCall, Usage


class Call(Struct, gc=False):
    """A model call that is being put together."""

    message: Message
    records: list[Record]
    kinds: list[Thinking] = field(default_factory=list)
    readable: list[str] = field(default_factory=list)
    summaries: list[str] = field(default_factory=list)
    order: list[str] = field(default_factory=list)

    def close(self) -> None:
        self.message.reasoning_content = "\n\n".join(self.readable or self.summaries) or None
        self.message.extra.thinking = strongest(self.kinds)
        self.message.extra.block_order = unusual_order(self.order)


class Turns:
    """Holds the messages of one thread while its records pass."""

    def __init__(self, file: RolloutFile, said: Said, is_sub_agent: bool) -> None:
        self.file = file
        self.said = said
        self.is_sub_agent = is_sub_agent
        self.task_expected = is_sub_agent
        self.messages: list[Message] = []
        self.made_of: list[list[Record]] = []
        self.children: list[Child] = []
        self.segment = 0
        self.segment_reasons: dict[int, str] = {}
        self.compactions = 0
        self.blocks = Blocks(file)
        self.abandoned_usages: list[Usage] = []
        self.model: str | None = None
        self.call: Call | None = None
        self.waiting_usage: Usage | None = None
        self.unplaced_counts = 0
        self.waiting_reasoning: list[tuple[Record, str]] = []
        self.nameless_calls: list[str] = []
        self.compaction_end = -1
        self.total: Tokens | None = None
        self.spawns: set[str] = set()
        self.kept: list[tuple[Message, list[Message], bool]] = []

    # What the thread's reader calls

    def system_prompt(self, record: Record, text: str) -> None:
        extra = Extra(origin="harness", kind="base_instructions", timestamp=utc(record.timestamp), line=record.line)
        self._add(Message("system", [Block("text", text)], extra=extra), record)

    def take_item(self, record: Record, item: Item) -> bool:
        """Take a response item; False when it becomes no message."""
        handler = HANDLERS.get(item.type or "")
        if handler is None:
            if item.type or not item.role:
                return False
            handler = Turns._chat_message
        handler(self, record, item)
        return True

    def replayed(self, record: Record, item: Item) -> None:
        """Another thread's record: nothing but the state it leaves behind."""
        if item.type == "token_count" and item.info is not None:
            self.total = item.info.total_token_usage or self.total
        elif record.type == "turn_context":
            self.model = item.model or self.model

    def close_call(self) -> None:
        """The open model call is complete."""
        if self.call is not None:
            self.call.close()
            self.call = None

    def token_count(self, info: TokenInfo | None) -> None:
        """A count whose total changed ends a call and says what it cost: the open one when it has no figure yet,
        else the next, for some versions write the count before the call's items."""
        if info is None or info.total_token_usage is None or info.total_token_usage == self.total:
            return
        self.total = info.total_token_usage
        usage = usage_of(info.last_token_usage) if info.last_token_usage else None
        if self.call is not None and self.call.message.extra.usage is None and usage is not None:
            self.call.message.extra.usage = usage
        else:
            self.unplaced_counts += self.waiting_usage is not None
            self.waiting_usage = usage
        self.close_call()

    def roll_back(self, turns: int) -> None:
        """Drop the last ``turns`` turns: everything from the prompt that began them."""
        self.close_call()
        prompts = sorted({self._first_of_record(n) for n, message in enumerate(self.messages) if _is_prompt(message)})
        if turns <= 0 or not prompts:
            return
        cut = prompts[-min(turns, len(prompts))]
        dropped = self.messages[cut:]
        self.abandoned_usages += [m.extra.usage for m in dropped if m.extra.usage is not None]
        for records in self.made_of[cut:]:
            for record in records:
                record.fate = "abandoned"
        del self.messages[cut:], self.made_of[cut:]
        self._forget(dropped)

    def _first_of_record(self, position: int) -> int:
        """Where the messages of a message's record begin, for an item may be several."""
        record = self.made_of[position][0]
        while position and self.made_of[position - 1][0] is record:
            position -= 1
        return position

    def _forget(self, dropped: list[Message]) -> None:
        """Undo what dropped messages brought with them: segments, sub-agents."""
        gone = {id(message) for message in dropped}
        calls = {call.id for message in dropped for call in message.tool_calls}
        self.children = [child for child in self.children if child.tool_call_id not in calls]
        self.kept = [kept for kept in self.kept if id(kept[0]) not in gone]
        self.compactions = len(self.kept)
        self.segment = self.messages[-1].extra.segment if self.messages else 0
        self.segment_reasons = {n: reason for n, reason in self.segment_reasons.items() if n <= self.segment}

    def finish(self) -> list[Message]:
        """The messages, each call answered in its place."""
        self.close_call()
        self.blocks.spell_out_odd()
        self.unplaced_counts += self.waiting_usage is not None
        messages, repeated = answered_in_place(self.messages)
        gone = {id(message) for message in repeated}
        for message, records in zip(self.messages, self.made_of, strict=True) if gone else ():
            if id(message) in gone:
                records[0].fate = "duplicate"
        positions = {id(message): n for n, message in enumerate(messages)} if self.kept else {}
        for summary, kept, encrypted in self.kept:
            indexes = sorted({positions[id(message)] for message in kept if id(message) in positions})
            summary.extra.other = json_text({"kept_messages": indexes, "encrypted": encrypted})
        return messages

    # Messages

    def _add(self, message: Message, record: Record) -> None:
        self.messages.append(message)
        self.made_of.append([record])
        record.fate = "used"

    def _extra(self, record: Record, item: Item, origin: Any, kind: str | None = None) -> Extra:
        return Extra(
            id=item.id or None,
            origin=origin,
            kind=kind,
            timestamp=utc(record.timestamp),
            line=record.line,
            segment=self.segment,
        )

    def _message(self, record: Record, item: Item) -> None:
        if item.role == "assistant":
            self._assistant_text(record, item)
        elif item.role == "user":
            self.close_call()
            self._user_item(record, item)
        else:
            self.close_call()
            kind = "developer" if item.role == "developer" else None
            content = self.blocks.of(record, item.content, ("content",))
            self._add(Message("system", content, extra=self._extra(record, item, "harness", kind)), record)

    def _inter_agent_message(self, record: Record, item: Item) -> None:
        self.close_call()
        content = self.blocks.of(record, item.content, ("content",))
        self._add(Message("user", content, extra=self._extra(record, item, "parent_agent", "message")), record)

    def _user_item(self, record: Record, item: Item) -> None:
        """One message, or several when only some parts of the item are injected."""
        parts = parts_of(item)
        groups = self.said.by_origin(parts)
        for number, (kind, members) in enumerate(groups):
            if kind is None:
                origin, kind = self._human_or_parent()
            else:
                origin = "harness"
            extra = self._extra(record, item, origin, kind)
            extra.part = number if len(groups) > 1 else None
            content = [self.blocks.one(record, parts[n], ("content", n)) for n in members]
            self._add(Message("user", without_empty(content), extra=extra), record)

    def _human_or_parent(self) -> tuple[str, str | None]:
        if not self.is_sub_agent:
            return "human", None
        first, self.task_expected = self.task_expected, False
        return "parent_agent", None if first else "message"

    # Model calls

    def _open_call(self, record: Record, item: Item) -> Call:
        if (call := self.call) is not None:
            record.fate = "merged"
            call.records.append(record)
            call.message.extra.id = call.message.extra.id or item.id or None
            return call
        extra = self._extra(record, item, "model")
        extra.model, extra.usage, self.waiting_usage = self.model, self.waiting_usage, None
        message = Message("assistant", [], extra=extra)
        self._add(message, record)
        self.call = Call(message, self.made_of[-1])
        return self.call

    def _chat_message(self, record: Record, item: Item) -> None:
        """A message of a chat-completions client: an assistant's is a whole model call."""
        if item.role == "tool":
            self._output(record, Item(call_id=item.tool_call_id, output=item.content))
        elif item.role != "assistant":
            self._message(record, item)
        else:
            self.close_call()
            call = self._open_call(record, item)
            if item.reasoning:
                self._think(call, "full", [item.reasoning])
            self._assistant_text(record, item)
            for chat_call in item.tool_calls or ():
                function = chat_call.function or ChatFunction()
                self._add_call(call, record, chat_call.id, function.name, json_source(function.arguments))
            record.fate = "used"

    def _assistant_text(self, record: Record, item: Item) -> None:
        call = self._open_call(record, item)
        for block in without_empty(self.blocks.of(record, item.content, ("content",))):
            call.message.content.append(block)
            call.order.append("text")
        if item.phase:
            call.message.extra.other = json_text({"phase": item.phase})

    def _reasoning(self, record: Record, item: Item) -> None:
        call = self._open_call(record, item)
        readable = [part.text for part in item.content or () if isinstance(part, Part) and part.text]
        summaries = [item.summary] if isinstance(item.summary, str) else [p.text for p in item.summary or () if p.text]
        if readable:
            self._think(call, "full", readable)
        elif summaries:
            self._think(call, "summary", summaries)
        else:
            self._think(call, "encrypted" if is_encrypted(item.encrypted_content) else "empty", [])
        for event, text in self.waiting_reasoning:
            self._tell_reasoning(call, event, text)
        self.waiting_reasoning = []

    def raw_reasoning(self, record: Record, text: str) -> None:
        """Readable reasoning in an event: told by an item too, or the only place where it is. It may stand before or
        behind its item."""
        if text in self.said.reasoning_items:
            record.fate = "duplicate"
        elif self.call is not None and self.call.kinds:
            self._tell_reasoning(self.call, record, text)
        else:
            self.waiting_reasoning.append((record, text))

    def _tell_reasoning(self, call: Call, record: Record, text: str) -> None:
        record.fate = "merged"
        call.records.append(record)
        call.kinds.append("full")
        call.readable.append(text)

    def _think(self, call: Call, kind: Thinking, texts: Iterable[str]) -> None:
        call.kinds.append(kind)
        call.order.append("thinking")
        (call.readable if kind == "full" else call.summaries).extend(texts)

    def _add_call(
        self, call: Call, record: Record, call_id: str | None, name: str | None, arguments: str, kind: str = "function"
    ) -> None:
        if not call_id:
            call_id = f"line:{record.line}"
            self.nameless_calls.append(call_id)
        call.message.tool_calls.append(ToolCall(call_id, Function(name or "", arguments), kind))
        call.order.append("call")

    def _function_call(self, record: Record, item: Item) -> None:
        name = f"{item.namespace}.{item.name}" if item.namespace else item.name
        if item.name == "spawn_agent" and item.call_id:
            self.spawns.add(item.call_id)
        self._add_call(
            self._open_call(record, item), record, item.call_id or item.id, name, json_source(item.arguments)
        )

    def _custom_tool_call(self, record: Record, item: Item) -> None:
        arguments = json_text({"input": item.input})
        self._add_call(self._open_call(record, item), record, item.call_id or item.id, item.name, arguments)

    def _local_shell_call(self, record: Record, item: Item) -> None:
        call_id = item.call_id or item.id
        self._add_call(self._open_call(record, item), record, call_id, "local_shell", json_source(item.action))

    def _web_search_call(self, record: Record, item: Item) -> None:
        action = json_source(item.action)
        self._add_call(self._open_call(record, item), record, item.id, "web_search", action, "server")

    def _tool_search_call(self, record: Record, item: Item) -> None:
        call_id = item.call_id or item.id
        self._add_call(self._open_call(record, item), record, call_id, "tool_search", json_source(item.arguments))

    def _image_generation_call(self, record: Record, item: Item) -> None:
        call = self._open_call(record, item)
        arguments = json_text({"revised_prompt": item.revised_prompt} if item.revised_prompt else {})
        call_id = item.id or f"line:{record.line}"
        self._add_call(call, record, call_id, "image_generation", arguments, "server")
        if isinstance(item.result, str) and item.result:
            media = embedded(item.result, None, self.file.media)
            self.blocks.undecodable_media += media is None
            block = Block("image", None if media else item.result, media)
            self._add(Message("tool", [block], None, [], call_id, self._extra(record, item, "tool")), record)

    # Outputs

    def _output(self, record: Record, item: Item) -> None:
        if self.call is not None:
            self.close_call()
        output, success = item.output, None
        if isinstance(output, Part):
            success = output.success
            if not output.type:
                output = output.content if isinstance(output.content, str) else json_text(output.content)
        if isinstance(output, str):
            content = [Block("text", output)] if output else []
        else:
            content = without_empty(self.blocks.of(record, output, ("output",)))
        extra = self._extra(record, item, "tool")
        code = exit_code(content[0].text or "") if content else None
        if code is not None:
            extra.other, extra.is_error = f'{{"exit_code":{code}}}', code != 0
        elif success is not None:
            extra.is_error = not success
        call_id = item.call_id or (self.nameless_calls.pop(0) if self.nameless_calls else f"line:{record.line}")
        if self.spawns:
            self._note_child(call_id, content)
        self._add(Message("tool", content, None, [], call_id, extra), record)

    def _note_child(self, call_id: str, content: list[Block]) -> None:
        if call_id in self.spawns and content and (agent_id := spawned_agent(content[0].text or "")):
            self.children.append(Child(agent_id, call_id))

    def spawned(self, agent_id: str, call_id: str | None) -> None:
        """A sub-agent an event tells of."""
        if agent_id not in {child.agent_id for child in self.children}:
            self.children.append(Child(agent_id, call_id))

    def _tool_search_output(self, record: Record, item: Item) -> None:
        self.close_call()
        content = [Block("tool_search_output", json_source(item.tools))]
        call_id = item.call_id or item.id or f"line:{record.line}"
        self._add(Message("tool", content, None, [], call_id, self._extra(record, item, "tool")), record)

    # Compaction

    def compacted(self, record: Record, item: Item) -> None:
        """A new context: the summary as a message of the harness, what else is new in it behind the summary, and
        the earlier messages that it keeps by their indexes."""
        self.close_call()
        told = self._told_compaction()
        if told is not None and told.content and told.text != item.message:
            told = None
        found = replacement(item.replacement_history, item.message or "", self.messages)
        if told is None:
            message = self._begin_segment(record)
            self.kept.append((message, found.kept, found.encrypted))
        else:
            record.fate = "merged"
            message = told
            self.kept[-1] = (told, found.kept, found.encrypted or self.kept[-1][2])
        message.content = [Block("text", item.message)] if item.message else []
        message.extra.part = 0 if found.news else None
        for number, (new, position) in enumerate(found.news, 1):
            self._replacement_item(record, new, position, number)
        self.compaction_end = len(self.messages)

    def _compaction_item(self, record: Record, item: Item) -> None:
        """A compaction told by an item; beside a ``compacted`` record both tell of one."""
        self.close_call()
        if self._told_compaction() is not None:
            record.fate = "duplicate"
            return
        message = self._begin_segment(record, item)
        self.kept.append((message, [], is_encrypted(item.encrypted_content)))
        self.compaction_end = len(self.messages)

    def _told_compaction(self) -> Message | None:
        """The summary of a compaction after which nothing was said yet."""
        return self.kept[-1][0] if self.kept and self.compaction_end == len(self.messages) else None

    def _begin_segment(self, record: Record, item: Item | None = None) -> Message:
        self.compactions += 1
        self.segment += bool(self.messages)
        self.segment_reasons[self.segment] = "compaction"
        message = Message("user", [], extra=self._extra(record, item or Item(), "harness", "compact_summary"))
        self._add(message, record)
        return message

    def _replacement_item(self, record: Record, item: Item, position: int, number: int) -> None:
        parts = parts_of(item)
        path = ("replacement_history", position, "content")
        content = [self.blocks.one(record, part, (*path, n)) for n, part in enumerate(parts)]
        first = next((part.text for part in parts if part.text), "")
        kind = "copied" if item.role == "assistant" else injected_kind(first) or "injected"
        role: Any = item.role if item.role in ("user", "assistant") else "system"
        extra = self._extra(record, item, "model" if role == "assistant" else "harness", kind)
        extra.part = number
        fate = record.fate
        self._add(Message(role, without_empty(content), extra=extra), record)
        record.fate = fate


HANDLERS: dict[str, Callable[[Turns, Record, Item], None]] = {
    "message": Turns._message,
    "reasoning": Turns._reasoning,
    "function_call": Turns._function_call,
    "custom_tool_call": Turns._custom_tool_call,
    "local_shell_call": Turns._local_shell_call,
    "web_search_call": Turns._web_search_call,
    "tool_search_call": Turns._tool_search_call,
    "image_generation_call": Turns._image_generation_call,
    "function_call_output": Turns._output,
    "custom_tool_call_output": Turns._output,
    "local_shell_call_output": Turns._output,
    "tool_search_output": Turns._tool_search_output,
    "agent_message": Turns._inter_agent_message,
    "compaction": Turns._compaction_item,
    "compaction_summary": Turns._compaction_item,
    "context_compaction": Turns._compaction_item,
}
"""What takes an item of each type. Functions of the class, for bound ones in an instance would be a cycle, and a file's
records would stay in memory until the garbage collector comes by."""
USUAL_HANDLERS: dict[Any, Callable[[Turns, Any, Any], None]] = {
    usual: HANDLERS[usual.type] for usual in get_args(UsualItem)
}


def _is_prompt(message: Message) -> bool:
    return message.role == "user" and message.extra.origin in ("human", "parent_agent")


def usage_of(tokens: Tokens) -> Usage:
    """The tokens of one call. Codex counts cached input as input, as every row does."""
    return Usage(
        input_tokens=tokens.input_tokens,
        cache_read_tokens=tokens.cached_input_tokens,
        cache_write_tokens=tokens.cache_write_input_tokens,
        output_tokens=tokens.output_tokens,
        reasoning_tokens=tokens.reasoning_output_tokens,
    )
