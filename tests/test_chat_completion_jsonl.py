"""Chat completions: what a golden folder cannot say. All of a file or nothing, whichever way it is read."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollmill.detection import detect
from rollmill.errors import UnreadableFile
from rollmill.files import Tree
from rollmill.formats import RolloutFile, chat_completion_jsonl
from rollmill.formats.chat_completion_jsonl import is_handled_file, parse_file
from rollmill.media import MediaFolder
from rollmill.rollout import Rollout
from tests.golden import FOLDER
from tests.writers.reading import parsed
from tests.writers.settings import examples

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
GOOD = {"id": "good", "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}


def lines(rows: Iterable[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def read(*rows: Any) -> list[Rollout]:
    return parsed("chat_completion_jsonl", lines(rows), "rows.jsonl")


def problem_of(data: bytes, name: str = "rows.jsonl") -> UnreadableFile:
    with pytest.raises(UnreadableFile) as problem:
        parsed("chat_completion_jsonl", data, name)
    assert problem.value.kind == "bad_row"
    return problem.value


# What is refused


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (b'{"id": "x"', "truncated"),
        (b"[]", "Expected `object`"),
        (b'"text"', "Expected `object`"),
        (b'{"id": "x", "text": "raw"}', "met the keys id, text"),
        (b'{"messages": []}', "no messages"),
        (b'{"messages": "hello"}', "met the text 'hello'"),
        (b'{"messages": [{"role": "narrator"}]}', "'narrator'"),
        (b'{"messages": [{"content": "whose?"}]}', "role ''"),
        (b'{"messages": [{"role": "user", "content": 7}]}', "$[0].content"),
        (b'{"messages": [{"role": "assistant", "tool_calls": [7]}]}', "$[0].tool_calls[0]"),
        (b'{"messages": [{"role": "user", "content": "h\xff"}]}', "utf-8"),
        (b'{"messages": [{"role": "user", "content": "x"}]} trailing', "trailing"),
        (b'{"messages": [{"role": "user", "content": "x"}], "reward": NaN}', "malformed"),
        (b'{"messages": ' + b"[" * 5000 + b"]" * 5000 + b"}", "refuses the whole file"),
        (b"\0\0\0", "malformed"),
    ],
)
def test_one_bad_row_refuses_the_file_with_its_line(row: bytes, says: str) -> None:
    problem = problem_of(lines([GOOD]) + b"\r\n" + row + b"\n" + lines([GOOD]))
    assert problem.line == 3
    assert says in str(problem) and "rows.jsonl, line 3" in str(problem)


def test_cutting_a_file_inside_a_row_refuses_it() -> None:
    whole = lines([GOOD, GOOD])
    for at in range(len(lines([GOOD])) + 1, len(whole) - 1):
        assert problem_of(whole[:at]).line == 2


def test_a_bad_element_of_a_document_is_named_by_its_position() -> None:
    assert problem_of(json.dumps([GOOD, GOOD, {}]).encode(), "rows.json").line == 3


@pytest.fixture
def read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_completion_jsonl, "KEPT_WHOLE", 0)


@pytest.mark.usefixtures("read_twice")
def test_a_big_file_is_refused_before_its_first_row_is_given(tmp_path: Path) -> None:
    image = "data:image/png;base64," + base64.b64encode(b"\x89PNG" + bytes(3000)).decode()
    shown = {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": image}}]}]}
    path, store = tmp_path / "rows.jsonl", tmp_path / "media"
    path.write_bytes(lines([shown]) + b"{")
    with pytest.raises(UnreadableFile):
        parse_file(RolloutFile(path, path.name, Tree(tmp_path), media=MediaFolder(store)))
    assert not store.exists()


@pytest.mark.parametrize("path", sorted((FOLDER / "chat_completion_jsonl").glob("[!_]*/input/**/*.json*")), ids=str)
def test_a_big_file_gives_the_rows_a_small_one_gives(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = list(parse_file(RolloutFile.alone(path)))
    monkeypatch.setattr(chat_completion_jsonl, "KEPT_WHOLE", 0)
    assert list(parse_file(RolloutFile.alone(path))) == small


# What comes back


@st.composite
def conversations(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Turns of a user and an assistant, its calls answered in any order, ids used again in every turn."""
    messages: list[dict[str, Any]] = []
    for _ in range(draw(st.integers(1, 4))):
        messages.append({"role": "user", "content": draw(TEXT)})
        ids = draw(st.lists(st.sampled_from("abc"), unique=True, max_size=3))
        calls = [{"id": i, "function": {"name": i, "arguments": draw(TEXT)}} for i in ids]
        messages.append({"role": "assistant", "content": draw(TEXT.map(lambda t: "." + t)), "tool_calls": calls})
        for i in draw(st.permutations(ids)):
            messages.append({"role": "tool", "tool_call_id": i, "content": draw(TEXT)})
    return messages


@examples(150)
@given(conversations())
def test_a_conversation_comes_back_with_each_result_behind_its_call(messages: list[dict[str, Any]]) -> None:
    (row,) = read({"messages": messages})
    assert [(m.role, m.text) for m in row.messages if m.role != "tool"] == [
        (m["role"], m["content"]) for m in messages if m["role"] != "tool"
    ]
    written = [
        (call["function"]["name"], call["function"]["arguments"]) for m in messages for call in m.get("tool_calls", [])
    ]
    assert [(c.function.name, c.function.arguments) for m in row.messages for c in m.tool_calls] == written
    for at, message in enumerate(row.messages):
        if message.role == "assistant":
            behind = row.messages[at + 1 :][: len(message.tool_calls)]
            assert [m.tool_call_id for m in behind] == [call.id for call in message.tool_calls]
    assert sorted(m.text for m in row.messages if m.role == "tool") == sorted(
        m["content"] for m in messages if m["role"] == "tool"
    )
    assert (row.source_meta.fidelity.unanswered_calls, row.source_meta.fidelity.orphan_results) == (0, 0)


@examples(100)
@given(conversations())
def test_a_conversation_without_ids_is_read_like_one_with_them(messages: list[dict[str, Any]]) -> None:
    """Answers in call order need no ids."""
    for m in messages:
        for call in m.get("tool_calls", []):
            call["id"] = None
    without = [{k: v for k, v in m.items() if k != "tool_call_id"} for m in messages]
    (row,) = read({"messages": without})
    assert [m.text for m in row.messages] == [m["content"] for m in messages]
    assert (row.source_meta.fidelity.unanswered_calls, row.source_meta.fidelity.orphan_results) == (0, 0)


@examples(200)
@given(st.binary(max_size=60), st.sampled_from(["rows.jsonl", "rows.json"]))
def test_any_bytes_give_rows_or_a_documented_error(data: bytes, name: str) -> None:
    try:
        parsed("chat_completion_jsonl", data, name)
    except UnreadableFile as problem:
        assert problem.kind == "bad_row" and problem.line


def test_a_lone_surrogate_is_replaced_and_counted() -> None:
    data = b'{"messages": [{"role": "user", "content": "cut \\ud83d \\\\ud83d \\ud83d\\ude00"}]}\n' + lines([GOOD])
    first, second = parsed("chat_completion_jsonl", data, "rows.jsonl")
    assert first.messages[0].text == "cut \ufffd \\ud83d \U0001f600"
    assert [row.source_meta.fidelity.replaced_characters for row in (first, second)] == [1, 1]
    (document,) = parsed("chat_completion_jsonl", b"[" + data.split(b"\n")[0] + b"]", "rows.json")
    assert document.source_meta.fidelity.replaced_characters == 1


def test_lines_in_a_json_file_are_read_as_lines() -> None:
    rows = parsed("chat_completion_jsonl", lines([GOOD, GOOD]), "rows.json")
    assert [row.messages[0].extra.line for row in rows] == [1, 2]


def test_a_long_line_gives_the_image_a_short_one_gives() -> None:
    png = b"\x89PNG" + bytes(range(256)) * 400
    url = "data:image/png;base64," + base64.b64encode(png).decode()
    (row,) = read({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]})
    (block,) = row.messages[0].content
    assert block.media is not None and (block.media.size, block.media.media_type) == (len(png), "image/png")


def test_the_answer_of_a_log_is_added_once() -> None:
    answer = {"role": "assistant", "content": "ho"}
    log = {"messages": GOOD["messages"][:1], "response": {"model": "m", "choices": [{"message": answer}]}}  # type: ignore[index]
    for row in (log, log | {"messages": GOOD["messages"]}):
        (rollout,) = read(row)
        assert [m.text for m in rollout.messages] == ["hi", "ho"]
        assert rollout.source_meta.models == ["m"]


def test_a_cut_off_answer_and_a_refusal_are_told() -> None:
    refused = {"role": "assistant", "content": None, "refusal": "No."}
    log = {
        "messages": GOOD["messages"],
        "choices": [{"message": refused, "finish_reason": "length"}, {}],
        "timestamp": "?",
    }
    (row,) = read(log)
    assert row.messages[-1].extra.other == '{"refusal":"No.","finish_reason":"length"}'
    assert row.source_meta.fidelity.notes == ["1 further choices left out"]
    assert (row.started_at, row.source_meta.other) == (None, {"timestamp": "?"})


def test_a_conversation_told_twice_is_read_once_and_said() -> None:
    (row,) = read(GOOD | {"trajectory": [{"prompt": "x"}], "prompt": "hi"})
    assert [m.text for m in row.messages] == ["hi", "ho"]
    assert row.source_meta.fidelity.notes == ["column trajectory left out", "column prompt left out"]


@pytest.mark.parametrize("path", sorted((FOLDER / "chat_completion_jsonl").glob("[!_e]*/input/**/*.json*")), ids=str)
def test_every_file_is_told_from_all_other_formats(path: Path) -> None:
    assert is_handled_file(path.name)
    assert detect(path) == "chat_completion_jsonl"
