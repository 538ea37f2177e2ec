"""Splits: shares are kept, groups stay together, and nothing but the ids decides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollmill.curate.splits import Groups, Split, parse_splits, split_of
from rollmill.errors import ConfigError

NAMES = st.text("abcdef", min_size=1, max_size=3)


def test_what_a_user_writes() -> None:
    assert parse_splits("train=0.9, test=0.1") == (Split("train", 0.9), Split("test", 0.1))
    assert parse_splits("train") == (Split("train", 1.0),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "train=0.9",
        "train=0.5,train=0.5",
        "train=2,test=-1",
        "../x=1",
        "train=much",
        "train=0.5,test=nan",
        "all=1",
        "dropped=0.5,train=0.5",
    ],
)
def test_shares_that_cannot_be(text: str) -> None:
    with pytest.raises(ConfigError, match="--split"):
        parse_splits(text)


@given(st.lists(st.tuples(NAMES, st.lists(NAMES, max_size=3)), max_size=20))
def test_whatever_shares_an_id_is_in_one_split(pairs: list[tuple[str, list[str]]]) -> None:
    groups, splits = Groups(), parse_splits("train=0.5,test=0.5")
    for task, sessions in pairs:
        groups.join(task, [("session", session) for session in sessions])
    sides = {task: split_of(groups.name(task), splits) for task, _ in pairs}
    for task, sessions in pairs:
        for other, others in pairs:
            if task == other or set(sessions) & set(others):
                assert sides[task] == sides[other]


@given(st.lists(st.tuples(NAMES, st.lists(NAMES, max_size=3)), max_size=20), st.randoms())
def test_the_order_does_not_matter(pairs: list[tuple[str, list[str]]], random: object) -> None:
    shuffled = list(pairs)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    names = []
    for order in (pairs, shuffled):
        groups = Groups()
        for task, sessions in order:
            groups.join(task, sessions)
        names.append({task: groups.name(task) for task, _ in pairs})
    assert names[0] == names[1]


def test_shares_are_about_kept() -> None:
    splits = parse_splits("train=0.8,validation=0.15,test=0.05")
    sides = [split_of(str(number), splits) for number in range(4000)]
    assert all(abs(sides.count(split.name) / 4000 - split.share) < 0.03 for split in splits)
    assert sides == [split_of(str(number), splits) for number in range(4000)]
    assert sides != [split_of(str(number), splits, seed=1) for number in range(4000)]
