"""What holds of redaction whatever the text: nothing changes twice, JSON stays whole, one secret has one name."""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollmill.curate.redaction import PLACEHOLDER, Redactor, find
from rollmill.curate.redaction.search import literals

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import decoys
import planted

SECRETS = planted.secrets(31_337, each=3)
DECOYS = decoys.decoys(31_337, each=3)
WHOLE = [*(each.text for each in SECRETS + DECOYS), *(each.secret for each in SECRETS)]
PIECES = st.one_of(
    st.integers(0, len(WHOLE) - 1).map(lambda number: WHOLE[number]),
    st.sampled_from(
        ["<API_KEY_1>", "<USER_2>", "<EMAIL_1", "-Users-", "/home/", "@", ":", "=", '"', "\\", "\n", "\\n", " ", "/"]
    ),
    st.text(max_size=8),
)
TEXTS = st.lists(PIECES, max_size=7).map("".join)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
thorough = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@thorough
@given(TEXTS)
def test_redacted_text_has_nothing_to_redact(text: str) -> None:
    once = Redactor().text(text)
    assert find(once) == []
    assert Redactor().text(once) == once


@thorough
@given(JSON, st.booleans())
def test_json_stays_json_and_only_strings_change(value: Any, as_ascii: bool) -> None:
    text = json.dumps(value, ensure_ascii=as_ascii)
    redacted = Redactor().json_text(text)
    assert shape(json.loads(redacted)) == shape(json.loads(text))
    assert Redactor().json_text(redacted) == redacted


def shape(value: Any) -> Any:
    """The value with every string the same."""
    if isinstance(value, dict):
        return [("", shape(item)) for item in value.values()]
    if isinstance(value, list):
        return [shape(item) for item in value]
    return "" if isinstance(value, str) else value


@thorough
@given(st.text())
def test_text_without_any_literal_stays_the_same_object(text: str) -> None:
    if not list(literals().places(text)):
        assert Redactor().text(text) is text


TOKENS = [each for each in SECRETS if each.kind in planted.SECRETS]


@thorough
@given(st.lists(st.tuples(st.sampled_from(TOKENS), st.sampled_from(planted.PLACES)), min_size=1, max_size=8))
def test_one_secret_has_one_name_in_whatever_place_and_order(said: list[tuple[planted.Planted, str]]) -> None:
    redactor, names = Redactor(), {}
    for each, place in said:
        redacted = redactor.text(place.format(s=each.secret))
        assert each.secret not in redacted
        [name] = [found[0] for found in PLACEHOLDER.finditer(redacted)]
        assert names.setdefault(each.secret, name) == name
    assert len(set(names.values())) == len(names)


@thorough
@given(TEXTS)
def test_findings_are_in_order_and_apart(text: str) -> None:
    found = find(text)
    assert all(0 <= each.start < each.end <= len(text) for each in found)
    assert all(a.end <= b.start for a, b in pairwise(found))
    taken = [each.span() for each in PLACEHOLDER.finditer(text)]
    assert not any(each.start < end and start < each.end for each in found for start, end in taken)
