"""Signals: on real samples worked out by reading them, on conversations made for one question each, and at random."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rollmill
from rollmill.curate._commands import runs
from rollmill.curate._groups import rate
from rollmill.curate.findings import FINDINGS, findings
from rollmill.curate.signals import SIGNALS, Signals, check_where, rows_where, signal_batch, signals
from rollmill.curate.task_id import task_id
from rollmill.errors import ConfigError
from rollmill.rollout import COLUMNS, Child, Fidelity, Message, Rollout, Usage
from tests.curate.conversations import CORRECTIONS, bash, harness, human, model, result, rollout

ROOT = Path(__file__).parent.parent.parent
FORMATS = ROOT / "tests" / "formats"
REFUSED = (
    "The user doesn't want to proceed with this tool use. The tool use was rejected (eg. if it was a file edit, the "
    "new_string was NOT written to the file). "
)


def read(situation: str) -> list[Rollout]:
    return list(rollmill.read(FORMATS / situation / "input", situation.partition("/")[0]))


# Definitions


def test_the_struct_has_the_columns_of_the_list() -> None:
    assert [signal.name for signal in SIGNALS] == list(Signals.__struct_fields__)


def test_no_signal_is_called_like_a_column_of_the_row() -> None:
    assert not {signal.name for signal in SIGNALS} & set(COLUMNS)
    assert all(re.fullmatch("[a-z][a-z_]*[a-z]", signal.name) for signal in SIGNALS)


def test_the_page_has_the_definitions_of_the_code() -> None:
    page = (ROOT / "docs" / "signals.md").read_text(encoding="utf-8")
    rows = [f"| `{signal.name}` | {signal.type} | {signal.definition} |" for signal in SIGNALS]
    assert [line for line in page.splitlines() if line in rows] == rows
    rows = [f"| `{name}` | {definition} |" for name, definition in FINDINGS.items()]
    assert [line for line in page.splitlines() if line in rows] == rows


def test_values_have_the_types_they_are_said_to_have() -> None:
    types = {"str": str, "json": str, "int": int, "float": float, "bool": bool}
    made = rollout(human("Fix it."), bash("pytest -q", "1 passed in 0.1s"), model("Done.", model="m-1"))
    found = signals(made, task_id(made))
    for signal in SIGNALS:
        value = getattr(found, signal.name)
        assert value is None or type(value) is types[signal.type], signal.name


# Real samples


def test_a_codex_turn_that_was_stopped() -> None:
    """`ls` was running when the human stopped it and said what to do instead; the model began, was cut off by a
    restart, and began again."""
    (stopped,) = read("codex/aborted_turn")
    found = signals(stopped)
    assert (found.human_turns, found.interruptions, found.corrections) == (2, 1, 1)
    assert (found.model_turns, found.commands, found.calls_by_tool) == (3, 1, '{"shell": 1}')
    assert (found.input_tokens, found.cached_tokens, found.output_tokens, found.reasoning_tokens) == (
        3766,
        2048,
        105,
        64,
    )
    assert found.largest_context == 3766 + 105
    assert (found.ended, found.reasoning, found.full_reasoning) == ("complete", "summary", False)
    assert (found.all_answered, found.whole_file) == (False, True)
    assert found.duration_s == 19.0
    assert findings(stopped) == {1: ["corrected", "interrupted"]}


def test_claude_answers_that_were_cut_and_refused() -> None:
    refused = read("claude_code/refusal")[0]
    found = signals(refused)
    assert (found.refusals, found.human_turns, found.model_turns) == (1, 3, 3)
    assert found.largest_context == 8010
    assert found.model == "claude-sonnet-4-6"


def test_a_linter_behind_a_pipe_and_an_edit_that_was_refused() -> None:
    """The first log ends in `mise run lint 2>&1 | head -50`: its status is that of `head`, its last line says ERROR."""
    failed, refused = read("claude_code/api_error")[0], read("claude_code/interrupted_call")[0]
    found = signals(failed)
    assert (found.human_turns, found.commands, found.build_runs) == (1, 1, 1)
    assert (found.last_build, found.last_build_command) == ("failed", "mise run lint 2>&1")
    assert (found.tool_errors, found.ended) == (0, "aborted")
    found = signals(refused)
    assert (found.rejections, found.interruptions, found.edits) == (1, 1, 0)
    assert found.tool_errors == 0, "a refused call is no error of the tool"


def test_every_codex_tool_once() -> None:
    (tools,) = read("codex/call_types")
    found = signals(tools)
    assert json.loads(found.calls_by_tool)["web_search"] == 2
    assert (found.edits, found.files_touched, found.commands) == (1, 1, 2)
    assert found.model_turns == 3


def test_harbor_rewards_and_exceptions() -> None:
    found = {each.trace_id: signals(each) for each in read("atif/harbor_job")}
    assert (found["s-a"].reward, found["s-a"].outcome, found["s-a"].outcome_reason) == (1.0, "success", "reward 1")
    assert (found["s-b"].reward, found["s-b"].outcome, found["s-b"].ended) == (None, "unknown", "out_of_budget")
    assert found["s-b"].outcome_reason == "no reward, exception AgentTimeoutError"
    assert (found["s-d"].outcome, found["s-d"].outcome_reason) == ("failure", "reward 0.25")
    assert (found["s-f"].outcome, found["s-f"].reward) == ("failure", 0.0)


def test_labels_of_chat_rows() -> None:
    (nebius,) = read("chat_completion_jsonl/nebius_trajectory")
    assert (signals(nebius).resolved, signals(nebius).ended) == (True, "complete")
    (unknown,) = read("chat_completion_jsonl/open_swe_traces")
    assert (signals(unknown).resolved, signals(unknown).outcome) == (None, "unknown"), "-1 says nothing"


# Calls


def test_errors_by_tool_and_repeats() -> None:
    read_a, read_b = ("Read", {"file_path": "a"}), ("Read", {"file_path": "b"})
    made = rollout(
        human("Go."),
        model("", read_a, read_a, read_b),
        [result("x", None, 0), result("x", None, 1), result("no such file", True, 2)],
        model("", read_b),
        result("no such file", True),
        human("again"),
        model("", read_b),
        result("there", False),
    )
    found = signals(made)
    assert (found.tool_errors, found.calls_by_tool, found.errors_by_tool) == (2, '{"Read": 5}', '{"Read": 2}')
    assert found.repeats == 2, "a a, b b; behind a human turn nothing repeats"


def test_ids_that_come_again_belong_to_the_message_before() -> None:
    made = rollout(human("Go."), bash("ls"), bash("lss", "not found", True), bash("pwd"))
    assert findings(made) == {3: ["failed_call"]}


@pytest.mark.parametrize(
    ("text", "failed"),
    [
        (
            "failed in sandbox LinuxSeccomp with execution error: sandbox denied exec error, exit code: 1, stdout: x",
            True,
        ),
        ("error: Failed to find expected lines in /r/a.py:\nx", True),
        ("execution error: No such file or directory (os error 2)", True),
        ("<returncode>1</returncode>\n<output>\n</output>", True),
        ("<returncode>0</returncode>\n<output>\nerror: 3\n</output>", False),
        ("x\n[Command finished with exit code 2]", True),
        ("x\n[The command completed with exit code 0.]\n[Command finished with exit code 0]", False),
        ("error: 3 things are wrong", False),
        ("Traceback (most recent call last):", False),
    ],
)
def test_errors_that_only_an_agents_own_words_tell(text: str, failed: bool) -> None:
    assert signals(rollout(human("Go."), bash("x", text, None))).tool_errors == failed


# The end


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ([model("Done.")], "complete"),
        ([model("."), harness("caveat"), human("/exit", "command"), harness("command_output")], "complete"),
        ([model("Done."), human("and the docs?")], "aborted"),
        ([model("", ("Bash", {"command": "ls"}))], "aborted"),
        ([*bash("ls")], "aborted"),
        ([model("I will"), harness("interrupt")], "interrupted"),
        ([model("Once upon", other='{"stop_reason":"max_tokens"}')], "out_of_budget"),
        ([model("Once upon", other='{"finish_reason":"length"}')], "out_of_budget"),
        ([], "unknown"),
    ],
)  # fmt: skip
def test_how_it_ended(last: list[Message], expected: str) -> None:
    assert signals(rollout(human("Go."), *last)).ended == expected


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"exit_status": "submitted"}, "complete"),
        ({"exit_status": "submitted (exit_cost)"}, "out_of_budget"),
        ({"exit_status": "LimitsExceeded"}, "out_of_budget"),
        ({"exception": "AgentTimeoutError"}, "out_of_budget"),
        ({"exception": "DockerError"}, "aborted"),
        ({"exit_status": 3}, "complete"),
    ],
)
def test_how_it_ended_by_label(labels: dict[str, object], expected: str) -> None:
    assert signals(rollout(human("Go."), model("Done."), meta={"labels": labels})).ended == expected


def test_fidelity_gates_and_what_the_row_says_of_itself() -> None:
    fidelity = Fidelity(thinking={"full": 2, "none": 1}, system_prompt=True, unanswered_calls=1, api_errors=3)
    made = rollout(
        human("Go."),
        model("a", model="m-1", usage=Usage(input_tokens=10, output_tokens=5)),
        model("b", model="m-2", usage=Usage(input_tokens=40)),
        model("c", model="m-2"),
        meta={"fidelity": fidelity, "agent_version": "2.1", "children": [Child("a1")]},
    )
    found = signals(made)
    assert (found.model, found.agent_version, found.subagents, found.largest_context) == ("m-2", "2.1", 1, 40)
    assert (found.full_reasoning, found.has_system_prompt, found.has_tool_schemas) == (True, True, False)
    assert (found.whole_file, found.all_answered, found.api_errors) == (True, False, 3)
    fidelity.thinking["summary"], fidelity.torn_tail = 1, True
    found = signals(made)
    assert (found.reasoning, found.full_reasoning, found.whole_file) == ("mixed", False, False)


# Conditions


def test_a_condition_sees_columns_and_signals() -> None:
    made = [
        rollout(human("Go."), bash("pytest"), model("Done.")),
        rollout(human("Go."), bash("pytest", "", True), model("Done."), is_sidechain=True),
    ]
    found = [signals(each) for each in made]
    assert rows_where(made, found, "last_test = 'passed' and not is_sidechain") == [True, False]
    assert rows_where(made, found, "CAST(errors_by_tool ->> 'Bash' AS INT) = 1 and tool_call_count = 1") == [
        False,
        True,
    ]
    assert rows_where(made, found, "true -- all") == [True, True]
    assert signal_batch(made, found).schema.names == [*COLUMNS, *(signal.name for signal in SIGNALS)]


def test_a_condition_that_does_not_work_is_told_before_anything_is_read() -> None:
    check_where(None)
    check_where("corrections = 0 -- none")
    with pytest.raises(ConfigError, match="corections"):
        check_where("corections = 0")


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("", "it is empty"),
        (" \n", "it is empty"),
        ("-- a remark", "must be true or false"),
        ("'x'", "must be true or false.* and is VARCHAR"),
        ("tool_errors", "must be true or false.* and is BIGINT"),
        ("null", "must be true or false"),
        ("corrections = 0 and", "syntax error"),
        ("count(*) > 1", "aggregates"),
        ("true) union select (true", "syntax error"),
        ("number = 1", "Referenced column"),
        ("place = 1", "Referenced column"),
    ],
)
def test_what_is_no_condition(where: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as told:
        check_where(where)
    assert str(told.value).startswith(f"the where condition {where!r} does not work: ")
    assert "__" not in str(told.value) and "SELECT" not in str(told.value)


def test_a_condition_that_fails_on_a_row() -> None:
    where = "cast(agent_version as int) > 1"
    check_where(where)
    made = [rollout(human("Go."), model("a"), meta={"agent_version": "2.1.0"})]
    with pytest.raises(ConfigError, match=r"does not work: Conversion Error.*'2\.1\.0'"):
        rows_where(made, [signals(each) for each in made], where)


# At random


NAMES = st.sampled_from(["Bash", "shell", "Edit", "apply_patch", "write_stdin", "x"])
ARGUMENTS = st.one_of(
    st.sampled_from(['{"command":"pytest | tail"}', '{"command":["git","commit"]}', "{", "[]", '{"file_path":"a.py"}']),
    st.text(max_size=30),
)
MODELS = st.builds(
    lambda text, calls: model(text, *calls), st.text(max_size=20), st.lists(st.tuples(NAMES, ARGUMENTS), max_size=3)
)
RESULTS = st.builds(
    result, st.one_of(st.text(max_size=20), st.just(REFUSED)), st.sampled_from([None, True, False]), st.integers(0, 2)
)
PEOPLE = st.builds(
    human,
    st.one_of(st.sampled_from([*CORRECTIONS, "<bash-input>git checkout .</bash-input>"]), st.text(max_size=20)),
    st.sampled_from([None, "queued", "command", "bash"]),
)
OTHERS = st.builds(
    harness, st.sampled_from(["interrupt", "caveat", "command_output", "compact_summary"]), st.text(max_size=9)
)
ROLLOUTS = st.lists(st.one_of(MODELS, RESULTS, PEOPLE, OTHERS), max_size=12).map(lambda messages: rollout(*messages))


@given(ROLLOUTS)
def test_counts_are_those_of_a_naive_count(made: Rollout) -> None:
    found = signals(made)
    names = [call.function.name for message in made.messages for call in message.tool_calls]
    assert json.loads(found.calls_by_tool) == Counter(names)
    assert sum(json.loads(found.errors_by_tool).values()) == found.tool_errors <= len(names)
    assert found.model_turns == sum(message.role == "assistant" for message in made.messages)
    assert found.interruptions == sum(message.extra.kind == "interrupt" for message in made.messages)
    typed = [message for message in made.messages if message.extra.origin == "human"]
    assert found.human_turns <= len(typed)
    assert found.outcome in ("success", "failure", "unknown")
    assert signals(made) == found


@given(ROLLOUTS)
def test_findings_are_of_model_messages(made: Rollout) -> None:
    for index, reasons in findings(made).items():
        assert made.messages[index].role == "assistant"
        assert reasons == [name for name in FINDINGS if name in reasons] != []


@given(st.text(alphabet="ab'\"\\ \n&|;()<>#$git test-c", max_size=80))
def test_any_text_is_a_command(text: str) -> None:
    for run in runs(text):
        assert run.kind in ("test", "build", "commit", "revert")


@given(st.integers(0, 50), st.integers(0, 50))
def test_an_interval_holds_its_share(part: int, rest: int) -> None:
    found = rate(part, part + rest)
    if part + rest:
        assert found.share is not None and found.low is not None and found.high is not None
        assert 0 <= found.low <= found.share <= found.high <= 1
    else:
        assert found.share is None


def test_an_interval_worked_out_by_hand() -> None:
    """Wilson, 8 of 10 at z = 1.96: (0.8 + 0.19208 ± 1.96·√(0.016 + 0.009604)) / 1.38416."""
    found = rate(8, 10)
    assert found.low == pytest.approx(0.4902, abs=1e-3)
    assert found.high == pytest.approx(0.9433, abs=1e-3)
