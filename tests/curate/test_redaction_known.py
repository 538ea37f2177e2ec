"""What a rollout gave away once is known wherever it comes again."""

from __future__ import annotations

import pytest

from rollmill.curate.redaction import Redactor, find
from rollmill.rollout import Block
from tests.curate.leaks import PASSWORD, TOKEN, rollout, said


def test_what_one_row_gives_away_is_known_in_the_next() -> None:
    redactor = Redactor()
    said(redactor, f"DB_PASSWORD={PASSWORD}")
    assert said(redactor, f"use {PASSWORD} on it") == ["use <PASSWORD_1> on it"]
    assert redactor.text(f"pytest -x {PASSWORD}") == "pytest -x <PASSWORD_1>"
    assert redactor.value({"a": [f"-x {PASSWORD}"]}) == {"a": ["-x <PASSWORD_1>"]}
    assert redactor.json_text(f'{{"a": "{PASSWORD}"}}') == '{"a": "<PASSWORD_1>"}'


def test_what_a_later_row_gives_away_goes_the_second_time_under_the_same_name() -> None:
    redactor, row = Redactor(), rollout("nothing")
    row.messages[0].content = [Block("text", f"\x1b[1m{PASSWORD}\x1b[0m it is")]
    redactor.rollout(row)
    known = redactor.known
    assert redactor.again(row, known) == {}
    assert said(redactor, f"password: '{PASSWORD}'") == ["password: '<PASSWORD_1>'"]
    assert redactor.again(row, known) == {"password": 1}
    assert row.messages[0].text == "\x1b[1m<PASSWORD_1>\x1b[0m it is"


def test_many_secrets_of_many_rows_stay_known() -> None:
    redactor = Redactor()
    secrets = [f"Falcon#{number}x" for number in range(10_000, 11_000)]
    for secret in secrets:
        redactor.text(f"DB_PASSWORD={secret}")
    assert "Falcon" not in redactor.text(" ".join(secrets))


def test_users_are_known_in_their_row_only() -> None:
    redactor = Redactor()
    assert said(redactor, "/Users/chloe/x", "chloe@mac:~ %")[1] == "<USER_1>@mac:~ %"
    assert said(redactor, "chloe@mac:~ %") == ["chloe@mac:~ %"]


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("e189681b", "commit e189681b0f951fdc2c04a841dd811957e18968ab"),
        ("e189681b", "e189681b-9b1c-4c5e-8f70-a1b2c3d4e5f6 and call_e189681bXYZ, toolu_e189681b"),
        ("tr0ub4d", "def tr0ub4d0r(): x_tr0ub4d, tr0ub4d_y"),
        *((word, f"see {word}") for word in ("student1", "version2", "feature1", "session1", "section2")),
    ],
)
def test_a_secret_that_chance_could_say_is_not_replaced_in_words_and_ids(secret: str, text: str) -> None:
    assert said(Redactor(), f"DB_PASSWORD={secret}", text)[1] == text


def test_a_git_sha_called_token_is_none() -> None:
    sha = "e189681aa31f951fdc2c04a841dd811957e18968"
    assert find(f'"token": "{sha}"') == []
    assert Redactor().value({"token": sha}) == {"token": sha}
    assert find(f'"access_token": "{sha}"') != []


@pytest.mark.parametrize("text", ["mysql -p{}", "-{}\n+x", "\\n{} is it", "a=%20{}&b", "('{}')"])
def test_short_secrets_are_known_again(text: str) -> None:
    assert said(Redactor(), "DB_PASSWORD=ab#12x", text.format("ab#12x"))[1] == text.format("<PASSWORD_1>")


@pytest.mark.parametrize("cut", ["{:.24}… [cut]", "{:.16}", "{:.24}\n"])
def test_the_beginning_of_a_known_token_is_known(cut: str) -> None:
    assert said(Redactor(), f"use {TOKEN}", cut.format(TOKEN))[1] == cut.replace("{:.24}", "{:.16}").replace(
        "{:.16}", "<TOKEN_1>"
    )


def test_a_known_token_is_known_across_a_line_s_end_and_inside_colours() -> None:
    texts = f"{TOKEN[:20]}\n{TOKEN[20:]} x", f"{TOKEN[:9]}\x1b[0m{TOKEN[9:]} x"
    assert said(Redactor(), TOKEN, *texts)[1:] == ["<TOKEN_1> x", "<TOKEN_1> x"]


def test_lines_of_a_known_private_key_are_known() -> None:
    lines = ["MIIEpAIBAAKCAQEAq9Xw3vB2hKzP7mT1", "yRk4Lw8NcZ6dQe5Ug0JfHsOiMbVaXt3Y", "WZ1n9PqLr2sKdT7uEvG4hJx8CmFoBy6A"]
    key = "\n".join(["-----BEGIN RSA PRIVATE KEY-----", *lines, "-----END RSA PRIVATE KEY-----"])
    assert said(Redactor(), key, f"see {lines[1]}") == ["<PRIVATE_KEY_1>", "see <PRIVATE_KEY_1>"]
