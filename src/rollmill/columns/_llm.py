"""What columns that ask a model have in common: the prompt, and the conversation about one cell."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from rollmill.columns import Ask, Cell, Column, Problem
from rollmill.columns._json import clean
from rollmill.columns.templates import Template, TemplateError, compile_template
from rollmill.errors import ConfigError
from rollmill.models.types import ModelError

if TYPE_CHECKING:
    import pyarrow as pa

_NOT_HERE = {
    "multi_modal_context": "media stay references; describe them in the prompt, or use a custom column",
    "tool_alias": "models are given no tools; use a custom column for calls of your own",
}


class TraceType(StrEnum):
    """What of the conversation about a cell is kept in ``NAME__trace``."""

    NONE = "none"
    LAST_MESSAGE = "last_message"
    ALL_MESSAGES = "all_messages"


class Failed(Exception):
    """A cell that cannot be had: the kind of its problem, what happened, the reply as it came."""

    def __init__(self, kind: str, text: str, raw: str | None = None) -> None:
        super().__init__(text)
        self.kind, self.text, self.raw = kind, text, raw


class Conversation:
    """What is said with one model about one cell."""

    def __init__(
        self, ask: Ask, alias: str, messages: list[dict[str, Any]], schema: dict[str, Any] | None, sample: int = 0
    ) -> None:
        self.messages = messages
        self.answered = False
        self.reasoning: str | None = None
        self._ask, self._alias, self._schema, self._sample = ask, alias, schema, sample

    async def reply(self) -> str:
        """The model's next reply. Raises ``Failed`` when there is none that is whole, and fatal ``ModelError``s."""
        try:
            # A copy: what was asked is hashed and kept, and this list grows.
            reply = await self._ask(self._alias, list(self.messages), schema=self._schema, sample=self._sample)
        except ModelError as error:
            if error.fatal:
                raise
            raise Failed(error.kind, error.text) from None
        self.reasoning, self.answered = clean(reply.reasoning), True
        text: str = clean(reply.text)
        self.messages.append({"role": "assistant", "content": text})
        _check_whole(text, reply.finish_reason)
        return text

    def say(self, text: str) -> None:
        """Answer the model."""
        self.messages.append({"role": "user", "content": text})


def _check_whole(text: str, finish_reason: str | None) -> None:
    if finish_reason == "length":
        raise Failed("length", "the reply was cut off at the limit of tokens; raise max_tokens of the model", text)
    if finish_reason == "content_filter":
        raise Failed("content_filter", "the provider's filter stopped the reply", text)
    if not text.strip():
        raise Failed("empty_reply", f"the reply is empty (finish reason: {finish_reason})", text)


class LLMColumn(Column):
    """A column whose cells a model writes."""

    prompt: str = Field(description="Template of the prompt.")
    model_alias: str = Field(description="The alias of the model that is asked.")
    system_prompt: str | None = Field(default=None, description="Template of the system prompt.")
    with_trace: TraceType = Field(default=TraceType.NONE, description="What of the conversation NAME__trace keeps.")
    extract_reasoning_content: bool = Field(
        default=False, description="Keep the reply's thinking in NAME__reasoning_content."
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_what_is_not_here(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        for name, instead in _NOT_HERE.items():
            if values.get(name) is not None:
                raise ConfigError(f"column {values.get('name')!r} has {name}, which is not available: {instead}")
        return {key: value for key, value in values.items() if key not in _NOT_HERE}

    def _templates(self) -> dict[str, str]:
        system = {} if self.system_prompt is None else {"system_prompt": self.system_prompt}
        return {"prompt": self.prompt, **system}

    @property
    def side_columns(self) -> tuple[str, ...]:
        trace = (f"{self.name}__trace",) * (self.with_trace is not TraceType.NONE)
        return (*trace, *(f"{self.name}__reasoning_content",) * self.extract_reasoning_content)

    @property
    def model_aliases(self) -> tuple[str, ...]:
        return (self.model_alias,)

    def side_types(self) -> dict[str, pa.DataType | None]:
        import pyarrow as pa

        message = pa.struct([("role", pa.large_string()), ("content", pa.large_string())])
        types = super().side_types()
        return types | {name: pa.large_list(message) for name in types if name.endswith("__trace")}

    async def fill(self, row: Mapping[str, Any], ask: Ask) -> Cell:
        """The row's cell: the prompt rendered, the model asked, the reply made into the value."""
        try:
            messages, beside = await self._prepared(row, ask)
        except TemplateError as error:
            return self.problem("template_failed", f"column `{self.name}`: {error}")
        talk = Conversation(ask, self.model_alias, messages, self._reply_schema())
        try:
            cell = Cell(await self._value(talk, beside))
        except Failed as failed:
            cell = Cell(None, problem=Problem(self.name, self._kind_of(failed), failed.text, failed.raw))
        cell.sides = self._sides(talk)
        return cell

    async def _prepared(self, row: Mapping[str, Any], ask: Ask) -> tuple[list[dict[str, Any]], Any]:
        """What the model is asked first, and what ``_value`` wants to know of the row besides."""
        return await self._messages(row, ask), None

    async def _messages(self, row: Mapping[str, Any], ask: Ask) -> list[dict[str, Any]]:
        prompt = {"role": "user", "content": await _prompt(self.prompt).rendered(row, ask.row_key)}
        if self.system_prompt is None:
            return [prompt]
        return [{"role": "system", "content": await _prompt(self.system_prompt).rendered(row, ask.row_key)}, prompt]

    def _reply_schema(self) -> dict[str, Any] | None:
        """The JSON schema that is wanted of the reply; None for text."""
        return None

    async def _value(self, talk: Conversation, beside: Any) -> Any:
        """The cell's value. Raises ``Failed``."""
        raise NotImplementedError

    def _kind_of(self, failed: Failed) -> str:
        return failed.kind

    def _sides(self, talk: Conversation) -> dict[str, Any]:
        if not talk.answered:
            return dict.fromkeys(self.side_columns)
        trace = talk.messages[-1:] if self.with_trace is TraceType.LAST_MESSAGE else talk.messages
        kept = {f"{self.name}__trace": trace, f"{self.name}__reasoning_content": talk.reasoning}
        return {name: kept[name] for name in self.side_columns}


def _prompt(text: str) -> Template:
    return compile_template(text, fence=True)
