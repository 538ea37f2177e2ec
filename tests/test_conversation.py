"""Results in their places: the quick way, where ids are unique, finds what the general one finds."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollmill.formats import _conversation
from rollmill.formats._conversation import answered_in_place
from rollmill.rollout import Extra, Function, Message, ToolCall, Usage, add_usage
from tests.writers.settings import examples

_IDS = st.sampled_from(["a", "b", "c", "d", "e"])
_SAID = st.builds(
    lambda ids, segment: Message(
        "assistant", [], tool_calls=[ToolCall(name, Function("f", "{}")) for name in ids], extra=Extra(segment=segment)
    ),
    st.lists(_IDS, max_size=3),
    st.integers(0, 1),
)
_RESULT = st.builds(lambda name: Message("tool", [], tool_call_id=name), st.none() | _IDS)


@examples(500)
@given(st.lists(st.one_of(_SAID, _RESULT, st.just(Message("user", []))), max_size=8).map(copy.deepcopy))
def test_both_ways_put_results_in_the_same_places(messages: list[Message]) -> None:
    for number, message in enumerate(messages):
        message.extra = Extra(line=number, segment=message.extra.segment)
    again = copy.deepcopy(messages)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_conversation, "_by_unique_ids", lambda _: None)
        generally = answered_in_place(again)
    assert answered_in_place(messages) == generally


def test_a_sum_of_nothing_is_not_nought() -> None:
    total = add_usage([Usage(1, 0), Usage(2, None), Usage(-3, None)])
    assert total == Usage(input_tokens=0, cache_read_tokens=0)
