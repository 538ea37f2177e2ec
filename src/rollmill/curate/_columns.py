"""The columns of ``Signals``, each with its one line of definition. ``docs/signals.md`` has the same lines."""

from __future__ import annotations

from typing import Literal, NamedTuple

from msgspec import Struct

ColumnType = Literal["str", "int", "float", "bool", "json"]


class Signal(NamedTuple):
    """One column: its name, its type (``json`` is JSON text), and what it says."""

    name: str
    type: ColumnType
    definition: str


class Signals(Struct):
    """What can be said of a rollout without a model, one value a column; None where nothing says it."""

    task_id: str | None = None
    model: str | None = None
    agent_version: str | None = None
    model_turns: int = 0
    human_turns: int = 0
    corrections: int = 0
    interruptions: int = 0
    rejections: int = 0
    tool_errors: int = 0
    calls_by_tool: str = "{}"
    errors_by_tool: str = "{}"
    repeats: int = 0
    edits: int = 0
    files_touched: int = 0
    commands: int = 0
    test_runs: int = 0
    last_test: str | None = None
    last_test_command: str | None = None
    edits_after_test: int | None = None
    build_runs: int = 0
    last_build: str | None = None
    last_build_command: str | None = None
    commits: int = 0
    subagents: int = 0
    compactions: int = 0
    duration_s: float | None = None
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    largest_context: int | None = None
    refusals: int = 0
    api_errors: int = 0
    ended: str = "unknown"
    reward: float | None = None
    resolved: bool | None = None
    last_word: str | None = None
    outcome: str = "unknown"
    outcome_reason: str = ""
    reasoning: str = "none"
    full_reasoning: bool = False
    has_system_prompt: bool = False
    has_tool_schemas: bool = False
    whole_file: bool = True
    all_answered: bool = True
    full_outputs: bool = True


SIGNALS = (
    Signal("task_id", "str", "the task this row attempts (below); null unless it was asked for"),
    Signal("model", "str", "the model that wrote most of the model messages; of equals the first"),
    Signal("agent_version", "str", "the agent's version, from `source_meta`"),
    Signal("model_turns", "int", "messages the model wrote, copies left out"),
    Signal("human_turns", "int", "times a human spoke to the model; messages without the model in between are one"),
    Signal("corrections", "int", "times a human corrected the work before (below)"),
    Signal("interruptions", "int", "times a human stopped the model, as the log marks it"),
    Signal("rejections", "int", "calls a human refused to allow"),
    Signal("tool_errors", "int", "calls whose result is an error; refused calls are none"),
    Signal("calls_by_tool", "json", "calls by the tool's name, the most frequent first"),
    Signal("errors_by_tool", "json", "`tool_errors` by the tool's name, the most frequent first"),
    Signal(
        "repeats", "int", "calls with the same tool and arguments as the call directly before, no human turn between"
    ),
    Signal("edits", "int", "changes made to files by editing tools and patches, failed and refused ones left out"),
    Signal("files_touched", "int", "different files among `edits`"),
    Signal("commands", "int", "calls that ran a shell command, refused ones left out"),
    Signal("test_runs", "int", "tests run by `commands`; two runners in one command are two"),
    Signal("last_test", "str", "result of the last test run: `passed`, `failed`, `unknown`; null without one"),
    Signal("last_test_command", "str", "the last test run as it was typed, at most 200 characters"),
    Signal("edits_after_test", "int", "`edits` behind the last test run, documents (.md, .rst, .txt) left out"),
    Signal("build_runs", "int", "builds, linters and type checkers run by `commands`"),
    Signal("last_build", "str", "result of the last of `build_runs`: `passed`, `failed`, `unknown`; null without one"),
    Signal("last_build_command", "str", "the last of `build_runs` as it was typed, at most 200 characters"),
    Signal("commits", "int", "`git commit` run by `commands`, without those that failed"),
    Signal("subagents", "int", "sub-agents this thread started"),
    Signal("compactions", "int", "times the context was replaced"),
    Signal("duration_s", "float", "seconds from `started_at` to `ended_at`"),
    Signal("input_tokens", "int", "input tokens of all calls, cached ones included"),
    Signal("cached_tokens", "int", "the part of `input_tokens` that was read from a cache"),
    Signal("output_tokens", "int", "output tokens of all calls, reasoning included"),
    Signal("reasoning_tokens", "int", "the part of `output_tokens` that is reasoning"),
    Signal("largest_context", "int", "input and output tokens of the call with most of them"),
    Signal("refusals", "int", "model messages that the provider marks as refused or filtered"),
    Signal("api_errors", "int", "failed API calls the client wrote down"),
    Signal("ended", "str", "`complete`, `interrupted`, `aborted`, `out_of_budget` or `unknown` (below)"),
    Signal("reward", "float", "the reward that came with the row: label `reward`, else `score`"),
    Signal("resolved", "bool", "the verdict that came with the row: label `resolved`, `success` or `result`"),
    Signal("last_word", "str", "what the last human turn says of the work: `pleased`, `displeased`, else null"),
    Signal("outcome", "str", "`success`, `failure` or `unknown`, by label, last tests or the human's word (below)"),
    Signal("outcome_reason", "str", "what `outcome` rests on, in a few words"),
    Signal("reasoning", "str", "kind of the model's thinking (`extra.thinking`); `mixed`, or `none` without any"),
    Signal("full_reasoning", "bool", "the model's thinking is there and `full` in every message that has some"),
    Signal("has_system_prompt", "bool", "the system prompt is in the row"),
    Signal("has_tool_schemas", "bool", "the tool schemas are in the row"),
    Signal("whole_file", "bool", "no record of the file is unreadable, unknown, missing or torn"),
    Signal("all_answered", "bool", "every call has its result and every result its call"),
    Signal("full_outputs", "bool", "no result is only a preview, and no embedded image was undecodable"),
)
"""Every signal, in the order of the columns."""
