"""A column of scores that a model gives, each with its reasoning.

    LLMJudgeColumnConfig(
        name="quality", model_alias="judge", prompt="…",
        evidence="{{ messages | window(8000) }}",
        scores=[Score(name="useful", description="…", options={0: "useless", 1: "useful"})],
    )
    → {"useful": {"score": 1, "reasoning": "…", "quote": "…", "quote_found": True}}

A judge that fails leaves a null cell with the problem ``judge_failed``, never a 0; a score off its scale is a failure
and is not moved onto it. With ``evidence``, that text stands before the prompt and every score needs words quoted from
it, which code looks for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from rollmill.columns import Ask
from rollmill.columns._fence import fenced
from rollmill.columns._llm import Conversation, Failed, LLMColumn
from rollmill.columns._quotes import Quoted
from rollmill.columns._repair import Misfit, repaired
from rollmill.columns.templates import compile_template
from rollmill.errors import ConfigError
from rollmill.models.offloop import off_loop

if TYPE_CHECKING:
    import pyarrow as pa

KIND = "judge_failed"


class Score(BaseModel):
    """One thing to judge, and its scale: each option with what it means."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, description="What is judged; the score's key in the cell.")
    description: str = Field(description="How it is judged.")
    options: dict[int | str, str] = Field(min_length=1, description="Every possible score, and what it means.")

    @field_validator("options", mode="before")
    @classmethod
    def _numbers_are_numbers(cls, options: Any) -> Any:
        """Keys that are whole numbers as numbers: in JSON every key is a text."""
        if isinstance(options, Mapping) and any(isinstance(key, bool) for key in options):
            raise ConfigError("options of a score are numbers or texts, not true and false")
        return {_key(key): text for key, text in options.items()} if isinstance(options, Mapping) else options

    @property
    def numeric(self) -> bool:
        """Whether all options are numbers."""
        return all(isinstance(option, int) for option in self.options)

    def option(self, value: Any) -> int | str | None:
        """The option that a model's value names; None when it is off the scale."""
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            return None
        text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
        return self._by_text.get(text)

    @cached_property
    def _by_text(self) -> dict[str, int | str]:
        return {str(option): option for option in reversed(self.options)}


def _key(key: Any) -> Any:
    return int(key) if isinstance(key, str) and key.lstrip("-").isdecimal() and str(int(key)) == key else key


class LLMJudgeColumnConfig(LLMColumn):
    """Scores by a model, each on its own scale."""

    scores: tuple[Score, ...] = Field(min_length=1, description="What is judged.")
    evidence: str | None = Field(default=None, description="Template of the text that every score has to quote from.")
    column_type: Literal["llm-judge"] = "llm-judge"

    def _templates(self) -> dict[str, str]:
        # First, as in the messages: whoever reads the list reads it in that order.
        return {**({} if self.evidence is None else {"evidence": self.evidence}), **super()._templates()}

    def check(self, names: Collection[str]) -> list[str]:
        given = [score.name for score in self.scores]
        twice = sorted({name for name in given if given.count(name) > 1})
        return super().check(names) + [f"column `{self.name}` has two scores called `{name}`" for name in twice]

    async def _prepared(self, row: Mapping[str, Any], ask: Ask) -> tuple[list[dict[str, Any]], Quoted | None]:
        messages = await self._messages(row, ask)
        last = messages[-1]
        last["content"] = f"{last['content']}\n\n{self._instructions}"
        if self.evidence is None:
            return messages, None
        evidence = await compile_template(self.evidence).rendered(row, ask.row_key)
        last["content"] = f"{fenced(evidence, 'rollout')}\n\n{last['content']}"
        # As the model sees it: what is redacted in the prompt is redacted in the quotes.
        return messages, await off_loop(lambda: Quoted(ask.shown(evidence)))

    def _reply_schema(self) -> dict[str, Any]:
        return self._schema

    @cached_property
    def _instructions(self) -> str:
        return _instructions(self)

    @cached_property
    def _schema(self) -> dict[str, Any]:
        return _object({score.name: _object(self._fields(score)) for score in self.scores})

    def _fields(self, score: Score) -> dict[str, Any]:
        """What the reply has for a score. Reasons come first: what is written after them follows from them."""
        quote = {} if self.evidence is None else {"quote": {"type": "string"}}
        kind = {"type": "integer"} if score.numeric else {}
        return {"reasoning": {"type": "string"}, **quote, "score": {**kind, "enum": list(score.options)}}

    async def _value(self, talk: Conversation, evidence: Quoted | None) -> dict[str, Any]:
        found: dict[str, Any] = await repaired(
            talk, "object", lambda value: _judgement(value, self.scores, evidence), self._schema
        )
        return found

    def _kind_of(self, failed: Failed) -> str:
        return KIND

    def arrow_type(self) -> pa.DataType:
        """A struct with, for each score, its number (or text) and its reasoning."""
        import pyarrow as pa

        quote = [] if self.evidence is None else [("quote", pa.large_string()), ("quote_found", pa.bool_())]
        kinds = {score.name: pa.int64() if score.numeric else pa.large_string() for score in self.scores}
        text = pa.large_string()
        return pa.struct(
            [(name, pa.struct([("score", kind), ("reasoning", text), *quote])) for name, kind in kinds.items()]
        )

    def to_arrow(self, value: Any) -> Any:
        """Scores of a scale of numbers and texts are all text."""
        if value is None or all(score.numeric for score in self.scores):
            return value
        mixed = {score.name for score in self.scores if not score.numeric}
        return {name: each | {"score": str(each["score"])} if name in mixed else each for name, each in value.items()}


def _object(fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def _instructions(column: LLMJudgeColumnConfig) -> str:
    """The scales, and the shape of the reply."""
    quote = ', "quote": "..."' if column.evidence is not None else ""
    parts = [
        "Judge each of the following on its own. For each, give your reasoning first and then the one score of its "
        "scale that fits best.",
        *map(_scale, column.scores),
    ]
    if column.evidence is not None:
        parts.append(
            "For each, `quote` is a span of one line or less, copied letter by letter from between the marks above, "
            "that supports your score. It is looked up by a program: change nothing in it."
        )
    shape = ", ".join(f'"{score.name}": {{"reasoning": "..."{quote}, "score": ...}}' for score in column.scores)
    return "\n\n".join([*parts, f"Reply with this JSON object and nothing else:\n{{{shape}}}"])


def _scale(score: Score) -> str:
    options = "\n".join(f"  {option}: {meaning}" for option, meaning in score.options.items())
    return f"{score.name}: {score.description}\n{options}"


def _judgement(value: Any, scores: Collection[Score], evidence: Quoted | None) -> dict[str, Any]:
    """The cell of a reply. Raises ``Misfit``: without a value for what is no judgement, with one for a judgement whose
    quotes are not there, which is kept as such when the model does not find better ones."""
    if not isinstance(value, dict):
        raise Misfit("the reply is no JSON object")
    if wrong := [text for score in scores if (text := _wrong(value.get(score.name), score))]:
        raise Misfit("; ".join(wrong))
    cell = {score.name: _scored(value[score.name], score, evidence) for score in scores}
    unfounded = [name for name, each in cell.items() if not each.get("quote_found", True)]
    if unfounded:
        raise Misfit(f"these quotes do not stand between the marks word for word: {', '.join(unfounded)}", cell)
    return cell


def _wrong(given: Any, score: Score) -> str | None:
    if not isinstance(given, dict):
        return f"`{score.name}` is missing"
    if score.option(given.get("score")) is None:
        scale = ", ".join(map(str, score.options))
        return f"`{score.name}` has the score {str(given.get('score'))[:80]!r}, which is none of {scale}"
    return None if _text(given.get("reasoning")) else f"`{score.name}` has no reasoning"


def _scored(given: Mapping[str, Any], score: Score, evidence: Quoted | None) -> dict[str, Any]:
    cell = {"score": score.option(given.get("score")), "reasoning": _text(given.get("reasoning"))}
    if evidence is None:
        return cell
    quote = _text(given.get("quote"))
    return {**cell, "quote": quote, "quote_found": evidence.holds(quote)}


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""
