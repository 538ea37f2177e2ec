r"""Chat messages of many dialects to ours: OpenAI's, ShareGPT's, and what data sets make of them.

    {"role":"assistant","content":null,"tool_calls":[{"id":"c1","function":{"name":"ls","arguments":"{}"}}]}
    {"from":"function_call","value":"{\"name\": \"ls\", \"arguments\": {}}"}

A field of a type that no dialect knows raises ``BadRow`` or a decoding error: the file is then refused as a whole.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Literal

import msgspec
from msgspec import Raw, Struct, field

from rollmill.formats._lift import embedded, linked
from rollmill.formats._raw_json import ABSENT, NOT_JSON, compact, fields, is_null, plain, text, type_of
from rollmill.formats._times import utc
from rollmill.media import MediaStore
from rollmill.rollout import Block, Extra, Function, Media, Message, Origin, Role, Thinking, ToolCall

_ROLES: dict[str, Role] = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user",
    "assistant": "assistant", "gpt": "assistant", "model": "assistant", "function_call": "assistant",
    "tool": "tool", "function": "tool", "ipython": "tool", "observation": "tool", "function_response": "tool",
}  # fmt: skip
_ORIGINS: dict[Role, Origin] = {"system": "harness", "user": "human", "assistant": "model", "tool": "tool"}
_THINK = re.compile(r"\s*<think>(.*?)</think>\n*", re.DOTALL)
_MEDIA_TYPES: dict[str, Literal["image", "audio", "file"]] = {
    "image_url": "image", "input_image": "image", "input_audio": "audio", "file": "file",
}  # fmt: skip


class BadRow(ValueError):
    """A row is no conversation; the message says what was met and what would be right."""


class ChatFunction(Struct):
    """A called function."""

    name: str | None = None
    arguments: Raw = Raw(b"{}")


class ChatCall(Struct):
    """A tool call; ``name`` and ``arguments`` beside each other in clients that have no ``function``."""

    id: str | int | None = None
    function: ChatFunction | None = None
    name: str | None = None
    arguments: Raw = Raw(b"{}")


class ChatMessage(Struct):
    """A message: OpenAI's ``role`` and ``content``, or ShareGPT's ``from`` and ``value``."""

    role: str | None = None
    sender: str | None = field(default=None, name="from")
    content: str | list[Raw] | None = None
    value: str | list[Raw] | None = None
    tool_calls: list[ChatCall] | str | None = None
    function_call: ChatFunction | None = None
    tool_call_id: str | int | None = None
    reasoning_content: Raw = ABSENT
    reasoning: Raw = ABSENT
    thinking: Raw = ABSENT
    id: Raw = ABSENT
    name: Raw = ABSENT
    model: Raw = ABSENT
    weight: Raw = ABSENT
    refusal: Raw = ABSENT
    timestamp: Raw = ABSENT


_calls = msgspec.json.Decoder(list[ChatCall])


class Conversation:
    """The messages of one row in the order of the conversation, and what the row says of them."""

    def __init__(self, line: int, model: str | None, media: MediaStore) -> None:
        self.line = line
        self.model = model
        self.media = media
        self.messages: list[Message] = []
        self.call_count = 0
        self.undecodable_media = 0
        self.unanswered_calls = 0
        self.orphan_results = 0
        self.notes: list[str] = []

    def add(self, chat: ChatMessage) -> None:
        """Take the next message. Raises ``BadRow`` when its role is none we know."""
        said = (chat.role if chat.role is not None else chat.sender) or ""
        if (role := _ROLES.get(said)) is None:
            raise BadRow(f"message {len(self.messages) + 1} has the role {said!r}; known are {', '.join(_ROLES)}")
        content = self._content(chat.content if chat.content is not None else chat.value)
        message = Message(role, content, extra=Extra(origin=_ORIGINS[role], line=self.line))
        message.extra.id = text(chat.id) or None
        message.extra.timestamp = _time(chat.timestamp)
        message.extra.other = _other(chat)
        if said == "developer":
            message.extra.kind = "developer"
        if role == "assistant":
            self._add_thinking(message, chat)
            message.tool_calls = self._tool_calls(message, chat, said)
            message.extra.model = text(chat.model) or self.model
        elif role == "tool" and chat.tool_call_id is not None:
            message.tool_call_id = str(chat.tool_call_id)
        self.messages.append(message)

    def add_answer(self, chat: ChatMessage) -> None:
        """Take the answer to all messages so far, unless the last of them is that answer."""
        self.add(chat)
        last, answer = self.messages[-2:] if len(self.messages) > 1 else (None, self.messages[-1])
        if last is not None and _says(last) == _says(answer):
            self.messages.pop()

    def finish(self) -> list[Message]:
        """The messages with each result behind its call, numbered."""
        self.messages = self._answered_in_place()
        for part, message in enumerate(self.messages):
            message.extra.part = part if len(self.messages) > 1 else None
        return self.messages

    # Content

    def _content(self, content: str | list[Raw] | None) -> list[Block]:
        if isinstance(content, str):
            return [Block("text", content)] if content else []
        return [block for raw in content or () if (block := self._part(raw)) is not None]

    def _part(self, raw: Raw) -> Block | None:
        part = fields(raw)
        kind = text(part.get("type")) or "json"
        told = text(part.get("text")) if kind == "text" else text(raw)
        if told is not None:
            return Block("text", told) if told else None
        ours = _MEDIA_TYPES.get(kind)
        if ours is None:
            return Block(kind, compact(raw))
        if (media := self._media(kind, part)) is not None:
            return Block(ours, media=media)
        self.undecodable_media += 1
        return Block(ours, compact(raw))

    def _media(self, kind: str, part: dict[str, Raw]) -> Media | None:
        """``image_url`` is a URL or an object that has it; ``input_audio`` is base64; a file is a data URL."""
        given = part.get("image_url" if kind == "input_image" else kind)
        inner = fields(given)
        if kind == "input_audio" and (data := text(inner.get("data"))) is not None:
            return embedded(data, f"audio/{text(inner.get('format')) or 'wav'}", self.media)
        url = text(given) or text(inner.get("url")) or text(inner.get("file_data"))
        return linked(url, self.media) if url else None

    # Thinking

    def _add_thinking(self, message: Message, chat: ChatMessage) -> None:
        """Thinking from its own field, else from ``<think>`` at the start of the text."""
        spellings = (chat.reasoning_content, chat.reasoning, chat.thinking)
        message.reasoning_content = next((said for raw in spellings if (said := text(raw))), None)
        first = message.content[0] if message.content else None
        if message.reasoning_content is not None:
            message.extra.thinking = "full"
        elif first is not None and first.type == "text" and (match := _THINK.match(first.text or "")):
            message.reasoning_content = match[1].strip("\n") or None
            message.extra.thinking = _kind_of(message.reasoning_content)
            first.text = (first.text or "")[match.end() :]
            message.content = message.content if first.text else message.content[1:]

    # Calls

    def _tool_calls(self, message: Message, chat: ChatMessage, said: str) -> list[ToolCall]:
        calls = _calls.decode(chat.tool_calls) if isinstance(chat.tool_calls, str) else list(chat.tool_calls or ())
        if chat.function_call is not None:
            calls.append(ChatCall(function=chat.function_call))
        if said == "function_call":
            calls += self._written_out(message)
        return [self._call(call) for call in calls]

    def _written_out(self, message: Message) -> list[ChatCall]:
        """ShareGPT's call is the message's text: an object of name and arguments, or a list of them."""
        written = message.text
        try:
            calls = _calls.decode(written if written.lstrip().startswith("[") else f"[{written}]")
        except NOT_JSON:
            calls = []
        if not calls:
            self.notes.append(f"message {len(self.messages) + 1}: a function_call that is no JSON, kept as text")
            return []
        message.content = []
        return calls

    def _call(self, call: ChatCall) -> ToolCall:
        name = call.function.name if call.function else call.name
        arguments = call.function.arguments if call.function else call.arguments
        stand_in = f"line:{self.line}:{self.call_count}"
        self.call_count += 1
        call_id = stand_in if call.id is None or call.id == "" else str(call.id)
        return ToolCall(call_id, Function(name or "", _arguments(arguments)))

    def _answered_in_place(self) -> list[Message]:
        """Each result directly behind the message of its call, in call order; one without a call stays in its place.

        Ids may come again (tau-bench calls every call "0"), so a result belongs to the last open call of its id; one
        without an id to the first open call since a user spoke."""
        open_calls: dict[tuple[int, int], str] = {}
        by_id: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        without_id: list[tuple[int, int]] = []
        results: dict[tuple[int, int], Message] = {}
        for index, message in enumerate(self.messages):
            if message.role == "assistant":
                for number, call in enumerate(message.tool_calls):
                    open_calls[index, number] = call.id
                    by_id[call.id].append((index, number))
                    without_id.append((index, number))
            elif message.role != "tool":
                without_id = []
            elif (place := _open_place(message, by_id, without_id, open_calls)) is not None:
                message.tool_call_id = open_calls.pop(place)
                results[place] = message
            else:
                self.orphan_results += 1
        self.unanswered_calls = len(open_calls)
        return self._ordered(results)

    def _ordered(self, results: dict[tuple[int, int], Message]) -> list[Message]:
        placed = {id(message) for message in results.values()}
        ordered: list[Message] = []
        for index, message in enumerate(self.messages):
            if id(message) not in placed:
                ordered.append(message)
            ordered += [results[index, n] for n in range(len(message.tool_calls)) if (index, n) in results]
        return ordered


def _open_place(
    message: Message,
    by_id: dict[str, list[tuple[int, int]]],
    without_id: list[tuple[int, int]],
    open_calls: dict[tuple[int, int], str],
) -> tuple[int, int] | None:
    """Where the call stands that a result answers; None when no open call fits."""
    if message.tool_call_id is None:
        while without_id:
            if (place := without_id.pop(0)) in open_calls:
                return place
        return None
    places = by_id.get(message.tool_call_id, [])
    while places:
        if (place := places.pop()) in open_calls:
            return place
    return None


def _says(message: Message) -> tuple[Role, str, list[Function]]:
    return message.role, message.text, [call.function for call in message.tool_calls]


def _kind_of(reasoning: str | None) -> Thinking:
    return "full" if reasoning else "empty"


def _arguments(raw: Raw) -> str:
    """JSON text: a string as it is, an object without white space, an empty object when there is nothing."""
    if (given := text(raw)) is not None:
        return given
    return "{}" if is_null(raw) else compact(raw)


def _other(chat: ChatMessage) -> str | None:
    kept = {"weight": chat.weight, "name": chat.name, "refusal": chat.refusal}
    texts = [f'"{key}":{compact(raw)}' for key, raw in kept.items() if not is_null(raw)]
    return "{" + ",".join(texts) + "}" if texts else None


def _time(raw: Raw) -> str | None:
    return utc(plain(raw)) if raw is not ABSENT else None


def messages_of(raw: Raw) -> list[ChatMessage]:
    """A list of messages, also as JSON text, or one message. Raises ``BadRow`` for anything else."""
    written = text(raw)
    if written is not None and not written.lstrip().startswith("["):
        raise BadRow(f"expected a list of messages, met the text {written[:40]!r}")
    source: Raw | str = raw if written is None else written
    if type_of(source) == "object":
        return [_message.decode(source)]
    return _messages.decode(source)


_message = msgspec.json.Decoder(ChatMessage)
_messages = msgspec.json.Decoder(list[ChatMessage])
