"""A rollout as one HTML page: a single file, no script, nothing loaded from anywhere.

Everything out of the rollout passes ``_safe`` and stands between tags or nowhere: never in an attribute, a link or the
style sheet. The policy in the head forbids whatever would slip through; the one style sheet is allowed by its hash.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path

from rollmill.errors import ConfigError
from rollmill.explore.facts import (
    ALL,
    CallPlace,
    Fact,
    Links,
    Trim,
    arguments,
    block_text,
    borders,
    call_at,
    header,
    ledger,
    links,
    short_time,
    shortened,
    speaker,
    thinking_note,
    usage_text,
)
from rollmill.explore.visible import one_line, visible
from rollmill.files import write_whole
from rollmill.rollout import Message, Rollout, Segment, ToolCall

SHORT = Trim(12, 1200)
"""Longer results, arguments and texts of the harness are folded away."""
MOST = Trim(None, 200_000)
"""Of one text no more than this goes into a page, which a browser must still open; ``full`` lifts it."""

STYLE = """
:root { color-scheme: light dark; --paper: #fcfcfa; --ink: #1d1f21; --soft: #6a6d70; --rule: #dfdfda; --wash: #f1f1ec;
  --human: #8a4b00; --model: #1f5a8c; --tool: #4c6b3c; --error: #a3242b; }
@media (prefers-color-scheme: dark) { :root { --paper: #17181a; --ink: #dcdcd6; --soft: #94979a; --rule: #323437;
  --wash: #202225; --human: #e0a45c; --model: #7fb5e2; --tool: #a3c48f; --error: #ef8a8a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, sans-serif; }
h1 { margin: 0 0 .25rem; font-size: 1.5rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { margin: 3rem 0 .75rem; font-size: 1.1rem; }
pre, code, .id { font: .84rem/1.5 ui-monospace, SFMono-Regular, Consolas, monospace; }
pre, .text { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext; tab-size: 4; }
.id, .note, time, dt { color: var(--soft); }
.id { overflow-wrap: anywhere; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1.25rem; margin: 1rem 0; font-size: .9rem; }
dt, dd { margin: 0; overflow-wrap: anywhere; min-width: 0; }
.message { display: grid; grid-template-columns: 9.5rem minmax(0, 1fr); gap: 0 1.5rem; padding: 1rem 0;
  border-top: 1px solid var(--rule); }
.message:target { background: var(--wash); }
.who { font-size: .8rem; line-height: 1.5; overflow-wrap: anywhere; }
.who b { display: block; font-size: .95rem; }
.who span, .who time { display: block; }
.human .who b { color: var(--human); } .model .who b { color: var(--model); } .tool .who b { color: var(--tool); }
.harness, .system { color: var(--soft); }
.who .error { color: var(--error); font-weight: 600; }
.body > * + * { margin-top: .75rem; }
.call, .result { background: var(--wash); border-radius: 4px; padding: .6rem .8rem; }
.call > * + * { margin-top: .4rem; }
.call dl { margin: .4rem 0 0; display: grid; grid-template-columns: fit-content(11rem) minmax(0, 1fr);
  gap: .15rem 1rem; }
.call dt { font-size: .84rem; line-height: 1.5; }
.call a, .who a { color: inherit; }
details > summary { cursor: pointer; color: var(--soft); font-size: .9rem; overflow-wrap: anywhere; }
details > pre, details > .text { margin-top: .5rem; }
.segment { margin: 2rem 0 1rem; text-align: center; color: var(--soft); font-size: .9rem; }
@media (max-width: 40rem) { .message { grid-template-columns: 1fr; gap: .4rem; }
  .call dl { grid-template-columns: 1fr; } .who b, .who span, .who time { display: inline; margin-right: .5rem; } }
"""
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; base-uri 'none'; form-action 'none'"


def write_page(rollout: Rollout, target: Path, full: bool = False) -> None:
    """Write the page of a rollout to a file that only its owner may read, whole or not at all.

    Raises ``ConfigError`` when the name is not that of a page, so that no log is overwritten, or cannot be written.
    """
    if target.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"{target} is no name for a page; give one that ends in .html")
    try:
        write_whole(target, "".join(page(rollout, full)).encode())
    except OSError as error:
        raise ConfigError(f"the page {target} cannot be written: {error.strerror}; choose another folder") from error


def page(rollout: Rollout, full: bool = False) -> Iterator[str]:
    """The page of a rollout, in pieces. ``full`` keeps even texts that a browser will hardly show."""
    title = _safe(one_line(rollout.source_meta.title or rollout.trace_id, 120))
    most = ALL if full else MOST
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="referrer" content="no-referrer">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
    )
    trace_id = f'<div class="id">{_safe(rollout.trace_id)}</div>'
    yield f"<header>\n<h1>{title}</h1>\n{trace_id}\n{_facts(header(rollout))}</header>\n<main>\n"
    yield from _messages(rollout, most)
    yield "</main>\n<footer>\n<h2>What is in this row, and what is not</h2>\n"
    yield f"{_facts(ledger(rollout))}</footer>\n</body>\n</html>\n"


def _safe(text: str) -> str:
    return escape(visible(text))


def _facts(facts: Iterable[Fact]) -> str:
    items = "".join(f"<dt>{_safe(label)}</dt><dd>{_safe(text)}</dd>\n" for label, text in facts)
    return f'<dl class="facts">\n{items}</dl>\n'


def _messages(rollout: Rollout, most: Trim) -> Iterator[str]:
    found, segments = links(rollout.messages), borders(rollout)
    for index in range(rollout.message_count):
        yield from map(_segment, segments.get(index, []))
        yield _message(rollout.messages, index, found, most)
    yield from map(_segment, segments.get(rollout.message_count, []))


def _segment(segment: Segment) -> str:
    return f'<div class="segment">segment {segment.index}: {_safe(segment.reason)}</div>\n'


def _message(messages: list[Message], index: int, found: Links, most: Trim) -> str:
    message = messages[index]
    parts = [_thinking(message, most)]
    parts += [_content(message, block_text(block), most) for block in message.content]
    for number, call in enumerate(message.tool_calls):
        parts.append(_call(call, CallPlace(index, number), found, most))
    return (
        f'<article class="message {speaker(message).replace(" ", "-")}" id="m{index}">\n'
        f'<div class="who">{_who(messages, index, found)}</div>\n<div class="body">{"".join(parts)}</div>\n</article>\n'
    )


def _who(messages: list[Message], index: int, found: Links) -> str:
    message, extra = messages[index], messages[index].extra
    notes = [extra.kind, extra.model, usage_text(extra.usage), f"line {extra.line}" if extra.line else None]
    return "".join(
        [
            f"<b>{_safe(speaker(message))}</b>",
            _asked(messages, message, found.calls.get(index)),
            '<span class="error">error</span>' if extra.is_error else "",
            f"<time>{_safe(short_time(extra.timestamp))}</time>" if extra.timestamp else "",
            *(f'<span class="note">{_safe(note)}</span>' for note in notes if note),
            f'<span class="note"><a href="#m{index}">#{index}</a></span>',
        ]
    )


def _asked(messages: list[Message], message: Message, place: CallPlace | None) -> str:
    if place is not None:
        name = _safe(one_line(call_at(messages, place).function.name))
        return f'<span>to <a href="#{_anchor(place)}">{name}</a></span>'
    return '<span class="note">to no call here</span>' if message.tool_call_id else ""


def _anchor(place: CallPlace) -> str:
    return f"m{place.message}c{place.call}"


def _thinking(message: Message, most: Trim) -> str:
    note, text = thinking_note(message), message.reasoning_content
    if not text:
        return f'<div class="note">{_safe(note)}</div>' if note else ""
    return _details(f"{note}, {len(text):,} characters", _block("text", text, most))


def _content(message: Message, text: str, most: Trim) -> str:
    if message.role == "tool":
        return f'<div class="result">{_folded(text, most)}</div>'
    return _folded(text, most, "text") if message.extra.origin == "harness" else _block("text", text, most)


def _folded(text: str, most: Trim, kind: str = "") -> str:
    """A text as it is when it is short, else folded under its first line."""
    shown, left_out = shortened(text, SHORT)
    if not left_out:
        return _block(kind, text, most)
    size = f"{text.count(chr(10)) + 1:,} lines, {len(text):,} characters"
    return _details(f"{one_line(shown)} ({size})", _block(kind, text, most))


def _details(summary: str, content: str) -> str:
    return f"<details><summary>{_safe(summary)}</summary>{content}</details>"


def _block(kind: str, text: str, most: Trim) -> str:
    shown, left_out = shortened(text, most)
    note = f'<div class="note">… {left_out:,} more characters (--full keeps them)</div>' if left_out else ""
    return (f'<div class="{kind}">{_safe(shown)}</div>' if kind else f"<pre>\n{_safe(shown)}</pre>") + note


def _call(call: ToolCall, place: CallPlace, found: Links, most: Trim) -> str:
    items = "".join(f"<dt>{_safe(name)}</dt><dd>{_folded(text, most)}</dd>" for name, text in arguments(call))
    name = f'<b>{_safe(call.function.name)}</b> <span class="id">{_safe(call.id)}</span>'
    answer = _answer(call, found.answers.get(place))
    return f'<div class="call" id="{_anchor(place)}"><div>{name} {answer}</div><dl>{items}</dl></div>'


def _answer(call: ToolCall, answer: int | None) -> str:
    if answer is not None:
        return f'<a href="#m{answer}">result</a>'
    return f'<span class="note">{"answered by the provider" if call.type == "server" else "no result here"}</span>'
