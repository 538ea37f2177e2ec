"""Templates over rows: what they see, what they say when a name is wrong, the filters, the fence."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollmill.columns._fence import fenced
from rollmill.columns.templates import GLOBALS, TemplateError, compile_template, tokens
from tests.columns.asked import rollout, said


def rendered(text: str, row: dict[str, object] | None = None, key: str = "", fence: bool = False) -> str:
    return compile_template(text, fence).render(row or {}, key)


# What templates see


def test_names_are_the_columns_it_uses() -> None:
    text = "{{ a.b }}{% for x in c %}{{ x }}{{ loop.index }}{% endfor %}{% set d = 1 %}{{ d }}{{ range(2) | list }}"
    assert compile_template(text).names == {"a", "c"}
    assert not compile_template("plain { text } {# a comment #}").names


def test_messages_are_sparse_and_their_content_is_text() -> None:
    row = {
        "messages": [said("user", "Hi", origin="human"), said("assistant", calls=[("1", "Bash", {"command": "ls"})])]
    }
    assert json.loads(rendered("{{ messages }}", row)) == [
        {"role": "user", "content": "Hi"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "1", "function": {"name": "Bash", "arguments": '{"command": "ls"}'}, "type": "function"}
            ],
        },
    ]


def test_content_with_an_image_keeps_its_blocks() -> None:
    image = {"type": "image", "text": None, "media": {"sha256": "ab", "url": None}}
    message = {"role": "user", "content": [{"type": "text", "text": "See", "media": None}, image], "extra": {"line": 1}}
    assert json.loads(rendered("{{ messages[0].content }}", {"messages": [message]})) == [
        {"type": "text", "text": "See"},
        {"type": "image", "media": {"sha256": "ab"}},
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ messages[0].tool_call_id is none }}", "True"),
        ("{{ messages[0].tool_calls | length }}", "0"),
        ("{{ messages[0].reasoning_content }}|", "|"),
        ("{{ source_meta.title }}", "A title"),
        ("{{ source_meta.agent_version }}|", "|"),
        ("{{ source_meta.usage }}", '{"input_tokens": 3}'),
        ("{{ cwd }}|", "|"),
        ("{{ messages[:1] | length }}{{ messages[-1].role }}", "1assistant"),
    ],
)
def test_nulls_can_be_asked_for(text: str, expected: str) -> None:
    meta = {"title": "A title", "agent_version": None, "usage": {"input_tokens": 3, "output_tokens": None}}
    row = {"messages": rollout(), "cwd": None, "source_meta": json.dumps(meta)}
    assert rendered(text, row) == expected
    assert rendered(text, row | {"source_meta": meta}) == expected


def test_row_text_is_never_compiled() -> None:
    hostile = "{{ 7 * 7 }}{% for x in y %}{% endfor %}{# #}"
    assert rendered("{{ text }}", {"text": hostile}) == hostile
    assert hostile in rendered("{{ messages | transcript }}", {"messages": [said("user", hostile)]})


# Wrong names


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{ source_meta.titel }}", ("`titel`", "Did you mean `title`?")),
        ("{{ messages[0].contnet }}", ("`contnet`", "`content`")),
        ("{{ messages[0].extra }}", ("`extra`",)),
        ("{{ messages[99].role }}", ("item 99", "10")),
        ("{{ nothing }}", ("`nothing`",)),
        ("{{ messages | transcrpt }}", ("filter `transcrpt`", "`transcript`")),
        ("{{ 1 is evenn }}", ("test `evenn`", "`even`")),
        ("line\n{% if %}", ("line 2",)),
        ("{{ 'a' ~ nothing }}", ("`nothing`",)),
        ("{{ [nothing] }}", ("`nothing`",)),
        ("{{ nothing + 1 }}", ("`nothing`",)),
        ("{{ 5 | window }}", ("window", "messages")),
        ("{{ messages | window(3) }}", ("at least 50",)),
        ("{{ messages | map(attribute='role') }}", ("| list",)),
    ],
)
def test_errors_name_what_is_wrong(text: str, words: tuple[str, ...]) -> None:
    with pytest.raises(TemplateError) as error:
        rendered(text, {"messages": rollout(), "source_meta": {"title": "T"}})
    assert all(word in str(error.value) for word in words), str(error.value)


def test_missing_names_can_be_defaulted() -> None:
    assert rendered("{{ source_meta.nope | default('-') }}{{ nope is defined }}", {"source_meta": {}}) == "-False"


# Filters


def test_transcript_shows_turns_calls_and_trimmed_results() -> None:
    messages = [*rollout()[:2], said("tool", "x" * 5_000, origin="tool", answers="c1")]
    text = rendered("{{ messages | transcript(result=100) }}", {"messages": messages})
    assert '[1] assistant\nI look at it.\n→ Bash {"command": "cd app && pytest -q"}\n\n[2] tool · Bash\nxxx' in text
    assert "… 4,900 characters left out …" in text and len(text) < 500


def test_transcript_reads_plain_chat_messages() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "ls", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "a.py"},
    ]
    expected = "[0] user\nHi\n\n[1] assistant\n→ ls {}\n\n[2] tool · ls\na.py"
    assert rendered("{{ messages | transcript }}", {"messages": messages}) == expected


def test_harness_text_is_not_taken_for_the_human() -> None:
    messages = [
        said("user", "<system-reminder>", origin="harness", kind="reminder"),
        said("user", "Go", origin="human"),
    ]
    assert rendered("{{ messages | transcript }}", {"messages": messages}) == (
        "[0] harness\n<system-reminder>\n\n[1] user\nGo"
    )


def test_text_tool_names_and_last_test_result() -> None:
    row = {"messages": rollout()}
    assert rendered("{{ messages[0] | text }}", row) == "Fix the date parser; it fails on leap years."
    assert rendered("{{ messages | tool_names | join(', ') }}", row) == "Bash, Edit"
    assert rendered("{{ messages | last_test_result }}", row) == "$ pytest -q\n(no error)\n..\n2 passed in 0.1s"
    assert rendered("{{ messages | last_test_result }}", {"messages": rollout()[:1]}) == ""


@pytest.mark.parametrize(
    ("command", "tests"),
    [
        ("pytest -q", True),
        ("cd app && FOO=1 uv run pytest tests/", True),
        ("python -m unittest discover", True),
        ("go test ./...", True),
        ("npm run test", True),
        ("grep -r pytest .", False),
        ("cat pytest.ini", False),
        ("git commit -m 'add jest'", False),
        ("ls tests", False),
    ],
)
def test_what_counts_as_a_test_run(command: str, tests: bool) -> None:
    messages = [said("assistant", calls=[("1", "Bash", {"command": command})]), said("tool", "out", answers="1")]
    assert bool(rendered("{{ messages | last_test_result }}", {"messages": messages})) is tests


def test_random_follows_from_the_row() -> None:
    text = "{{ range(1000) | random }} {{ range(1000) | random }}"
    assert rendered(text, key="a") == rendered(text, key="a")
    assert len({rendered(text, key=str(number)) for number in range(20)}) > 15
    assert len(set(rendered(text, key="a").split())) == 2


def test_formats_numbers() -> None:
    assert rendered("{{ '%.2f of %d, %s' | format(1.234, 5, 'x') }}") == "1.23 of 5, x"
    assert rendered("{{ 2.567 | round(1) }} {{ [1, 2] | sum }} {{ {'a': [1]} | tojson }}") == '2.6 3 {"a": [1]}'


# The fence


def test_prompts_fence_rollouts() -> None:
    row = {"messages": rollout(), "title": "T"}
    lines = rendered("{{ messages | window(500) }}\nWhat about {{ title }}?", row, fence=True).split("\n")
    assert lines[0].startswith("<<<rollout ") and lines[-2] == f"{lines[0].split()[1]} rollout>>>"
    assert lines[-1] == "What about T?"
    assert rendered("{{ messages[:2] }}", row, fence=True).startswith("<<<messages ")
    assert rendered("{{ messages | transcript | fenced('log') }}", row, fence=True).count("<<<") == 1
    assert "<<<" not in rendered("{{ messages | transcript }}", row)


@given(st.text(), st.integers(0, 5))
def test_no_text_closes_its_fence(text: str, rounds: int) -> None:
    hostile = text
    for _ in range(rounds):  # Whoever knows the fence of a text writes it into the text, and again.
        hostile = f"{fenced(hostile)}\n{hostile}"
    shown = str(fenced(hostile)) if rounds == 0 else str(fenced(str(hostile)))
    first, *inside, last = shown.split("\n")
    mark = first.split()[1]
    assert last == f"{mark} text>>>" and mark not in "\n".join(inside) and "\n".join(inside) == hostile


def test_a_fence_tells_nothing_of_the_text() -> None:
    """A hash of the text would let the model's provider try secrets that were taken out before sending."""
    assert fenced("password: a").split("\n")[0] == fenced("password: b").split("\n")[0]


@given(st.text(max_size=200))
def test_tokens_are_a_quarter_of_the_bytes(text: str) -> None:
    assert tokens(text) == -(-len(text.encode("utf-8", "surrogatepass")) // 4)


def test_no_column_can_take_the_name_of_a_function() -> None:
    assert {"range", "dict", "namespace", "loop"} <= GLOBALS
