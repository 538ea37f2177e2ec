"""Build the inputs of the Claude Code tree and identity folders that have no openly licensed real file.

    python tests/formats/build/claude_tree.py

Reads only inputs that are already committed under tests/formats/claude_code and writes inputs there. Nothing in it is
random: a second run writes the same bytes. New ids are made from the old ones (uuid5 of a fixed namespace).
Expected rows are written by hand and are not made here.
"""

import json
import uuid
from pathlib import Path

HERE = Path(__file__).resolve().parents[1] / "claude_code"
SESSION = "2969822b-3c7d-47bd-8814-4bc86f67056a"
SLAY = HERE / "copies_in_two_projects/input/projects/-Users-chloe-c-slay" / (SESSION + ".jsonl")
COMPACTION = HERE / "compaction/input/b0/dc55b3a1dc/1/full.jsonl"
CURRY = "4b2030ed-5563-49ea-b703-6a002f2d3cc8"
CURRY_DIR = HERE / "subagents_new_layout/input/claude-code-projects"
CURRY_AGENT = CURRY_DIR / CURRY / "subagents/agent-a2018e5.jsonl"
HISTORY_SESSION = "11111111-2222-4333-8444-555555555555"
PROJECT = "projects/-Users-chloe-c-slay/"


def new_id(old, tag):
    return str(uuid.uuid5(uuid.NAMESPACE_URL, tag + ":" + old))


def lines(path):
    """1-based: lines(path)[1] is the first line."""
    return [None] + path.read_text(encoding="utf-8").splitlines()


def dump(record):
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


def change(line, message=None, **fields):
    """The record of a line with some fields (and fields of its message) set."""
    record = json.loads(line)
    record.update(fields)
    if message:
        record["message"].update(message)
    return dump(record)


def write(folder, path, content):
    target = HERE / folder / "input" / path
    target.parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else "\n".join(content) + "\n"
    target.write_bytes(text.encode("utf-8"))


def rewind():
    """The second prompt was first asked otherwise, answered, and then rewound: lines 10 to 13 are the given-up branch."""
    s = lines(SLAY)
    user, think, text = (
        "aaaaaaaa-0000-4000-8000-000000000001",
        "aaaaaaaa-0000-4000-8000-000000000002",
        "aaaaaaaa-0000-4000-8000-000000000003",
    )
    usage = {
        "input_tokens": 3,
        "cache_creation_input_tokens": 430,
        "cache_read_input_tokens": 16326,
        "output_tokens": 41,
    }
    snapshot = json.loads(s[10])
    snapshot["messageId"] = snapshot["snapshot"]["messageId"] = user
    given_up = [
        dump(snapshot),
        change(s[11], {"content": "So it has to be global?"}, uuid=user, timestamp="2026-05-03T00:20:21.000Z"),
        change(
            s[12],
            {"id": "msg_given_up", "usage": usage},
            uuid=think,
            parentUuid=user,
            timestamp="2026-05-03T00:20:25.000Z",
        ),
        change(
            s[13],
            {"id": "msg_given_up", "usage": usage, "content": [{"type": "text", "text": "Yes, it has to be global."}]},
            uuid=text,
            parentUuid=think,
            timestamp="2026-05-03T00:20:26.000Z",
        ),
    ]
    for folder in ("rewind_retyped", "rewind_all"):
        write(folder, PROJECT + SESSION + ".jsonl", s[1:10] + given_up + s[10:])


def api_retry_branch():
    """Line 12 is a cut-off answer to the second prompt; the retry (another message id) answers the same prompt."""
    s = lines(SLAY)
    usage = {
        "input_tokens": 3,
        "cache_creation_input_tokens": 436,
        "cache_read_input_tokens": 16326,
        "output_tokens": 7,
    }
    cut_off = change(
        s[13],
        {
            "id": "msg_cut_off",
            "usage": usage,
            "stop_reason": None,
            "content": [{"type": "text", "text": "You absolutely can"}],
        },
        uuid="aaaaaaaa-0000-4000-8000-000000000011",
        parentUuid=json.loads(s[11])["uuid"],
        timestamp="2026-05-03T00:20:45.000Z",
    )
    write("api_retry_branch", PROJECT + SESSION + ".jsonl", s[1:12] + [cut_off] + s[12:])


def compaction_old():
    """Old form: no compact_boundary, the summary is a root by itself. Lines 1 and 7 to 10 are taken out, the first prompt is made a root."""
    s = lines(COMPACTION)
    out = [change(s[2], parentUuid=None)] + s[3:7] + [change(s[11], parentUuid=None)] + s[12:]
    write("compaction_old", "b0/dc55b3a1dc/1/full.jsonl", out)


def fork_sdk():
    """What the SDK's fork_session writes: new uuids, a new session id, forkedFrom on every line, a title that ends in (fork)."""
    s = lines(SLAY)
    fork = new_id(SESSION, "fork")
    out = []
    for line in s[1:]:
        record = json.loads(line)
        if "uuid" not in record:
            continue
        old = record["uuid"]
        record["uuid"] = new_id(old, "fork")
        if record["parentUuid"]:
            record["parentUuid"] = new_id(record["parentUuid"], "fork")
        record["sessionId"] = fork
        record["forkedFrom"] = {"sessionId": SESSION, "messageUuid": old}
        out.append(dump(record))
    out.append(dump({"type": "custom-title", "customTitle": "Set up dotfiles configuration (fork)", "sessionId": fork}))
    write("fork_sdk", PROJECT + fork + ".jsonl", out)


def stray_first_record():
    """Leaving plan mode with a cleared context: the first message line belongs to the session before."""
    s = lines(SLAY)
    stray = change(
        s[3],
        {"content": [{"type": "text", "text": "[Request interrupted by user for tool use]"}]},
        uuid="aaaaaaaa-0000-4000-8000-000000000021",
        parentUuid="aaaaaaaa-0000-4000-8000-000000000020",
        sessionId=HISTORY_SESSION,
        cwd="/Users/chloe/c/other",
        version="2.1.120",
        gitBranch="other",
        timestamp="2026-05-03T00:19:58.000Z",
    )
    write("stray_first_record", PROJECT + SESSION + ".jsonl", [stray] + s[1:])


def subagents_meta():
    """The new layout with meta.json: a link to the call, and a sub-agent that another sub-agent started."""
    base = "projects/curry/"
    write("subagents_meta", base + CURRY + ".jsonl", (CURRY_DIR / (CURRY + ".jsonl")).read_text(encoding="utf-8"))
    sub = base + CURRY + "/subagents/"
    write("subagents_meta", sub + "agent-a2018e5.jsonl", CURRY_AGENT.read_text(encoding="utf-8"))
    write(
        "subagents_meta",
        sub + "agent-a2018e5.meta.json",
        dump(
            {
                "agentType": "general-purpose",
                "description": "Search popular Thai curry color",
                "toolUseId": "toolu_01KscA8iE8tUT2aCNEUXREzo",
            }
        ),
    )
    nested = []
    for line in lines(CURRY_AGENT)[1:]:
        record = json.loads(line)
        record["agentId"] = "b77e57d"
        record["uuid"] = new_id(record["uuid"], "nested")
        if record["parentUuid"]:
            record["parentUuid"] = new_id(record["parentUuid"], "nested")
        nested.append(dump(record))
    write("subagents_meta", sub + "agent-b77e57d.jsonl", nested)
    write(
        "subagents_meta",
        sub + "agent-b77e57d.meta.json",
        dump({"agentType": "Explore", "description": "Check one source", "parentAgentId": "a2018e5"}),
    )


def duplicate_uuids():
    """Lines 3 and 13 are written again at the end; the second writing of line 13 has more text."""
    s = lines(SLAY)
    again = json.loads(s[13])
    again["message"]["content"][0]["text"] += "\n\nThat is all."
    again["message"]["usage"]["output_tokens"] = 611
    write("duplicate_uuids", PROJECT + SESSION + ".jsonl", s[1:] + [s[3], dump(again)])


def sessions_index():
    """sessions-index.json beside two sessions: one has a title of its own, the other (line 6, the title, taken out) has not."""
    s = lines(SLAY)
    other = new_id(SESSION, "index")
    write("sessions_index", PROJECT + SESSION + ".jsonl", s[1:])
    write(
        "sessions_index",
        PROJECT + other + ".jsonl",
        [l.replace(SESSION, other) for i, l in enumerate(s) if i and i != 6],
    )
    entry = {
        "fullPath": "",
        "fileMtime": 1777767652017,
        "firstPrompt": "Hi! This is my first time using cc.",
        "messageCount": 4,
        "created": "2026-05-03T00:20:03.895Z",
        "modified": "2026-05-03T00:20:52.017Z",
        "gitBranch": "main",
        "isSidechain": False,
    }
    entries = [
        dict(entry, sessionId=SESSION, summary="From the index, not wanted", projectPath="/Users/chloe/c"),
        dict(entry, sessionId=other, summary="Where dotfiles go", projectPath="/Users/chloe/c"),
    ]
    write(
        "sessions_index",
        PROJECT + "sessions-index.json",
        json.dumps({"version": 1, "originalPath": "/Users/chloe/c", "entries": entries}, indent=2) + "\n",
    )


def not_sessions():
    """Side files that are no sessions, beside a real summary-only file and prompt history."""
    s = lines(CURRY_AGENT)
    run = "projects/curry/" + CURRY + "/"
    write(
        "not_sessions",
        run + "subagents/agent-acompact-0a1b2c.jsonl",
        [change(l, agentId="acompact-0a1b2c") for l in s[1:]],
    )
    write(
        "not_sessions",
        run + "subagents/workflows/run-1/journal.jsonl",
        [
            dump({"type": "started", "key": "v2:first", "agentId": "a2018e5"}),
            dump({"type": "result", "key": "v2:first", "agentId": "a2018e5", "result": "Green Curry"}),
        ],
    )
    write("not_sessions", run + "tool-results/toolu_01PQqfNyi6Re4Pmw55BUHr5i.txt", "Web search results\n")


if __name__ == "__main__":
    for build in (
        rewind,
        api_retry_branch,
        compaction_old,
        fork_sdk,
        stray_first_record,
        subagents_meta,
        duplicate_uuids,
        sessions_index,
        not_sessions,
    ):
        build()
