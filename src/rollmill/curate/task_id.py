"""Which task a rollout attempts: one stable id for every attempt at it, whoever made it, wherever and when.

    rollmill/2 ⏎ github.com/bumpy-croc/ai-trading-bot ⏎ a1dae4c12708… ⏎ fix any failing unit tests. use the …

is what is hashed: the repository, the commit the work began on, and the first prompt, made the same where machines,
users and times differ. What does not say enough to be known again is a task of its own session: a sub-agent's order, a
mere "continue". ``docs/signals.md`` has the rules.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import sha256
from itertools import islice
from typing import Any

from rollmill.curate._human import is_typed
from rollmill.rollout import Message, Rollout

VERSION = "rollmill/2"
DIGITS = 16

_NAMED = ("instance_id", "task_id", "task_name", "task")
_LONGEST = 200_000
_LONGEST_NAME = 500
_LONGEST_PATH = 4096
_FEWEST_WORDS = 4
_INJECTED = re.compile(r"<(system-reminder|environment_context|ide_\w{1,40})\b[^<>]{0,200}>")
_MOST_INJECTED = 50
_MARKUP = re.compile(r"</?command-(?:name|message|args)>")
_COMMAND = re.compile(r"<command-(name|message)>.{0,400}?</command-\1>|^\s*/[\w:-]+(?=\s|$)", re.DOTALL)
_PLACEHOLDER = re.compile(r"\[(?:image|pasted text|file)\b[^\[\]]{0,100}\]", re.IGNORECASE)
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")
_NO_TASK = re.compile(
    r"(?:hi|hello|hey|there|good (?:morning|evening|afternoon)|thanks?(?: you)?|ok(?:ay)?|yes|please|now|then|test"
    r"|continue|go (?:on|ahead)|proceed|resume|carry on|keep going|where you left off|from|the|work|next|step|[\W_])*"
)
_LONGEST_NO_TASK = 80
_CHANGING = re.compile(
    r"\b\d{4}-\d\d-\d\d[t ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:z|[+-]\d\d:?\d\d)?"  # a time
    r"|/(?:private/)?(?:tmp/tmp[\w.-]*|var/folders/\w+/\w+/t\b)"  # a temporary folder as programs name them
)
_WINDOWS_PATH = re.compile(r"\b[a-z]:\\[^\s'\"`<>|*?]*")
_HOME = re.compile(r"(?:[a-z]:)?/(?:users|home)/[^/]+|/(?:var/)?root(?![^/])")
_WORKTREE = re.compile(r"/\.?(?:claude/)?worktrees/[^/]+")
_REMOTE = re.compile(r"(?:[a-z+]+://)?(?:[^@/]*@)?([^/:]+)(?::\d+)?[/:](.+)")


def task_id(rollout: Rollout) -> str:
    """The id of the rollout's task: 16 hex digits, the same for every attempt at it.

    A rollout without a prompt is a task of its own. Call it before redaction, which changes prompts.
    """
    return sha256("\n".join([VERSION, *_parts(rollout)]).encode("utf-8", "replace")).hexdigest()[:DIGITS]


def _parts(rollout: Rollout) -> list[str]:
    """What the task is known by."""
    if named := _named(rollout):
        return named
    message = _first(rollout.messages)
    asked = _asked(rollout, message)
    if message is None or not asked:
        return ["thread", rollout.source_kind, rollout.trace_id]
    if rollout.is_sidechain or message.extra.origin == "parent_agent":
        return ["sub-agent", rollout.source_kind, _session(rollout), asked]
    if not _says_enough(message.text[:_LONGEST], bool(_remote_of(rollout))):
        return ["session", rollout.source_kind, rollout.root_session_id or rollout.trace_id, asked]
    return [repository(rollout), base_commit(rollout), asked]


def _session(rollout: Rollout) -> str:
    """The session that a sub-agent belongs to, as far as the source says."""
    parent = rollout.source_meta.parent
    return rollout.root_session_id or (parent.trace_id if parent else rollout.trace_id)


def _says_enough(text: str, in_known_repository: bool) -> bool:
    """Whether a prompt says what is to be done. In a known repository a command or a few words do; else some words
    must be left without commands and placeholders. A greeting or "go on" never does."""
    text = _PLACEHOLDER.sub(" ", _without_injected(text))
    if len(text) <= _LONGEST_NO_TASK and _NO_TASK.fullmatch(text.lower()):
        return False
    words = islice(_WORD.finditer(_MARKUP.sub(" ", _COMMAND.sub(" ", text))), _FEWEST_WORDS)
    return in_known_repository or len(list(words)) == _FEWEST_WORDS


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
    return normalised(first.text, _folder(rollout)) if first and first.role == "system" else prompt(rollout)


def _name(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return str(value).strip()[:_LONGEST]


def repository(rollout: Rollout) -> str:
    """The repository: its remote as ``host/owner/name``, else the name of the folder the work began in; an empty
    string for somebody's home folder."""
    if remote := _remote_of(rollout):
        return _remote(remote)
    folder = _folder(rollout)
    return "" if _HOME.fullmatch(folder) else folder.rpartition("/")[2]


def _remote_of(rollout: Rollout) -> str:
    other = rollout.source_meta.other
    remote = _git(rollout).get("repository_url") or other.get("repository") or other.get("repo")
    return remote.strip().lower()[:_LONGEST_NAME] if isinstance(remote, str) else ""


def _folder(rollout: Rollout) -> str:
    """The folder the work began in, in small letters and with ``/``; of a worktree the one it belongs to."""
    return _WORKTREE.split(_place(rollout), maxsplit=1)[0]


def _place(rollout: Rollout) -> str:
    return (rollout.project_path or rollout.cwd or "").replace("\\", "/").rstrip("/").lower()[:_LONGEST_PATH]


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
    return _asked(rollout, _first(rollout.messages))


def _asked(rollout: Rollout, message: Message | None) -> str:
    return normalised(message.text, _place(rollout)) if message else ""


def _first(messages: list[Message]) -> Message | None:
    """What a human typed first; in a sub-agent the task it was given; in a continuation a copied prompt."""
    for index, message in enumerate(messages):
        if message.role == "user" and (message.extra.origin == "parent_agent" or is_typed(messages, index)):
            return message
    copies = (m for m in messages if m.role == "user" and m.extra.kind == "copied" and m.extra.origin != "harness")
    return next(copies, None)


def normalised(text: str, folder: str = "") -> str:
    """Text as it is compared: small letters, single spaces, no times of day, and paths as they are seen from the
    ``folder`` the work began in (in small letters, with ``/``)."""
    text = text[:_LONGEST]
    if "<" in text:
        text = _MARKUP.sub(" ", _without_injected(text))
    text = text.lower()
    if ":\\" in text:
        text = _WINDOWS_PATH.sub(lambda path: path[0].replace("\\", "/"), text)
    if "/" in text:
        text = _seen_from(folder, text)
    return " ".join(_CHANGING.sub("*", text).split())


def _seen_from(folder: str, text: str) -> str:
    """The text with the folder taken off its paths, and with ``~`` for the home folder that the folder lies in."""
    home = _HOME.match(f"{folder}/")
    begin = _WORKTREE.split(folder, maxsplit=1)[0]
    for base in sorted({folder, begin}, key=len, reverse=True):
        if base and base in text and not _HOME.fullmatch(base):
            text = _below(base).sub(lambda path: "" if path[0].endswith("/") else ".", text)
    if home and home[0] in text:
        text = _below(home[0]).sub(lambda path: "~/" if path[0].endswith("/") else "~", text)
    return text


@lru_cache(256)
def _below(folder: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w/.-]){re.escape(folder)}(?:/|(?![\w@+-]|\.\w))")


def _without_injected(text: str) -> str:
    """The text without blocks that an agent's program put into it; one that does not end is left."""
    kept, begin = [], 0
    for tag in islice(_INJECTED.finditer(text), _MOST_INJECTED):
        if tag.start() >= begin and (end := text.find(f"</{tag[1]}>", tag.end())) >= 0:
            kept.append(text[begin : tag.start()])
            begin = end + len(tag[1]) + 3
    return " ".join([*kept, text[begin:]])
