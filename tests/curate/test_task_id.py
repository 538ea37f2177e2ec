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
from rollmill.rollout import Extra, Message, Rollout
from tests.curate.conversations import harness, human, model, rollout

ROOT = Path(__file__).parent.parent.parent
GIT = {"commit_hash": "a1dae4c12708ba4a5ab2aaa7300c8a96f8ad81dc", "repository_url": "git@github.com:Bumpy/Bot.git"}


def attempt(prompt: str = "Fix the cart in src/cart.py", **columns: Any) -> Rollout:
    return rollout(human(prompt), model("Done."), **columns)


def test_another_session_machine_and_user_is_another_attempt() -> None:
    first = attempt("Fix /home/ann/shop/src/cart.py,\n please", trace_id="t-1")
    second = attempt(
        "fix  /Users/bob/work/shop/src/cart.py, please", trace_id="t-2", cwd="/Users/bob/work/shop",
        project_path="/Users/bob/work/shop", started_at="2026-05-05T00:00:00Z", source_path="/other",
    )  # fmt: skip
    assert task_id(first) == task_id(second)
    assert re.fullmatch("[0-9a-f]{16}", task_id(first))


def test_the_id_is_the_one_it_always_was() -> None:
    """Ids are written into data sets: a change of the rules is a change of ``VERSION``."""
    hashed = b"rollmill/1\nshop\n\nfix the cart in src/cart.py"
    assert task_id(attempt()) == sha256(hashed).hexdigest()[:16] == "6b26538e08a1fdc8"


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
        (None, ""),
    ],
)
def test_the_folder_stands_for_the_repository(folder: str | None, name: str) -> None:
    assert repository(attempt(project_path=folder, cwd=folder)) == name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  Fix\n\tthe CART ", "fix the cart"),
        ("see /Users/ann/shop/src/cart.py:12 and ~/src/a.py", "see cart.py:12 and ~/src/a.py"),
        ("in C:\\Users\\ann\\shop\\cart.py", "in cart.py"),
        ("keep src/cart.py and https://example.org/home/a/b", "keep src/cart.py and https://example.org/home/a/b"),
        ("session 0ccf1a04-1b4c-43b6-8aa5-79e41db43a68 at 2026-01-22T10:00:04Z", "session * at *"),
        ("root@3f2a9b8c7d6e:/app# of 1737536400", "root@*:/app# of *"),
        ("in /tmp/run-81/out.txt", "in */out.txt"),
        ("fix it <system-reminder>\nbe kind\n</system-reminder> now", "fix it now"),
        ("add 2 tests for issue 1234", "add 2 tests for issue 1234"),
        ("decade facade", "decade facade"),
    ],
)
def test_a_prompt_made_comparable(text: str, expected: str) -> None:
    assert normalised(text) == expected


@given(st.text(max_size=200))
def test_comparing_twice_changes_nothing_more(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text) or "*" in normalised(text) or "<" in text


def test_injected_text_and_local_commands_are_no_prompt() -> None:
    plain = attempt("Fix it.")
    local = [harness("caveat"), human("<command-name>/clear</command-name>", "command"), harness("command_output")]
    noisy = rollout(harness("environment", "<cwd>/x</cwd>"), *local, human("Fix it."), model("Done."))
    assert task_id(plain) == task_id(noisy)


def test_a_command_that_the_model_carries_out_is_a_prompt() -> None:
    asked = "<command-message>init is running</command-message>\n<command-name>/init</command-name>"
    first = rollout(human(asked, "command"), harness("meta", "Look at the code base."), model("Done."))
    second = rollout(human(asked.replace("/init", "/review"), "command"), harness("meta"), model("Done."))
    assert task_id(first) != task_id(second)
    assert task_id(first) == task_id(rollout(human(asked, "command"), model("Other."), trace_id="t-2"))


def test_a_sub_agent_has_the_task_it_was_given() -> None:
    task = Message("user", human("Find TODOs.").content, extra=Extra(origin="parent_agent"))
    later = Message("user", human("Go on.").content, extra=Extra(origin="parent_agent", kind="message"))
    assert task_id(rollout(task, model("None."), later)) == task_id(rollout(task, model("Two."), trace_id="t-2"))
    assert task_id(rollout(task)) != task_id(rollout(later))


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
