"""What stands beside Claude Code's logs: the session index, and what a sub-agent was started as.

{"agentType":"Explore","description":"Find the parser","toolUseId":"toolu_01…"}
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from rollmill.files import Tree
from rollmill.formats import RolloutFile

INDEX_NAME = "sessions-index.json"


class AgentMeta(Struct):
    """A sub-agent's ``agent-<id>.meta.json``."""

    agentType: str | None = None
    description: str | None = None
    toolUseId: str | None = None
    parentAgentId: str | None = None


class IndexEntry(Struct):
    """What ``sessions-index.json`` says of a session."""

    sessionId: str | None = None
    projectPath: str | None = None
    customTitle: str | None = None
    summary: str | None = None


class _Index(Struct):
    entries: list[IndexEntry] = msgspec.field(default_factory=list)


def session_index(tree: Tree) -> dict[str, IndexEntry]:
    """All sessions the tree's index files speak of; an unreadable index speaks of none."""
    entries: dict[str, IndexEntry] = {}
    for path in tree.named(INDEX_NAME):
        try:
            index = msgspec.json.decode(path.read_bytes(), type=_Index)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
        entries.update({entry.sessionId: entry for entry in index.entries if entry.sessionId})
    return entries


def agent_meta(file: RolloutFile) -> AgentMeta:
    """What the file beside a sub-agent's log says; empty when there is none."""
    name = file.path.name.removesuffix(".jsonl") + ".meta.json"
    try:
        return msgspec.json.decode(file.companion(file.path.with_name(name)) or b"{}", type=AgentMeta)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return AgentMeta()
