"""Claude Code logs that were once read wrongly: each the smallest that shows it, with what the rules say it holds."""

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
from rollmill.rows import record_batch

SESSION = "00000000-0000-4000-8000-000000000001"
OTHER_SESSION = "00000000-0000-4000-8000-00000000dead"
BYTES = bytes(range(256)) * 240
BASE64 = base64.b64encode(BYTES).decode()
SHA256 = hashlib.sha256(BYTES).hexdigest()


def user(uuid: str, parent: str | None, content: Any, **fields: Any) -> dict[str, Any]:
    return record("user", uuid, parent, message={"role": "user", "content": content}, **fields)


def answer(uuid: str, parent: str | None, message_id: str, *blocks: Any, **fields: Any) -> dict[str, Any]:
    """Blocks as dicts; a string is a text block."""
    content = [{"type": "text", "text": block} if isinstance(block, str) else block for block in blocks]
    message = {"id": message_id, "model": fields.pop("model", "claude-x"), "role": "assistant", "content": content}
    if "usage" in fields:
        message["usage"] = fields.pop("usage")
    return record("assistant", uuid, parent, message=message, **fields)


def record(kind: str, uuid: str, parent: str | None, **fields: Any) -> dict[str, Any]:
    usual = {"type": kind, "uuid": uuid, "parentUuid": parent, "sessionId": SESSION}
    return {**usual, "timestamp": "2026-01-01T00:00:00.000Z", **fields}


def call(call_id: Any = "t", name: str = "Bash", **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


def result(content: Any, call_id: str = "t") -> list[dict[str, Any]]:
    return [{"type": "tool_result", "tool_use_id": call_id, "content": content}]


def queued(uuid: str, parent: str, prompt: str, **attachment: Any) -> dict[str, Any]:
    return record("attachment", uuid, parent, attachment={"type": "queued_command", "prompt": prompt, **attachment})


def rows(
    folder: Path, *records: dict[str, Any], name: str = f"{SESSION}.jsonl", branches: Any = "live"
) -> list[Rollout]:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(json.dumps(r) + "\n" for r in records))
    return list(load_format("claude_code").parse_file(RolloutFile(folder / name, name, Tree(folder), branches)))


def texts(row: Rollout) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in row.messages]


def whose(row: Rollout) -> list[tuple[str | None, str | None, str]]:
    return [(m.extra.origin, m.extra.kind, m.text) for m in row.messages if m.role == "user"]


def ledger(row: Rollout) -> dict[str, int]:
    counts: dict[str, int] = msgspec.to_builtins(row.source_meta.fidelity.records)
    return {name: count for name, count in counts.items() if count}


def links(row: Rollout) -> list[tuple[str, list[str], str | None]]:
    """Each message's role, the ids of its calls, the call it answers."""
    return [(m.role, [c.id for c in m.tool_calls], m.tool_call_id) for m in row.messages]


def blocks(message: Message) -> list[tuple[str, str | None]]:
    return [(block.type, block.text) for block in message.content]


HI = user("u1", None, "hi")


def test_01_a_number_too_large_for_a_column_is_left_out(tmp_path: Path) -> None:
    usage = {"input_tokens": 3, "output_tokens": 99999999999999999999}
    (row,) = rows(tmp_path, HI, answer("a1", "u1", "m1", "yo", usage=usage))
    assert (row.source_meta.usage.input_tokens, row.source_meta.usage.output_tokens) == (3, None)
    assert row.source_meta.fidelity.notes == ["1 values of an unexpected type left out"]
    assert record_batch([row]).num_rows == 1


def test_02_a_team_name_on_every_record_hides_nothing(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, user("u1", None, "hi", teamName="t"), answer("a1", "u1", "m1", "yo", teamName="t"))
    assert texts(row) == [("user", "hi"), ("assistant", "yo")]
    assert ledger(row) == {"total": 2, "used": 2}


def test_03_records_that_are_each_other_s_parent_give_a_row(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, user("u1", "a1", "hi"), answer("a1", "u1", "m1", "yo"))
    assert texts(row) == [("user", "hi"), ("assistant", "yo")]
    assert ledger(row) == {"total": 2, "used": 2}


def test_04_of_a_list_only_the_misfit_goes(tmp_path: Path) -> None:
    bad_text = answer("a1", "u1", "m1", "good", {"type": "text", "text": 5})
    (row,) = rows(tmp_path, HI, bad_text, answer("a2", "a1", "m2", call(7, x=1), "better"))
    assert texts(row) == [("user", "hi"), ("assistant", "good"), ("assistant", "better")]
    assert links(row)[2] == ("assistant", ["line:3"], None)
    assert json.loads(row.messages[2].tool_calls[0].function.arguments) == {"x": 1}
    assert row.source_meta.fidelity.notes == ["2 values of an unexpected type left out"]


def test_04_a_misfit_beside_them_leaves_arguments_as_they_are(tmp_path: Path) -> None:
    raw = '{"b":1.50,"a":[1e2,"\\u00e9"]}'
    usage = {"input_tokens": "many", "output_tokens": 2}
    lines = json.dumps(answer("a1", "u1", "m1", call(was="here"), usage=usage)).replace('{"was": "here"}', raw)
    path = tmp_path / f"{SESSION}.jsonl"
    path.write_text(json.dumps(HI) + "\n" + lines + "\n")
    (row,) = load_format("claude_code").parse_file(RolloutFile.alone(path))
    assert row.messages[1].tool_calls[0].function.arguments == raw
    assert row.source_meta.usage.output_tokens == 2


MISFITS: dict[str, tuple[tuple[str | int, ...], Any]] = {
    "list for text": (("timestamp",), []),
    "object for text": (("timestamp",), {}),
    "object for a list": (("message", "content"), {"a": 1}),
    "list for an object": (("message", "usage"), [1]),
    "object for a number": (("message", "usage", "output_tokens"), {"a": 1}),
    "list for a number": (("message", "usage", "output_tokens"), [5]),
}


@pytest.mark.parametrize("where", MISFITS)
def test_04_a_list_or_object_that_misfits_goes_and_the_record_stays(tmp_path: Path, where: str) -> None:
    (*above, key), misfit = MISFITS[where]
    inner = odd = answer("a1", "u1", "m1", "yo", usage={"input_tokens": 1, "output_tokens": 2})
    for step in above:
        inner = inner[step]
    inner[key] = misfit
    (row,) = rows(tmp_path, HI, odd, user("u2", "a1", "on"))
    assert texts(row) == [("user", "hi"), ("assistant", "" if key == "content" else "yo"), ("user", "on")]
    assert ledger(row)["total"] == 3
    assert row.source_meta.fidelity.notes == ["1 values of an unexpected type left out"]


def test_04_a_result_block_of_a_type_that_is_no_text_harms_nothing_else(tmp_path: Path) -> None:
    odd = result([{"type": ["x"], "text": "odd"}, {"type": "text", "text": "good"}])
    (row,) = rows(tmp_path, HI, answer("a1", "u1", "m1", call()), user("r1", "a1", odd), answer("a2", "r1", "m2", "yo"))
    assert [text for _, text in texts(row)][-1] == "yo"
    assert "good" in row.messages[2].text


def test_each_record_has_one_class_though_it_has_no_message(tmp_path: Path) -> None:
    bare = record("user", "u2", "a1")
    (row,) = rows(tmp_path, HI, answer("a1", "u1", "m1", "yo"), bare, answer("a2", "u2", "m2", "on"))
    counts = ledger(row)
    assert counts.pop("total") == 4 == sum(counts.values())


def test_05_base64_that_is_no_medium_leaves_its_hash(tmp_path: Path) -> None:
    asked = answer("a1", "u1", "m1", call(encoding="base64", data=BASE64))
    resource = {"type": "resource", "encoding": "base64", "data": BASE64}
    (row,) = rows(tmp_path, HI, asked, user("r1", "a1", result([resource])))
    said = {"encoding": "base64", "data": f"sha256:{SHA256}"}
    assert json.loads(row.messages[1].tool_calls[0].function.arguments) == said
    assert row.messages[2].content[0].type == "resource"
    assert json.loads(row.messages[2].content[0].text or "") == {"type": "resource", **said}
    assert "rollmill-media-" not in json.dumps(row.to_row())


def test_06_each_of_two_calls_with_one_id_keeps_its_result(tmp_path: Path) -> None:
    first = [HI, answer("a1", "u1", "m1", call()), user("r1", "a1", result("one"))]
    (row,) = rows(tmp_path, *first, answer("a2", "r1", "m2", call()), user("r2", "a2", result("two")))
    assert links(row)[1:] == [("assistant", ["t"], None), ("tool", [], "t")] * 2
    assert [m.text for m in row.messages if m.role == "tool"] == ["one", "two"]
    assert ledger(row) == {"total": 5, "used": 5}
    assert (row.source_meta.fidelity.unanswered_calls, row.source_meta.fidelity.orphan_results) == (0, 0)


def test_06_a_result_said_again_is_a_duplicate(tmp_path: Path) -> None:
    asked = [HI, answer("a1", "u1", "m1", call()), user("r1", "a1", result("one"))]
    (row,) = rows(tmp_path, *asked, user("r2", "r1", result("one")), answer("a2", "r2", "m2", "yo"))
    assert texts(row) == [("user", "hi"), ("assistant", ""), ("tool", "one"), ("assistant", "yo")]
    assert ledger(row) == {"total": 5, "used": 4, "duplicate": 1}


def test_09_a_queued_prompt_beside_the_branch_keeps_its_place(tmp_path: Path) -> None:
    asked = [HI, answer("a1", "u1", "m1", call()), queued("q", "a1", "also Y"), user("r1", "a1", result("ok"))]
    (row,) = rows(tmp_path, *asked, answer("a2", "r1", "m2", "yo"))
    assert texts(row)[2:] == [("tool", "ok"), ("user", "also Y"), ("assistant", "yo")]
    assert whose(row)[1] == ("human", "queued", "also Y")
    assert ledger(row) == {"total": 5, "used": 5}


def test_09_a_queued_prompt_as_the_last_record_steals_no_branch(tmp_path: Path) -> None:
    asked = [HI, answer("a1", "u1", "m1", call()), user("r1", "a1", result("ok")), answer("a2", "r1", "m2", "yo")]
    (row,) = rows(tmp_path, *asked, queued("q", "a1", "also Y"))
    assert texts(row)[1:] == [("assistant", ""), ("tool", "ok"), ("assistant", "yo"), ("user", "also Y")]
    assert ledger(row) == {"total": 5, "used": 5}


def test_09_a_queued_prompt_with_a_record_of_its_own_counts_once(tmp_path: Path) -> None:
    told = queued("q", "a1", "also Y", source_uuid="u2")
    (row,) = rows(
        tmp_path, HI, answer("a1", "u1", "m1", "yo"), told, user("u2", "q", "also Y"), answer("a2", "u2", "m2", "Y")
    )
    assert texts(row) == [("user", "hi"), ("assistant", "yo"), ("user", "also Y"), ("assistant", "Y")]
    assert ledger(row) == {"total": 5, "used": 4, "duplicate": 1}


def test_10_two_records_without_uuid_fused_on_one_line_are_both_kept(tmp_path: Path) -> None:
    fused = [HI, answer("a1", "u1", "m1", "yo")]
    bare = [{key: value for key, value in r.items() if key not in ("uuid", "parentUuid")} for r in fused]
    path = tmp_path / f"{SESSION}.jsonl"
    path.write_text("".join(map(json.dumps, bare)) + "\n")
    (row,) = load_format("claude_code").parse_file(RolloutFile.alone(path))
    assert texts(row) == [("user", "hi"), ("assistant", "yo")]
    assert [m.extra.line for m in row.messages] == [1, 1]
    assert ledger(row) == {"total": 2, "used": 2}


def test_12_later_prompts_of_a_sub_agent_are_messages_of_its_parent(tmp_path: Path) -> None:
    side = {"isSidechain": True, "agentId": "abc"}
    log = [user("u1", None, "task", **side), answer("a1", "u1", "m1", "done", **side), user("u2", "a1", "more", **side)]
    (row,) = rows(tmp_path, *log, name="agent-abc.jsonl")
    assert whose(row) == [("parent_agent", None, "task"), ("parent_agent", "message", "more")]


def test_12_what_the_harness_puts_before_a_task_is_not_the_task(tmp_path: Path) -> None:
    side = {"isSidechain": True, "agentId": "abc"}
    log = [user("u0", None, "a skill", isMeta=True, **side), user("u1", "u0", "task", **side)]
    (row,) = rows(tmp_path, *log, answer("a1", "u1", "m1", "done", **side), name="agent-abc.jsonl")
    assert whose(row) == [("harness", "meta", "a skill"), ("parent_agent", None, "task")]


@pytest.mark.parametrize("branches", ["live", "all"])
def test_17_an_api_error_beside_the_branch_is_metadata_and_no_branch(tmp_path: Path, branches: str) -> None:
    error = answer("e1", "u1", "x", "API Error: 500", model="<synthetic>", isApiErrorMessage=True)
    (row,) = rows(tmp_path, HI, error, answer("a1", "u1", "m1", "yo"), branches=branches)
    assert texts(row) == [("user", "hi"), ("assistant", "yo")]
    assert ledger(row) == {"total": 3, "used": 2, "metadata": 1}
    assert row.source_meta.fidelity.abandoned_usage is None


def test_20_empty_thinking_said_again_is_one_block(tmp_path: Path) -> None:
    nothing = {"type": "thinking", "thinking": "", "signature": "s"}
    lines = [answer("a1", "u1", "m1", nothing), answer("a2", "a1", "m1", nothing, "x")]
    (row,) = rows(tmp_path, HI, *lines, answer("a3", "a2", "m1", nothing, "x", call()))
    (message,) = row.messages[1:]
    assert (message.extra.thinking, message.extra.block_order) == ("empty", None)
    assert (blocks(message), len(message.tool_calls)) == ([("text", "x")], 1)
    assert ledger(row) == {"total": 4, "used": 2, "merged": 2}


def test_20_empty_thinking_of_another_signature_is_another_block(tmp_path: Path) -> None:
    first, second = ({"type": "thinking", "thinking": "", "signature": s} for s in "ab")
    (row,) = rows(tmp_path, HI, answer("a1", "u1", "m1", first, "x", second))
    assert row.messages[1].extra.block_order == "thinking,text,thinking"


def test_21_the_messages_of_one_record_are_its_parts(tmp_path: Path) -> None:
    searched = {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [{"a": 1}]}
    asked = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}}
    (row,) = rows(tmp_path, HI, answer("a1", "u1", "m1", asked, searched, "x"))
    assert [(m.role, m.extra.part) for m in row.messages] == [("user", None), ("assistant", 0), ("tool", 1)]
    assert links(row)[1:] == [("assistant", ["s1"], None), ("tool", [], "s1")]


PERSISTED = "<persisted-output>\nOutput too large (30KB). Full output saved to: /x/tool-results/{}\n\nPreview"


@pytest.mark.parametrize("side_file", ["abc.json", "abc.log", "abc.txt"])
def test_22_a_spilled_output_may_have_any_ending(tmp_path: Path, side_file: str) -> None:
    (tmp_path / SESSION / "tool-results").mkdir(parents=True)
    (tmp_path / SESSION / "tool-results" / side_file).write_text("[1]")
    asked = [HI, answer("a1", "u1", "m1", call())]
    (row,) = rows(tmp_path, *asked, user("r1", "a1", result(PERSISTED.format(side_file))))
    assert texts(row)[2] == ("tool", "[1]")
    assert (row.source_meta.fidelity.companions_read, row.source_meta.fidelity.truncated_outputs) == (1, 0)


def test_22_an_agent_of_a_workflow_finds_the_session_s_spilled_outputs(tmp_path: Path) -> None:
    (tmp_path / SESSION / "tool-results").mkdir(parents=True)
    (tmp_path / SESSION / "tool-results" / "abc.txt").write_text("the whole")
    side = {"isSidechain": True, "agentId": "abc"}
    asked = [user("u1", None, "task", **side), answer("a1", "u1", "m1", call(), **side)]
    answered = user("r1", "a1", result(PERSISTED.format("abc.txt")), **side)
    (row,) = rows(tmp_path, *asked, answered, name=f"{SESSION}/subagents/workflows/run1/agent-abc.jsonl")
    assert texts(row)[2] == ("tool", "the whole")
    assert row.source_meta.fidelity.companions_missing == []


def test_23_a_prompt_that_begins_like_a_summary_is_human(tmp_path: Path) -> None:
    typed = "This session is being continued tomorrow, please stop."
    written = "This session is being continued from a previous conversation that ran out of context."
    log = [user("u1", None, typed), answer("a1", "u1", "m1", "yo"), user("u2", "a1", written)]
    (row,) = rows(tmp_path, *log, answer("a2", "u2", "m2", "ok"))
    assert whose(row) == [("human", None, typed), ("harness", "compact_summary", written)]


def test_24_a_document_that_is_plain_text_is_text(tmp_path: Path) -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "Hello"}
    content = [{"type": "document", "source": source}, {"type": "text", "text": "read it"}]
    (row,) = rows(tmp_path, user("u1", None, content), answer("a1", "u1", "m1", "yo"))
    assert blocks(row.messages[0]) == [("text", "Hello"), ("text", "read it")]


def test_25_times_of_mixed_precision_are_compared_as_times(tmp_path: Path) -> None:
    early, late = "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.500Z"
    log = [user("u1", None, "hi", timestamp=early), answer("a1", "u1", "m1", "yo", timestamp=late)]
    (row,) = rows(tmp_path, *log)
    assert (row.started_at, row.ended_at) == (early, late)


def test_27_only_a_call_that_starts_agents_started_a_sidechain(tmp_path: Path) -> None:
    asked = answer("a1", "u1", "m1", call("t1", "Bash", prompt="do"), call("t2", "Task", prompt="do"))
    side = [user("s1", None, "do", isSidechain=True), answer("s2", "s1", "m2", "done", isSidechain=True)]
    main, child = rows(tmp_path, HI, asked, *side, user("r1", "a1", result("done", "t2")))
    assert (child.trace_id, child.agent_id) == (f"{SESSION}:s1", None)
    assert child.source_meta.parent is not None
    assert (child.source_meta.parent.trace_id, child.source_meta.parent.tool_call_id) == (SESSION, "t2")
    assert [(c.agent_id, c.tool_call_id) for c in main.source_meta.children] == [("s1", "t2")]


def test_27_a_call_of_another_tool_started_none(tmp_path: Path) -> None:
    asked = answer("a1", "u1", "m1", call("t1", "Bash", prompt="do"))
    side = [user("s1", None, "do", isSidechain=True), answer("s2", "s1", "m2", "done", isSidechain=True)]
    main, child = rows(tmp_path, HI, asked, *side, user("r1", "a1", result("done", "t1")))
    assert child.source_meta.parent is not None and child.source_meta.parent.tool_call_id is None
    assert all(c.tool_call_id is None for c in main.source_meta.children)


def test_28_turns_of_another_session_at_the_start_are_replayed(tmp_path: Path) -> None:
    stray = [answer("o0", "gone", "m0", "old"), user("o1", "o0", "[Request interrupted by user for tool use]")]
    foreign = [{**r, "sessionId": OTHER_SESSION} for r in stray]
    (row,) = rows(tmp_path, *foreign, HI, answer("a1", "u1", "m1", "yo"))
    assert row.trace_id == SESSION
    assert texts(row) == [("user", "hi"), ("assistant", "yo")]
    assert ledger(row) == {"total": 4, "used": 2, "replayed": 2}
    assert row.source_meta.fidelity.gaps == 0
