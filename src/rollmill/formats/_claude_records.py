"""Claude Code's log records, typed: only the fields that are used are decoded, the rest is skipped over.

{"parentUuid":"8e26…","isSidechain":false,"sessionId":"0ccf…","version":"2.1.15","type":"assistant","uuid":"360c…",
 "timestamp":"2026-01-22T…Z","message":{"id":"msg_01Q6…","role":"assistant","content":[{"type":"text","text":"…"}],…}}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET, Raw, Struct, UnsetType

from rollmill.formats._jsonl import TokenCount, private_field


class TokenUsage(Struct, gc=False):
    input_tokens: TokenCount | None = None
    cache_creation_input_tokens: TokenCount | None = None
    cache_read_input_tokens: TokenCount | None = None
    output_tokens: TokenCount | None = None


class Source(Struct, gc=False):
    """Where an image or document lies: ``base64`` with ``data``, or ``url``."""

    type: str | None = None
    media_type: str | None = None
    data: str | None = None
    url: str | None = None


class ContentBlock(Struct, gc=False):
    """A block of a message: text, thinking, tool_use, tool_result, image, …"""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: Raw = Raw(b"")
    id: str | None = None
    name: str | None = None
    input: Raw = Raw(b"")
    tool_use_id: str | None = None
    content: Any = None
    is_error: bool | None = None
    source: Source | None = None

    def __post_init__(self) -> None:
        # What stays undecoded would keep in memory all the bytes that were read with it.
        if self.input:
            self.input = self.input.copy()
        if self.signature:
            self.signature = self.signature.copy()


class ApiMessage(Struct, gc=False):
    model: str | None = None
    id: str | None = None
    content: str | list[ContentBlock] | None = None
    stop_reason: str | None = None
    usage: TokenUsage | None = None


class ToolUseResult(Struct, gc=False):
    """The structured twin of a tool result; only a sub-agent's id is taken from it."""

    agentId: str | None = None


class Attachment(Struct, gc=False):
    type: str | None = None
    prompt: str | list[ContentBlock] | None = None
    commandMode: str | None = None
    source_uuid: str | None = None


class Progress(Struct, gc=False):
    type: str | None = None
    agentId: str | None = None


class ForkedFrom(Struct, gc=False):
    sessionId: str | None = None


class PromptOrigin(Struct, gc=False):
    kind: str | None = None


class Record(Struct, gc=False):
    """One line. ``line`` is its number, set by the reader; ``fate`` the ledger's class once it has found it."""

    # In the order in which a log has them: the decoder looks for a key behind the one before.
    parentUuid: str | UnsetType | None = UNSET
    logicalParentUuid: str | None = None
    isSidechain: bool | None = None
    cwd: str | None = None
    sessionId: str | None = None
    version: str | None = None
    gitBranch: str | None = None
    agentId: str | None = None
    type: str | None = None
    subtype: str | None = None
    message: ApiMessage | None = None
    attachment: Attachment | None = None
    data: Progress | str | list[Any] | bool | float | None = None
    isMeta: bool | None = None
    isCompactSummary: bool | None = None
    isApiErrorMessage: bool | None = None
    uuid: str | None = None
    timestamp: str | float | None = None
    toolUseResult: ToolUseResult | str | list[Any] | bool | float | None = None
    parentToolUseID: str | None = None
    forkedFrom: ForkedFrom | None = None
    origin: PromptOrigin | str | None = None
    planContent: str | None = None
    teamName: str | None = None
    customTitle: str | None = None
    aiTitle: str | None = None
    lastPrompt: str | None = None
    summary: str | None = None
    leafUuid: str | None = None
    line: int = private_field(0, "line")
    fate: str = private_field("", "fate")
    is_conversation: bool = private_field(False, "turn")
    """Whether the record is a turn, as opposed to bookkeeping between the turns."""
    blocks: Sequence[ContentBlock] = private_field((), "blocks")
    """The content as blocks; a plain string is one text block."""
    is_model_output: bool = private_field(False, "model")
    """Whether a model wrote it: client-made lines (API errors, ``<synthetic>``) carry type assistant too."""
    message_key: str = private_field("", "key")
    """What the lines of one API message share; set once the record is sure to have a uuid."""

    def settle(self, uuid: str) -> None:
        """Set the uuid, or what stands for it, and what follows from the fields, once the whole line is read. Not
        ``__post_init__``: many records are bookkeeping, and the decoder would call it for each."""
        self.uuid = uuid
        kind, message = self.type, self.message
        self.message_key = uuid if message is None else message.id or uuid
        if message is not None:
            self.blocks = _blocks(message.content)
            if kind == "assistant":
                self.is_conversation = True
                self.is_model_output = not self.isApiErrorMessage and message.model != "<synthetic>"
            else:
                self.is_conversation = kind == "user" or self.is_queued_prompt
        elif kind == "attachment" and self.attachment is not None and self.is_queued_prompt:
            self.is_conversation = True
            self.blocks = _blocks(self.attachment.prompt)

    @property
    def is_queued_prompt(self) -> bool:
        return self.type == "attachment" and self.attachment is not None and self.attachment.type == "queued_command"

    @property
    def is_said(self) -> bool:
        """Whether somebody said it: a turn that is not a client-made line."""
        return self.is_conversation and (self.type != "assistant" or self.is_model_output)

    @property
    def only_results(self) -> bool:
        """Whether a user record carries tool results and nothing else."""
        return self.type == "user" and bool(self.blocks) and all(block.type == "tool_result" for block in self.blocks)


def _blocks(content: str | list[ContentBlock] | None) -> Sequence[ContentBlock]:
    return [ContentBlock("text", content)] if isinstance(content, str) else content or ()


TREE_TYPES = frozenset({"user", "assistant", "system", "attachment", "progress"})
METADATA_TYPES = frozenset(
    "summary custom-title ai-title agent-name tag last-prompt permission-mode mode pr-link frame-link worktree-state "
    "relocated bridge-session content-replacement goal atis-latch file-history-snapshot queue-operation "
    "started result".split()
)
"""Session bookkeeping outside the tree; ``started`` and ``result`` come from workflow journals."""
