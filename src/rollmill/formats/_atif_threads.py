"""ATIF documents as threads: one is a row, and so is every sub-agent it holds.

    {"trajectory_id":"main","agent":{…},"steps":[…,{"observation":{"results":[{"source_call_id":"call_1",
     "subagent_trajectory_ref":[{"trajectory_id":"sub"}]}]}}],"subagent_trajectories":[{"trajectory_id":"sub",…}]}

A reference in a result says which call started which sub-agent; one that nothing refers to belongs to its holder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from msgspec import Raw

from rollmill.formats import RolloutFile
from rollmill.formats._atif_steps import Reference, Steps, count_unknown
from rollmill.formats._conversation import sum_up
from rollmill.formats._raw_json import count, fields, items, plain, text, type_of
from rollmill.formats._times import span
from rollmill.rollout import Child, Fidelity, Parent, Rollout, SourceMeta

NAME = "atif"
PARSER = "atif/1"

_CONTINUATION = re.compile(r"\.cont-\d+\.json$")
_KNOWN_KEYS = {
    "schema_version", "session_id", "trajectory_id", "agent", "steps", "notes", "final_metrics",
    "continued_trajectory_ref", "subagent_trajectories", "extra",
}  # fmt: skip


def threads_of(
    file: RolloutFile, document: dict[str, Raw], ledger: Fidelity, container: Thread | None = None, number: int = 0
) -> Iterator[Thread]:
    """The document's thread and, behind it, those of the sub-agents it holds, at any depth."""
    ledger.records.metadata += 1
    thread = Thread(file, document, ledger, container, number)
    yield thread
    for position, raw in enumerate(items(document.get("subagent_trajectories")), 1):
        if inner := fields(raw):
            yield from threads_of(file, inner, ledger, thread, position)
        else:
            count_unknown(ledger, type_of(raw))


class Thread:
    """One document, with what links it to the others of its file."""

    def __init__(
        self, file: RolloutFile, document: dict[str, Raw], ledger: Fidelity, container: Thread | None, number: int
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


def link(threads: list[Thread]) -> None:
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


def _reference_to(thread: Thread, threads: list[Thread]) -> tuple[Thread, Reference | None]:
    """Who refers to the thread: the document that holds it, else any other of the file, else nobody but its holder."""
    assert thread.container is not None
    for owner in (thread.container, *(other for other in threads if other is not thread)):
        for reference in owner.steps.references:
            if reference.names(thread.trajectory_id, thread.session_id):
                return owner, reference
    return thread.container, None
