"""Codex CLI: one rollout file a thread, sub-agents and forks in files of their own.

    {"timestamp":"2026-03-01T23:26:47.819Z","type":"response_item","payload":{"type":"function_call","name":"exec_command",
     "arguments":"{\\"cmd\\":\\"pwd\\"}","call_id":"call_9zGk…"}}

Four generations: enveloped JSONL (plain or ``.zst``), paginated JSONL, bare JSONL (2025), one JSON document (TypeScript
CLI). ``_codex_forks`` finds history copied from a parent, ``_codex_turns`` makes items messages; here a file becomes a
row. The rules and their evidence: ``docs/formats.md``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import msgspec

from rollmill.errors import UnreadableFile
from rollmill.formats import FormatDefaults, RolloutFile
from rollmill.formats._codex_files import INDEX_NAME, read_document, thread_names
from rollmill.formats._codex_forks import parent_id, replayed_lines
from rollmill.formats._codex_origin import Said, Texts
from rollmill.formats._codex_records import (
    ENVELOPES,
    ITEM_TYPES,
    USUAL,
    EventLine,
    Item,
    MessageItem,
    Part,
    ReasoningItem,
    Record,
    ResponseItemLine,
    TurnContextLine,
)
from rollmill.formats._codex_turns import USUAL_HANDLERS, Turns
from rollmill.formats._conversation import spell_out_markers, sum_up
from rollmill.formats._jsonl import Log, read_log
from rollmill.formats._times import span
from rollmill.rollout import Fidelity, Parent, Rollout, SourceMeta, add_usage

NAME = "codex"
PARSER = "codex/1"
DEFAULTS = FormatDefaults("~/.codex/sessions", "*.json*", "CODEX_HOME", "sessions")

_THREAD_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_CWD = re.compile(r"<cwd>([^<\n]+)</cwd>")
_KEPT_HEADER_FIELDS = ("originator", "source", "model_provider", "history_mode", "history_base")
_TYPED = frozenset({"user_message", "item_completed"})
"""The events that say what a human typed."""
_NO_HEADERS = frozenset({ResponseItemLine, EventLine, TurnContextLine})
_UNTOLD = frozenset(USUAL_HANDLERS) - {MessageItem, ReasoningItem}
"""The usual items that no event repeats."""
_decoder = msgspec.json.Decoder(Record)


def is_handled_file(relative_path: str) -> bool:
    """Rollouts of every generation; not the prompt history, the session index, or other JSON of the agent's home."""
    name = relative_path.rpartition("/")[2]
    if name.endswith(".json"):
        return name.startswith("rollout-")
    return name.endswith((".jsonl", ".jsonl.zst")) and name not in ("history.jsonl", INDEX_NAME)


def recognise(records: list[Any]) -> bool:
    """Envelopes of the known types, a bare header with items behind it, or a document of session and items."""
    return any(_is_envelope(r) or _is_document(r) for r in records) or _is_bare(records)


def _is_envelope(record: Any) -> bool:
    return isinstance(record, dict) and record.get("type") in ENVELOPES and isinstance(record.get("payload"), dict)


def _is_document(record: Any) -> bool:
    return (
        isinstance(record, dict) and isinstance(record.get("session"), dict) and isinstance(record.get("items"), list)
    )


def _is_bare(records: list[Any]) -> bool:
    head = records[0] if records and isinstance(records[0], dict) else {}
    return "id" in head and "timestamp" in head and "type" not in head and ("instructions" in head or "git" in head)


def parse_file(file: RolloutFile) -> list[Rollout]:
    """The one row of a rollout file; none, and the reason in ``file.skip``, when nobody said anything in it.

    Raises ``OSError``, and ``UnreadableFile`` when the file is no rollout, not JSON or not decompressible at all."""
    log = read_document(file) if file.path.name.endswith(".json") else read_log(file.path, _decoder, file.media, USUAL)
    return _Thread(file, log).rollouts()


class _Thread:
    """One file on its way to a row."""

    def __init__(self, file: RolloutFile, log: Log[Record]) -> None:
        self.file = file
        self.log = log
        self.ledger = log.ledger()
        # By class first: most records are of others, and their class is the quickest to look at.
        headers = [r for r in log.records if type(r) not in _NO_HEADERS and r.type == "session_meta" and r.payload]
        self.header = headers[0] if headers else None
        self.meta = self._meta_item()
        self.forked_from: str | None = None
        self.replayed = self._replayed(headers)
        self.is_sub_agent = isinstance(self.meta.source, dict) and "subagent" in self.meta.source
        self.thread_name: str | None = None
        self.turns = Turns(file, self._said(), self.is_sub_agent)

    def rollouts(self) -> list[Rollout]:
        self._take_all()
        messages = self.turns.finish()
        self._close_ledger()
        if not any(m.role == "assistant" or m.extra.origin in ("human", "parent_agent") for m in messages):
            return self._nothing()
        return [self._rollout(messages)]

    def _nothing(self) -> list[Rollout]:
        counts = self.ledger.records
        if counts.total and counts.total == counts.unknown + counts.unreadable:
            raise UnreadableFile("not_a_rollout", "none of its lines is a Codex record")
        self.file.skip = "no_messages"
        return []

    def _meta_item(self) -> Item:
        """The header's fields: of the first ``session_meta``, else of a bare log's first line."""
        if self.header is not None and self.header.payload is not None:
            return self.header.payload
        first = self.log.records[0] if self.log.records else None
        if first is not None and first.payload is None and first.type is None and first.id and first.role is None:
            self.header = first
            return first
        return Item()

    def _replayed(self, headers: Sequence[Record]) -> set[int]:
        """The lines that repeat a parent thread; none, with a note, when the parent is not there to compare with."""
        parent = parent_id(headers)
        if self.meta.history_mode == "paginated" and isinstance(base := self.meta.history_base, dict):
            self.forked_from = base.get("thread_id") if isinstance(base.get("thread_id"), str) else None
            before = base.get("end_ordinal_exclusive")
            self.ledger.notes.append(f"history base: thread {self.forked_from}, ordinals before {before}")
        if parent is None or self.header is None:
            return set()
        self.forked_from = parent
        lines = replayed_lines(self.file, self.header, parent)
        if not lines:
            reason = "not found" if lines is None else "says nothing that is repeated here"
            self.ledger.notes.append(f"fork prefix kept: parent {parent} {reason}")
        return lines or set()

    def _said(self) -> Said:
        said = Said()
        for record in self.log.records:
            if type(record.payload) in _UNTOLD:
                continue
            if self.replayed and record.line in self.replayed and record is not self.header:
                continue
            item = record.payload or record
            if record.type == "event_msg":
                if item.type in _TYPED:
                    self._note_typed(item, said)
            elif (kind := item.type) == "message" or (kind is None and item.role):
                _note(item.content, said.assistant_items if item.role == "assistant" else said.user_items)
            elif kind == "reasoning":
                _note(item.summary, said.reasoning_items)
                _note(item.content, said.reasoning_items)
        return said

    def _note_typed(self, event: Item, said: Said) -> None:
        """What a human typed, by the events that say so."""
        if event.type == "user_message":
            text = event.message or ""
        elif event.type == "item_completed" and event.item is not None and event.item.type == "UserMessage":
            text = event.item.text()
        else:
            return
        for form in {text, text.strip()} - {""}:
            said.typed.add(form)

    # Records

    def _take_all(self) -> None:
        """Every record. The two kinds of line that most of a log is made of go straight to who takes them."""
        turns, handlers = self.turns, {} if self.replayed else USUAL_HANDLERS
        for record in self.log.records:
            item: Any = record.payload
            if (handler := handlers.get(type(item))) is not None:
                handler(turns, record, item)
            elif handlers and isinstance(record, EventLine):
                self._take_event(record, item)
            else:
                self._take(record)

    def _take(self, record: Record) -> None:
        item = record.payload or record
        if self.replayed and record.line in self.replayed and record is not self.header:
            record.fate = "replayed"
            self.turns.replayed(record, item)
        elif record.type == "response_item":
            self._take_item(record, item)
        elif record.type == "event_msg":
            self._take_event(record, item)
        elif record is self.header:
            self._take_header(record, item)
        elif record.payload is None:
            self._take_bare(record)
        elif record.type == "compacted":
            self.turns.compacted(record, item)
        elif record.type in ENVELOPES:
            if record.type == "turn_context":
                self.turns.model = item.model or self.turns.model
        else:
            self._unknown(record, record.type)

    def _take_header(self, record: Record, item: Item) -> None:
        given = item.base_instructions
        text = given if isinstance(given, str) else given.text if given else None
        if text:
            self.turns.system_prompt(record, text)
            self.ledger.system_prompt = True

    def _take_bare(self, record: Record) -> None:
        if record.type in ITEM_TYPES:
            self._take_item(record, record)
        elif record.record_type is None or record.type is not None:
            self._unknown(record, record.type)

    def _take_item(self, record: Record, item: Item) -> None:
        if self.turns.take_item(record, item):
            return
        if item.type not in ITEM_TYPES:
            self._unknown(record, item.type)

    def _unknown(self, record: Record, name: str | None) -> None:
        record.fate = "unknown"
        name = name or "(no type)"
        self.ledger.unknown_types[name] = self.ledger.unknown_types.get(name, 0) + 1

    def _take_event(self, record: Record, item: Item) -> None:
        turns, said = self.turns, self.turns.said
        kind = item.type
        if kind == "token_count":
            turns.token_count(item.info)
        elif kind == "agent_message":
            self._told(record, item.message, said.assistant_items, "assistant", item.phase)
        elif kind == "user_message":
            self._told(record, item.message, said.user_items, "user")
        elif kind == "agent_reasoning":
            self._told(record, item.text, said.reasoning_items)
        elif kind == "agent_reasoning_raw_content" and item.text:
            turns.raw_reasoning(record, item.text)
        elif kind == "item_completed" and item.item is not None:
            self._take_turn_item(record, item)
        elif kind == "turn_aborted":
            turns.close_call()
        elif kind == "thread_rolled_back":
            turns.roll_back(item.num_turns or 0)
        elif kind == "thread_name_updated":
            self.thread_name = item.thread_name or self.thread_name
        elif kind == "collab_agent_spawn_end" and item.new_thread_id:
            turns.spawned(item.new_thread_id, item.call_id)

    def _told(
        self, record: Record, text: str | None, items: Texts, role: str | None = None, phase: str | None = None
    ) -> None:
        """An event with text, reasoning if it has no ``role``: a repetition where the log has items of its kind, else
        the only place the text is."""
        if not text:
            return
        if items:
            record.fate = "duplicate" if text in items or text.strip() in items else "metadata"
        elif role is None:
            self.turns.take_item(record, Item(type="reasoning", summary=[Part("summary_text", text)]))
        else:
            self.turns.take_item(record, Item(type="message", role=role, content=text, phase=phase))

    def _take_turn_item(self, record: Record, event: Item) -> None:
        """A paginated log's own way to say what a response item says; the only place where that is missing."""
        told, said = event.item, self.turns.said
        assert told is not None
        if told.type == "UserMessage":
            self._tell(record, told.text(), said.user_items, Item("message", told.id, "user", told.text()))
        elif told.type == "AgentMessage":
            item = Item("message", told.id, "assistant", told.text(), told.phase)
            self._tell(record, told.text(), said.assistant_items, item)
        elif told.type == "Reasoning":
            readable = [Part("reasoning_text", text) for text in told.raw_content or ()]
            summary = [Part("summary_text", text) for text in told.summary_text or ()]
            item = Item("reasoning", told.id, content=readable, summary=summary)
            self._tell(record, "\n".join(told.summary_text or ()), said.reasoning_items, item)

    def _tell(self, record: Record, text: str, items: Texts, item: Item) -> None:
        if items:
            record.fate = "duplicate"
        elif text:
            self.turns.take_item(record, item)

    def _close_ledger(self) -> None:
        counts = self.ledger.records
        counts.total = len(self.log.records) + counts.unknown + counts.unreadable
        for fate, number in Counter(map(attrgetter("fate"), self.log.records)).items():
            setattr(counts, fate, getattr(counts, fate) + number)
        self.ledger.companions_read = self.file.companions_read
        self.ledger.companions_missing = self.file.companions_missing
        self.ledger.compactions = self.turns.compactions
        self.ledger.undecodable_media = self.turns.blocks.undecodable_media
        if self.turns.unplaced_counts:
            self.ledger.notes.append(f"{self.turns.unplaced_counts} token counts of calls that left no message")
        if self.turns.abandoned_usages:
            self.ledger.abandoned_usage = add_usage(self.turns.abandoned_usages)

    # The row

    def _rollout(self, messages: Sequence[Any]) -> Rollout:
        trace_id = self._trace_id()
        in_row = [record.timestamp for record in self.log.records if record.fate in ("used", "merged")]
        started_at, ended_at = span([*in_row, self.meta.timestamp])
        cwd = self.meta.cwd or _environment_cwd(messages)
        return Rollout(
            trace_id=trace_id,
            source_kind=NAME,
            source_path=str(self.file.path),
            root_session_id=self.meta.session_id or self._parent() or trace_id,
            agent_id=trace_id if self.is_sub_agent else None,
            is_sidechain=self.is_sub_agent,
            cwd=cwd,
            project_path=cwd,
            git_branch=(self.meta.git.branch or None) if self.meta.git else None,
            started_at=started_at,
            ended_at=ended_at,
            messages=list(messages),
            source_meta=self._source_meta(trace_id, list(messages)),
        )

    def _trace_id(self) -> str:
        stem = self.file.path.name.partition(".json")[0]
        found = _THREAD_ID.search(stem)
        return self.meta.id or (found[0] if found else stem)

    def _parent(self) -> str | None:
        source = self.meta.source
        spawn = source.get("subagent") if isinstance(source, dict) else None
        spawn = spawn.get("thread_spawn") if isinstance(spawn, dict) else None
        named = spawn.get("parent_thread_id") if isinstance(spawn, dict) else None
        return named if isinstance(named, str) else self.meta.parent_thread_id

    def _source_meta(self, trace_id: str, messages: list[Any]) -> SourceMeta:
        parent = self._parent()
        tools = self.meta.dynamic_tools if isinstance(self.meta.dynamic_tools, list) else None
        meta = SourceMeta(
            PARSER,
            agent_version=self.meta.cli_version,
            title=self._title(trace_id),
            parent=Parent(parent) if parent and self.is_sub_agent else None,
            children=self.turns.children,
            forked_from=self.forked_from,
            tools=tools or None,
            tools_source="recorded" if tools else "absent",
            fidelity=self._fidelity(bool(tools)),
            other=self._other(messages),
        )
        sum_up(meta, messages, self.turns.segment_reasons)
        if self.log.lifted:
            spell_out_markers(messages)
        return meta

    def _fidelity(self, has_tools: bool) -> Fidelity:
        self.ledger.tool_schemas = has_tools
        return self.ledger

    def _other(self, messages: Sequence[Any]) -> dict[str, Any]:
        other: dict[str, Any] = {}
        if self.meta.git is not None:
            other["git"] = {k: v for k, v in msgspec.to_builtins(self.meta.git).items() if v is not None}
        for name in _KEPT_HEADER_FIELDS:
            if (value := getattr(self.meta, name)) is not None:
                other[name] = value
        instructions = self.meta.instructions
        if instructions and not any(instructions in message.text for message in messages):
            other["instructions"] = instructions
        return other

    def _title(self, trace_id: str) -> str | None:
        names: dict[str, str] = self.file.tree.once(thread_names)
        return self.thread_name or names.get(trace_id)


def _note(content: str | list[Part] | None, texts: Texts) -> None:
    """Add each part's text, and all of them in one."""
    if isinstance(content, str):
        texts.add(content)
        return
    parts = [part.text for part in content or () if part.text]
    for text in parts:
        texts.add(text)
    if len(parts) > 1:
        texts.add("".join(parts))


def _environment_cwd(messages: Sequence[Any]) -> str | None:
    for message in messages:
        if message.extra.kind == "environment" and (found := _CWD.search(message.text)):
            return found[1]
    return None
