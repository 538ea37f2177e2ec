"""Builds the Codex golden inputs that no real file shows.

Reads only files committed beside it (tests/formats/codex/<situation>/input) and writes
other situations' input folders. Same sources, same bytes: no clock, no randomness.

    python tests/formats/build/codex.py            # write every built input

What is real: session_meta, turn_context, reasoning, call, output and token_count records of
bumpy-croc/ai-trading-bot (envelope_046), Monotoba/OpenPrintKit (envelope_034) and
JaydenXsoe/ocodex (bare_jsonl). What is made up: prompts, answers, the record shapes listed
in docs of codex-rs' protocol that no licensed file has, ids and times.
"""

import json
import os

import zstandard

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(os.path.dirname(HERE), "codex")

R046 = "envelope_046/input/sessions/2025/10/17/rollout-2025-10-17T22-40-02-0199f41d-9079-7662-ba8d-eff8c75f8a7a.jsonl"
R034 = "envelope_034/input/sessions/2025/10/31/rollout-2025-10-31T19-02-58-c61729d4-da6d-46a4-9a29-ec2c614e5e23.jsonl"
RBARE = "bare_jsonl/input/sessions/2025/08/30/rollout-2025-08-30T12-24-10-f532f754-e9fd-4a54-b7f6-4ffc0f1dddd4.jsonl"
RTS = "typescript_json/input/sessions/rollout-2025-08-23-0418f71e-beb0-474c-a03d-1719a72e64cc.json"

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def read(path):
    with open(os.path.join(ROOT, path), "rb") as handle:
        return handle.read()


def records(path):
    return [json.loads(line) for line in read(path).decode().splitlines()]


def write(path, data):
    path = os.path.join(ROOT, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as handle:
        handle.write(data)


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class Log:
    """Envelope lines with a clock that goes one second per record."""

    def __init__(self, day, ident, second=0, **meta):
        self.day, self.second, self.lines = day, second, []
        real = dict(records(R046)[0]["payload"])
        real.pop("instructions")
        real.update(id=ident, timestamp=self.stamp(), **meta)
        self.meta = {key: value for key, value in real.items() if value is not None}
        self.add("session_meta", self.meta)

    def stamp(self):
        self.second += 1
        return f"{self.day}T10:{self.second // 60:02d}:{self.second % 60:02d}.000Z"

    def add(self, kind, payload, **more):
        self.lines.append({"timestamp": self.stamp(), **more, "type": kind, "payload": payload})

    def again(self, record):
        """A real record with a new time."""
        self.add(record["type"], record["payload"])

    def item(self, kind, /, **payload):
        self.add("response_item", {"type": kind, **payload})

    def event(self, kind, /, **payload):
        self.add("event_msg", {"type": kind, **payload})

    def said(self, role, *texts, **more):
        kind = "output_text" if role == "assistant" else "input_text"
        content = [text if isinstance(text, dict) else {"type": kind, "text": text} for text in texts]
        self.item("message", role=role, content=content, **more)

    def human(self, text):
        self.said("user", text)
        self.event("user_message", message=text, kind="plain")

    def answer(self, text, **more):
        self.event("agent_message", message=text)
        self.said("assistant", text, **more)

    def turn(self, model="gpt-5-codex"):
        self.add("turn_context", {**records(R046)[5]["payload"], "model": model})

    def tokens(self, total, last):
        keys = ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_output_tokens", "total_tokens")
        info = {
            "total_token_usage": dict(zip(keys, total + (total[0] + total[2],))),
            "last_token_usage": dict(zip(keys, last + (last[0] + last[2],))),
            "model_context_window": 272000,
        }
        self.event("token_count", info=info, rate_limits=None)

    def call(self, call_id, name, arguments, **more):
        self.item("function_call", name=name, **more, arguments=compact(arguments), call_id=call_id)

    def output(self, call_id, output):
        self.item("function_call_output", call_id=call_id, output=output)

    def save(self, path):
        write(path, "".join(compact(line) + "\n" for line in self.lines).encode())


def sessions(situation, day, ident):
    year, month, date = day.split("-")
    return f"{situation}/input/sessions/{year}/{month}/{date}/rollout-{day}T10-00-00-{ident}.jsonl"


def call_types():
    day, ident = "2026-02-02", "019c0000-0016-7000-8000-000000000001"
    log = Log(day, ident)
    log.turn()
    log.human("Try every tool once.")
    log.item(
        "reasoning",
        id="rs_1",
        summary=[{"type": "summary_text", "text": "**Trying tools**"}],
        content=None,
        encrypted_content="AAAA",
    )
    log.item(
        "local_shell_call",
        id="lsh_1",
        call_id="call_ls",
        status="completed",
        action={"type": "exec", "command": ["ls", "-la"], "timeout_ms": 1000},
    )
    log.tokens((1000, 0, 50, 10), (1000, 0, 50, 10))
    log.output("call_ls", "total 0\n")
    log.item(
        "web_search_call", id="ws_1", status="completed", action={"type": "search", "query": "codex rollout format"}
    )
    log.event(
        "web_search_end",
        call_id="ws_1",
        query="codex rollout format",
        action={"type": "search", "query": "codex rollout format"},
    )
    log.item("web_search_call", status="completed", action={"type": "open_page", "url": "https://example.org/codex"})
    log.said("assistant", "Found it, now the rest.", phase="commentary")
    log.event("agent_message", message="Found it, now the rest.", phase="commentary")
    log.call("call_ns", "list_issues", {"state": "open"}, id="fc_1", namespace="example_ns")
    log.item(
        "tool_search_call",
        id="ts_1",
        call_id="call_ts",
        status="completed",
        execution="client",
        arguments={"query": "issues", "limit": 3},
    )
    log.item(
        "custom_tool_call",
        status="completed",
        call_id="call_ct",
        name="apply_patch",
        input='*** Begin Patch\n*** Add File: caf\u00e9.txt\n+say "hi"\n*** End Patch',
    )
    log.item("image_generation_call", id="ig_1", status="completed", revised_prompt="a red dot", result=PNG)
    log.event("image_generation_end", call_id="ig_1", status="completed", revised_prompt="a red dot", result=PNG)
    log.call("call_vi", "view_image", {"path": "dot.png"})
    log.call("call_mcp", "mcp__github__get_issue", {"number": 7})
    log.item("local_shell_call", call_id=None, status="incomplete", action={"type": "exec", "command": ["sleep", "60"]})
    log.tokens((3000, 900, 200, 20), (2000, 900, 150, 10))
    log.event(
        "mcp_tool_call_end",
        call_id="call_mcp",
        invocation={"server": "github", "tool": "get_issue", "arguments": {"number": 7}},
        result={"Ok": {"content": [{"type": "text", "text": "#7 closed"}], "isError": False}},
    )
    log.output("call_mcp", "#7 closed")
    log.item(
        "custom_tool_call_output",
        call_id="call_ct",
        output='{"output":"Success. Updated the following files:\\nA caf\u00e9.txt\\n","metadata":{"exit_code":0,"duration_seconds":0.0}}',
    )
    log.item(
        "tool_search_output",
        call_id="call_ts",
        status="completed",
        execution="client",
        tools=[{"type": "function", "name": "list_issues", "parameters": {"type": "object", "properties": {}}}],
    )
    log.output(
        "call_vi",
        [
            {"type": "input_text", "text": "attached local image path"},
            {"type": "input_image", "image_url": "data:image/png;base64," + PNG},
        ],
    )
    log.output("call_ns", "[]")
    log.answer("All tools work.", phase="final_answer", id="msg_9")
    log.tokens((4500, 1900, 230, 20), (1500, 1000, 30, 0))
    log.save(sessions("call_types", day, ident))


def output_shapes():
    day, ident = "2026-02-03", "019c0000-0017-7000-8000-000000000001"
    log = Log(day, ident)
    log.turn()
    log.human("Run these.")
    outputs = [
        '{"output":"ok\\n","metadata":{"exit_code":0,"duration_seconds":0.1}}',
        '{"output":"sh: nope: command not found\\n","metadata":{"exit_code":127,"duration_seconds":0.0}}',
        "Exit code: 0\nWall time: 0.1 seconds\nTotal output lines: 1\nOutput:\nok\n",
        "Exit code: 1\nWall time: 0.2 seconds\nOutput:\nExit code: 9\n",
        "Chunk ID: 933ab2\nWall time: 0.6960 seconds\nProcess exited with code 0\nOriginal token count: 1\nOutput:\nok\n",
        "Chunk ID: 27a1ff\nWall time: 1.0001 seconds\nProcess exited with code 137\nOriginal token count: 1\nOutput:\nKilled\n",
        "Chunk ID: 5c0d11\nWall time: 1.0001 seconds\nProcess running with session ID 4242\nOriginal token count: 9\nOutput:\nProcess exited with code 9\n",
        "Plan updated",
        "the log says\nExit code: 5\n",
        {"content": "write denied", "success": False},
        {"content": "written", "success": True},
        {"type": "input_text", "text": "a.txt\n"},
        "",
    ]
    for number in range(1, len(outputs) + 1):
        log.call(f"call_{number:02d}", "shell", {"command": ["bash", "-lc", f"step {number}"]})
    for number, output in enumerate(outputs, 1):
        log.output(f"call_{number:02d}", output)
    log.answer("Done.")
    log.save(sessions("output_shapes", day, ident))


def reasoning_kinds():
    day, ident = "2026-02-04", "019c0000-0018-7000-8000-000000000001"
    log = Log(day, ident)
    log.turn()
    log.human("Think in every way.")

    def reasoning(number, summary, content, encrypted):
        log.item(
            "reasoning",
            id=f"rs_{number}",
            summary=[{"type": "summary_text", "text": text} for text in summary],
            content=content and [{"type": "reasoning_text", "text": text} for text in content],
            encrypted_content=encrypted,
        )

    def step(number):
        log.call(f"call_{number}", "shell", {"command": ["true"]})
        log.output(f"call_{number}", "ok")

    log.event("agent_reasoning", text="**First**")
    log.event("agent_reasoning", text="**Second**\n\nwith a body")
    reasoning(1, ["**First**", "**Second**\n\nwith a body"], None, "AAAA")
    step(1)
    log.event("agent_reasoning", text="**Summary of raw**")
    log.event("agent_reasoning_raw_content", text="The raw chain, part one.")
    log.event("agent_reasoning_raw_content", text="Part two.")
    reasoning(2, ["**Summary of raw**"], ["The raw chain, part one.", "Part two."], "BBBB")
    step(2)
    reasoning(3, [], None, "CCCC")
    step(3)
    log.item("reasoning", id="rs_4", summary=[], content=[], encrypted_content=None)
    step(4)
    step(5)
    reasoning(6, [], None, "DDDD")
    reasoning(7, ["**Late summary**"], None, "EEEE")
    log.event("agent_reasoning", text="**Late summary**")
    step(6)
    reasoning(8, [], ["Only raw."], None)
    log.event("agent_reasoning_raw_content", text="Only raw.")
    log.answer("Thought.", id="msg_8")
    reasoning(9, [], None, "FFFF")
    log.event("task_complete", last_agent_message="Thought.")
    log.save(sessions("reasoning_kinds", day, ident))


def rollback():
    day, ident = "2026-02-05", "019c0000-0011-7000-8000-000000000001"
    log = Log(day, ident)
    log.said("user", "<environment_context>\n  <cwd>/Users/alex/Sites/ai-trading-bot</cwd>\n</environment_context>")
    log.human("Name the test runner.")
    log.turn()
    log.answer("It is pytest.")
    log.tokens((100, 10, 20, 0), (100, 10, 20, 0))
    log.event("task_complete", last_agent_message="It is pytest.")
    log.event("task_started", model_context_window=272000)
    log.human("Delete the old tests.")
    log.turn()
    log.item("reasoning", summary=[], content=None, encrypted_content="AAAA")
    log.call("call_rm", "shell", {"command": ["bash", "-lc", "rm -r old_tests"]})
    log.tokens((300, 60, 50, 5), (200, 50, 30, 5))
    log.output("call_rm", '{"output":"","metadata":{"exit_code":0,"duration_seconds":0.0}}')
    log.answer("Deleted.")
    log.tokens((600, 160, 60, 5), (300, 100, 10, 0))
    log.event("task_complete", last_agent_message="Deleted.")
    log.event("thread_rolled_back", num_turns=1)
    log.human("Move the old tests to attic/.")
    log.turn()
    log.call("call_mv", "shell", {"command": ["bash", "-lc", "git mv old_tests attic"]})
    log.tokens((800, 260, 90, 5), (200, 100, 30, 0))
    log.output("call_mv", '{"output":"","metadata":{"exit_code":0,"duration_seconds":0.0}}')
    log.answer("Moved.")
    log.tokens((1050, 460, 100, 5), (250, 200, 10, 0))
    log.save(sessions("rollback", day, ident))


def compacted(situation, ident, day, old):
    log = Log(day, ident)
    rules = "<user_instructions>\n\nUse tabs.\n\n</user_instructions>"
    place = "<environment_context>\n  <cwd>/Users/alex/Sites/ai-trading-bot</cwd>\n</environment_context>"
    log.said("user", rules)
    log.said("user", place)
    log.human("List the strategies.")
    log.turn()
    log.call("call_a", "shell", {"command": ["ls", "src/strategies"]})
    log.tokens((1000, 0, 40, 0), (1000, 0, 40, 0))
    log.output("call_a", '{"output":"ml.py\\n","metadata":{"exit_code":0,"duration_seconds":0.0}}')
    log.answer("There is one, ml.py.")
    log.tokens((2100, 1000, 60, 0), (1100, 1000, 20, 0))
    log.human("Explain it.")
    log.turn()
    if old:
        log.add("compacted", {"message": "The user asked for the strategies; there is one, ml.py. Next: explain it."})
    else:

        def said(role, text):
            return {
                "type": "message",
                "role": role,
                "content": [{"type": "output_text" if role == "assistant" else "input_text", "text": text}],
            }

        log.add(
            "compacted",
            {
                "message": "",
                "replacement_history": [
                    said("developer", "<permissions instructions>\nNo network.\n</permissions instructions>"),
                    said("user", rules),
                    said("user", "List the strategies."),
                    said("assistant", "There is one, ml.py."),
                    said("user", "Explain it."),
                    {"type": "compaction", "encrypted_content": "AAAABBBB"},
                ],
                "window_number": 2,
            },
        )
    log.event("context_compacted")
    log.turn()
    log.item("reasoning", summary=[], content=None, encrypted_content="CCCC")
    log.answer("It predicts the next close.")
    log.tokens((2600, 1000, 90, 8), (500, 0, 30, 8))
    log.save(sessions(situation, day, ident))


def fork_with_id():
    """A 2026 fork: forked_from_id, its own head first, then the parent's head and lines 2-12 with new times."""
    day, parent_id, ident = "2026-02-08", "019c0000-0008-7000-8000-000000000001", "019c0000-0008-7000-8000-000000000002"
    real = records(R046)
    base = {"text": "You are Codex, a coding agent."}
    parent = Log(day, parent_id, base_instructions=base, model_provider="openai")
    for record in real[3:14]:  # the prompt, its call, the output, the repeated count
        parent.again(record)
    kept = list(parent.lines)
    for record in real[14:19]:  # what the parent did after the fork point
        parent.again(record)
    parent.save(sessions("fork_with_id", day, parent_id))
    child = Log(day, ident, second=1800, forked_from_id=parent_id, base_instructions=base, model_provider="openai")
    for record in kept:
        child.again(record)
    child.tokens((3766, 2048, 105, 64), (3766, 2048, 105, 64))  # the old total said again
    child.human("Only look at the trend strategies.")
    child.turn("gpt-5.1-codex")
    child.item("reasoning", summary=[], content=None, encrypted_content="AAAA")
    child.answer("Looking at the trend strategies.")
    child.tokens((8766, 5048, 135, 74), (5000, 3000, 30, 10))
    child.save(sessions("fork_with_id", day, ident))


def fork_without_id(situation, with_parent):
    """A 2025 fork (as 0.36 wrote it): the only mark is the second session_meta."""
    day, ident = "2025-10-18", "0199f41d-0009-7000-8000-000000000002"
    real = records(R046)
    child = Log(day, ident, second=1800)
    for record in real[:14]:
        child.again(record)
    child.human("Only look at the trend strategies.")
    child.turn("gpt-5")
    child.item("reasoning", summary=[], content=None, encrypted_content="AAAA")
    child.answer("Looking at the trend strategies.")
    child.tokens((8766, 5048, 135, 74), (5000, 3000, 30, 10))
    child.save(sessions(situation, day, ident))
    if with_parent:  # lines 1-19 of the real file
        write(R046.replace("envelope_046", situation), b"".join(read(R046).splitlines(True)[:19]))


def zst():
    packer = zstandard.ZstdCompressor(level=3)
    write(R034.replace("envelope_034", "zst") + ".zst", packer.compress(read(R034)))
    write(RBARE.replace("bare_jsonl", "zst"), read(RBARE))
    write(RBARE.replace("bare_jsonl", "zst") + ".zst", packer.compress(read(RBARE)))


def aborted_turn():
    day, ident = "2026-02-12", "019c0000-0012-7000-8000-000000000001"
    real = records(R046)
    log = Log(day, ident)
    for record in real[3:11]:  # the prompt, its reasoning and a call that is never answered
        log.again(record)
    log.event("turn_aborted", reason="interrupted")
    log.said(
        "user",
        "<turn_aborted>\nThe user interrupted the previous turn on purpose. Any running commands may have been stopped.\n</turn_aborted>",
    )
    log.human("Only run the unit tests.")
    log.turn()
    log.answer("Starting with")
    log.event("turn_aborted", reason="interrupted")
    log.answer("Ready again.")
    log.save(sessions("aborted_turn", day, ident))


def user_items():
    day, ident = "2026-02-19", "019c0000-0019-7000-8000-000000000001"
    log = Log(day, ident)
    rules = "# AGENTS.md instructions for /repo\n\n<INSTRUCTIONS>\nUse tabs.\n</INSTRUCTIONS>"
    place = "<environment_context>\n  <cwd>/repo</cwd>\n</environment_context>"
    log.said(
        "developer",
        "<permissions instructions>\nNo network.\n</permissions instructions>",
        "<collaboration_mode>default</collaboration_mode>",
    )
    log.said("user", rules, place)  # all injected: one message
    log.said("user", rules, place, "First prompt, in one item with what was injected.")  # some injected: two messages
    log.event("user_message", message="First prompt, in one item with what was injected.", images=[])
    log.turn()
    log.answer("One.")
    log.said("user", "Look at ", "these two parts.")  # the event has the parts joined
    log.event("user_message", message="Look at these two parts.", images=[])
    log.answer("Two.")
    log.said("user", "<environment_context> is a tag I want to print.")  # looks injected, but the event says human
    log.event("user_message", message="<environment_context> is a tag I want to print.", images=[])
    log.answer("Three.")
    log.said("user", "What is in the picture?", {"type": "input_image", "image_url": "data:image/png;base64," + PNG})
    log.event("user_message", message="What is in the picture?", images=["data:image/png;base64," + PNG])
    log.answer("Four.")
    for text in (
        "<user_action>\n  <context>User initiated a review task.</context>\n</user_action>",
        "<user_shell_command>\n<command>\nls\n</command>\n</user_shell_command>",
        "<skill>\n<name>deploy</name>\n</skill>",
        '<subagent_notification>\n{"status":"completed"}\n</subagent_notification>',
        "<user_instructions>\n\nUse tabs.\n\n</user_instructions>",
        "<turn_aborted>\ninterrupted\n</turn_aborted>",
        "<codex_internal_context>\ngoal\n</codex_internal_context>",
        "Warning: the model was rerouted.",
    ):  # no marker, but no event either: not the human
        log.said("user", text)
    log.human("First prompt again?")
    log.answer("Five.")
    log.save(sessions("user_items", day, ident))


def subagent():
    """The parent of the real TraeX child, and a review thread that names parent and session."""
    day, parent_id = "2026-08-01", "019fbc4a-48b9-7472-a0da-6d92901383db"
    child_id, review_id = "019fbcca-9fd4-7d20-83dc-0762b2f839b3", "019fbccb-0000-7000-8000-000000000003"
    log = Log(day, parent_id, session_id=parent_id, cwd="/home/user/code/api", git=None)
    log.human("Have someone explore the parser package.")
    log.turn()
    log.call("call_p1", "spawn_agent", {"agent_type": "explorer", "message": "Explore the parser package."})
    log.tokens((500, 0, 30, 0), (500, 0, 30, 0))
    log.output("call_p1", compact({"agent_id": child_id, "nickname": "Averroes"}))
    log.event(
        "collab_agent_spawn_end",
        call_id="call_p1",
        sender_thread_id=parent_id,
        new_thread_id=child_id,
        prompt="Explore the parser package.",
    )
    log.call("call_p2", "wait_agent", {"targets": [child_id]})
    log.output(
        "call_p2", compact({"status": {child_id: {"completed": "The provider facade owns discovery and parsing."}}})
    )
    log.said(
        "user",
        "<subagent_notification>\n"
        + compact({"agent_id": child_id, "status": "completed"})
        + "\n</subagent_notification>",
    )
    log.answer("It owns discovery and parsing.")
    log.save(sessions("subagent", day, parent_id))
    review = Log(
        day,
        review_id,
        second=600,
        session_id="019fbc00-0000-7000-8000-000000000000",
        parent_thread_id=parent_id,
        source={"subagent": "review"},
        cwd="/home/user/code/api",
        git=None,
    )
    review.human("Review the working tree.")
    review.turn()
    review.answer("No findings.")
    review.save(sessions("subagent", day, review_id))


def paginated():
    day, base_id, ident, events_id = (
        "2026-07-20",
        "019f0000-0020-7000-8000-000000000000",
        "019f0000-0020-7000-8000-000000000001",
        "019f0000-0020-7000-8000-000000000002",
    )
    pointer = {"thread_id": base_id, "end_ordinal_exclusive": 40, "end_byte_offset": 51234}

    def start(name, **more):
        log = Log(day, name, cli_version="0.150.0", history_mode="paginated", **more)
        log.add = lambda kind, payload: log.lines.append(
            {"timestamp": log.stamp(), "ordinal": log.first + len(log.lines), "type": kind, "payload": payload}
        )
        log.lines[0] = {
            "timestamp": log.lines[0]["timestamp"],
            "ordinal": log.first,
            "type": "session_meta",
            "payload": log.meta,
        }
        return log

    def completed(log, **item):
        log.event("item_completed", thread_id=log.meta["id"], turn_id="turn-1", item=item, completed_at_ms=0)

    # items and the item_completed events that repeat them; the history before ordinal 40 is in another rollout
    Log.first = 40
    log = start(ident, forked_from_id=base_id, history_base=pointer)
    log.turn()
    log.said("user", "Count the tests.", id="msg_1")
    completed(
        log, type="UserMessage", id="msg_1", content=[{"type": "text", "text": "Count the tests.", "text_elements": []}]
    )
    log.item(
        "reasoning",
        id="rs_1",
        summary=[{"type": "summary_text", "text": "**Counting**"}],
        content=None,
        encrypted_content="AAAA",
    )
    completed(log, type="Reasoning", id="rs_1", summary_text=["**Counting**"], raw_content=[])
    log.call("call_1", "exec_command", {"cmd": "pytest --co -q | wc -l"}, id="fc_1")
    log.tokens((900, 0, 40, 12), (900, 0, 40, 12))
    log.output("call_1", "Chunk ID: aa\nWall time: 0.1000 seconds\nProcess exited with code 0\nOutput:\n12\n")
    completed(
        log,
        type="CommandExecution",
        id="call_1",
        command=["bash", "-lc", "pytest --co -q | wc -l"],
        status="completed",
        aggregated_output="12\n",
        exit_code=0,
    )
    log.said("assistant", "There are 12.", id="msg_2", phase="final_answer")
    completed(
        log, type="AgentMessage", id="msg_2", content=[{"type": "Text", "text": "There are 12."}], phase="final_answer"
    )
    log.tokens((1900, 900, 50, 12), (1000, 900, 10, 0))
    log.save(sessions("paginated", day, ident))
    # events only, no response_item at all
    Log.first = 0
    log = start(events_id)
    log.turn()
    completed(log, type="UserMessage", id="u1", content=[{"type": "text", "text": "Say hello.", "text_elements": []}])
    completed(log, type="Reasoning", id="r1", summary_text=["**Greeting**"], raw_content=[])
    completed(log, type="AgentMessage", id="a1", content=[{"type": "Text", "text": "Hello."}], phase="final_answer")
    log.tokens((70, 0, 9, 3), (70, 0, 9, 3))
    log.save(sessions("paginated", day, events_id))


def torn_tail_crlf():
    lines = read(RBARE).splitlines()
    lines[-1] = lines[-1][:400]
    write(RBARE.replace("bare_jsonl", "torn_tail_crlf"), b"\r\n".join(lines))


def session_index():
    day, ident, other = "2026-02-22", "019c0000-0022-7000-8000-000000000001", "019c0000-0022-7000-8000-000000000002"
    log = Log(day, ident)
    log.human("What does the bot trade?")
    log.turn()
    log.answer("BTC and ETH.")
    log.save(sessions("session_index", day, ident))
    named = Log(day, other, second=60)
    named.human("And on which exchange?")
    named.turn()
    named.answer("Binance.")
    named.event("thread_name_updated", thread_id=other, thread_name="Exchange")
    named.event("thread_name_updated", thread_id=other, thread_name="Exchange question")
    named.save(sessions("session_index", day, other))
    entries = [(ident, "First name"), (other, "Name in the index"), (ident, "What the bot trades")]
    write(
        "session_index/input/session_index.jsonl",
        "".join(
            compact({"id": name, "thread_name": text, "updated_at": "2026-02-22T11:00:00.000000Z"}) + "\n"
            for name, text in entries
        ).encode(),
    )


def model_switch():
    day, ident = "2026-02-23", "019c0000-0023-7000-8000-000000000001"
    log = Log(day, ident)
    log.human("Which model are you?")
    log.turn("gpt-5-codex")
    log.answer("The first.")
    log.tokens((100, 0, 5, 0), (100, 0, 5, 0))
    log.human("And now?")
    log.turn("gpt-5.1-codex-max")
    log.call("call_1", "shell", {"command": ["true"]})
    log.tokens((250, 90, 15, 0), (150, 90, 10, 0))
    log.output("call_1", '{"output":"","metadata":{"exit_code":0,"duration_seconds":0.0}}')
    log.turn("gpt-5.1-codex-max")
    log.answer("The second.")
    log.tokens((450, 230, 20, 0), (200, 140, 5, 0))
    log.human("Back?")
    log.turn("gpt-5-codex")
    log.answer("Back to the first.")
    log.save(sessions("model_switch", day, ident))


def bad():
    write(
        "_bad/binary/input/sessions/2026/02/24/rollout-2026-02-24T10-00-00-019c0000-00ba-7000-8000-000000000001.jsonl",
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4,
    )
    write(
        "_bad/broken_json/input/sessions/rollout-2025-08-23-0418f71e-beb0-474c-a03d-1719a72e64cc.json", read(RTS)[:3000]
    )
    whole = zstandard.ZstdCompressor(level=3).compress(read(RBARE))
    write(
        "_bad/bad_zst/input/sessions/2025/08/30/rollout-2025-08-30T12-24-10-f532f754-e9fd-4a54-b7f6-4ffc0f1dddd4.jsonl.zst",
        b"not zstandard at all\n" + whole[:200],
    )


def main():
    call_types()
    output_shapes()
    reasoning_kinds()
    rollback()
    compacted("compacted", "019c0000-0013-7000-8000-000000000001", "2026-02-13", old=False)
    compacted("compacted_old", "019c0000-0014-7000-8000-000000000001", "2025-09-14", old=True)
    fork_with_id()
    fork_without_id("fork_without_id", with_parent=True)
    fork_without_id("fork_parent_absent", with_parent=False)
    zst()
    aborted_turn()
    user_items()
    subagent()
    paginated()
    torn_tail_crlf()
    session_index()
    model_switch()
    bad()


if __name__ == "__main__":
    main()
