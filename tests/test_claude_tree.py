"""Trees of any shape, broken ones too: the quick way through them finds what the plain way finds."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from rollmill.formats._claude_records import Record
from rollmill.formats._claude_tree import Thread
from tests.writers.settings import examples

_UUIDS = [None, "u0", "u1", "u2", "u3", "u4", "u5", "u6", "u7", "gone"]
_record = st.fixed_dictionaries(
    {"type": st.sampled_from(["user", "assistant", "progress", "system"])},
    optional={
        "parentUuid": st.sampled_from(_UUIDS),
        "logicalParentUuid": st.sampled_from(_UUIDS),
        "subtype": st.just("compact_boundary"),
        "message": st.fixed_dictionaries(
            {"content": st.sampled_from(["text", [{"type": "tool_result", "tool_use_id": "t"}]])}
        ),
    },
)


def thread(drawn: list[dict[str, object]]) -> Thread:
    records = [msgspec.convert(fields | {"uuid": f"u{n}"}, Record) for n, fields in enumerate(drawn)]
    for n, record in enumerate(records):
        record.settle(f"u{n}")
    return Thread(records)


@examples(500)
@given(drawn=st.lists(_record, min_size=2, max_size=8), turn=st.integers(0, 7))
def test_ways_that_share_their_end_are_walked_once(drawn: list[dict[str, object]], turn: int) -> None:
    tree = thread(drawn)
    barren: set[int] = set()
    for leaf in range(len(drawn)):
        plainly = any(record.uuid == f"u{turn}" for record in tree._walk(leaf).records)
        assert tree._passes(leaf, {turn}, barren) is plainly
