"""Which task a rollout attempts: one stable id for every attempt at it, whoever made it, wherever and when.

    rollmill/1 ⏎ github.com/bumpy-croc/ai-trading-bot ⏎ a1dae4c12708… ⏎ fix any failing unit tests. use the …

is what is hashed: the repository, the commit the work began on, and the first prompt, made the same where machines,
users and times differ. ``docs/signals.md`` has the rules.
"""

from __future__ import annotations

import re
from hashlib import sha256
from itertools import islice
from typing import Any

from rollmill.curate._human import is_typed
from rollmill.rollout import Message, Rollout

VERSION = "rollmill/1"
DIGITS = 16

_NAMED = ("instance_id", "task_id", "task_name", "task")
_LONGEST = 200_000
_LONGEST_NAME = 500
_INJECTED = re.compile(r"<(system-reminder|environment_context|ide_\w{1,40})\b[^<>]{0,200}>")
_MOST_INJECTED = 50
_MARKUP = re.compile(r"</?command-(?:name|message|args)>")
_CHANGING = re.compile(
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"  # a UUID
    r"|\b\d{4}-\d\d-\d\d[t ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:z|[+-]\d\d:?\d\d)?"  # a time
    r"|\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{12,}\b"  # a hash or container id
    r"|\b\d{10,}\b"  # a time in seconds, a process
    r"|/(?:private/)?(?:tmp|var/folders)/[^\s/'\"`)]+"  # a temporary folder
)
_PATH = re.compile(r"(?<![\w/.:-])(?:~|[a-z]:)?(?:[/\\][\w.@+-]+)+[/\\]?")
_HOME = re.compile(r"(?:~|[a-z]:)?[/\\](?:users|home|root|workspace|workspaces|app|repo|testbed|mnt|opt|srv|data)[/\\]")
_WORKTREE = re.compile(r"/\.?(?:claude/)?worktrees/.*", re.DOTALL)
_REMOTE = re.compile(r"(?:[a-z+]+://)?(?:[^@/]*@)?([^/:]+)(?::\d+)?[/:](.+)")


def task_id(rollout: Rollout) -> str:
    """The id of the rollout's task: 16 hex digits, the same for every attempt at it.

    A rollout without a prompt is a task of its own. Call it before redaction, which changes prompts.
    """
    parts = _named(rollout) or [repository(rollout), base_commit(rollout), prompt(rollout)]
    if not parts[-1]:
        parts = ["thread", rollout.trace_id]
    return sha256("\n".join([VERSION, *parts]).encode("utf-8", "replace")).hexdigest()[:DIGITS]


def _named(rollout: Rollout) -> list[str]:
    """The name that labels or metadata give the task; a mere number only together with what the data set is about."""
    meta = rollout.source_meta
    for source in (meta.labels, meta.other):
        for key in _NAMED:
            if (name := _name(source.get(key))) and (source is meta.labels or key in _NAMED[:2]):
                return ["task", name, _subject(rollout)] if name.isdecimal() else ["task", name]
    return []


def _subject(rollout: Rollout) -> str:
    """The system prompt, which the tasks of a benchmark share; else the first prompt."""
    first = rollout.messages[0] if rollout.messages else None
    return normalised(first.text) if first and first.role == "system" else prompt(rollout)


def _name(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return str(value).strip()[:_LONGEST]


def repository(rollout: Rollout) -> str:
    """The repository: its remote as ``host/owner/name``, else the name of the folder the work began in."""
    other = rollout.source_meta.other
    remote = _git(rollout).get("repository_url") or other.get("repository") or other.get("repo")
    if isinstance(remote, str) and remote.strip():
        return _remote(remote.strip().lower()[:_LONGEST_NAME])
    folder = rollout.project_path or rollout.cwd or ""
    return _WORKTREE.sub("", folder.replace("\\", "/").rstrip("/")).rpartition("/")[2].lower()


def _git(rollout: Rollout) -> dict[str, Any]:
    other = rollout.source_meta.other
    for holder in (other, other.get("extra")):
        if isinstance(holder, dict) and isinstance(git := holder.get("git"), dict):
            return git
    return {}


def _remote(url: str) -> str:
    url = url.removesuffix("/").removesuffix(".git")
    found = _REMOTE.fullmatch(url)
    return f"{found[1]}/{found[2]}" if found else url


def base_commit(rollout: Rollout) -> str:
    """The commit the work began on, where the source says it; else an empty string."""
    other, git = rollout.source_meta.other, _git(rollout)
    commit = git.get("commit_hash") or git.get("commit") or other.get("base_commit")
    return commit.strip().lower()[:64] if isinstance(commit, str) else ""


def prompt(rollout: Rollout) -> str:
    """The first prompt of the thread, made comparable; an empty string when there is none."""
    message = _first(rollout.messages)
    return normalised(message.text) if message else ""


def _first(messages: list[Message]) -> Message | None:
    """What a human typed first; in a sub-agent the task it was given; in a continuation a copied prompt."""
    for index, message in enumerate(messages):
        if message.role == "user" and (message.extra.origin == "parent_agent" or is_typed(messages, index)):
            return message
    copies = (m for m in messages if m.role == "user" and m.extra.kind == "copied" and m.extra.origin != "harness")
    return next(copies, None)


def normalised(text: str) -> str:
    """Text as it is compared: small letters, single spaces, paths by their last part, ids and times left out."""
    text = text[:_LONGEST]
    if "<" in text:
        text = _MARKUP.sub(" ", _without_injected(text))
    text = _CHANGING.sub("*", text.lower())
    if "/" in text or "\\" in text:
        text = _PATH.sub(_last_part, text)
    return " ".join(text.split())


def _without_injected(text: str) -> str:
    """The text without blocks that an agent's program put into it; one that does not end is left."""
    kept, begin = [], 0
    for tag in islice(_INJECTED.finditer(text), _MOST_INJECTED):
        if tag.start() >= begin and (end := text.find(f"</{tag[1]}>", tag.end())) >= 0:
            kept.append(text[begin : tag.start()])
            begin = end + len(tag[1]) + 3
    return " ".join([*kept, text[begin:]])


def _last_part(match: re.Match[str]) -> str:
    path = match[0]
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2] if _HOME.match(path) else path
