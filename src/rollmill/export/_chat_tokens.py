"""A sample through a chat template into tokens, each with whether it is to be learnt.

    <|im_start|>assistant\n  Done.  <|im_end|>\n   →   ids 3 77 198 · 1021 13 · 4 198, mask 0 0 0 · 1 1 · 1 1

``{% generation %}`` marks in the template say which characters are the model's; of those, the spans of messages that do
not count, of thoughts that are only context, and of names that stand for secrets are taken out again. Then the text is
tokenized once, and a token counts when it overlaps a character that does and none that was taken out.

Marks of our own, characters that no text has, go through the template with the text: they enclose that reasoning, and
they cut in two whatever in a message spells a control token, so that it stays text. What the template itself writes
around reasoning (``<think>`` or whatever it is) goes out with it: a message made of such marks shows it.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import msgspec

from rollmill.curate.sample import Sample
from rollmill.errors import ConfigError
from rollmill.export import Refused, Settings
from rollmill.export._messages import (
    call_names,
    chat_message,
    require_targets,
    require_whole_weights,
    text_of,
    tools_of,
    unanswered_server_call,
)

Span = tuple[int, int]
_GENERATION = re.compile(r"{%-?\s*generation\s*-?%}")
_MARKS = [chr(code) for code in range(0xFDD0, 0xFDF0)]
"""Characters that Unicode keeps for the inside of programs: no tokenizer and no template knows them."""
_ONE_CALL = {"content": "", "tool_calls": [{"type": "function", "function": {"name": "a", "arguments": {}}}]}


@dataclass(frozen=True)
class Tokens:
    """A sample as token ids and, for each, whether it is to be learnt."""

    ids: list[int]
    mask: list[int]


class Chat:
    """A tokenizer with its template: samples become tokens."""

    def __init__(self, tokenizer: Any, settings: Settings) -> None:
        self.tokenizer = tokenizer
        self.settings = settings
        self.template = _template(tokenizer, settings.tokenizer)
        tokens = tokenizer.added_tokens_decoder.values()
        control = {t.content for t in tokens if t.special or (t.content in self.template and not t.content.isspace())}
        self._control_ids = {tokenizer.convert_tokens_to_ids(token) for token in control}
        self._control = re.compile("|".join(map(re.escape, sorted(control, key=len, reverse=True))) or "(?!)")
        one, other, both = (tokenizer.encode(text, add_special_tokens=False) for text in ("\n", "x", "\nx"))
        self._can_join = one + other == both
        """Whether text may be tokenized in pieces: some tokenizers put a space before each."""
        self._thought: tuple[str, str] | None = None
        """What the template writes before reasoning and behind it, once that was looked at."""

    def tokens(self, sample: Sample) -> Tokens:
        """The sample's tokens with their mask. Raises ``Refused``."""
        require_targets(sample)
        require_whole_weights(sample)
        unanswered_server_call(sample)
        text, spans, cuts, holes = self._rendered(sample)
        ids, starts, ends = self._encoded(text, cuts)
        mask = [0] * len(ids)
        for learnt, ranges in ((1, self._learnt(sample, spans)), (0, [*holes, *self._secrets(text, spans)])):
            for start, end in ranges:
                first, last = bisect_right(ends, start), bisect_left(starts, end)
                mask[first:last] = [learnt] * (last - first)
        return Tokens(ids, mask)

    def _rendered(self, sample: Sample) -> tuple[str, list[Span], list[int], list[Span]]:
        """The text, the spans the template marks as generated, where control tokens in the sample's own text are to be
        cut in two, and the spans of thoughts that are only context."""
        names = call_names(sample)
        messages = [chat_message(turn.message, names, self.settings) for turn in sample.turns]
        messages, tools = msgspec.json.decode(msgspec.json.encode([messages, tools_of(sample)]))
        said = msgspec.json.encode([messages, tools]).decode()
        begin, end, cut = self._marks(said)
        if self._control.search(said.replace('\\"', '"')):
            messages, tools = self._cut(messages, cut), self._cut(tools, cut)
        only_context = _enclose_context(sample, messages, begin, end)
        text, spans, cuts, holes = _without_marks(*self._render(messages, tools), begin, end, cut)
        self._require_texts(sample, text)
        if holes:
            around = self._around_thoughts(messages[: only_context[0]], tools, begin, end)
            holes = [_whole_thought(text, hole, *around) for hole in holes]
        return text, spans, cuts, holes

    def _around_thoughts(self, before: list[Any], tools: Any, thought: str, said: str) -> tuple[str, str]:
        """What the template writes before reasoning, and behind it whatever the message goes on with: text or a call.

        The same in every sample, so one is looked at, with a message of marks in the place of the first thought."""
        if self._thought is None:
            message = {"role": "assistant", "reasoning_content": thought, "content": said}
            text, spans = self._render([*before, message], tools)
            place = text.index(thought)
            start = next((start for start, end in spans if start <= place < end), place)
            behind = text[place + 1 : max(text.find(said, place), place + 1)]
            self._thought = (
                text[start:place],
                self._before_calls(behind, [*before, message | _ONE_CALL], tools, thought),
            )
        return self._thought

    def _before_calls(self, behind: str, messages: list[Any], tools: Any, thought: str) -> str:
        """The part of ``behind`` that stands before a call too: some templates say there that a text begins."""
        try:
            text, _ = self._render(messages, tools)
        except Refused:
            return behind
        ids, _, ends = self._encoded(behind, [])
        same = _number_shared(ids, self._encoded(text.partition(thought)[2], [])[0])
        shared = behind[: ends[same - 1]] if same else ""
        return shared if behind[len(shared) :].strip() else behind

    def _marks(self, said: str) -> list[str]:
        unused = [mark for mark in _MARKS if mark not in said][:3]
        if len(unused) < 3:
            raise Refused("noncharacters", "the sample uses the characters U+FDD0 to U+FDEF, which mark spans here")
        return unused

    def _cut(self, value: Any, mark: str) -> Any:
        """The value with a mark in every control token that its texts spell."""
        if isinstance(value, str):
            while self._control.search(value):
                value = self._control.sub(lambda found: _cut_in_two(found[0], mark), value)
            return value
        if isinstance(value, list):
            return [self._cut(item, mark) for item in value]
        if isinstance(value, dict):
            return {self._cut(key, mark): self._cut(item, mark) for key, item in value.items()}
        return value

    def _render(self, messages: list[Any], tools: Any) -> tuple[str, list[Span]]:
        from jinja2 import TemplateError
        from transformers.utils.chat_template_utils import render_jinja_template

        try:
            rendered: Any = render_jinja_template(
                conversations=[messages],
                tools=tools,
                chat_template=self.template,
                return_assistant_tokens_mask=True,
                **self.tokenizer.special_tokens_map,
            )
        except (TemplateError, TypeError, ValueError, KeyError) as error:
            raise Refused("template", f"the tokenizer's chat template cannot render the sample: {error}") from None
        (text,), (spans,) = rendered
        return text, [(start, end) for start, end in spans if end > start]

    def _require_texts(self, sample: Sample, text: str) -> None:
        """Templates of models that see pictures may render a plain text as nothing, without an error."""
        place = 0
        for turn in sample.targets:
            place = text.find(text_of(turn.message, self.settings).strip(), place)
            if place < 0:
                raise Refused("template", "the chat template leaves out or changes what the model said")

    def _encoded(self, text: str, cuts: list[int]) -> tuple[list[int], list[int], list[int]]:
        """Token ids with the characters each begins and ends at; tokens do not reach over a cut."""
        if cuts and not self._can_join:
            raise Refused("special_tokens", "a text spells a control token, and this tokenizer cannot take it apart")
        ids: list[int] = []
        starts: list[int] = []
        ends: list[int] = []
        for first, last in zip([0, *cuts], [*cuts, len(text)], strict=True):
            piece = self.tokenizer(text[first:last], add_special_tokens=False, return_offsets_mapping=True)
            ids += piece["input_ids"]
            starts += [first + start for start, _ in piece["offset_mapping"]]
            ends += [first + end for _, end in piece["offset_mapping"]]
        self._require_own_tokens(text, cuts, ids)
        return ids, starts, ends

    def _require_own_tokens(self, text: str, cuts: list[int], ids: list[int]) -> None:
        """Only the template's own control tokens may have become tokens: normalization could join others."""
        pieces = (text[first:last] for first, last in zip([0, *cuts], [*cuts, len(text)], strict=True))
        written = sum(1 for piece in pieces for _ in self._control.finditer(piece))
        if sum(map(self._control_ids.__contains__, ids)) > written:
            raise Refused("special_tokens", "a text becomes a control token, although it does not spell one")

    def _learnt(self, sample: Sample, spans: list[Span]) -> list[Span]:
        """The spans of the messages that count: the template's n-th mark is the n-th model message's."""
        turns = [turn for turn in sample.turns if turn.is_model]
        if all(turn.weight for turn in turns):
            return spans
        if len(spans) != len(turns):
            raise Refused("template", f"the template marks {len(spans)} spans for {len(turns)} model messages")
        return [span for turn, span in zip(turns, spans, strict=True) if turn.weight]

    def _secrets(self, text: str, spans: list[Span]) -> Iterable[Span]:
        if self.settings.redacted is None:
            return []
        return [found.span() for start, end in spans for found in self.settings.redacted.finditer(text, start, end)]


def _template(tokenizer: Any, path: Path | None) -> str:
    """The default chat template. Raises ``ConfigError`` when there is none, or none that marks what the model wrote."""
    try:
        template = str(tokenizer.get_chat_template())
    except ValueError as error:
        raise ConfigError(f"the tokenizer in {path} has no chat template") from error
    if _GENERATION.search(template):
        return template
    raise ConfigError(
        f"the chat template of the tokenizer in {path} does not say what the model wrote. Put {{% generation %}} and "
        "{% endgeneration %} around the assistant's part of it, or let TRL do so for the model families it knows: "
        "tokenizer.chat_template = trl.chat_template_utils.get_training_chat_template(tokenizer), then "
        "tokenizer.save_pretrained(folder)"
    )


def _cut_in_two(token: str, mark: str) -> str:
    if len(token) < 2:
        raise Refused("special_tokens", f"a text has {token!r}, which is a token of the template")
    return f"{token[0]}{mark}{token[1:]}"


def _enclose_context(sample: Sample, messages: list[Any], begin: str, end: str) -> list[int]:
    """Put marks around reasoning that is only context, and say which messages have it. A blank one is taken away."""
    numbers = []
    for number, (turn, message) in enumerate(zip(sample.turns, messages, strict=True)):
        if not turn.weight or turn.reasoning or not (reasoning := message.pop("reasoning_content", None)):
            continue
        if core := reasoning.strip():
            numbers.append(number)
            message["reasoning_content"] = reasoning.replace(core, f"{begin}{core}{end}", 1)
    return numbers


def _without_marks(
    text: str, spans: list[Span], begin: str, end: str, cut: str
) -> tuple[str, list[Span], list[int], list[Span]]:
    """The text, its spans moved accordingly, the places of the cuts, and the spans between ``begin`` and ``end``."""
    marks = list(re.finditer(f"[{begin}{end}{cut}]", text))
    places = [mark.start() for mark in marks]
    plain = {mark: [place - n for n, place in enumerate(places) if text[place] == mark] for mark in (begin, end, cut)}
    if len(plain[begin]) != len(plain[end]):
        raise Refused("template", "the template takes reasoning apart, so that it cannot be kept out of the loss")
    moved = [(start - bisect_left(places, start), stop - bisect_left(places, stop)) for start, stop in spans]
    return re.sub(f"[{begin}{end}{cut}]", "", text), moved, plain[cut], list(zip(plain[begin], plain[end], strict=True))


def _whole_thought(text: str, reasoning: Span, before: str, behind: str) -> Span:
    """The span with what the template writes before and behind it, white space at its ends included."""
    start, end = reasoning
    while start and text[start - 1].isspace():
        start -= 1
    while end < len(text) and text[end].isspace():
        end += 1
    head, tail = before.rstrip(), behind.strip()
    if not (text.endswith(head, 0, start) and text.startswith(tail, end)):
        raise Refused(
            "template", "the template marks thoughts in several ways, so that they cannot be kept out of the loss"
        )
    end += len(tail)
    space = behind[len(behind.rstrip()) :]
    return start - len(head), end + _number_shared(space, text[end : end + len(space)])


def _number_shared(one: Sequence[Any], other: Sequence[Any]) -> int:
    """How many items the two have in common from their beginning on."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
