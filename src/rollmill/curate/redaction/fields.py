"""The texts of a rollout: every field that can say a secret, each once.

Ids are left out: trace, session, agent, message and call ids link rows and results, and are made by programs. Where a
log has none, our own parsers take a file's path for an id; from such a one ``change_ids`` takes the names. Left out are
also names that our own parsers choose (roles, kinds), times, and the hashes of media.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import msgspec

from rollmill.rollout import Block, Message, Rollout, SourceMeta

Field = tuple[object, str, bool, int | None, str]
"""One text: whose attribute it is, the attribute, whether it is JSON, the index of its message (None: the row's own),
and its name for people. A plain tuple: a rollout has thousands."""

_ROW = ("source_path", "cwd", "project_path", "git_branch")


def text_of(field: Field) -> str:
    return cast(str, getattr(field[0], field[1]))


def fields(rollout: Rollout) -> list[Field]:
    """The fields that hold any text, those of the row first, then message by message, then ``source_meta``."""
    found: list[Field] = [(rollout, name, False, None, name) for name in _ROW if getattr(rollout, name)]
    for index, message in enumerate(rollout.messages):
        _add_message(found, message, index)
    found.append((_Meta(rollout), "json", True, None, "source_meta"))
    return found


def _add_message(found: list[Field], message: Message, index: int) -> None:
    for block in message.content:
        if block.text:
            found.append((block, "text", block.type != "text", index, "content"))
        if block.type != "text":
            found.append((block, "type", False, index, "content"))
        if block.media is not None and block.media.url:
            found.append((_Url(block), "url", False, index, "media"))
    if message.reasoning_content:
        found.append((message, "reasoning_content", False, index, "reasoning"))
    for call in message.tool_calls:
        found.append((call.function, "name", False, index, "tool name"))
        found.append((call.function, "arguments", True, index, "tool arguments"))
    if message.extra.model:
        found.append((message.extra, "model", False, index, "extra"))
    if message.extra.other:
        found.append((message.extra, "other", True, index, "extra"))


def change_ids(rollout: Rollout, change: Callable[[str], str]) -> None:
    """Pass the ids that are paths through ``change``, those of the threads that the row links to as well."""

    def changed(link: str) -> str:
        return change("/" + link)[1:] if "/" in link else link

    meta = rollout.source_meta
    rollout.trace_id = changed(rollout.trace_id)
    rollout.root_session_id = rollout.root_session_id and changed(rollout.root_session_id)
    rollout.agent_id = rollout.agent_id and changed(rollout.agent_id)
    meta.forked_from = meta.forked_from and changed(meta.forked_from)
    if meta.parent is not None:
        meta.parent.trace_id = changed(meta.parent.trace_id)
    for child in meta.children:
        child.agent_id = changed(child.agent_id)


class _Url:
    """The URL of a block's media reference, which itself is frozen."""

    def __init__(self, block: Block) -> None:
        self._block = block

    @property
    def url(self) -> str:
        assert self._block.media is not None
        return self._block.media.url or ""

    @url.setter
    def url(self, url: str) -> None:
        assert self._block.media is not None
        self._block.media = msgspec.structs.replace(self._block.media, url=url)


class _Meta:
    """``source_meta`` as JSON text. The threads it links to keep their ids."""

    def __init__(self, rollout: Rollout) -> None:
        self._rollout = rollout

    @property
    def json(self) -> str:
        return msgspec.json.encode(self._rollout.source_meta).decode()

    @json.setter
    def json(self, text: str) -> None:
        before = self._rollout.source_meta
        after = msgspec.json.decode(text, type=SourceMeta)
        after.parent, after.children, after.forked_from = before.parent, before.children, before.forked_from
        self._rollout.source_meta = after
