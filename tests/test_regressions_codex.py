"""Codex logs that were once read wrongly: each the smallest that shows it, with what the rules say it holds."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rollmill.files import Tree
from rollmill.formats import RolloutFile, load_format
from rollmill.rollout import Message, Rollout

THREAD = "019c85f8-0000-7000-8000-00000000aaaa"
PARENT = "019c85f8-0000-7000-8000-00000000bbbb"
BYTES = bytes(range(256)) * 240
BASE64 = base64.b64encode(BYTES).decode()
SHA256 = hashlib.sha256(BYTES).hexdigest()

Records = list[dict[str, Any]]


def line(kind: str, second: int = 0, /, **payload: Any) -> dict[str, Any]:
    return {"timestamp": f"2026-01-01T00:00:{second:02d}.000Z", "type": kind, "payload": payload}


def item(kind: str, /, **fields: Any) -> dict[str, Any]:
    return line("response_item", type=kind, **fields)


def event(kind: str, /, **fields: Any) -> dict[str, Any]:
    return line("event_msg", type=kind, **fields)


def meta(thread: str = THREAD, **fields: Any) -> dict[str, Any]:
    return line("session_meta", id=thread, timestamp="2026-01-01T00:00:00.000Z", cwd="/w", source="cli", **fields)


def typed(*texts: str) -> dict[str, Any]:
    return item("message", role="user", content=[{"type": "input_text", "text": text} for text in texts])


def prompt(text: str) -> Records:
    """What Codex writes when somebody typed: the item and its event."""
    return [typed(text), event("user_message", message=text)]


def said(text: str, **fields: Any) -> dict[str, Any]:
    return item("message", role="assistant", content=[{"type": "output_text", "text": text}], **fields)


def call(**fields: Any) -> dict[str, Any]:
    return item("function_call", **{"name": "sh", "arguments": "{}", "call_id": "c1", **fields})


def output(content: Any, **fields: Any) -> dict[str, Any]:
    return item("function_call_output", **{"call_id": "c1", "output": content, **fields})


def count(total: int, last: int) -> dict[str, Any]:
    total_usage, last_usage = ({"input_tokens": 0, "output_tokens": n, "total_tokens": n} for n in (total, last))
    return event("token_count", info={"total_token_usage": total_usage, "last_token_usage": last_usage})


def at(second: int, *records: dict[str, Any]) -> Records:
    """The same records, written at that second."""
    return [{**r, "timestamp": f"2026-01-01T00:00:{second:02d}.000Z"} for r in records]


def name_of(thread: str) -> str:
    return f"rollout-2026-01-01T00-00-00-{thread}.jsonl"


def read(folder: Path, *records: dict[str, Any], parent: Records | None = None) -> Rollout:
    """The row of a thread of these records, its parent's log beside it."""
    for thread, log in ((THREAD, records), (PARENT, parent)):
        if log is not None:
            (folder / name_of(thread)).write_text("".join(json.dumps(r) + "\n" for r in log))
    file = RolloutFile(folder / name_of(THREAD), name_of(THREAD), Tree(folder))
    (row,) = load_format("codex").parse_file(file)
    return row


def texts(row: Rollout) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in row.messages]


def links(row: Rollout) -> list[tuple[str, list[str], str | None]]:
    """Each message's role, the ids of its calls, the call it answers."""
    return [(m.role, [c.id for c in m.tool_calls], m.tool_call_id) for m in row.messages]


def blocks(message: Message) -> list[tuple[str, str | None]]:
    return [(block.type, block.text) for block in message.content]


def ledger(row: Rollout) -> dict[str, int]:
    counts: dict[str, int] = msgspec.to_builtins(row.source_meta.fidelity.records)
    return {name: n for name, n in counts.items() if n}


def segments(row: Rollout) -> list[tuple[str, int]]:
    return [(segment.reason, segment.first_message) for segment in row.source_meta.segments]


def test_04_of_a_list_only_the_misfit_goes(tmp_path: Path) -> None:
    row = read(tmp_path, meta(), *prompt("hi"), call(), output([5, {"type": "input_text", "text": "x"}]))
    assert texts(row) == [("user", "hi"), ("assistant", ""), ("tool", "x")]
    assert row.source_meta.fidelity.notes == ["1 values of an unexpected type left out"]


def test_04_a_part_that_misfits_leaves_the_others(tmp_path: Path) -> None:
    bad = {"type": "output_text", "text": 5}
    good = {"type": "output_text", "text": "good"}
    row = read(tmp_path, meta(), *prompt("hi"), item("message", role="assistant", content=[good, bad]))
    assert texts(row) == [("user", "hi"), ("assistant", "good")]
    assert row.source_meta.fidelity.notes == ["1 values of an unexpected type left out"]


def test_04_arguments_that_are_an_object_keep_their_own_text(tmp_path: Path) -> None:
    raw = '{"b": 1.50,"a":[1e2,1e999]}'
    asked = json.dumps(item("tool_search_call", arguments={"was": "here"}, call_id="c1"))
    lines = [*map(json.dumps, [meta(), *prompt("hi")]), asked.replace('{"was": "here"}', raw)]
    (tmp_path / name_of(THREAD)).write_text("\n".join(lines) + "\n")
    (row,) = load_format("codex").parse_file(RolloutFile.alone(tmp_path / name_of(THREAD)))
    assert row.messages[1].tool_calls[0].function.arguments == raw
    assert row.source_meta.fidelity.notes == []


@pytest.mark.parametrize("misfit", [[], [5], {}, {"a": 1}], ids=repr)
@pytest.mark.parametrize("key", ["id", "phase", "type of a part"])
def test_04_a_list_or_object_that_misfits_goes_and_the_record_stays(tmp_path: Path, key: str, misfit: Any) -> None:
    odd = said("yo", **{key: misfit}) if key != "type of a part" else said("yo")
    if key == "type of a part":
        odd["payload"]["content"].append({"type": misfit, "text": "odd"})
    row = read(tmp_path, meta(), *prompt("hi"), odd)
    assert texts(row)[0] == ("user", "hi") and row.messages[1].content[0].text == "yo"
    assert row.source_meta.fidelity.notes == ["1 values of an unexpected type left out"]


def test_05_base64_that_is_no_medium_leaves_its_hash(tmp_path: Path) -> None:
    asked = item("tool_search_call", arguments={"encoding": "base64", "data": BASE64}, call_id="c1")
    part = {"type": "resource", "encoding": "base64", "data": BASE64}
    row = read(tmp_path, meta(), *prompt("hi"), asked, call(call_id="c2"), output([part], call_id="c2"))
    said_again = {"encoding": "base64", "data": f"sha256:{SHA256}"}
    assert json.loads(row.messages[1].tool_calls[0].function.arguments) == said_again
    assert row.messages[2].content[0].type == "resource"
    assert json.loads(row.messages[2].content[0].text or "") == {"type": "resource", **said_again}
    assert "rollmill-media-" not in json.dumps(row.to_row())


def test_06_each_of_two_calls_with_one_id_keeps_its_result(tmp_path: Path) -> None:
    row = read(tmp_path, meta(), *prompt("hi"), call(), output("one"), call(), output("two"), said("yo"))
    assert links(row)[1:5] == [("assistant", ["c1"], None), ("tool", [], "c1")] * 2
    assert [m.text for m in row.messages if m.role == "tool"] == ["one", "two"]
    assert ledger(row) == {"total": 8, "used": 6, "duplicate": 1, "metadata": 1}


def test_06_a_result_said_again_is_a_duplicate(tmp_path: Path) -> None:
    row = read(tmp_path, meta(), *prompt("hi"), call(), output("one"), output("one"), said("yo"))
    assert texts(row) == [("user", "hi"), ("assistant", ""), ("tool", "one"), ("assistant", "yo")]
    assert ledger(row) == {"total": 7, "used": 4, "duplicate": 2, "metadata": 1}


def test_07_raw_reasoning_told_before_its_item_is_the_reasoning(tmp_path: Path) -> None:
    raw = event("agent_reasoning_raw_content", text="deep thought")
    row = read(tmp_path, meta(), *prompt("hi"), raw, item("reasoning", summary=[], encrypted_content="x"), said("yo"))
    assert texts(row) == [("user", "hi"), ("assistant", "yo")]
    assert (row.messages[1].reasoning_content, row.messages[1].extra.thinking) == ("deep thought", "full")


def test_08_an_odd_part_of_a_json_document_keeps_its_json(tmp_path: Path) -> None:
    refusal = {"type": "refusal", "refusal": "I cannot"}
    asked = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
    items = [asked, {"type": "message", "role": "assistant", "content": [refusal]}]
    path = tmp_path / f"rollout-2025-01-01-{THREAD}.json"
    path.write_text(json.dumps({"session": {"id": THREAD, "timestamp": "2025-01-01T00:00:00.000Z"}, "items": items}))
    (row,) = load_format("codex").parse_file(RolloutFile.alone(path))
    (block,) = row.messages[1].content
    assert (block.type, json.loads(block.text or "null")) == ("refusal", refusal)


def test_11_a_summary_that_is_plain_text_is_kept(tmp_path: Path) -> None:
    row = read(tmp_path, meta(), *prompt("hi"), item("reasoning", summary="my summary"), said("yo"))
    assert (row.messages[1].reasoning_content, row.messages[1].extra.thinking) == ("my summary", "summary")


FORK = meta(forked_from_id=PARENT)
COPIED = [*prompt("hi"), said("yo")]


def test_13_a_record_of_a_fork_s_own_before_the_copy(tmp_path: Path) -> None:
    own = line("turn_context", model="gpt-new")
    theirs = [meta(PARENT), line("turn_context", model="gpt-old"), *COPIED]
    row = read(tmp_path, FORK, own, *COPIED, *prompt("mine"), said("z"), parent=theirs)
    assert texts(row) == [("user", "mine"), ("assistant", "z")]
    assert (row.source_meta.models, row.source_meta.forked_from) == (["gpt-new"], PARENT)
    assert ledger(row) == {"total": 8, "used": 2, "duplicate": 1, "replayed": 3, "metadata": 2}


def test_13_a_parent_of_which_nothing_is_repeated_is_noted(tmp_path: Path) -> None:
    row = read(tmp_path, FORK, *COPIED, parent=[meta(PARENT), *prompt("other"), said("else")])
    assert texts(row) == [("user", "hi"), ("assistant", "yo")]
    (note,) = row.source_meta.fidelity.notes
    assert note.startswith(f"fork prefix kept: parent {PARENT} ")
    assert "replayed" not in ledger(row)


def test_13_a_copied_item_may_have_a_new_id(tmp_path: Path) -> None:
    mine, theirs = ([*prompt("hi"), said("yo", id=new)] for new in ("msg_new", "msg_old"))
    row = read(tmp_path, FORK, *mine, *prompt("mine"), said("z"), parent=[meta(PARENT), *theirs])
    assert texts(row) == [("user", "mine"), ("assistant", "z")]
    assert ledger(row) == {"total": 7, "used": 2, "duplicate": 1, "replayed": 3, "metadata": 1}


def test_13_a_prompt_typed_again_after_the_copy_is_the_fork_s_own(tmp_path: Path) -> None:
    theirs = [meta(PARENT), *COPIED, *at(10, *prompt("again")), *at(11, said("theirs"))]
    own = [*at(40, FORK, *COPIED), *at(50, *prompt("again")), *at(51, said("mine"))]
    row = read(tmp_path, *own, parent=theirs)
    assert texts(row) == [("user", "again"), ("assistant", "mine")]
    assert ledger(row) == {"total": 7, "used": 2, "duplicate": 1, "replayed": 3, "metadata": 1}


def test_14_a_compaction_item_before_its_record_tells_of_one_compaction(tmp_path: Path) -> None:
    told = [item("compaction", encrypted_content="x"), line("compacted", message="", replacement_history=[])]
    row = read(tmp_path, meta(), *prompt("one"), said("A"), *told, *prompt("two"), said("B"))
    assert texts(row) == [("user", "one"), ("assistant", "A"), ("user", ""), ("user", "two"), ("assistant", "B")]
    assert json.loads(row.messages[2].extra.other or "{}")["encrypted"] is True
    assert (row.source_meta.fidelity.compactions, segments(row)) == (1, [("start", 0), ("compaction", 2)])


def test_14_a_compaction_item_after_its_record_tells_of_one_compaction(tmp_path: Path) -> None:
    told = [line("compacted", message="S", replacement_history=[typed("new")["payload"]]), item("context_compaction")]
    row = read(tmp_path, meta(), *prompt("one"), said("A"), *told, *prompt("two"), said("B"))
    assert [text for _, text in texts(row)] == ["one", "A", "S", "new", "two", "B"]
    assert [m.extra.segment for m in row.messages] == [0, 0, 1, 1, 1, 1]
    assert (row.source_meta.fidelity.compactions, segments(row)) == (1, [("start", 0), ("compaction", 2)])


def test_15_what_a_replacement_history_repeats_is_recognised(tmp_path: Path) -> None:
    asked = typed("<environment_context>e</environment_context>", "one")
    answered = [said("A1"), said("A2")]
    history = [record["payload"] for record in (asked, *answered)]
    told = line("compacted", message="S", replacement_history=history)
    events = [event("user_message", message="one")]
    row = read(tmp_path, meta(), asked, *events, *answered, told, *prompt("two"), said("B"))
    assert [text for _, text in texts(row)][1:] == ["one", "A1\nA2", "S", "two", "B"]
    assert json.loads(row.messages[3].extra.other or "{}") == {"kept_messages": [0, 1, 2], "encrypted": False}


def test_16_a_rollback_across_a_compaction_undoes_it(tmp_path: Path) -> None:
    undone = [*prompt("two"), line("compacted", message="S"), said("B"), event("thread_rolled_back", num_turns=1)]
    row = read(tmp_path, meta(), *prompt("one"), said("A"), *undone, *prompt("three"), said("C"))
    assert texts(row) == [("user", "one"), ("assistant", "A"), ("user", "three"), ("assistant", "C")]
    assert {m.extra.segment for m in row.messages} == {0}
    assert (row.source_meta.fidelity.compactions, segments(row)) == (0, [("start", 0)])
    assert ledger(row) == {"total": 12, "used": 4, "duplicate": 3, "abandoned": 3, "metadata": 2}


def test_16_a_rolled_back_spawn_leaves_the_children(tmp_path: Path) -> None:
    kept = [call(name="spawn_agent", call_id="c0"), output('{"agent_id":"kept"}', call_id="c0"), said("A")]
    undone = [*prompt("two"), call(name="spawn_agent"), output('{"agent_id":"undone"}'), said("B")]
    row = read(tmp_path, meta(), *prompt("one"), *kept, *undone, event("thread_rolled_back", num_turns=1))
    assert [(c.agent_id, c.tool_call_id) for c in row.source_meta.children] == [("kept", "c0")]


def test_18_an_image_of_an_mcp_tool_is_a_medium(tmp_path: Path) -> None:
    image = {"type": "image", "data": BASE64, "mimeType": "image/png"}
    row = read(tmp_path, meta(), *prompt("hi"), call(), output([image]), said("yo"))
    (block,) = row.messages[2].content
    assert (block.type, block.text) == ("image", None)
    assert block.media is not None
    assert (block.media.sha256, block.media.media_type, block.media.size) == (SHA256, "image/png", len(BYTES))
    assert row.source_meta.fidelity.undecodable_media == 0


def test_19_a_call_and_its_output_without_ids_belong_together(tmp_path: Path) -> None:
    row = read(tmp_path, meta(), *prompt("hi"), call(call_id=None), output("ok", call_id=None), said("yo"))
    assert links(row)[1:3] == [("assistant", ["line:4"], None), ("tool", [], "line:4")]
    assert (row.source_meta.fidelity.unanswered_calls, row.source_meta.fidelity.orphan_results) == (0, 0)


def test_23_a_prompt_that_begins_like_injected_text_is_human_where_no_event_can_tell(tmp_path: Path) -> None:
    row = read(tmp_path, meta(), typed("Warning: my build fails"), said("yo"))
    assert (row.messages[0].extra.origin, row.messages[0].extra.kind) == ("human", None)


@pytest.mark.parametrize("counts", [[count(1, 1), count(3, 2)], [count(1, 1), count(1, 1), count(3, 2)]])
def test_26_a_token_count_that_no_message_took_is_noted(tmp_path: Path, counts: Records) -> None:
    row = read(tmp_path, meta(), *prompt("hi"), *counts, said("yo"))
    usage = row.messages[1].extra.usage
    assert usage is not None and usage.output_tokens == 2
    assert row.source_meta.usage.output_tokens == 2
    assert row.source_meta.fidelity.notes == ["1 token counts of calls that left no message"]


def test_what_a_compacted_line_says_as_a_message_is_known_when_an_event_repeats_it(tmp_path: Path) -> None:
    answer = item("message", role="assistant", content=[{"type": "output_text", "text": "hi"}])
    told = [line("compacted", message="sum", role="user", content="zz"), event("user_message", message="zz"), answer]
    row = read(tmp_path, meta(), *told)
    assert [message.text for message in row.messages] == ["sum", "hi"]
    assert row.source_meta.fidelity.records.duplicate == 1
