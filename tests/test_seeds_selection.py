"""Ranges, partitions, shuffles."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import rollmill as dd
from rollmill.seeds.selection import select


@given(size=st.integers(1, 300), count=st.integers(1, 300))
def test_partitions_are_disjoint_and_complete_and_the_last_takes_the_remainder(size: int, count: int) -> None:
    blocks = [dd.PartitionBlock(index=index, num_partitions=count) for index in range(count)]
    if count > size:
        for block in blocks:
            with pytest.raises(dd.ConfigError, match=f"at most {size}"):
                block.to_index_range(size)
        return
    ranges = [block.to_index_range(size) for block in blocks]
    assert [row for r in ranges for row in range(r.start, r.end + 1)] == list(range(size))
    assert {r.size for r in ranges[:-1]} <= {size // count}
    assert ranges[-1].size == size // count + size % count


@given(size=st.integers(1, 60), data=st.data(), seed=st.integers())
def test_a_shuffle_stays_in_its_range(size: int, data: st.DataObject, seed: int) -> None:
    start = data.draw(st.integers(0, size - 1))
    end = data.draw(st.integers(start, size - 1))
    index_range = dd.IndexRange(start=start, end=end)
    rows = select(range(size), index_range, True, seed)
    assert sorted(rows) == list(range(start, end + 1))
    assert rows == select(range(size), index_range, True, seed)


def test_a_shuffle_shuffles_and_its_order_is_a_promise() -> None:
    assert select(range(10), None, True, 1) == [9, 8, 0, 3, 5, 4, 6, 2, 7, 1]
    assert select(range(100), None, True, None) != select(range(100), None, True, None)
    assert select(range(5), None, False, 1) == [0, 1, 2, 3, 4]


def test_messages_teach() -> None:
    with pytest.raises(ValidationError, match=r"IndexRange\(start=5, end=5\)"):
        dd.IndexRange(start=5, end=4)
    with pytest.raises(ValidationError, match="counted from 0 to 2"):
        dd.PartitionBlock(index=3, num_partitions=3)


def test_a_seed_config_selects() -> None:
    source = dd.DirectorySeedSource(path="x")
    assert dd.SeedConfig(source=source).index_range(10) is None
    by_range = dd.SeedConfig(source=source, selection_strategy=dd.IndexRange(start=2, end=9))
    assert by_range.index_range(10) == dd.IndexRange(start=2, end=9)
    with pytest.raises(dd.ConfigError, match="last possible end is 8"):
        by_range.index_range(9)
    block = dd.PartitionBlock(index=1, num_partitions=2)
    assert dd.SeedConfig(source=source, selection_strategy=block).index_range(5) == dd.IndexRange(start=2, end=4)


def test_a_source_class_of_the_users_own_is_found_by_its_seed_type() -> None:
    class LogSource(dd.FileSystemSeedSource):
        seed_type: Literal["my_logs"] = "my_logs"
        level: str = "info"

    config = dd.SeedConfig(source=LogSource(path="x", level="debug"), sampling_strategy="shuffle")
    again = dd.SeedConfig.model_validate_json(config.model_dump_json())
    assert again == config and isinstance(again.source, LogSource)
    with pytest.raises(ValidationError, match=r"known: .*my_logs"):
        dd.SeedConfig(source={"seed_type": "your_logs", "path": "x"})
