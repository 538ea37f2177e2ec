"""Build the inputs of the ATIF folders that have no openly licensed real file.

    python tests/formats/build/atif.py

Reads only ``continuation/input/agent_logs/trajectory.cont-1.json`` (a real file, committed) and writes inputs below
tests/formats/atif. Nothing in it is random: a second run writes the same bytes. Documents follow Harbor's ATIF models
(``harbor.models.trajectories``, 0.25.0) except in ``odd_documents`` and ``_bad``. Expected rows are written by hand.
"""

import json
from pathlib import Path

HERE = Path(__file__).resolve().parents[1] / "atif"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
"""One grey pixel."""


def write(place, document):
    path = HERE / place
    path.parent.mkdir(parents=True, exist_ok=True)
    text = document if isinstance(document, str) else json.dumps(document, indent=2, ensure_ascii=False)
    path.write_text(text, encoding="utf-8")


def agent(name="builder", **fields):
    return {"name": name, "version": "1.2.3", **fields}


def call(call_id, name, arguments, **fields):
    return {"tool_call_id": call_id, "function_name": name, "arguments": arguments, **fields}


def results(*items):
    return {"results": list(items)}


# Two files of a real trajectory that is no longer in its repository's head: terminus-2 with linear history, and its
# first summariser. The prompt is the one of the continuation, with the terminal as it was at the start.

TERMINAL = (
    "\n\nCurrent terminal state:\nCurrent Terminal Screen:\nbash: cannot set terminal process group (-1): "
    "Inappropriate ioctl for device\nbash: no job control in this shell\n\n\n"
)


def prompt():
    text = json.loads((HERE / "continuation/input/agent_logs/trajectory.cont-1.json").read_text())["steps"][0][
        "message"
    ]
    return text.split("\n\nCurrent terminal state:")[0] + "\n" + TERMINAL


def linear_step(number, analysis, plan, command, prompt_tokens, completion_tokens, cost):
    message = {
        "analysis": analysis,
        "plan": plan,
        "commands": [{"keystrokes": command + "\n", "duration": 0.1}],
        "task_complete": False,
    }
    return {
        "step_id": number,
        "source": "agent",
        "model_name": "openai/gpt-4o",
        "message": json.dumps(message, indent=2),
        "observation": results({"content": f"New Terminal Output:\n\nroot@CONTAINER_ID:/app# {command}\n\n\n"}),
        "metrics": {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens, "cost_usd": cost},
    }


def summariser_ref(name, what, number):
    return {
        "session_id": f"test-session-linear-history-summarization-1-{name}",
        "trajectory_path": f"trajectory.summarization-1-{name}.json",
        "extra": {"summary": f"Context summarization 1: Step {number} - {what}"},
    }


def linear_history():
    terminal = "Terminal is ready. Let me create a test directory first."
    steps = [
        {"step_id": 1, "source": "user", "message": prompt()},
        linear_step(2, terminal, "Create test_dir to set up some context.", "mkdir test_dir", 682, 60, 0.002305),
        linear_step(
            3,
            "Created test directory. Let me add some files.",
            "Create test files.",
            "echo 'test1' > test_dir/file1.txt",
            750,
            50,
            0.002375,
        ),
        linear_step(
            4,
            "Created file1.txt. Let me create another file.",
            "Create file2.txt.",
            "echo 'test2' > test_dir/file2.txt",
            820,
            50,
            0.00255,
        ),
        {
            "step_id": 5,
            "source": "system",
            "message": "Performed context summarization and handoff to continue task.",
            "observation": results(
                {
                    "subagent_trajectory_ref": [
                        summariser_ref("summary", "Summary generation", 1),
                        summariser_ref("questions", "Question asking", 2),
                        summariser_ref("answers", "Answer providing", 3),
                    ]
                }
            ),
        },
    ]
    document = {
        "schema_version": "ATIF-v1.5",
        "session_id": "NORMALIZED_SESSION_ID",
        "agent": {
            "name": "terminus-2",
            "version": "2.0.0",
            "model_name": "openai/gpt-4o",
            "extra": {"parser": "json", "temperature": 0.7},
        },
        "steps": steps,
        "final_metrics": {
            "total_prompt_tokens": 2252,
            "total_completion_tokens": 160,
            "total_cached_tokens": 0,
            "total_cost_usd": 0.00723,
        },
        "continued_trajectory_ref": "trajectory.cont-1.json",
    }
    write("continuation/input/agent_logs/trajectory.json", document)


COPIED = {"note": "Metrics omitted to avoid duplication - already recorded in parent trajectory"}


def copied_step(number, message, call_id, command):
    return {
        "step_id": number,
        "source": "agent",
        "model_name": "openai/gpt-4o",
        "message": message,
        "tool_calls": [call(call_id, "bash_command", {"keystrokes": command + "\n", "duration": 0.1})],
        "observation": results({"content": f"New Terminal Output:\n\nroot@CONTAINER_ID:/app# {command}\n\n\n"}),
        "is_copied_context": True,
        "extra": COPIED,
    }


def referenced_subagent():
    """The summariser as terminus-2 writes it, and a parent document that names it."""
    summary = "test-session-context-summarization-summarization-1-summary"
    handing_over = "You are about to hand off your work to another AI agent."
    steps = [
        {"step_id": 1, "source": "user", "message": prompt(), "is_copied_context": True},
        copied_step(
            2,
            "Analysis: Terminal is ready. Let me create a test directory first.\n"
            "Plan: Create test_dir to set up some context.",
            "call_0_1",
            "mkdir test_dir",
        ),
        {"step_id": 3, "source": "user", "message": handing_over},
        {
            "step_id": 4,
            "source": "agent",
            "model_name": "openai/gpt-4o",
            "message": "I have been working on creating hello.txt.",
            "metrics": {
                "prompt_tokens": 500,
                "completion_tokens": 200,
                "cached_tokens": 0,
                "cost_usd": 0.0032500000000000003,
                "prompt_token_ids": list(range(100, 110)),
                "completion_token_ids": list(range(1000, 1004)),
                "logprobs": [-0.1, -0.2, -0.30000000000000004, -0.4],
            },
        },
    ]
    write(
        "referenced_subagent/input/trajectory.summarization-1-summary.json",
        {
            "schema_version": "ATIF-v1.5",
            "session_id": summary,
            "agent": {
                "name": "terminus-2-summarization-summary",
                "version": "2.0.0",
                "model_name": "openai/gpt-4o",
                "extra": {"parent_session_id": "NORMALIZED_SESSION_ID", "summarization_index": 1},
            },
            "steps": steps,
        },
    )
    refs = [{"session_id": summary, "trajectory_path": "trajectory.summarization-1-summary.json"}]
    write(
        "referenced_subagent/input/trajectory.json",
        {
            "schema_version": "ATIF-v1.5",
            "session_id": "NORMALIZED_SESSION_ID",
            "agent": {"name": "terminus-2", "version": "2.0.0", "model_name": "openai/gpt-4o"},
            "steps": [
                {"step_id": 1, "source": "user", "message": prompt()},
                {
                    "step_id": 2,
                    "source": "system",
                    "message": "Performed context summarization and handoff to continue task.",
                    "observation": results({"subagent_trajectory_ref": refs}),
                },
                {"step_id": 3, "source": "agent", "message": "Going on."},
            ],
        },
    )


def embedded_subagents():
    inner = {
        "schema_version": "ATIF-v1.7",
        "trajectory_id": "grep-1",
        "agent": agent("grepper", model_name="small-1"),
        "steps": [
            {"step_id": 1, "source": "user", "message": "Find TODO.", "timestamp": "2026-02-01T10:00:03Z"},
            {
                "step_id": 2,
                "source": "agent",
                "message": "Two places.",
                "timestamp": "2026-02-01T10:00:04Z",
                "metrics": {"prompt_tokens": 10, "completion_tokens": 2},
            },
        ],
    }
    research = {
        "schema_version": "ATIF-v1.7",
        "session_id": "run-1",
        "trajectory_id": "research-1",
        "agent": agent("researcher", model_name="big-1"),
        "steps": [
            {"step_id": 1, "source": "user", "message": "Look for open work.", "timestamp": "2026-02-01T10:00:02Z"},
            {
                "step_id": 2,
                "source": "agent",
                "message": "",
                "timestamp": "2026-02-01T10:00:02.500Z",
                "tool_calls": [call("c9", "spawn", {"task": "Find TODO."})],
                "observation": results(
                    {
                        "source_call_id": "c9",
                        "content": "Two places.",
                        "subagent_trajectory_ref": [{"trajectory_id": "grep-1"}],
                    }
                ),
            },
            {"step_id": 3, "source": "user", "message": "Only the first.", "timestamp": "2026-02-01T10:00:05Z"},
            {"step_id": 4, "source": "agent", "message": "src/a.py", "timestamp": "2026-02-01T10:00:06Z"},
        ],
        "subagent_trajectories": [inner],
    }
    unnamed = {
        "schema_version": "ATIF-v1.7",
        "session_id": "run-1",
        "trajectory_id": "watcher-1",
        "agent": agent("watcher"),
        "steps": [{"step_id": 1, "source": "agent", "message": "All quiet.", "timestamp": "2026-02-01T10:00:09Z"}],
    }
    write(
        "embedded_subagents/input/trajectory.json",
        {
            "schema_version": "ATIF-v1.7",
            "session_id": "run-1",
            "trajectory_id": "main-1",
            "agent": agent("lead", model_name="big-1"),
            "steps": [
                {"step_id": 1, "source": "user", "message": "What is left to do?", "timestamp": "2026-02-01T10:00:00Z"},
                {
                    "step_id": 2,
                    "source": "agent",
                    "message": "I ask two.",
                    "timestamp": "2026-02-01T10:00:01Z",
                    "tool_calls": [
                        call("c1", "delegate", {"to": "researcher"}),
                        call("c2", "delegate", {"to": "archive"}),
                    ],
                    "observation": results(
                        {
                            "source_call_id": "c2",
                            "subagent_trajectory_ref": [
                                {"trajectory_id": "archive-7", "trajectory_path": "s3://runs/archive-7.json"}
                            ],
                        },
                        {
                            "source_call_id": "c1",
                            "content": "src/a.py",
                            "subagent_trajectory_ref": [{"trajectory_id": "research-1", "session_id": "run-1"}],
                        },
                    ),
                },
                {
                    "step_id": 3,
                    "source": "agent",
                    "message": "One thing, in src/a.py.",
                    "timestamp": "2026-02-01T10:00:08Z",
                },
            ],
            "subagent_trajectories": [research, unnamed],
        },
    )


def multimodal():
    write(
        "multimodal/input/trajectory.json",
        {
            "schema_version": "ATIF-v1.8",
            "session_id": "media-1",
            "agent": agent(model_name="eyes-1"),
            "steps": [
                {
                    "step_id": 1,
                    "source": "user",
                    "message": [
                        {"type": "text", "text": "What is this?"},
                        {"type": "image", "source": {"media_type": "image/png", "path": "images/screen.png"}},
                        {
                            "type": "audio",
                            "source": {
                                "media_type": "audio/wav",
                                "path": "https://example.org/a.wav",
                                "duration_sec": 1.5,
                            },
                        },
                    ],
                },
                {
                    "step_id": 2,
                    "source": "agent",
                    "message": [{"type": "text", "text": "I look."}, {"type": "text", "text": ""}],
                    "tool_calls": [call("c1", "screenshot", {})],
                    "observation": results(
                        {
                            "source_call_id": "c1",
                            "content": [
                                {
                                    "type": "image",
                                    "source": {"media_type": "image/png", "path": "data:image/png;base64," + PNG},
                                },
                                {
                                    "type": "image",
                                    "source": {"media_type": "image/png", "path": "data:image/png;base64,%%%"},
                                },
                                {"type": "text", "text": "1x1"},
                            ],
                        }
                    ),
                },
                {"step_id": 3, "source": "agent", "message": "A grey pixel."},
            ],
        },
    )


def parallel_results():
    """Results in another order than their calls, two of one call, one of none, a call without any."""
    write(
        "parallel_results/input/trajectory.json",
        {
            "schema_version": "ATIF-v1.6",
            "session_id": "parallel-1",
            "agent": agent(model_name="big-1"),
            "steps": [
                {"step_id": 1, "source": "user", "message": "Read a, b and c."},
                {
                    "step_id": 2,
                    "source": "agent",
                    "message": "Reading.",
                    "tool_calls": [call(name, "read", {"path": f"{name}.txt"}) for name in "abc"],
                    "observation": results(
                        {"source_call_id": "b", "content": "B1"},
                        {"content": "[disk is nearly full]"},
                        {"source_call_id": "a", "content": "A"},
                        {"source_call_id": "b", "content": "B2"},
                    ),
                },
                {"step_id": 3, "source": "agent", "message": "c is missing.", "model_name": "big-2"},
                {"step_id": 4, "source": "user", "message": "Thanks", "observation": results({"content": "user left"})},
                {"step_id": 5, "source": "system", "message": "Closing.", "observation": results({"content": ""})},
            ],
        },
    )


def system_and_tools():
    """A system step, tool definitions, reasoning, metrics with cached tokens, effort, a step no model made."""
    tool = {
        "type": "function",
        "function": {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "number"}}}},
    }
    write(
        "system_and_tools/input/trajectory.json",
        {
            "schema_version": "ATIF-v1.7",
            "session_id": "sys-1",
            "agent": agent(model_name="big-1", tool_definitions=[tool], extra={"mode": "fast"}),
            "notes": "recorded by hand",
            "extra": {"git": {"commit": "abc"}},
            "steps": [
                {
                    "step_id": 1,
                    "source": "system",
                    "message": "You add numbers.",
                    "timestamp": "2026-03-01T12:00:00+02:00",
                },
                {"step_id": 2, "source": "user", "message": "1+1?", "timestamp": "2026-03-01T10:00:01.25Z"},
                {
                    "step_id": 3,
                    "source": "agent",
                    "timestamp": "2026-03-01T10:00:02",
                    "message": "",
                    "reasoning_content": "Small numbers.",
                    "reasoning_effort": "high",
                    "llm_call_count": 1,
                    "tool_calls": [call("c1", "add", {"a": 1, "b": 1.0})],
                    "observation": results({"source_call_id": "c1", "content": "2"}),
                    "metrics": {"prompt_tokens": 100, "completion_tokens": 20, "cached_tokens": 64, "cost_usd": 0.001},
                },
                {
                    "step_id": 4,
                    "source": "agent",
                    "message": "routing to the formatter",
                    "llm_call_count": 0,
                    "timestamp": "2026-03-01T10:00:03Z",
                },
                {
                    "step_id": 5,
                    "source": "agent",
                    "message": "2",
                    "timestamp": "2026-03-01T10:00:04Z",
                    "metrics": {"prompt_tokens": 120, "completion_tokens": 1, "cached_tokens": 100},
                },
            ],
            "final_metrics": {"total_prompt_tokens": 220, "total_completion_tokens": 21, "total_steps": 5},
        },
    )


def compaction():
    """terminus-2 and vibe mark a replaced context with a system step of this ``extra``."""
    write(
        "compaction/input/trajectory.json",
        {
            "schema_version": "ATIF-v1.7",
            "session_id": "compact-1",
            "agent": agent(model_name="big-1"),
            "steps": [
                {"step_id": 1, "source": "user", "message": "Go."},
                {"step_id": 2, "source": "agent", "message": "Going."},
                {
                    "step_id": 3,
                    "source": "system",
                    "message": "Performed context summarization and handoff to continue task.",
                    "extra": {"context_management": {"type": "compaction", "boundary": "replace"}},
                },
                {"step_id": 4, "source": "user", "message": "You are picking up work from a previous AI agent."},
                {"step_id": 5, "source": "agent", "message": "Done."},
            ],
        },
    )


def harbor_trial(folder, session, message, result):
    write(
        f"{folder}/agent/trajectory.json",
        {
            "schema_version": "ATIF-v1.6",
            "session_id": session,
            "agent": agent(model_name="big-1"),
            "steps": [
                {"step_id": 1, "source": "user", "message": "Write hello.txt."},
                {"step_id": 2, "source": "agent", "message": message},
            ],
        },
    )
    if result is not None:
        write(f"{folder}/result.json", result)
    write(f"{folder}/config.json", {"trial_name": folder.rsplit("/", 1)[1]})
    write(f"{folder}/lock.json", {})


def trial_result(name, **fields):
    return {"task_name": "hello-world", "trial_name": name, "task_checksum": "0" * 8, **fields}


def harbor_job():
    """Trials with a reward, an exception, a reward that the job corrects, an old reward, several steps, and none."""
    job = "harbor_job/input/2026-04-01__10-00-00"
    crash = {"exception_type": "AgentTimeoutError", "exception_message": "after 900 s", "exception_traceback": ""}
    harbor_trial(
        f"{job}/hello__aaa",
        "s-a",
        "Written.",
        trial_result("hello__aaa", verifier_result={"rewards": {"reward": 1.0, "style": 0.5}}),
    )
    harbor_trial(
        f"{job}/hello__bbb", "s-b", "Writing…", trial_result("hello__bbb", verifier_result=None, exception_info=crash)
    )
    harbor_trial(
        f"{job}/hello__ccc",
        "s-c",
        "Perhaps.",
        trial_result("hello__ccc", verifier_result={"rewards": {"reward": 0.0}}, exception_info=None),
    )
    write(
        f"{job}/result.json",
        {
            "id": "11111111-2222-4333-8444-555555555555",
            "stats": {
                "n_completed_trials": 3,
                "evals": {
                    "builder__big-1__adhoc": {
                        "n_trials": 2,
                        "reward_stats": {
                            "reward": {"1.0": ["hello__aaa", "hello__ccc"]},
                            "style": {"0.5": ["hello__aaa"]},
                        },
                        "exception_stats": {"AgentTimeoutError": ["hello__bbb"]},
                    }
                },
            },
        },
    )
    write(f"{job}/config.json", {"job_name": "2026-04-01__10-00-00"})
    rl = "harbor_job/input/rl"
    harbor_trial(f"{rl}/hello__ddd", "s-d", "Old.", trial_result("hello__ddd", verifier_result={"reward": 0.25}))
    harbor_trial(f"{rl}/hello__eee", "s-e", "Lost.", None)
    steps = [
        {"step_name": "plan", "verifier_result": {"rewards": {"reward": 1}}, "exception_info": None},
        {"step_name": "build", "verifier_result": {"rewards": {"reward": 0}}, "exception_info": crash},
    ]
    harbor_trial(f"{rl}/multi__fff/steps/build", "s-f", "Second step.", None)
    write(f"{rl}/multi__fff/result.json", trial_result("multi__fff", step_results=steps))


def odd_documents():
    """What Harbor's validator refuses and yet a file may hold."""
    text = """{
  "schema_version": "ATIF-v9.9", "agent": {"name": 7, "version": null}, "colour": "red", "session_id": "",
  "steps": [
    {"source": "user", "message": "No step id.", "mood": "odd"},
    {"step_id": 9, "source": "agent", "message": 12, "mood": 1, "timestamp": "yesterday",
     "tool_calls": [
       {"function_name": "f", "arguments": {"n": 12345678901234567890123, "x": 1.50, "e": 1E5}},
       {"function_name": "g", "arguments": "{\\"raw\\": true}"},
       {"tool_call_id": "c3", "arguments": null},
       "no call"
     ],
     "observation": {"results": [{"source_call_id": "gone", "content": "late"},
       {"source_call_id": "c3", "content": {"k": 1}}, 5]},
     "metrics": {"prompt_tokens": "many", "completion_tokens": 3}},
    {"step_id": 3, "source": "environment", "message": "??"},
    17,
    {"step_id": 4, "source": "agent", "message": null, "reasoning_content": "", "observation": []}
  ],
  "subagent_trajectories": [{"agent": {}, "steps": [{"source": "agent", "message": "child"}]}, 3]
}"""
    write("odd_documents/input/odd.json", text)
    step = '{"source": "user", "message": "cut \\ud83d emoji", "metrics": {"x": NaN}}'
    surrogate = f'\ufeff{{"agent": {{"name": "bom"}}, "steps": [{step}]}}\n'
    write("odd_documents/input/surrogate.json", surrogate)
    write("odd_documents/input/empty.json", {"schema_version": "ATIF-v1.7", "agent": agent(), "steps": []})


def bad():
    write("_bad/torn/input/trajectory.json", '{"schema_version": "ATIF-v1.6", "steps": [{"step_id": 1, "source": "us')
    write(
        "_bad/steps_no_list/input/trajectory.json", '{"schema_version": "ATIF-v1.6", "agent": {}, "steps": {"1": {}}}'
    )
    write("_bad/no_object/input/trajectory.json", '[{"schema_version": "ATIF-v1.6"}]')
    write("_bad/nothing/input/trajectory.json", "")


if __name__ == "__main__":
    linear_history()
    referenced_subagent()
    embedded_subagents()
    multimodal()
    parallel_results()
    system_and_tools()
    compaction()
    harbor_job()
    odd_documents()
    bad()
