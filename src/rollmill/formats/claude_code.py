"""Claude Code: one JSONL log a session, sub-agents in logs of their own beside it (older versions: inline).

    {"parentUuid":"8e26…","isSidechain":false,"sessionId":"0ccf…","version":"2.1.15","type":"assistant","uuid":"360c…",
     "timestamp":"2026-01-22T…Z","message":{"id":"msg_01Q6…","role":"assistant","content":[{"type":"text","text":"…"}],…}}

One API message is spread over several lines, each streamed block a record of its own; the records form a tree, of which
one branch is the conversation that lived. ``_claude_tree`` finds it, ``_claude_messages`` makes it messages; here a
file becomes rows. The rules and their evidence: ``docs/formats.md``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import msgspec
from msgspec import Struct

from rollmill.errors import UnreadableFile
from rollmill.formats import FormatDefaults, RolloutFile
from rollmill.formats._claude_companions import AgentMeta, IndexEntry, agent_meta, session_index
from rollmill.formats._claude_messages import Conversation, build, usage_of
from rollmill.formats._claude_records import METADATA_TYPES, TREE_TYPES, Progress, Record
from rollmill.formats._claude_tree import Branch, Thread, threads
from rollmill.formats._conversation import first_line_title, spell_out_markers, sum_up
from rollmill.formats._jsonl import Log, read_log
from rollmill.rollout import Child, Fidelity, Parent, Rollout, SourceMeta, ToolCall, add_usage

NAME = "claude_code"
PARSER = "claude_code/1"
SUB_AGENT_TOOLS = ("Task", "Agent")
"""The tool that starts a sub-agent, before and after it was renamed."""
DEFAULTS = FormatDefaults("~/.claude/projects", "*.jsonl", "CLAUDE_CONFIG_DIR", "projects")

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_decoder = msgspec.json.Decoder(Record)


def is_handled_file(relative_path: str) -> bool:
    """Session and sub-agent logs; not the prompt history, workflow journals, compaction calls, spilled outputs."""
    name = relative_path.rpartition("/")[2]
    return (
        name.endswith(".jsonl")
        and name not in ("history.jsonl", "journal.jsonl")
        and not name.startswith("agent-acompact-")
        and ("tool-results/" not in relative_path or "/tool-results/" not in f"/{relative_path}")
    )


def recognise(records: list[Any]) -> bool:
    """Turns with ``message.content`` in an envelope of uuid and session, or session bookkeeping alone."""
    return any(_is_turn(record) or _is_bookkeeping(record) for record in records)


def _is_turn(record: Any) -> bool:
    return (
        isinstance(record, dict)
        and record.get("type") in ("user", "assistant")
        and ("uuid" in record or "sessionId" in record)
        and isinstance(message := record.get("message"), dict)
        and "content" in message
    )


def _is_bookkeeping(record: Any) -> bool:
    keys = ("leafUuid", "snapshot", "operation", "customTitle", "aiTitle")
    return isinstance(record, dict) and record.get("type") in METADATA_TYPES and any(key in record for key in keys)


def parse_file(file: RolloutFile) -> list[Rollout]:
    """The rows of one log: the main thread (or the sub-agent's), its abandoned branches when asked for, and each
    inline sidechain. No rows, and the reason in ``file.skip``, when the log has no conversation.

    Raises ``OSError``, and ``UnreadableFile`` when no line of the file is a Claude Code record."""
    log = read_log(file.path, _decoder, file.media)
    return _Session(file, log).rollouts()


class _Session:
    """One log on its way to rows: its records sorted into turns, bookkeeping and the rest."""

    def __init__(self, file: RolloutFile, log: Log[Record]) -> None:
        self.file = file
        self.log = log
        self.ledger = log.ledger()
        self.bookkeeping: list[Record] = []
        self.tree = self._sorted(log.records)
        self.is_agent_file = file.path.name.startswith("agent-")
        self.session_id = self._session_id()
        self._drop_stray()

    def rollouts(self) -> list[Rollout]:
        """All rows, main thread first. The ledger of the file is closed when every record has found its class."""
        main, sidechains = threads(self.tree, self.is_agent_file)
        found = list(self._conversations(main, sidechains))
        self._close_ledger()
        rollouts = [self._rollout(*each) for each in found if each[2].messages]
        if not rollouts:
            return self._nothing("no_messages")
        if self.is_agent_file and rollouts[0].messages[0].text.strip() == "Warmup":
            return self._nothing("warmup")
        self._link_sidechains(rollouts)
        return rollouts

    def _nothing(self, reason: str) -> list[Rollout]:
        counts = self.ledger.records
        if counts.total and counts.total == counts.unknown + counts.unreadable:
            raise UnreadableFile("not_a_rollout", "none of its lines is a Claude Code record")
        self.file.skip = reason
        return []

    # Records

    def _sorted(self, records: list[Record]) -> list[Record]:
        """The tree's records, each uuid once: at its first place, with its last content."""
        counts = self.ledger.records
        tree: list[Record] = []
        at: dict[str, int] = {}
        counts.total = len(records) + counts.unknown + counts.unreadable
        for record in records:
            kind = record.type
            if kind in TREE_TYPES and (record.message is not None or kind not in ("user", "assistant")):
                uuid = record.uuid or _stand_in(record, at)
                record.settle(uuid)
                if (first := at.get(uuid)) is None:
                    at[uuid] = len(tree)
                    tree.append(record)
                elif tree[first].fate != "unknown":
                    counts.duplicate += 1
                    if tree[first].type == kind:
                        record.line = tree[first].line
                        tree[first] = record
                else:
                    tree[first] = record
            elif kind in METADATA_TYPES:
                self.bookkeeping.append(record)
            else:
                self._count_unknown(record)
                if record.uuid and record.uuid not in at:
                    at[record.uuid] = len(tree)
                    tree.append(record)
        counts.metadata += len(self.bookkeeping)
        return tree

    def _count_unknown(self, record: Record) -> None:
        """A type of a later version; it still ties its children to its parent."""
        name = record.type or "(no type)"
        record.fate = "unknown"
        self.ledger.records.unknown += 1
        self.ledger.unknown_types[name] = self.ledger.unknown_types.get(name, 0) + 1

    def _session_id(self) -> str:
        """The file's stem when it is a UUID, else the session most records name, else the stem. A sub-agent's log
        is named after the agent and tells its session in every record."""
        stem = self.file.path.name.removesuffix(".jsonl")
        if _UUID.fullmatch(stem):
            return stem
        named = Counter(record.sessionId for record in self.tree if record.sessionId)
        if named:
            return named.most_common(1)[0][0]
        return self.file.path.parent.parent.name if self.file.path.parent.name == "subagents" else stem

    def _drop_stray(self) -> None:
        """A log begun by leaving plan mode starts with a turn of the session before it, which nothing of its own
        follows on. A copied history is followed by what is new, and stays."""
        own = next((n for n, record in enumerate(self.tree) if record.sessionId == self.session_id), 0)
        strays = [record for record in self.tree[:own] if record.is_conversation]
        if not strays:
            return
        followed = {record.parentUuid for record in self.tree[own:]}
        if not followed & {record.uuid for record in self.tree[:own]}:
            self.tree = [record for record in self.tree if not any(record is stray for stray in strays)]
            self.ledger.records.replayed += len(strays)

    def _close_ledger(self) -> None:
        counts = self.ledger.records
        turns = [record for record in self.tree if record.is_conversation]
        for record in turns:
            if not record.is_said:
                record.fate = "metadata"
        counts.metadata += sum([r.fate != "unknown" for r in self.tree if not r.is_conversation])
        for fate, number in Counter([record.fate or "abandoned" for record in turns]).items():
            setattr(counts, fate, getattr(counts, fate) + number)
        lost = [record for record in turns if not record.fate]
        usages = {r.message_key: usage_of(r) for r in lost if r.is_model_output}
        given_up = [usage for usage in usages.values() if usage is not None]
        self.ledger.abandoned_usage = add_usage(given_up) if given_up else None
        self.ledger.companions_read = self.file.companions_read
        self.ledger.companions_missing = self.file.companions_missing

    # Threads

    def _conversations(
        self, main: Thread | None, sidechains: list[Thread]
    ) -> Iterator[tuple[Thread, Branch, Conversation, str]]:
        """Each row's thread, branch and messages, and what its trace id ends in."""
        for thread in ([main] if main else []) + sidechains:
            live = thread.live_branch()
            yield thread, live, self._build(thread, live), ""
            if self.file.branches == "all":
                for n, branch in enumerate(thread.abandoned_branches(live), 1):
                    yield thread, branch, self._build_aside(thread, branch), f"#b{n}"

    def _build(self, thread: Thread, branch: Branch) -> Conversation:
        is_sub_agent = self.is_agent_file or thread.root is not None
        return build(branch.records, self.file, self.session_id, is_sub_agent)

    def _build_aside(self, thread: Thread, branch: Branch) -> Conversation:
        """An abandoned branch is read, and its records stay abandoned in the ledger."""
        fates = [record.fate for record in branch.records]
        conversation = self._build(thread, branch)
        for record, fate in zip(branch.records, fates, strict=True):
            record.fate = fate
        return conversation

    # Rows

    def _rollout(self, thread: Thread, branch: Branch, conversation: Conversation, suffix: str) -> Rollout:
        is_sub_agent = self.is_agent_file or thread.root is not None
        agent_id = self._agent_id(thread) if is_sub_agent else None
        name = agent_id or (thread.root.uuid if thread.root else None)
        trace_id = f"{self.session_id}:{name}" if is_sub_agent else self.session_id
        started_at, ended_at = conversation.span
        cwd = next((record.cwd for record in thread.records if record.cwd), None)
        entry = self._index_entry()
        return Rollout(
            trace_id=trace_id + suffix,
            source_kind=NAME,
            source_path=str(self.file.path),
            root_session_id=self.session_id,
            agent_id=agent_id,
            is_sidechain=is_sub_agent,
            cwd=cwd,
            project_path=entry.projectPath or cwd,
            git_branch=next((record.gitBranch for record in thread.records if record.gitBranch), None),
            started_at=started_at,
            ended_at=ended_at,
            messages=conversation.messages,
            source_meta=self._meta(thread, branch, conversation, is_sub_agent),
        )

    def _agent_id(self, thread: Thread) -> str | None:
        named = next((record.agentId for record in thread.records if record.agentId), None)
        stem = self.file.path.name.removesuffix(".jsonl")
        return named or (stem.removeprefix("agent-") if self.is_agent_file else None)

    def _index_entry(self) -> IndexEntry:
        index: dict[str, IndexEntry] = self.file.tree.once(session_index)
        return index.get(self.session_id, IndexEntry())

    def _meta(self, thread: Thread, branch: Branch, conversation: Conversation, is_sub_agent: bool) -> SourceMeta:
        agent = agent_meta(self.file) if self.is_agent_file else AgentMeta()
        self.ledger.companions_read = self.file.companions_read
        meta = SourceMeta(
            PARSER,
            agent_version=next((record.version for record in thread.records if record.version), None),
            title=agent.description if is_sub_agent else self._title(),
            parent=Parent(self._parent_id(agent), agent.toolUseId) if is_sub_agent else None,
            children=_children(conversation, thread),
            forked_from=next((r.forkedFrom.sessionId for r in thread.records if r.forkedFrom), None),
            fidelity=self._fidelity(branch, conversation),
        )
        if agent.agentType or agent.description:
            meta.other["agent"] = {"type": agent.agentType, "description": agent.description}
        sum_up(meta, conversation.messages, conversation.segment_reasons)
        if self.log.lifted:
            spell_out_markers(conversation.messages)
        return meta

    def _parent_id(self, agent: AgentMeta) -> str:
        return f"{self.session_id}:{agent.parentAgentId}" if agent.parentAgentId else self.session_id

    def _fidelity(self, branch: Branch, conversation: Conversation) -> Fidelity:
        return msgspec.structs.replace(
            self.ledger,
            gaps=branch.gaps,
            compactions=conversation.compactions,
            api_errors=conversation.api_errors,
            truncated_outputs=conversation.truncated_outputs,
            undecodable_media=conversation.undecodable_media,
        )

    def _title(self) -> str | None:
        """The user's title, else the model's, else the last prompt, a summary, the index's."""
        entry = self._index_entry()
        return (
            self._last("customTitle")
            or self._last("aiTitle")
            or first_line_title(self._last("lastPrompt") or "")
            or self._last("summary")
            or entry.customTitle
            or entry.summary
        )

    def _last(self, name: str) -> str | None:
        """The last value of a title field; a summary only when its leaf is in this file, for logs also carry the
        titles of other sessions."""
        for record in reversed(self.bookkeeping):
            value = getattr(record, name)
            if value and (name != "summary" or record.leafUuid is None or record.leafUuid in self._uuids):
                return str(value)
        return None

    @cached_property
    def _uuids(self) -> set[str | None]:
        return {record.uuid for record in self.tree}

    def _link_sidechains(self, rollouts: list[Rollout]) -> None:
        """Tie each inline sidechain to the main thread's call with the same prompt, when exactly one has it."""
        main, sidechains = rollouts[0], [r for r in rollouts if r.is_sidechain and not self.is_agent_file]
        if main.is_sidechain or not sidechains:
            return
        calls = [c for m in main.messages for c in m.tool_calls if c.function.name in SUB_AGENT_TOOLS]
        for sidechain in sidechains:
            task = sidechain.messages[0].text
            matching = [call.id for call in calls if _prompt_of(call) == task and task]
            call_id = matching[0] if len(matching) == 1 else None
            if sidechain.source_meta.parent is not None:
                sidechain.source_meta.parent.tool_call_id = call_id
            name = sidechain.trace_id.removeprefix(self.session_id + ":")
            if name not in {child.agent_id for child in main.source_meta.children}:
                main.source_meta.children.append(Child(name, call_id))


def _stand_in(record: Record, taken: Mapping[str, int]) -> str:
    """What stands for a missing uuid: the line, and a number when several records share it."""
    names = (f"line:{record.line}" + (f":{n}" if n else "") for n in range(len(taken) + 1))
    return next(name for name in names if name not in taken)


def _children(conversation: Conversation, thread: Thread) -> list[Child]:
    """The sub-agents a branch started, in order: told by the results of its calls, else by their progress records."""
    by_call = {child.tool_call_id: child for child in conversation.children}
    answered = [m.tool_call_id for m in conversation.messages if m.role == "tool"] if by_call else []
    ordered = {by_call[call].agent_id: by_call[call] for call in answered if call in by_call}
    for record in [record for record in thread.records if record.data is not None]:
        if isinstance(record.data, Progress) and record.data.type == "agent_progress" and record.data.agentId:
            ordered.setdefault(record.data.agentId, Child(record.data.agentId, record.parentToolUseID))
    return list(ordered.values())


def _prompt_of(call: ToolCall) -> str | None:
    try:
        arguments = msgspec.json.decode(call.function.arguments, type=TaskArguments)
    except (msgspec.MsgspecError, RecursionError):
        return None
    return arguments.prompt


class TaskArguments(Struct):
    """The one argument of a sub-agent call that its sidechain repeats."""

    prompt: str | None = None
