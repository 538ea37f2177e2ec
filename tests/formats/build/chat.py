"""Build the inputs of the chat completion folders that have no openly licensed real file.

    python tests/formats/build/chat.py

Writes inputs below tests/formats/chat_completion_jsonl. Nothing in it is random: a second run writes the same bytes.
The shapes are those of the named data sets and clients; the texts are our own. Expected rows are written by hand.
"""

import json
from pathlib import Path

HERE = Path(__file__).resolve().parents[1] / "chat_completion_jsonl"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
"""One grey pixel."""
TOOL = {"type": "function", "function": {"name": "ls", "parameters": {"type": "object", "properties": {}}}}


def write(place, data):
    path = HERE / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def lines(place, *rows):
    write(place, "".join(dump(row) + "\n" for row in rows).encode())


def dump(row):
    return json.dumps(row, ensure_ascii=False)


def call(call_id, name, arguments):
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def openai_messages():
    """Messages and tools; arguments as text and as objects; parallel calls answered in another order; a developer;
    weights, names and message ids; a call without an answer."""
    lines(
        "openai_messages/input/train.jsonl",
        {
            "id": "row-1",
            "messages": [
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": "List both.", "name": "ann"},
                {
                    "role": "assistant",
                    "content": None,
                    "weight": 0,
                    "id": "msg-7",
                    "tool_calls": [
                        call("c1", "ls", '{"path": "/a",  "n": 1.0}'),
                        call("c2", "ls", {"path": "/b", "n": 1.50}),
                    ],
                },
                {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "b.txt"}], "name": "ls"},
                {"role": "tool", "tool_call_id": "c1", "content": "a.txt"},
                {"role": "assistant", "content": "a.txt and b.txt", "weight": 1},
            ],
            "tools": [TOOL],
            "reward": 0.5,
        },
        {
            "id": 17,
            "model": "gpt-x",
            "messages": [
                {"role": "system", "content": "You list."},
                {"role": "user", "content": ""},
                {"role": "assistant", "content": "", "tool_calls": [call("c1", "ls", "{}")], "refusal": None},
            ],
            "parallel_tool_calls": False,
        },
    )


def open_swe_traces():
    """``nvidia/open-swe-traces``: tools as a list of JSON texts, resolved as -1, 0 or 1."""
    row = {
        "instance_id": "octo__repo-1",
        "repo": "octo/repo",
        "license": "MIT",
        "language": "python",
        "trajectory_id": "octo__repo-1-run3",
        "messages": [
            {"role": "user", "content": "Fix it."},
            {
                "role": "assistant",
                "content": "Looking.",
                "reasoning_content": "Where is it?",
                "tool_calls": [call("call_1", "ls", "{}")],
            },
            {"role": "tool", "content": "src", "tool_call_id": "call_1"},
            {"role": "assistant", "content": "Done."},
        ],
        "tools": [dump(TOOL)],
        "resolved": -1,
        "metadata": {"turns": 2},
        "hf_dataset_name": "octo/traces",
    }
    lines("open_swe_traces/input/data.jsonl", row)


def nebius_trajectory():
    """``nebius/SWE-rebench-openhands-trajectories``: the conversation in ``trajectory``."""
    row = {
        "trajectory_id": "t-1",
        "instance_id": "octo__repo-2",
        "repo": "octo/repo",
        "trajectory": [
            {"role": "system", "content": "You are an agent.", "tool_calls": None},
            {"role": "user", "content": "Fix it."},
            {"role": "assistant", "content": "Patch is in.", "tool_calls": []},
        ],
        "tools": [TOOL],
        "model_patch": "diff --git a/x b/x\n",
        "exit_status": "submit",
        "resolved": 1,
        "gen_tests_correct": None,
        "pred_passes_gen_tests": 0,
    }
    lines("nebius_trajectory/input/sub/data.jsonl", row)


def reasoning():
    """Every spelling of thinking, one a message."""
    spellings = [
        {"reasoning_content": "DeepSeek", "content": "1"},
        {"reasoning": "vLLM", "content": "2"},
        {"thinking": "Harmony", "content": "3"},
        {"content": "<think>\nQwen\n\nmore\n</think>\n\n4"},
        {"content": "<think>\n\n</think>\n\n5"},
        {"reasoning_content": "", "content": "6"},
        {"reasoning_content": "both", "content": "<think>kept</think>7"},
        {"content": "Use <think>tags</think> like this. 8"},
        {"content": "<think>never closed. 9"},
        {"content": [{"type": "text", "text": "<think>in a part</think>10"}]},
    ]
    messages = [{"role": "user", "content": "Count."}, *({"role": "assistant", **spelling} for spelling in spellings)]
    lines("reasoning/input/rows.jsonl", {"session_id": "s-1", "messages": messages})


def prompt_completion():
    lines(
        "prompt_completion/input/rows.jsonl",
        {"prompt": "2+2?", "completion": "4"},
        {
            "example_id": 3,
            "prompt": [{"role": "system", "content": "Add."}, {"role": "user", "content": "2+3?"}],
            "completion": [{"role": "assistant", "content": "5"}],
            "reward": 1.0,
            "is_truncated": False,
        },
        {"prompt": "Only a question"},
    )


def multimodal():
    parts = [
        {"type": "text", "text": "See:"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + PNG, "detail": "low"}},
        {"type": "image_url", "image_url": "https://example.org/x.png"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,%%%"}},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        {"type": "video_url", "video_url": {"url": "https://example.org/x.mp4"}},
        {"type": "text", "text": ""},
        "bare text",
    ]
    lines(
        "multimodal/input/rows.jsonl",
        {"id": "m-1", "messages": [{"role": "user", "content": parts}, {"role": "assistant", "content": "A pixel."}]},
    )


def missing_ids():
    """Calls and answers without ids, the old ``function_call``, a call in one piece, an answer without a call."""
    bare = [{"function": {"name": "ls", "arguments": "{}"}}, {"name": "pwd", "arguments": {}}]
    lines(
        "missing_ids/input/a/rows.jsonl",
        {
            "messages": [
                {"role": "user", "content": "Where?"},
                {"role": "assistant", "content": "Two.", "tool_calls": bare},
                {"role": "tool", "content": "x"},
                {"role": "ipython", "content": "/"},
                {"role": "assistant", "content": None, "function_call": {"name": "date", "arguments": '{"utc":true}'}},
                {"role": "function", "name": "date", "content": "today"},
                {"role": "tool", "content": "nobody asked"},
            ]
        },
    )
    lines("missing_ids/input/b/rows.jsonl", {"messages": [{"role": "user", "content": "Same name, other folder."}]})


def bom_and_crlf():
    first = {"messages": [{"role": "user", "content": "eins"}, {"role": "assistant", "content": "zwei\n"}]}
    second = {"messages": [{"role": "user", "content": "drei"}, {"role": "assistant", "content": "vier"}]}
    text = f"\ufeff{dump(first)}\r\n\r\n  \r\n{dump(second)}\r\n\r\n"
    write("bom_and_crlf/input/rows.jsonl", text.encode())


def empty():
    write("empty/input/rows.jsonl", b"\n")


def bad():
    good = {"id": "good", "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}
    whole = dump(good)
    write("_bad/torn_line/input/torn.jsonl", f"{whole}\n{whole}\n{whole[:40]}".encode())
    lines("_bad/torn_line/input/whole.jsonl", good)
    write("_bad/broken_line/input/rows.jsonl", f"{whole}\n\n{whole[1:]}\n{whole}\n".encode())
    lines("_bad/no_object/input/rows.jsonl", good, [good])
    lines("_bad/no_messages/input/rows.jsonl", good, {"id": "x", "text": "raw"})
    lines("_bad/empty_messages/input/rows.jsonl", {"messages": []})
    lines("_bad/unknown_role/input/rows.jsonl", {"messages": [{"role": "narrator", "content": "Once"}]})
    lines("_bad/wrong_type/input/rows.jsonl", {"messages": [{"role": "user", "content": 7}]})
    write("_bad/document_element/input/rows.json", f"[{whole}, 3]".encode())
    write("_bad/invalid_utf8/input/rows.jsonl", whole.encode().replace(b"hi", b"h\xff"))


if __name__ == "__main__":
    openai_messages()
    open_swe_traces()
    nebius_trajectory()
    reasoning()
    prompt_completion()
    multimodal()
    missing_ids()
    bom_and_crlf()
    empty()
    bad()
