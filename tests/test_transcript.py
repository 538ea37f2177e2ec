"""What people see of a rollout: transcript and page show everything, and nothing in them acts."""

from __future__ import annotations

import html.parser
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollmill.errors import ConfigError
from rollmill.explore.facts import CallPlace, arguments, ledger, links
from rollmill.explore.page import page, write_page
from rollmill.explore.transcript import transcript
from rollmill.explore.visible import one_line, visible
from rollmill.rollout import (
    Block,
    Child,
    Extra,
    Fidelity,
    Function,
    Media,
    Message,
    Parent,
    Records,
    Rollout,
    Segment,
    SourceMeta,
    ToolCall,
    Usage,
)

HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07\x1b]52;c;ZXZpbA==\x07 \x9b31m over\rwritten \u202eevil\u2066 \u200b\U000e0041 \ud800 "
    "</pre></style><script>alert(1)</script><img src=x onerror=alert(1)> ' \" & javascript:alert(1)"
)


def _message(role: str, text: str = "", **fields: object) -> Message:
    return Message(role, [Block("text", text)] if text else [], **fields)  # type: ignore[arg-type]


def _rollout(messages: list[Message], **meta: object) -> Rollout:
    source_meta = SourceMeta(parser="test/1", **meta)  # type: ignore[arg-type]
    return Rollout("t", "test", "/t.jsonl", None, None, False, None, None, None, None, None, messages, source_meta)


def _text(rollout: Rollout, full: bool = False) -> str:
    return "\n".join(line.text for line in transcript(rollout, full))


def _hostile_rollout() -> Rollout:
    h = HOSTILE
    call = ToolCall(h, Function(h, '{"' + "k\\u001b[2J" + '": "v\\u001b[2J\\nsecond\\r"}'))
    media = Media(sha256=h, media_type=h, size=3, url=h)
    rollout = _rollout(
        [
            Message("user", [Block("text", h), Block("image", None, media), Block(h, h)], extra=Extra(origin="human")),
            _message("assistant", h, reasoning_content=h, tool_calls=[call], extra=Extra(model=h, timestamp=h, kind=h)),
            _message("tool", h * 30, tool_call_id=h, extra=Extra(origin="tool", is_error=True)),
            _message("tool", h, tool_call_id="nobody" + h),
        ],
        title=h,
        agent_version=h,
        models=[h],
        parent=Parent(h, h),
        children=[Child(h, h)],
        forked_from=h,
        segments=[Segment(0, "start", 0), Segment(1, h, 2)],
        labels={h: h},
        fidelity=Fidelity(unknown_types={h: 1}, companions_missing=[h], notes=[h]),
    )
    rollout.trace_id = rollout.source_path = rollout.cwd = rollout.git_branch = h
    rollout.agent_id = rollout.root_session_id = rollout.started_at = rollout.ended_at = h
    rollout.is_sidechain = True
    return rollout


def acts(character: str) -> bool:
    """Whether a character does something instead of being seen, by Unicode's own tables."""
    directions = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    is_control = unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") and character not in "\n\t"
    return is_control or unicodedata.bidirectional(character) in directions or 0xE0000 <= ord(character) < 0xE0080


def test_every_acting_character_of_unicode_is_shown() -> None:
    everything = map(chr, range(0x110000))
    assert [hex(ord(c)) for c in everything if acts(c) and (visible(c) == c or not visible(c).isascii())] == []


def test_ordinary_text_stays_as_it_is() -> None:
    text = "tab\tand newline\n naïve 日本語 שלום 👩\u200d💻 नमस्ते \\x1b"
    assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31m", "\\x1b[31m"),
        ("\x9b", "\\x9b"),
        ("\u202e", "\\u202e"),
        ("\U000e0041", "\\U000e0041"),
        ("a\r\nb", "a\nb"),
        ("100%\rdone", "100%\\x0ddone"),
    ],
)
def test_acting_characters_become_their_codes(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text(), st.integers(2, 50))
def test_one_line_is_one_short_line(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line) <= limit
    assert not any(map(acts, line)) and "\n" not in line


@pytest.mark.parametrize("full", [False, True])
def test_nothing_in_a_transcript_acts(full: bool) -> None:
    lines = list(transcript(_hostile_rollout(), full))
    assert [line.text for line in lines if any(map(acts, line.text)) or "\n" in line.text] == []
    assert any("\\x1b[2J" in line.text for line in lines)


class _Page(html.parser.HTMLParser):
    """The tags and attributes of a page as a browser sees them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {(tag, name) for name, _ in attrs}
        found = dict(attrs)
        self.ids += [found["id"]] if found.get("id") else []  # type: ignore[list-item]
        self.targets += [found["href"]] if found.get("href") else []  # type: ignore[list-item]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_page_holds_nothing_but_its_own_tags() -> None:
    seen = _Page("".join(page(_hostile_rollout())))
    head = {"html", "head", "meta", "title", "style", "body"}
    parts = {"header", "main", "footer", "h1", "h2", "div", "dl", "dt", "dd", "article", "time"}
    assert seen.tags <= head | parts | {"details", "summary", "pre", "span", "b", "a"}
    assert {name for _, name in seen.attributes} <= {
        "lang",
        "charset",
        "http-equiv",
        "content",
        "name",
        "class",
        "id",
        "href",
    }
    assert seen.open == []


def test_nothing_in_a_page_acts() -> None:
    text = "".join(page(_hostile_rollout()))
    assert not any(map(acts, text))
    assert "<script" not in text and "<img" not in text
    text.encode()


def test_links_lead_from_calls_to_results_and_back() -> None:
    seen = _Page("".join(page(_hostile_rollout())))
    assert len(seen.ids) == len(set(seen.ids))
    assert {target.removeprefix("#") for target in seen.targets} <= set(seen.ids)
    assert {"#m2", "#m1c0"} <= set(seen.targets)


def test_the_policy_forbids_everything_but_the_one_style_sheet() -> None:
    import base64
    import hashlib

    text = "".join(page(_hostile_rollout()))
    style = re.search("<style>(.*?)</style>", text, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = re.search('Content-Security-Policy" content="([^"]*)"', text)
    assert policy and policy[1].startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "unsafe" not in policy[1] and "url(" not in style[1] and "@import" not in style[1]


def test_a_page_is_private_and_whole(tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    write_page(_hostile_rollout(), target)
    assert target.stat().st_mode & 0o777 == 0o600
    assert target.read_text().endswith("</html>\n")
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("name", ["log.jsonl", "page", "missing/page.html"])
def test_a_page_that_cannot_be_written_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        write_page(_rollout([]), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_media_are_references_in_both() -> None:
    data = "data:image/png;base64," + "iVBORw0KGgo" * 1000
    blocks = [
        Block("image", None, Media(sha256="ab12", media_type="image/png", size=1234)),
        Block("image", None, Media(url=data)),
        Block("image", None, Media(url="https://example.org/a.png")),
    ]
    rollout = _rollout([Message("user", blocks)])
    for text in (_text(rollout, full=True), "".join(page(rollout, full=True))):
        assert "[image, image/png, 1,234 bytes, sha256 ab12]" in text
        assert "iVBORw0KGgoiVBORw0KGgoiVBORw0KGgo" not in text
        assert "https://example.org/a.png" in text


def test_long_results_are_shortened_unless_full() -> None:
    lines = "\n".join(f"line {number}" for number in range(1000))
    rollout = _rollout([_message("tool", lines, extra=Extra(origin="tool"))])
    short, full = _text(rollout), _text(rollout, full=True)
    shown = "\n".join(f"line {number}" for number in range(12))
    assert "line 11\n" in short and "line 12\n" not in short
    assert f"{len(lines) - len(shown):,} more characters" in short
    assert "line 999" in full and "more characters" not in full


def test_what_the_human_and_the_model_said_is_never_shortened() -> None:
    long = "word " * 5000 + "end"
    rollout = _rollout(
        [_message("user", long, extra=Extra(origin="human")), _message("assistant", long, extra=Extra(origin="model"))]
    )
    assert _text(rollout).count("word end") == 2


def test_long_results_are_folded_in_a_page() -> None:
    text = "".join(page(_rollout([_message("tool", "x\n" * 100), _message("tool", "short")])))
    assert "<details><summary>" in text and "101 lines, 200 characters" in text
    assert "<pre>\nshort</pre>" in text


def test_arguments_are_shown_one_by_one_as_the_log_has_them() -> None:
    call = ToolCall("c", Function("f", '{"a": "x\\ny", "n": 123456789012345678901234567890.50, "o": {"b": [1, null]}}'))
    expected = [("a", "x\ny"), ("n", "123456789012345678901234567890.50"), ("o", '{"b": [1, null]}')]
    assert [tuple(fact) for fact in arguments(call)] == expected


@pytest.mark.parametrize("text", ["", "[1", "no json", "[1, 2]", '"text"', "[" * 5000])
def test_arguments_that_are_no_object_are_shown_as_they_are(text: str) -> None:
    assert [fact.text for fact in arguments(ToolCall("c", Function("f", text)))] == ([text] if text else [])


def test_results_find_their_calls_even_when_an_id_is_used_again() -> None:
    def asks(*ids: str) -> Message:
        return _message("assistant", tool_calls=[ToolCall(i, Function("f", "{}")) for i in ids])

    def answers(call_id: str) -> Message:
        return _message("tool", "r", tool_call_id=call_id)

    messages = [asks("a", "a"), answers("a"), answers("a"), asks("a", "b"), answers("b"), answers("a"), answers("a")]
    found = links(messages).calls
    assert found == {1: CallPlace(0, 0), 2: CallPlace(0, 1), 4: CallPlace(3, 1), 5: CallPlace(3, 0)}


def test_a_transcript_tells_what_is_missing() -> None:
    call = ToolCall("c1", Function("Bash", "{}"))
    rollout = _rollout(
        [
            _message("assistant", tool_calls=[call], extra=Extra(thinking="encrypted")),
            _message("tool", "lost", tool_call_id="c9"),
        ],
        segments=[Segment(0, "start", 0), Segment(1, "compaction", 2)],
    )
    text = _text(rollout)
    assert "→ Bash [c1] without an answer here" in text
    assert "answers no call here [c9]" in text
    assert "(thinking, encrypted in the log)" in text
    assert text.index("lost") < text.index("segment 1: compaction")


def test_the_ledger_adds_up_in_words() -> None:
    fidelity = Fidelity(
        records=Records(total=6, used=3, merged=2, unreadable=1),
        unreadable_lines=[4],
        torn_tail=True,
        unanswered_calls=2,
        system_prompt=True,
        abandoned_usage=Usage(input_tokens=1000, cache_read_tokens=900, output_tokens=5),
        notes=["a note"],
    )
    facts = {fact.label: fact.text for fact in ledger(_rollout([], fidelity=fidelity))}
    assert facts == {
        "records": "6 = 3 used + 2 merged + 1 unreadable",
        "unreadable lines": "4",
        "unanswered calls": "2",
        "torn tail": "the file ends in the middle of a record",
        "abandoned tokens": "1,000 in (900 cached), 5 out",
        "not in the log": "tool schemas",
        "note": "a note",
    }
