"""The key of a request: what it depends on, what it does not, and that any process computes the same."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import msgspec
import pytest

from rollmill.models import Request

REQUEST = Request(
    endpoint="http://127.0.0.1:8000/v1",
    model="toy",
    messages=({"role": "user", "content": "how are you, \u4f60\u597d?"},),
    params={"temperature": 0.5, "max_tokens": 10},
    schema={"type": "object"},
    row_key="claude_code:a/b.jsonl:1",
    column="digest",
    policy="1",
)


@pytest.mark.parametrize(
    "changed",
    [
        {"endpoint": "http://127.0.0.1:8001/v1"},
        {"model": "toy-2"},
        {"messages": ({"role": "user", "content": "how are you"},)},
        {"params": {"temperature": 0.5, "max_tokens": 11}},
        {"schema": None},
        {"row_key": "claude_code:a/b.jsonl:2"},
        {"policy": "2"},
        {"pass_number": 1},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_key_changes_with(changed: dict[str, Any]) -> None:
    assert msgspec.structs.replace(REQUEST, **changed).key() != REQUEST.key()


@pytest.mark.parametrize("changed", [{"timeout": 3.0}, {"column": "other"}], ids=str)
def test_key_does_not_change_with(changed: dict[str, Any]) -> None:
    assert msgspec.structs.replace(REQUEST, **changed).key() == REQUEST.key()


def test_key_does_not_depend_on_the_order_of_fields() -> None:
    turned = msgspec.structs.replace(
        REQUEST,
        params={"max_tokens": 10, "temperature": 0.5},
        messages=({"content": "how are you, \u4f60\u597d?", "role": "user"},),
    )
    assert turned.key() == REQUEST.key()


def test_fields_do_not_run_into_each_other() -> None:
    one, other = ({"row_key": "ab", "policy": ""}, {"row_key": "a", "policy": "b"})
    assert msgspec.structs.replace(REQUEST, **one).key() != msgspec.structs.replace(REQUEST, **other).key()


def test_key_is_the_same_in_another_process() -> None:
    """Hash randomisation is on by default, so sets and dictionaries differ there. The digest is pinned: replies of
    earlier versions are found by it."""
    script = "from tests.models.test_types import REQUEST; print(REQUEST.key())"
    there = subprocess.check_output([sys.executable, "-c", script], text=True).strip()
    assert there == REQUEST.key() == "56bd3e6887b9df5ff0007a1ce9b3c0137798260abec03c3823671c959e79776e"


def test_a_lone_surrogate_has_a_key() -> None:
    one, other = (
        msgspec.structs.replace(REQUEST, messages=({"role": "user", "content": text},)) for text in ("\ud800", "\ud801")
    )
    assert one.key() != other.key()
