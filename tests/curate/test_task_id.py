"""The task's id: the same for every attempt at one task, another for every other."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rollmill
from rollmill.curate.task_id import normalised, repository, task_id
from rollmill.rollout import Extra, Message, Parent, Rollout
from tests.curate.conversations import harness, human, model, rollout

ROOT = Path(__file__).parent.parent.parent
GIT = {"commit_hash": "a1dae4c12708ba4a5ab2aaa7300c8a96f8ad81dc", "repository_url": "git@github.com:Bumpy/Bot.git"}


def attempt(prompt: str = "Fix the cart in src/cart.py", **columns: Any) -> Rollout:
    return rollout(human(prompt), model("Done."), **columns)


def test_another_session_machine_and_user_is_another_attempt() -> None:
    first = attempt("Fix /home/ann/shop/src/cart.py,\n please", trace_id="t-1")
    second = attempt(
        "fix  /Users/bob/code/shop/src/cart.py, please", trace_id="t-2", cwd="/Users/bob/code/shop",
        project_path="/Users/bob/code/shop", started_at="2026-05-05T00:00:00Z", source_path="/other",
    )  # fmt: skip
    assert task_id(first) == task_id(second)
    assert re.fullmatch("[0-9a-f]{16}", task_id(first))


def test_the_id_is_the_one_it_always_was() -> None:
    """Ids are written into data sets: a change of the rules is a change of ``VERSION``."""
    hashed = b"rollmill/2\nshop\n\nfix the cart in src/cart.py"
    assert task_id(attempt()) == sha256(hashed).hexdigest()[:16] == "9c50956cc4a4cd0d"


def test_another_prompt_repository_or_commit_is_another_task() -> None:
    other = {**GIT, "commit_hash": "b" * 40}
    ids = {
        task_id(attempt()),
        task_id(attempt("Fix the cart in src/basket.py")),
        task_id(attempt(project_path="/home/ann/bank", cwd="/home/ann/bank")),
        task_id(attempt(meta={"other": {"git": GIT}})),
        task_id(attempt(meta={"other": {"git": other}})),
    }
    assert len(ids) == 5


@pytest.mark.parametrize(
    "url",
    [
        "git@github.com:Bumpy/Bot.git",
        "https://github.com/bumpy/bot",
        "https://ann:secret@github.com/bumpy/bot.git",
        "ssh://git@github.com:22/bumpy/bot.git/",
    ],
)
def test_a_remote_is_the_same_however_it_is_written(url: str) -> None:
    assert repository(attempt(meta={"other": {"git": {"repository_url": url}}})) == "github.com/bumpy/bot"


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("/home/ann/Shop/", "shop"),
        ("C:\\Users\\ann\\shop", "shop"),
        ("/home/ann/shop/.worktrees/2", "shop"),
        ("/home/ann/shop/.claude/worktrees/fix-cart", "shop"),
        ("/home/ann", ""),
        ("C:\\Users\\ann", ""),
        ("/root", ""),
        ("/rooted", "rooted"),
        (None, ""),
    ],
)
def test_the_folder_stands_for_the_repository(folder: str | None, name: str) -> None:
    assert repository(attempt(project_path=folder, cwd=folder)) == name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  Fix\n\tthe CART ", "fix the cart"),
        ("see /home/ann/shop/src/cart.py:12 and ~/src/a.py", "see src/cart.py:12 and ~/src/a.py"),
        ("look into /home/ann/shop, /home/ann/notes.md", "look into ., ~/notes.md"),
        ("keep /home/ann/shops/a.py and /mnt/home/ann/shop/a.py", "keep ~/shops/a.py and /mnt/home/ann/shop/a.py"),
        ("keep src/cart.py and https://example.org/home/ann/b", "keep src/cart.py and https://example.org/home/ann/b"),
        ("read /data/2024/report.csv", "read /data/2024/report.csv"),
        ("session 0ccf1a04-1b4c-43b6-8aa5-79e41db43a68 at 2026-01-22T10:00:04Z",
         "session 0ccf1a04-1b4c-43b6-8aa5-79e41db43a68 at *"),
        ("fix what 3f2a9b8c7d6e broke, issue 1737536400", "fix what 3f2a9b8c7d6e broke, issue 1737536400"),
        ("in /tmp/tmp.Xy81/out.txt, not in /tmp/a/out.txt", "in */out.txt, not in /tmp/a/out.txt"),
        ("fix it <system-reminder>\nbe kind\n</system-reminder> now", "fix it now"),
    ],
)  # fmt: skip
def test_a_prompt_made_comparable(text: str, expected: str) -> None:
    assert normalised(text, "/home/ann/shop") == expected


def test_paths_of_windows_and_of_worktrees() -> None:
    assert normalised("in C:\\Users\\Ann\\Shop\\src\\cart.py", "c:/users/ann/shop") == "in src/cart.py"
    worktree = "/home/ann/shop/.worktrees/2"
    assert normalised(f"{worktree}/a.py is /home/ann/shop/a.py", worktree) == "a.py is a.py"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Fix /home/ann/shop/src/api/index.ts", "Fix /home/ann/shop/src/web/index.ts"),
        ("Please read /data/2024/report.csv", "Please read /data/2025/report.csv"),
        ("Please fix the issue 1234567890", "Please fix the issue 9876543210"),
        ("Explain to me commit abcdef123456", "Explain to me commit fedcba654321"),
        ("Look at /tmp/server.log for errors", "Look at /tmp/client.log for errors"),
    ],
)
def test_what_names_the_task_is_not_left_out(one: str, other: str) -> None:
    assert task_id(attempt(one)) != task_id(attempt(other))
    assert task_id(attempt(one)) == task_id(attempt(one, trace_id="t-2", root_session_id="t-2"))


def test_two_users_who_work_in_their_home_folders() -> None:
    asked = "Write a script that renames photos"
    ids = {task_id(attempt(asked, cwd=home, project_path=home)) for home in ("/home/ann", "/home/bob", "/root", None)}
    assert len(ids) == 1


EMPTY = [
    "hi",
    "Hello there!",
    "continue",
    "Please go on.",
    "[Image #1]",
    "fix it",
    "/init",
    "<command-message>init is analyzing your codebase…</command-message>\n<command-name>/init</command-name>",
    "继续",
    "...",
]


@pytest.mark.parametrize("text", EMPTY)
def test_a_prompt_that_says_nothing_is_a_task_of_its_session(text: str) -> None:
    def row(number: int, **columns: Any) -> str:
        return task_id(attempt(text, trace_id=f"t-{number}", root_session_id=f"t-{number}", **columns))

    assert row(1, project_path="/home/a/app") != row(2, project_path="/srv/b/app")
    assert row(1) != row(2)
    assert row(1, source_kind="codex") != row(1)
    assert row(1) == row(1) == task_id(attempt(text, trace_id="t-1#b1", root_session_id="t-1"))


def test_a_few_words_do_in_a_known_repository_but_a_greeting_does_not() -> None:
    def both(text: str) -> list[str]:
        meta = {"other": {"git": GIT}}
        return [task_id(attempt(text, trace_id=each, root_session_id=each, meta=meta)) for each in ("t-1", "t-2")]

    for text in ("fix it", "<command-name>/init</command-name>", "/review 12"):
        assert len(set(both(text))) == 1
    for text in ("hi", "continue", "[Image #1]"):
        assert len(set(both(text))) == 2


def test_a_command_with_words_behind_it_says_enough() -> None:
    asked = "<command-name>/fix</command-name>\n<command-args>the total in the cart</command-args>"
    first = rollout(human(asked, "command"), model("Done."))
    assert task_id(first) == task_id(rollout(human(asked, "command"), model("a"), trace_id="2", root_session_id="2"))


@given(st.text(max_size=200))
def test_comparing_twice_changes_nothing_more(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text) or "*" in normalised(text) or "<" in text


def test_injected_text_and_local_commands_are_no_prompt() -> None:
    plain = attempt("Fix it in the cart.")
    local = [harness("caveat"), human("<command-name>/clear</command-name>", "command"), harness("command_output")]
    noisy = rollout(
        harness("environment", "<cwd>/x</cwd>"),
        *local,
        human("Fix it in the cart."),
        model("Done."),
        root_session_id="t-2",
    )
    assert task_id(plain) == task_id(noisy)


def test_a_command_that_the_model_carries_out_is_a_prompt() -> None:
    asked = "<command-message>init is running</command-message>\n<command-name>/init</command-name>"
    first = rollout(human(asked, "command"), harness("meta", "Look at the code base."), model("Done."))
    second = rollout(human(asked.replace("/init", "/review"), "command"), harness("meta"), model("Done."))
    assert task_id(first) != task_id(second)
    assert task_id(first) == task_id(rollout(human(asked, "command"), model("Other."), trace_id="t-2"))


def test_a_sub_agent_has_the_task_it_was_given_within_its_session() -> None:
    task = Message("user", human("Explore the repository and its tests.").content, extra=Extra(origin="parent_agent"))
    later = Message("user", human("Go on.").content, extra=Extra(origin="parent_agent", kind="message"))
    assert task_id(rollout(task, model("None."), later)) == task_id(rollout(task, model("Two."), trace_id="t-2"))
    assert task_id(rollout(task)) != task_id(rollout(later))
    assert task_id(rollout(task)) != task_id(rollout(task, root_session_id="t-2"))
    assert task_id(rollout(task)) != task_id(attempt("Explore the repository and its tests."))


def test_a_sub_agent_without_a_root_belongs_to_its_parent() -> None:
    def row(parent: str) -> str:
        columns: dict[str, Any] = {"is_sidechain": True, "root_session_id": None, "meta": {"parent": Parent(parent)}}
        return task_id(rollout(human("Explore the repository and its tests."), model("a"), **columns))

    assert row("p-1") == row("p-1") != row("p-2")


def test_a_sub_agent_of_a_named_task_has_its_name() -> None:
    meta = {"labels": {"task_name": "cart"}}
    assert task_id(attempt("a", meta=meta)) == task_id(attempt("b", meta=meta, is_sidechain=True, root_session_id="r"))


def test_a_rollout_without_a_prompt_is_alone() -> None:
    assert task_id(rollout(model("a"), trace_id="t-1")) != task_id(rollout(model("a"), trace_id="t-2"))


def test_names_that_data_sets_give() -> None:
    first = attempt("a", meta={"labels": {"instance_id": "octo__repo-2"}})
    assert task_id(first) == task_id(attempt("b", meta={"labels": {"instance_id": "octo__repo-2"}}))
    assert task_id(first) != task_id(attempt("a", meta={"labels": {"instance_id": "octo__repo-3"}}))


def test_a_number_is_a_name_only_within_its_benchmark() -> None:
    def numbered(system: str, prompt: str, number: int = 7) -> str:
        messages = [Message("system", human(system).content, extra=Extra(origin="harness")), human(prompt)]
        return task_id(rollout(*messages, meta={"other": {"task_id": number}}))

    assert numbered("airline", "I want to fly") == numbered("airline", "Hello, a flight please")
    assert numbered("airline", "I want to fly") != numbered("retail", "I want to fly")
    assert numbered("airline", "I want to fly") != numbered("airline", "I want to fly", 8)


def test_harbor_attempts_at_one_task_are_one_task() -> None:
    job = list(rollmill.read(ROOT / "tests" / "formats" / "atif" / "harbor_job" / "input", "atif"))
    ids = {each.trace_id: task_id(each) for each in job}
    assert ids["s-a"] == ids["s-b"] == ids["s-c"] == ids["s-d"]


def test_real_sessions_with_one_prompt() -> None:
    """The five poets of a session come twice, with other ids: two green curries, two yellow ones, and one red."""
    poets = [each for each in rollmill.read(ROOT / "examples" / "rollouts" / "claude_code") if each.is_sidechain]
    ids = [task_id(each) for each in poets if each.root_session_id and each.root_session_id.startswith("0ccf1a04")]
    assert sorted(ids.count(each) for each in set(ids)) == [1, 2, 2]
