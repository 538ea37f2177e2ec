"""ATIF, the Agent Trajectory Interchange Format (v1.0 to v1.8): one document a thread.

    {"schema_version":"ATIF-v1.7","session_id":"agent-001","agent":{"name":"calculator_agent",…},"steps":[{"step_id":2,
     "source":"agent","message":"","tool_calls":[{"tool_call_id":"call_abc","function_name":"calculator__add",
     "arguments":{"a":3,"b":4}}],"observation":{"results":[{"source_call_id":"call_abc","content":"7"}]}},…]}

Sub-agents are embedded in it or lie beside it. ``_atif_steps`` makes steps messages, ``_harbor`` finds a trial's
reward; here a document becomes rows, and so does each line of a ``.jsonl`` file of them. Harbor's own validator refuses
unknown keys and odd types; we read what is there and note the rest in the ledger.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from msgspec import Raw

from rollmill.errors import UnreadableFile
from rollmill.formats import FormatDefaults, RolloutFile
from rollmill.formats._atif_steps import Reference, Steps
from rollmill.formats._conversation import sum_up
from rollmill.formats._harbor import trial_labels
from rollmill.formats._jsonl import MAX_UNREADABLE_LINES
from rollmill.formats._raw_json import NOT_JSON, count, document_fields, fields, items, plain, repaired, text, type_of
from rollmill.formats._times import span
from rollmill.media import NoStore
from rollmill.rollout import RECORD_CLASSES, Child, Fidelity, Parent, Rollout, SourceMeta

NAME = "atif"
PARSER = "atif/1"
DEFAULTS = FormatDefaults(None, "*.json")

_LINES = (".jsonl", ".ndjson")
"""Not in the default pattern: agents leave their own logs of that ending in Harbor's folders."""
Found = tuple[list[Rollout], Fidelity]
_OF_THE_FILE = ("records", "unknown_types", "unreadable_lines", "torn_tail", "replaced_characters")
_NO_TRAJECTORIES = {"config.json", "lock.json", "result.json", "results.json", "reward.json", "manifest.json"}
_CONTINUATION = re.compile(r"\.cont-\d+\.json$")
_KNOWN_KEYS = {
    "schema_version", "session_id", "trajectory_id", "agent", "steps", "notes", "final_metrics",
    "continued_trajectory_ref", "subagent_trajectories", "extra",
}  # fmt: skip


def is_handled_file(relative_path: str) -> bool:
    """Any JSON file but the ones that Harbor writes around a trajectory; JSON lines where the pattern has them."""
    name = PurePosixPath(relative_path).name
    return name.endswith((".json", *_LINES)) and name not in _NO_TRAJECTORIES


def recognise(records: list[Any]) -> bool:
    """A document that names its ATIF version, or has an agent and its steps."""
    document = records[0] if records and isinstance(records[0], dict) else {}
    version = document.get("schema_version")
    if isinstance(version, str) and version.startswith("ATIF-"):
        return True
    return isinstance(document.get("agent"), dict) and isinstance(document.get("steps"), list)


def parse_file(file: RolloutFile) -> Iterable[Rollout]:
    """The document's row, then one for each embedded sub-agent; none, and the reason in ``file.skip``, without a step.
    Of JSON lines those of each line.

    Raises ``OSError``, and ``UnreadableFile`` when the file is not JSON (``not_json``) or no ATIF (``not_a_rollout``).
    """
    if file.path.name.endswith(_LINES):
        return _rollouts_of_lines(file)
    return _rollouts(file, file.path.read_bytes(), Fidelity())[0]


def _rollouts(file: RolloutFile, data: bytes, before: Fidelity, line: int = 0, taken: Container[str] = ()) -> Found:
    """A document's rows, and the ledger ``before`` with what is in it. A line goes by no id that is ``taken``."""
    try:
        return _parsed(file, data, deepcopy(before), line, taken)
    except NOT_JSON:
        data, replaced = repaired(data)
    ledger = deepcopy(before)
    ledger.replaced_characters += replaced
    try:
        return _parsed(file, data, ledger, line, taken)
    except NOT_JSON as error:
        raise UnreadableFile("not_json", f"{file.path} is not JSON: {error}") from error


def _parsed(file: RolloutFile, data: bytes, ledger: Fidelity, line: int, taken: Container[str]) -> Found:
    document = document_fields(data)
    _refuse_other_documents(file, document, data)
    threads = list(_threads(file, document, ledger, None, 0))
    ledger.records.total = sum(getattr(ledger.records, name) for name in RECORD_CLASSES)
    for thread in threads:
        while thread.trace_id in taken:
            thread.trace_id += f":{line}"
    _link(threads)
    threads = [thread for thread in threads if thread.steps.messages]
    file.skip = "" if threads else "no_messages"
    labels = trial_labels(file) if threads and not line else {}
    return [thread.rollout(dict(labels)) for thread in threads], ledger


def _rollouts_of_lines(file: RolloutFile) -> Iterator[Rollout]:
    """The rows of all lines. The file is read twice: every row says what the whole file is like, and no more than one
    line is kept."""
    whole = Fidelity()
    for _, ledger in _lines(replace(file, media=NoStore())):
        whole = ledger
    if whole.records.total and not whole.records.metadata:
        kind = "not_a_rollout" if whole.records.unknown else "not_json"
        raise UnreadableFile(kind, f"{file.path}: none of its lines is an ATIF document")
    file.skip = "no_messages"
    for rollouts, _ in _lines(file):
        for rollout in rollouts:
            for name in _OF_THE_FILE:
                setattr(rollout.source_meta.fidelity, name, getattr(whole, name))
            yield rollout


def _lines(file: RolloutFile) -> Iterator[Found]:
    """Each line's rows, and the ledger of the file so far. A line that is no document is counted."""
    taken: set[str] = set()
    ledger = Fidelity()
    with file.path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            rollouts: list[Rollout] = []
            try:
                if line.strip():
                    rollouts, ledger = _rollouts(file, line, ledger, number, taken)
            except UnreadableFile as problem:
                _count_no_document(ledger, problem.kind, number, torn=not line.endswith(b"\n"))
            taken.update(rollout.trace_id for rollout in rollouts)
            yield rollouts, ledger


def _count_no_document(ledger: Fidelity, kind: str, line: int, torn: bool) -> None:
    ledger.records.total += 1
    if kind == "not_a_rollout":
        _count_unknown(ledger, "no ATIF document")
    else:
        ledger.records.unreadable += 1
        ledger.unreadable_lines = [*ledger.unreadable_lines, line][:MAX_UNREADABLE_LINES]
        ledger.torn_tail = torn


def _count_unknown(ledger: Fidelity, name: str) -> None:
    ledger.records.unknown += 1
    ledger.unknown_types[name] = ledger.unknown_types.get(name, 0) + 1


def _refuse_other_documents(file: RolloutFile, document: dict[str, Raw], data: bytes) -> None:
    version = text(document.get("schema_version")) or ""
    steps = document.get("steps")
    if steps is not None and type_of(steps) == "array" and (version.startswith("ATIF-") or "agent" in document):
        return
    found = f"an object with the keys {', '.join(list(document)[:8])}" if document else f"JSON of type {type_of(data)}"
    raise UnreadableFile(
        "not_a_rollout",
        f"{file.path} is {found}; an ATIF document has a list of steps and a schema_version ATIF-v1.x or an agent",
    )


def _threads(
    file: RolloutFile, document: dict[str, Raw], ledger: Fidelity, container: _Thread | None, number: int
) -> Iterator[_Thread]:
    """The document's thread and, behind it, those of the sub-agents it holds, at any depth."""
    ledger.records.metadata += 1
    thread = _Thread(file, document, ledger, container, number)
    yield thread
    for position, raw in enumerate(items(document.get("subagent_trajectories")), 1):
        if inner := fields(raw):
            yield from _threads(file, inner, ledger, thread, position)
        else:
            _count_unknown(ledger, type_of(raw))


class _Thread:
    """One document, with what links it to the others of its file."""

    def __init__(
        self, file: RolloutFile, document: dict[str, Raw], ledger: Fidelity, container: _Thread | None, number: int
    ) -> None:
        self.file = file
        self.document = document
        self.ledger = ledger
        self.container = container
        self.agent = fields(document.get("agent"))
        self.agent_extra = fields(self.agent.get("extra"))
        self.trajectory_id = text(document.get("trajectory_id")) or None
        self.session_id = text(document.get("session_id")) or None
        self.trace_id = self._trace_id(number)
        self.root_session_id: str = container.root_session_id if container else self.session_id or self.trace_id
        self.parent = self._parent_beside()
        self.children: list[Child] = []
        is_sub_agent = container is not None or self.parent is not None
        self.steps = Steps(file.media, ledger, text(self.agent.get("model_name")), is_sub_agent)
        for key in document:
            if key not in _KNOWN_KEYS:
                self.steps.notes[f"unknown document key {key}"] += 1
        for position, raw in enumerate(items(document.get("steps")), 1):
            self.steps.take(raw, position)

    def _trace_id(self, number: int) -> str:
        """The document's own id. A sub-agent may carry the run's session id: that one is its container's."""
        if self.container is None:
            return self.trajectory_id or self.session_id or self.file.relative_path
        session_id = self.session_id if self.session_id != self.container.session_id else None
        return self.trajectory_id or session_id or f"{self.container.trace_id}:{number}"

    def _parent_beside(self) -> Parent | None:
        """terminus-2 says in a summariser's own file which session it worked for."""
        named = text(self.agent_extra.get("parent_session_id"))
        if self.container is not None or not named:
            return None
        self.root_session_id = named
        return Parent(named)

    def rollout(self, labels: dict[str, Any]) -> Rollout:
        messages = self.steps.messages
        started_at, ended_at = span(self.steps.times)
        is_sub_agent = self.parent is not None
        return Rollout(
            trace_id=self.trace_id,
            source_kind=NAME,
            source_path=str(self.file.path),
            root_session_id=self.root_session_id,
            agent_id=self.trace_id if is_sub_agent else None,
            is_sidechain=is_sub_agent,
            cwd=None,
            project_path=None,
            git_branch=None,
            started_at=started_at,
            ended_at=ended_at,
            messages=messages,
            source_meta=self._meta(labels),
        )

    def _meta(self, labels: dict[str, Any]) -> SourceMeta:
        tools = [plain(tool) for tool in items(self.agent.get("tool_definitions"))]
        meta = SourceMeta(
            parser=PARSER,
            agent_version=text(self.agent.get("version")) or None,
            parent=self.parent,
            children=self.children,
            labels=labels,
            tools=tools or None,
            tools_source="recorded" if tools else "absent",
            fidelity=self._fidelity(bool(tools)),
            other=self._other(),
        )
        sum_up(meta, self.steps.messages, {0: self._first_reason(), **self.steps.reasons})
        return meta

    def _fidelity(self, has_tools: bool) -> Fidelity:
        return Fidelity(
            records=self.ledger.records,
            unknown_types=self.ledger.unknown_types,
            replaced_characters=self.ledger.replaced_characters,
            companions_read=self.file.companions_read,
            companions_missing=list(self.file.companions_missing),
            undecodable_media=self.steps.undecodable_media,
            compactions=self.steps.compactions,
            system_prompt=self.steps.messages[0].role == "system",
            tool_schemas=has_tools,
            notes=[f"{what} ({number})" for what, number in self.steps.notes.items()],
        )

    def _first_reason(self) -> str:
        index = count(self.agent_extra.get("continuation_index"))
        return "continuation" if index or _CONTINUATION.search(self.file.relative_path) else "start"

    def _other(self) -> dict[str, Any]:
        kept: dict[str, Raw | None] = {"agent": self.agent.get("name")}
        for key in ("schema_version", "notes", "final_metrics", "continued_trajectory_ref", "extra"):
            kept[key] = self.document.get(key)
        kept["agent_extra"] = self.agent.get("extra")
        values = {key: plain(raw) for key, raw in kept.items() if raw is not None}
        return {key: value for key, value in values.items() if value is not None}


def _link(threads: list[_Thread]) -> None:
    """Tell each thread its parent and children: a reference names them, else the document that holds the other."""
    for thread in threads:
        if thread.container is not None:
            owner, reference = _reference_to(thread, threads)
            thread.parent = Parent(owner.trace_id, reference.call_id if reference else None)
            if reference is None:
                owner.children.append(Child(thread.trace_id))
            else:
                reference.agent_id = thread.trace_id
    for thread in threads:
        referenced = [Child(r.agent_id, r.call_id) for r in thread.steps.references if r.agent_id]
        thread.children = (
            list({child.agent_id: child for child in reversed(referenced)}.values())[::-1] + thread.children
        )


def _reference_to(thread: _Thread, threads: list[_Thread]) -> tuple[_Thread, Reference | None]:
    """Who refers to the thread: the document that holds it, else any other of the file, else nobody but its holder."""
    assert thread.container is not None
    for owner in (thread.container, *(other for other in threads if other is not thread)):
        for reference in owner.steps.references:
            if reference.names(thread.trajectory_id, thread.session_id):
                return owner, reference
    return thread.container, None
