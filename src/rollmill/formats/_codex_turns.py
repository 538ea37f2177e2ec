"""The records of one Codex thread, one by one, to messages.

Content comes from the items the model saw; events tell where turns end, what was rolled back, what a call cost and
which user items a human typed. What each record became stands in its ``fate``, for the ledger.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from rollmill.formats import RolloutFile
from rollmill.formats._codex_records import Item, Part, Record, TokenInfo, Tokens
from rollmill.formats._conversation import answered_in_place, json_text, strongest, unusual_order
from rollmill.formats._jsonl import source_objects
from rollmill.formats._lift import embedded, linked
from rollmill.formats._times import utc
from rollmill.rollout import Block, Child, Extra, Function, Message, Thinking, ToolCall, Usage

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
    ("Warning: ", "injected"),
)
_IMAGE_WRAPPER = re.compile(r"\s*</?image\b[^>]*>\s*")
_EXIT_CODE = re.compile(
    r"Exit code: (-?\d+)\n|(?:Chunk ID: .*\n)?(?:Wall time: .*\n)?Process exited with code (-?\d+)\n"
)
_decode_items = msgspec.json.Decoder(list[Item]).decode


class _Metadata(msgspec.Struct):
    exit_code: int | None = None


class _OutputEnvelope(msgspec.Struct):
    metadata: _Metadata | None = None


class _Spawned(msgspec.Struct):
    agent_id: str | None = None


_decode_envelope = msgspec.json.Decoder(_OutputEnvelope).decode
_decode_spawned = msgspec.json.Decoder(_Spawned).decode


def injected_kind(text: str) -> str | None:
    """The kind of injected text, by what it opens with; None when it opens like a prompt."""
    stripped = text.lstrip()
    return next((kind for opening, kind in INJECTED if stripped.startswith(opening)), None)


@dataclass
class Call:
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


@dataclass
class Said:
    """The texts a log's events repeat or tell, to know which items a human typed and which events are news."""

    typed: set[str]
    user_items: set[str]
    assistant_items: set[str]
    reasoning_items: set[str]

    @property
    def has_user_items(self) -> bool:
        return bool(self.user_items)


class Turns:
    """Holds the messages of one thread while its records pass."""

    def __init__(self, file: RolloutFile, said: Said, is_sub_agent: bool) -> None:
        self.file = file
        self.said = said
        self.is_sub_agent = is_sub_agent
        self.task_expected = is_sub_agent
        self.messages: list[Message] = []
        self.made_of: list[list[Record]] = []
        self.span: tuple[str | None, str | None] = (None, None)
        self.children: list[Child] = []
        self.segment = 0
        self.segment_reasons: dict[int, str] = {}
        self.compactions = 0
        self.undecodable_media = 0
        self.abandoned_usages: list[Usage] = []
        self.model: str | None = None
        self.call: Call | None = None
        self.waiting_usage: Usage | None = None
        self.total: Tokens | None = None
        self.spawns: set[str] = set()
        self.kept: list[tuple[Message, list[Message], bool]] = []
        self.odd: list[tuple[Block, Record, tuple[Any, ...]]] = []
        self.handlers: dict[str, Callable[[Record, Item], None]] = {
            "message": self._message,
            "reasoning": self._reasoning,
            "function_call": self._function_call,
            "custom_tool_call": self._custom_tool_call,
            "local_shell_call": self._local_shell_call,
            "web_search_call": self._web_search_call,
            "tool_search_call": self._tool_search_call,
            "image_generation_call": self._image_generation_call,
            "function_call_output": self._output,
            "custom_tool_call_output": self._output,
            "local_shell_call_output": self._output,
            "tool_search_output": self._tool_search_output,
            "agent_message": self._inter_agent_message,
            "compaction": self._compaction_item,
            "compaction_summary": self._compaction_item,
            "context_compaction": self._compaction_item,
        }

    # What the thread's reader calls

    def system_prompt(self, record: Record, text: str) -> None:
        extra = Extra(origin="harness", kind="base_instructions", timestamp=utc(record.timestamp), line=record.line)
        self._add(Message("system", [Block("text", text)], extra=extra), record)

    def take_item(self, record: Record, item: Item) -> bool:
        """Take a response item; False when it becomes no message."""
        handler = self.handlers.get(item.type or ("message" if item.role else ""))
        if handler is None:
            return False
        handler(record, item)
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
        usage = _usage(info.last_token_usage) if info.last_token_usage else None
        if self.call is not None and self.call.message.extra.usage is None and usage is not None:
            self.call.message.extra.usage = usage
        else:
            self.waiting_usage = usage
        self.close_call()

    def roll_back(self, turns: int) -> None:
        """Drop the last ``turns`` turns: everything from the prompt that began them."""
        self.close_call()
        prompts = [n for n, message in enumerate(self.messages) if _is_prompt(message)]
        if turns <= 0 or not prompts:
            return
        cut = prompts[-min(turns, len(prompts))]
        self.abandoned_usages += [m.extra.usage for m in self.messages[cut:] if m.extra.usage is not None]
        for records in self.made_of[cut:]:
            for record in records:
                record.fate = "abandoned"
        del self.messages[cut:], self.made_of[cut:]

    def finish(self) -> list[Message]:
        """The messages, each call answered in its place."""
        self.close_call()
        self._spell_out_odd_blocks()
        messages = answered_in_place(self.messages)
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
        elif item.role == "tool":
            self._output(record, item)
        elif item.role == "user":
            self.close_call()
            self._user_item(record, item)
        else:
            self.close_call()
            kind = "developer" if item.role == "developer" else None
            content = self._blocks(record, item.content, ("content",))
            self._add(Message("system", content, extra=self._extra(record, item, "harness", kind)), record)

    def _inter_agent_message(self, record: Record, item: Item) -> None:
        self.close_call()
        content = self._blocks(record, item.content, ("content",))
        self._add(Message("user", content, extra=self._extra(record, item, "parent_agent", "message")), record)

    def _user_item(self, record: Record, item: Item) -> None:
        """One message, or several when only some parts of the item are injected."""
        parts = [Part("input_text", item.content)] if isinstance(item.content, str) else item.content or []
        groups = self._by_origin(parts)
        for number, (kind, members) in enumerate(groups):
            if kind is None:
                origin, kind = self._human_or_parent()
            else:
                origin = "harness"
            extra = self._extra(record, item, origin, kind)
            extra.part = number if len(groups) > 1 else None
            content = [self._block(record, parts[n], ("content", n)) for n in members]
            self._add(Message("user", _without_empty(content), extra=extra), record)

    def _human_or_parent(self) -> tuple[str, str | None]:
        if not self.is_sub_agent:
            return "human", None
        first, self.task_expected = self.task_expected, False
        return "parent_agent", None if first else "message"

    def _by_origin(self, parts: Sequence[Part]) -> list[tuple[str | None, list[int]]]:
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
        if self.said.typed:
            return "" if self._was_typed(text) else kind or "injected"
        return kind or ""

    def _was_typed(self, text: str) -> bool:
        return bool(text) and (text in self.said.typed or text.strip() in self.said.typed)

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

    def _assistant_text(self, record: Record, item: Item) -> None:
        if item.type is None:
            self.close_call()
        call = self._open_call(record, item)
        if item.reasoning:
            self._think(call, "full", [item.reasoning])
        for block in _without_empty(self._blocks(record, item.content, ("content",))):
            call.message.content.append(block)
            call.order.append("text")
        for chat_call in item.tool_calls or ():
            function = chat_call.function
            self._add_call(call, record, chat_call.id, function and function.name, function and function.arguments)
        if item.phase:
            call.message.extra.other = json_text({"phase": item.phase})

    def _reasoning(self, record: Record, item: Item) -> None:
        call = self._open_call(record, item)
        readable = [part.text for part in item.content or () if isinstance(part, Part) and part.text]
        summaries = [part.text for part in item.summary or () if isinstance(part, Part) and part.text]
        if readable:
            self._think(call, "full", readable)
        elif summaries:
            self._think(call, "summary", summaries)
        else:
            self._think(call, "encrypted" if item.is_encrypted else "empty", [])

    def raw_reasoning(self, record: Record, text: str) -> bool:
        """Readable reasoning that only an event has; False when the items have it too."""
        if text in self.said.reasoning_items or self.call is None or "full" in self.call.kinds:
            return False
        record.fate = "merged"
        self.call.records.append(record)
        self.call.kinds.append("full")
        self.call.readable.append(text)
        return True

    def _think(self, call: Call, kind: Thinking, texts: Iterable[str]) -> None:
        call.kinds.append(kind)
        call.order.append("thinking")
        (call.readable if kind == "full" else call.summaries).extend(texts)

    def _add_call(
        self, call: Call, record: Record, call_id: str | None, name: str | None, arguments: Any, kind: str = "function"
    ) -> None:
        text = arguments if isinstance(arguments, str) else "{}" if arguments is None else json_text(arguments)
        call.message.tool_calls.append(ToolCall(call_id or f"line:{record.line}", Function(name or "", text), kind))
        call.order.append("call")

    def _function_call(self, record: Record, item: Item) -> None:
        name = f"{item.namespace}.{item.name}" if item.namespace else item.name
        if item.name == "spawn_agent" and item.call_id:
            self.spawns.add(item.call_id)
        self._add_call(self._open_call(record, item), record, item.call_id or item.id, name, item.arguments)

    def _custom_tool_call(self, record: Record, item: Item) -> None:
        arguments = {"input": item.input}
        self._add_call(self._open_call(record, item), record, item.call_id or item.id, item.name, arguments)

    def _local_shell_call(self, record: Record, item: Item) -> None:
        call_id = item.call_id or item.id
        self._add_call(self._open_call(record, item), record, call_id, "local_shell", _source_text(item.action))

    def _web_search_call(self, record: Record, item: Item) -> None:
        action = _source_text(item.action)
        self._add_call(self._open_call(record, item), record, item.id, "web_search", action, "server")

    def _tool_search_call(self, record: Record, item: Item) -> None:
        call_id = item.call_id or item.id
        self._add_call(self._open_call(record, item), record, call_id, "tool_search", item.arguments)

    def _image_generation_call(self, record: Record, item: Item) -> None:
        call = self._open_call(record, item)
        arguments = {"revised_prompt": item.revised_prompt} if item.revised_prompt else {}
        call_id = item.id or f"line:{record.line}"
        self._add_call(call, record, call_id, "image_generation", arguments, "server")
        if isinstance(item.result, str) and item.result:
            media = embedded(item.result, None, self.file.media)
            self.undecodable_media += media is None
            block = Block("image", None if media else item.result, media)
            self._add(Message("tool", [block], None, [], call_id, self._extra(record, item, "tool")), record)

    # Outputs

    def _output(self, record: Record, item: Item) -> None:
        self.close_call()
        output = item.content if item.role == "tool" else item.output
        success = output.success if isinstance(output, Part) else None
        if isinstance(output, Part) and not output.type:
            output = output.content if isinstance(output.content, str) else json_text(output.content)
        content = _without_empty(self._blocks(record, output, ("output",)))
        extra = self._extra(record, item, "tool")
        exit_code = _exit_code(content[0].text or "") if content else None
        if exit_code is not None:
            extra.other, extra.is_error = f'{{"exit_code":{exit_code}}}', exit_code != 0
        elif success is not None:
            extra.is_error = not success
        call_id = item.call_id or item.tool_call_id or f"line:{record.line}"
        self._note_child(call_id, content)
        self._add(Message("tool", content, None, [], call_id, extra), record)

    def _note_child(self, call_id: str, content: list[Block]) -> None:
        if call_id in self.spawns and content:
            try:
                agent_id = _decode_spawned(content[0].text or "").agent_id
            except (msgspec.MsgspecError, RecursionError):
                return
            if agent_id:
                self.children.append(Child(agent_id, call_id))

    def spawned(self, agent_id: str, call_id: str | None) -> None:
        """A sub-agent an event tells of."""
        if agent_id not in {child.agent_id for child in self.children}:
            self.children.append(Child(agent_id, call_id))

    def _tool_search_output(self, record: Record, item: Item) -> None:
        self.close_call()
        content = [Block("tool_search_output", _source_text(item.tools))]
        call_id = item.call_id or item.id or f"line:{record.line}"
        self._add(Message("tool", content, None, [], call_id, self._extra(record, item, "tool")), record)

    # Compaction

    def compacted(self, record: Record, item: Item) -> None:
        """A new context: the summary as a message of the harness, what else is new in it behind the summary, and
        the earlier messages that it keeps by their indexes."""
        self.close_call()
        summary = item.message or ""
        kept, news, encrypted = self._replacement(item, summary)
        self._begin_segment()
        content = [Block("text", summary)] if summary else []
        message = Message("user", content, extra=self._extra(record, Item(), "harness", "compact_summary"))
        self._add(message, record)
        self.kept.append((message, kept, encrypted))
        message.extra.part = 0 if news else None
        for number, (new, position) in enumerate(news, 1):
            self._replacement_item(record, new, position, number)

    def _begin_segment(self) -> None:
        self.compactions += 1
        self.segment += bool(self.messages)
        self.segment_reasons[self.segment] = "compaction"

    def _replacement(self, item: Item, summary: str) -> tuple[list[Message], list[tuple[Item, int]], bool]:
        """``(earlier messages it repeats, items that are new with their position, whether a part is encrypted)``."""
        try:
            history = _decode_items(item.replacement_history) if bytes(item.replacement_history) else []
        except (msgspec.MsgspecError, RecursionError):
            history = []
        known: dict[tuple[str, str], list[Message]] = {}
        for message in self.messages:
            known.setdefault((message.role, message.text), []).append(message)
        kept, news, encrypted = [], [], False
        for position, new in enumerate(history):
            text = "\n".join(p.text or "" for p in new.content or () if isinstance(p, Part))
            role = "system" if new.role == "developer" else new.role
            encrypted = encrypted or new.is_encrypted
            if new.type != "message" or not role:
                continue
            if found := known.get((role, text)):
                kept.append(found.pop(0) if len(found) > 1 else found[0])
            elif not (summary and summary in text):
                news.append((new, position))
        return kept, news, encrypted

    def _replacement_item(self, record: Record, item: Item, position: int, number: int) -> None:
        parts = item.content if isinstance(item.content, list) else []
        content = [self._block(record, p, ("replacement_history", position, "content", n)) for n, p in enumerate(parts)]
        first = next((part.text for part in parts if part.text), "")
        kind = "copied" if item.role == "assistant" else injected_kind(first) or "injected"
        role: Any = item.role if item.role in ("user", "assistant") else "system"
        extra = self._extra(record, item, "model" if role == "assistant" else "harness", kind)
        extra.part = number
        self._add(Message(role, _without_empty(content), extra=extra), record)

    def _compaction_item(self, record: Record, item: Item) -> None:
        """A compaction told by an item alone; beside a ``compacted`` record it says the same again."""
        self.close_call()
        last = self.messages[-1].extra if self.messages else None
        if last is not None and last.kind == "compact_summary" and last.segment == self.segment:
            record.fate = "duplicate"
            return
        self._begin_segment()
        message = Message("user", [], extra=self._extra(record, item, "harness", "compact_summary"))
        self._add(message, record)
        self.kept.append((message, [], item.is_encrypted))

    # Blocks

    def _blocks(self, record: Record, content: str | Part | list[Part] | None, path: tuple[Any, ...]) -> list[Block]:
        if isinstance(content, str):
            return [Block("text", content)]
        if isinstance(content, Part):
            return [self._block(record, content, path)]
        return [self._block(record, part, (*path, n)) for n, part in enumerate(content or ())]

    def _block(self, record: Record, part: Part, path: tuple[Any, ...]) -> Block:
        if part.text is not None and part.image_url is None:
            return Block("text", part.text)
        url = part.image_url.get("url") if isinstance(part.image_url, dict) else part.image_url
        if isinstance(url, str):
            media = linked(url, self.file.media)
            self.undecodable_media += media is None
            return Block("image", None if media else json_text({"type": part.type, "image_url": url}), media)
        block = Block(part.type or "json")
        self.odd.append((block, record, path))
        return block

    def _spell_out_odd_blocks(self) -> None:
        """Give the blocks that no field fits their source JSON. They are rare, so the file is read again for them."""
        if not self.odd:
            return
        numbers = {record.line for _, record, _ in self.odd}
        sources = {} if self.file.path.name.endswith(".json") else self._sources(numbers)
        for block, record, path in self.odd:
            value: Any = next(iter(sources.get(record.line, [])), {})
            value = value.get("payload", value)
            for step in path:
                value = value[step] if isinstance(value, list) else value.get(step, {})
            block.text = json_text(value)

    def _sources(self, numbers: set[int]) -> dict[int, list[Any]]:
        return source_objects(self.file.path, numbers, self.file.media)


def _usage(tokens: Tokens) -> Usage:
    return Usage(
        input_tokens=tokens.input_tokens,
        cache_read_tokens=tokens.cached_input_tokens,
        cache_write_tokens=tokens.cache_write_input_tokens,
        output_tokens=tokens.output_tokens,
        reasoning_tokens=tokens.reasoning_output_tokens,
    )


def _exit_code(text: str) -> int | None:
    """The exit code where each of the three shapes has it, never from the output itself."""
    if text.startswith('{"output":'):
        try:
            metadata = _decode_envelope(text).metadata
        except (msgspec.MsgspecError, RecursionError):
            return None
        return metadata.exit_code if metadata else None
    found = _EXIT_CODE.match(text)
    return int(found[1] or found[2]) if found else None


def _is_prompt(message: Message) -> bool:
    return message.role == "user" and message.extra.origin in ("human", "parent_agent")


def _is_media(part: Part) -> bool:
    return part.image_url is not None or bool(_IMAGE_WRAPPER.fullmatch(part.text or ""))


def _without_empty(blocks: list[Block]) -> list[Block]:
    return [block for block in blocks if block.type != "text" or block.text]


def _source_text(raw: Any) -> str:
    return str(raw, "utf-8", "replace") or "{}"
