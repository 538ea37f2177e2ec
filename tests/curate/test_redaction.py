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
from rollmill.rollout import Block, Parent, Rollout
from tests.curate.leaks import PASSWORD, TOKEN, rollout, said

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import decoys  # noqa: E402
import planted  # noqa: E402

SEED = 77_001


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
        "/home/runner/x",
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


@pytest.mark.parametrize(
    ("head", "foot"),
    [
        ("PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 1\n", "\nPrivate-MAC: 0a1b2c"),
        ("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\n", "\n---- END SSH2 ENCRYPTED PRIVATE KEY ----"),
    ],
)
def test_keys_in_other_armour_go(head: str, foot: str) -> None:
    body = "WZ1n9PqLr2sKdT7uEvG4hJx8CmFoBy6AyRk4Lw8NcZ6dQe5Ug0JfHsOiMbVaXt3Y"
    assert body not in Redactor().text(head + body + foot)


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[36mDB_PASSWORD\x1b[0m=\x1b[33mFalcon#2291\x1b[0m",
        '\x1b[34;1m"password"\x1b[0m: \x1b[0;32m"Falcon#2291"\x1b[0m',
        "a:\x1b[01;31m\x1b[KDB_PASSWORD\x1b[m\x1b[K=Falcon#2291",
        "\x1b]8;;https://app:Falcon#2291@db.host\x07link",
        "\\u001b[36mDB_PASSWORD\\u001b[0m=Falcon#2291",
    ],
)
def test_colours_inside_hide_nothing(text: str) -> None:
    for redacted in (Redactor().text(text), Redactor().json_text(json.dumps({"a": text}))):
        assert PASSWORD not in redacted and "<PASSWORD_1>" in redacted


@pytest.mark.parametrize(
    "text",
    [
        '{{"auths": {{"ghcr.io": {{"auth": "ZGVwbG95OkZhbGNvbiMyMjkx"}}}}}}',
        "//registry.npmjs.test/:_authToken=3f8a1c9e-1b2d-4c5e-8f70-a1b2c3d4e5f6",
        "client-key-data: LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQpNSUlF",
        "<password>{0}</password>",
        '<add key="DbPassword" value="{0}"/>',
        "password: |\n  {0}\n",
        "[smtp]\npass={0}",
        "curl -uapp:{0} https://x.test",
        "curl -b 'sessionid=abcd1234efgh5678ijkl' x",
        "mysql -uroot -p{0} db",
        "sshpass -p '{0}' ssh x",
        "docker login -u app -p {0} ghcr.io",
        "redis-cli -a {0} ping",
        "echo {0} | docker login --password-stdin",
        'os.Setenv("DB_PASSWORD", "{0}")',
        "AWS Secret Access Key [None]: wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzSECRET1",
        "Authorization: ApiKey aB3dE5gH7jK9mN1pQ2rS4tU6==",
        "postgres://app:p@ssw0rdX9@db.host/x",
        "https://aB3dE5gH7jK9mN1pQ2rS4tU6@github.com/a/b.git",
        "https://x.test/?email=chloe.martin%40gmail.com",
        "X-Amz-Signature=9f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c5b4a39281706f5e4d3c2b1a0",
        "https://api.telegram.org/bot5123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw9/getMe",
        "/cygdrive/c/Users/chloe/x",
        "\\\\wsl$\\Ubuntu\\home\\chloe\\src",
        "vscode://file/%2FUsers%2Fchloe%2Fsrc",
        "gcc -I/home/chloe/inc",
        "/Volumes/Macintosh HD/Users/chloe/x",
    ],
)
def test_places_in_which_secrets_stand(text: str) -> None:
    said_here = text.format(PASSWORD)
    for redacted in (Redactor().text(said_here), Redactor().json_text(json.dumps({"a": said_here}))):
        assert len(list(PLACEHOLDER.finditer(redacted))) == 1
        assert PASSWORD not in redacted and "chloe" not in redacted


@pytest.mark.parametrize(
    "text",
    [
        '{"forgotPassword": "Forgot password?", "password": "Min. 8 chars"}',
        "'password' => 'required|min:8'",
        "q@k.mT",
        "emb@weights.to('cpu')",
        '"eslint@config.me"',
        'by_pass = "route#2"',
        'boarding_pass: "AB1234"',
        "PWD=app2-build.x",
    ],
)
def test_what_a_reviewer_called_false_alarms_stays(text: str) -> None:
    assert find(text) == []


def test_ids_that_are_paths_lose_the_names_and_still_link() -> None:
    row, child = rollout("x"), rollout("x")
    row.trace_id = "Users/chloe/a/chat.jsonl:1"
    row.source_path = "/tmp/in/Users/chloe/a/chat.jsonl"
    child.source_meta.parent = Parent(row.trace_id)
    redactor = Redactor()
    redactor.rollout(row)
    redactor.rollout(child)
    assert row.trace_id == "Users/<USER_1>/a/chat.jsonl:1" == child.source_meta.parent.trace_id
    assert "chloe" not in row.source_path


# Homes


@pytest.mark.parametrize(
    "text",
    [
        'router.get("/home/orders/:id")',
        "/home/page/x",
        '"/home/settings2/x"',
        'href="/home/about-us"',
        'url: "/Users/list/"',
        "/home/site/wwwroot",
        "-home-page-",
        'fetch("/home/lagerbestand/x")',
        '<Route path="/home/kunden">',
        "/home/kunden/:id/x",
        "/home/airflow/dags",
    ],
)
def test_routes_and_accounts_of_programs_are_no_homes(text: str) -> None:
    assert find(text) == []


def test_a_known_user_is_replaced_in_homes_only() -> None:
    text = "src/chloe/a.py, GET /api/chloe/12, '../chloe/list', chloe@2.0, /var/lib/chloe/x"
    assert said(Redactor(), "cd /home/chloe/x", text)[1] == text


@pytest.mark.parametrize(
    "text",
    [
        "/data/mirror/home/chloe/x",
        "\\\\host\\Users\\CHLOE\\x",
        "chloe@10.0.0.1:x",
        "~chloe/src",
        "drwxr-xr-x 2 chloe chloe 4096 x",
    ],
)
def test_a_known_user_is_replaced_wherever_a_home_or_an_owner_is(text: str) -> None:
    assert "chloe" not in said(Redactor(), "cd /Users/Chloe/x", text)[1].lower()


def test_one_user_is_one_name_however_it_is_cased() -> None:
    text = "C:\\Users\\Chloe\\x c:\\users\\chloe\\y C:\\USERS\\CHLOE"
    assert Redactor().text(text).count("<USER_1>") == 3


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
