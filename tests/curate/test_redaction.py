"""What redaction removes, what it leaves, and that a secret has one name wherever a rollout says it.

The secrets are made by ``benchmarks/planted.py``, which follows what providers say of their formats, from a seed that
no pattern was tried on.
"""

from __future__ import annotations

import copy
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from rollmill import read
from rollmill.curate.redaction import PLACEHOLDER, POLICY, Redactor, find, mark
from rollmill.rollout import Block, Extra, Function, Media, Message, Rollout, SourceMeta, ToolCall

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import decoys  # noqa: E402
import planted  # noqa: E402

SEED = 77_001
TOKEN = "ghp_" + "Zk3RtY8wQp1LmN6vXc2BhJ5sDf9GaE4uTi7o"
PASSWORD = "Falcon#2291"


def rollout(text: str, arguments: str | None = None) -> Rollout:
    """A rollout that says ``text`` in every place that can say anything."""
    call = ToolCall("call_1", Function("Bash", json.dumps({"command": text}) if arguments is None else arguments))
    media = Media(url=f"https://files.test/a?x={text}")
    blocks = [Block("text", text), Block("search_result", json.dumps({"hits": [text]})), Block(text, media=media)]
    messages = [
        Message("user", [Block("text", text)]),
        Message(
            "assistant", blocks, text, [call], extra=Extra(id="msg_1", model=text, other=json.dumps({"note": text}))
        ),
        Message("tool", [Block("text", text)], tool_call_id="call_1"),
    ]
    meta = SourceMeta(
        "test/1", title=text, models=[text], labels={text: text}, tools=[{"description": text}], other={"git": [text]}
    )
    meta.fidelity.notes = [text]
    meta.fidelity.companions_missing = [text]
    return Rollout("t1", "test", text, None, None, False, text, text, text, None, None, messages, meta)


def encoded(row: Rollout) -> str:
    """Everything the row says, as JSON inside JSON inside JSON, so that escapes are seen too."""
    return msgspec.json.encode(row.to_row()).decode()


# What goes


@pytest.mark.parametrize("each", planted.secrets(SEED, each=4), ids=lambda each: each.kind)
def test_a_planted_secret_is_nowhere_in_the_row(each: planted.Planted) -> None:
    row = rollout(each.text)
    _, counts = Redactor().rollout(row)
    text = encoded(row)
    assert counts
    for form in (each.secret, json.dumps(each.secret)[1:-1], json.dumps(json.dumps(each.secret)[1:-1])[1:-1]):
        assert form not in text
    json.loads(row.messages[1].tool_calls[0].function.arguments)
    json.loads(row.messages[1].content[1].text or "")


@pytest.mark.parametrize("each", decoys.decoys(SEED, each=20), ids=lambda each: each.kind)
def test_what_only_looks_like_a_secret_stays(each: planted.Planted) -> None:
    assert find(each.text) == []


@pytest.mark.parametrize(
    "text",
    [
        "4f2a9c1e7b3d5f6a8c0e2b4d6f8a0c1e3b5d7f9a",
        "123e4567-e89b-42d3-a456-426614174000",
        "toolu_01XFDUDYJgAACzvnptvVoYEL",
        "/home/runner/work/x",
        "/Users/Shared/x",
        "git@github.com:org/repo.git",
        'token = os.environ["TOKEN"]',
        "OPENAI_API_KEY=sk-xxxxxxxxxxxxxxxxxxxxxxxx",
        "Authorization: Bearer ${TOKEN}",
        "claude-opus-4-5-20251101",
    ],
)
def test_ids_hashes_and_stand_ins_stay(text: str) -> None:
    assert find(text) == []


def test_ids_that_link_rows_stay() -> None:
    row = rollout("hello")
    row.trace_id = row.root_session_id = f"{TOKEN}"
    row.messages[1].extra.id = row.messages[1].tool_calls[0].id = TOKEN
    Redactor().rollout(row)
    assert (row.trace_id, row.root_session_id, row.messages[1].extra.id) == (TOKEN, TOKEN, TOKEN)


# Names


def test_one_secret_has_one_name_everywhere() -> None:
    redactor = Redactor()
    first = redactor.text(f"export GITHUB_TOKEN={TOKEN}")
    row = rollout(f"use {TOKEN} please")
    redactor.rollout(row)
    assert first == "export GITHUB_TOKEN=<TOKEN_1>"
    assert {found[0] for found in PLACEHOLDER.finditer(encoded(row))} == {"<TOKEN_1>"}


def test_a_secret_known_by_its_name_is_found_where_it_stands_bare() -> None:
    row = rollout("nothing here")
    row.messages[0].content = [Block("text", f"I logged in with {PASSWORD} just now")]
    row.messages[2].content = [Block("text", f"password: '{PASSWORD}'")]
    _, counts = Redactor().rollout(row)
    assert row.messages[0].text == "I logged in with <PASSWORD_1> just now"
    assert counts == {"password": 2}


def test_a_user_known_by_a_path_is_found_in_listings() -> None:
    row = rollout("nothing here")
    row.cwd = "/Users/chloe/src"
    row.messages[2].content = [
        Block("text", "-rw-r--r--@  1 chloe  staff   12 May  1 10:00 a.txt\nchloe@mac ~ %\nchloe(x)")
    ]
    Redactor().rollout(row)
    assert row.cwd == "/Users/<USER_1>/src"
    assert row.messages[2].text.splitlines() == [
        "-rw-r--r--@  1 <USER_1>  staff   12 May  1 10:00 a.txt",
        "<USER_1>@mac ~ %",
        "chloe(x)",
    ]


@pytest.mark.parametrize(
    "path",
    [
        "/Users/chloe/src",
        "/home/chloe/src",
        "C:\\Users\\chloe\\src",
        "c:/Users/chloe/src",
        "-Users-chloe-c-slay",
        "/mnt/c/Users/chloe/x",
    ],
)
def test_a_user_has_one_name_in_every_form_of_path(path: str) -> None:
    assert Redactor().text(path) == path.replace("chloe", "<USER_1>")


def test_names_that_stand_in_a_rollout_already_are_not_given_again() -> None:
    row = rollout("see <API_KEY_1> and <TOKEN_1>, <TOKEN_3>")
    row.messages[0].content = [Block("text", f"and {TOKEN}")]
    Redactor().rollout(row)
    assert row.messages[0].text == "and <TOKEN_2>"
    assert row.messages[2].text == "see <API_KEY_1> and <TOKEN_1>, <TOKEN_3>"


@pytest.mark.parametrize("name", ["<TOKEN_1>", "\\u003cTOKEN_1\\u003e"])
def test_names_in_the_same_json_are_not_given_again(name: str) -> None:
    text = f'{{"{TOKEN}": 1, "{name}": 2}}'
    assert json.loads(Redactor().json_text(text)) == {"<TOKEN_2>": 1, "<TOKEN_1>": 2}


def test_a_finding_does_not_show_its_secret() -> None:
    assert TOKEN not in repr(find(f"x {TOKEN} x"))
    assert [(each.kind, each.start, each.end) for each in find(f"x {TOKEN} x")] == [("github_token", 2, 42)]


def test_the_redactor_keeps_no_secret_in_its_names() -> None:
    redactor = Redactor()
    redactor.text(TOKEN)
    assert TOKEN not in repr(vars(redactor._names))


def test_the_row_says_which_policy_it_went_through() -> None:
    row = rollout(f"{TOKEN}")
    redactor = Redactor()
    for _ in range(2):
        _, counts = redactor.rollout(row)
        mark(row, counts)
    said = row.source_meta.other["redaction"]
    assert said["policy"] == POLICY
    assert said["counts"]["github_token"] == redactor.counts["github_token"] > 0


# JSON


def test_only_strings_of_json_change() -> None:
    text = '{"n": 1.50e+07, "n": 12345678901234567890, "t": "' + TOKEN + '", "u": "\\u00e9\\/", "d": [1e400, -0.0]}'
    assert Redactor().json_text(text) == text.replace(TOKEN, "<TOKEN_1>")


@pytest.mark.parametrize(
    "text",
    [
        '{"mail": "priya.novak\\u0040bluefjord.com"}',
        '{"path": "\\/Users\\/priya\\/src"}',
        '{"a": {"password": "' + PASSWORD + '"}}',
        '["--password", "' + PASSWORD + '"]',
        '[{"name": "DB_PASSWORD", "value": "' + PASSWORD + '"}]',
        '{"text": "one\\n' + TOKEN + '\\nthree"}',
        '{"inner": "{\\"deep\\": \\"{\\\\\\"token\\\\\\": \\\\\\"' + TOKEN + '\\\\\\"}\\"}"}',
        '{"cmd": "curl \\\\\\n-u priya:' + PASSWORD + ' https://x.test"}',
    ],
)
def test_escapes_and_keys_hide_nothing(text: str) -> None:
    redacted = Redactor().json_text(text)
    left = json.dumps(json.loads(redacted))
    assert len(list(PLACEHOLDER.finditer(redacted))) == 1
    assert TOKEN not in left and PASSWORD not in left and "novak" not in left


def test_arguments_that_are_no_json_are_redacted_as_text() -> None:
    row = rollout("", arguments=f"{{broken {TOKEN}")
    Redactor().rollout(row)
    assert row.messages[1].tool_calls[0].function.arguments == "{broken <TOKEN_1>"


def test_deep_json_is_no_problem() -> None:
    text = "[" * 100_000 + f'"{TOKEN}"' + "]" * 100_000
    assert Redactor().json_text(text) == text.replace(TOKEN, "<TOKEN_1>")


def test_values_are_redacted_by_their_keys() -> None:
    redactor = Redactor()
    assert redactor.value({"password": PASSWORD, "n": [1, None, f"see {TOKEN}"]}) == {
        "password": "<PASSWORD_1>",
        "n": [1, None, "see <TOKEN_1>"],
    }


# Real rollouts


def test_real_rollouts_change_in_nothing_but_names() -> None:
    for folder, format_name in (("claude_code", "claude_code"), ("codex", "codex")):
        redactor = Redactor()
        for row in read(ROOT / "examples" / "rollouts" / folder, format_name):
            before = copy.deepcopy(row)
            redactor.rollout(row)
            again = copy.deepcopy(row)
            assert redactor.rollout(again)[1] == {}
            assert again == row
            assert [len(message.content) for message in row.messages] == [len(m.content) for m in before.messages]
        assert set(redactor.counts) == {"home_user"}


# Hostile text


def repeated(piece: str, size: int = 60_000) -> str:
    return piece * (size // len(piece))


@pytest.mark.parametrize(
    "text",
    [
        *map(
            repeated,
            ("sk-", "a@a.", "://a:b", "password=", "token ", "eyJaaaaaaaaaaaa.", "\\u0040", '{"a":', "Cookie: a=b; "),
        ),
        *map(
            repeated,
            ("/Users/", "\\Users", "-Users-", "x://a:b@", '"password":"', "SharedAccessKey=", "<API_KEY_1>", "9Q~ "),
        ),
        repeated("-----BEGIN RSA PRIVATE KEY-----\n"),
        repeated("A" * 64 + "\n") + "-----END RSA PRIVATE KEY-----\n" * 200,
        "password" + " " * 60_000 + "=",
        "eyJ" + "a" * 60_000,
        "a." * 30_000 + "@",
    ],
    ids=lambda text: repr(text[:12]),
)
@pytest.mark.parametrize("form", [str, json.dumps], ids=["text", "json"])
def test_bait_for_slow_patterns_takes_time_by_its_length(text: str, form: Callable[[str], str]) -> None:
    begin = time.process_time()
    Redactor().json_text(form(text))
    assert time.process_time() - begin < 6  # A pattern that tries every pair of places would take hours.


def test_a_message_of_fifty_megabytes() -> None:
    row = rollout("nothing")
    row.messages[2].content = [Block("text", "x = frobnicate(y)  # né\n" * 2_000_000 + TOKEN + "\n")]
    begin = time.process_time()
    _, counts = Redactor().rollout(row)
    assert counts == {"github_token": 1}
    assert row.messages[2].text.endswith("né\n<TOKEN_1>\n")
    assert time.process_time() - begin < 20


def test_secrets_across_windows_and_behind_wide_letters() -> None:
    for before in ("é" * 524_287, "x" * 1_048_570, "→" * 349_525 + "ab"):
        assert Redactor().text(f"{before} {TOKEN}") == f"{before} <TOKEN_1>"


@pytest.mark.parametrize(
    "text", [f"\x1b[31m{TOKEN}\x1b[0m", "\x1b[1;34m/Users/priya/src\x1b[0m", "\x1b[32mpriya.novak@bluefjord.com\x1b[0m"]
)
def test_colours_of_a_terminal_hide_nothing_and_stay(text: str) -> None:
    redacted = Redactor().text(text)
    assert "priya" not in redacted and TOKEN not in redacted
    assert redacted.startswith(text[: text.index("m") + 1]) and redacted.endswith("\x1b[0m")
