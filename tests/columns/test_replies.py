"""One JSON value out of whatever a model replies, and quotes that stand in a text."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollmill.columns._json import NotJson, json_in
from rollmill.columns._quotes import Quoted

VALUE = {"a": [1, {"b": "}"}], "c": "```"}
TEXT = json.dumps(VALUE)


@pytest.mark.parametrize(
    "reply",
    [
        TEXT,
        f"\n  {TEXT}\n",
        f"```json\n{json.dumps(VALUE | {'c': ''})}\n```",
        f"Sure, here it is:\n\n```\n{json.dumps(VALUE | {'c': ''}, indent=2)}\n```\nAnything else?",
        f"Sure, see [1] and {{this}}: {TEXT} Anything else?",
        f"<think>\nMaybe {{}}?\n</think>\n{TEXT}",
    ],
)
def test_finds_the_value(reply: str) -> None:
    found = json_in(reply, "object")
    assert found == VALUE or found == VALUE | {"c": ""}


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ("", "no whole JSON object"),
        ("I cannot do that.", "no whole JSON object"),
        ('{"a": 1', "no whole JSON object"),
        ('{"a": NaN}', "no whole JSON object"),
        ('{"a": 1} or {"a": 2}', "2 JSON values"),
        ("[" * 100_000, "no whole JSON"),
        ('{"a":' * 100_000, "no whole JSON"),
        ("{" * 1_000_000, "no whole JSON"),
    ],
)
def test_says_why_there_is_none(reply: str, words: str) -> None:
    began = time.thread_time()
    with pytest.raises(NotJson, match=words):
        json_in(reply, "object")
    assert time.thread_time() - began < 5


def test_halves_of_characters_are_replaced() -> None:
    assert json_in(r'{"a\ud800": "b\udfff"}') == {"a\ufffd": "b\ufffd"}


JSON: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=8,
)
PROSE = st.text(alphabet=st.characters(exclude_characters="{}[]`<"), max_size=30)


@given(st.dictionaries(st.text(), JSON), PROSE, PROSE)
def test_prose_around_changes_nothing(value: dict[str, Any], before: str, after: str) -> None:
    assert json_in(f"{before}{json.dumps(value)}{after}", "object") == json_in(json.dumps(value))


@settings(max_examples=300)
@given(st.text(alphabet=st.sampled_from('{}[]",:`\n\\ 1ajson'), max_size=60))
def test_any_text_is_a_value_or_none(reply: str) -> None:
    try:
        json_in(reply, "object")
    except NotJson as error:
        assert str(error)


SOURCE = """He said: “Do not delete
  the tests.”
→ Bash {"command": "pytest -q", "why": "to\\nsee"}
All 12 pass; nothing else changed."""


@pytest.mark.parametrize(
    ("quote", "held"),
    [
        ("Do not delete the tests.", True),
        ('"Do not delete the tests."', True),
        ('Bash {"command": "pytest -q"', True),
        ('{\\"command\\": \\"pytest -q\\"', True),
        ("Do not delete … All 12 pass", True),
        ("All 12 pass ... Do not delete", False),
        ("Do not remove the tests.", False),
        ("do not delete the tests", False),
        ("pass", False),
        ("... \" … '", False),
        ("", False),
    ],
)
def test_quotes_stand_word_for_word(quote: str, held: bool) -> None:
    assert Quoted(SOURCE).holds(quote) is held


@given(st.text(min_size=1), st.data())
def test_every_long_span_is_a_quote(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    span = text[start : data.draw(st.integers(start, len(text)))]
    if sum(map(str.isalnum, span)) >= 8 and "..." not in span:
        assert Quoted(text).holds(span)
