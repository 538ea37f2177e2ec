"""Masks: which turns still count, and why the others do not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollmill.curate.masks import MASKS, Facts, Verdict, mask, mask_names, verdict
from rollmill.curate.sample import Turn
from rollmill.curate.signals import signals
from rollmill.errors import ConfigError
from rollmill.rollout import Message, Rollout
from tests.curate.conversations import bash, edit, human, model, result, rollout

SUCCESS = Verdict("success", "reward 1")


def turns() -> list[Turn]:
    """human, model 1 (calls), tool, human, model 4 (calls), tool, model 6; the first model turn is learnt elsewhere."""
    call = ("Bash", {"command": "ls"})
    messages = [human("a"), model("b", call), result("c"), human("d"), model("e", call), result("f"), model("g")]
    made = [Turn(message, index) for index, message in enumerate(messages)]
    for index in (4, 6):
        made[index].weight, made[index].reason = 1.0, "model"
    made[1].reason = "learnt in another sample"
    return made


def masked(names: list[str], facts: Facts) -> dict[int, tuple[float, str]]:
    made = turns()
    mask(made, names, facts)
    return {turn.index: (turn.weight, turn.reason) for turn in made if turn.is_model}


def test_all_assistant_changes_nothing() -> None:
    assert masked(["all-assistant"], Facts({4: ["failed_call"]})) == {
        1: (0.0, "learnt in another sample"),
        4: (1.0, "model"),
        6: (1.0, "model"),
    }


def test_last_turn_keeps_what_stands_behind_the_last_user_message() -> None:
    made = turns()
    made.append(Turn(human("h"), 7))
    made.append(Turn(model("i"), 8, 1.0, "model"))
    mask(made, ["last-turn"], Facts())
    assert [(turn.index, turn.reason) for turn in made if turn.is_model] == [
        (1, "learnt in another sample"),
        (4, "before the last user message"),
        (6, "before the last user message"),
        (8, "model"),
    ]
    assert made[8].weight == 1.0


def test_mask_errors_names_the_findings() -> None:
    found = masked(["mask-errors"], Facts({1: ["loop"], 4: ["failed_call", "loop"]}))
    assert found[4] == (0.0, "failed_call, loop")
    assert found[1] == (0.0, "learnt in another sample"), "what is context keeps its reason"
    assert found[6] == (1.0, "model")


def test_success_only_takes_all_or_nothing() -> None:
    assert masked(["success-only"], Facts({}, SUCCESS))[6] == (1.0, "model")
    assert masked(["success-only"], Facts({}, Verdict("failure", "reward 0")))[6] == (0.0, "not successful: reward 0")
    assert masked(["success-only"], Facts({}, Verdict("unknown", "no label")))[4] == (0.0, "not successful: no label")


def test_masks_combine_and_the_first_reason_stays() -> None:
    found = masked(["mask-errors", "success-only"], Facts({4: ["loop"]}, Verdict("failure", "reward 0")))
    assert found[4] == (0.0, "loop")
    assert found[6] == (0.0, "not successful: reward 0")


def test_a_name_that_is_no_mask() -> None:
    assert mask_names(" mask-errors, last-turn,") == ["mask-errors", "last-turn"]
    with pytest.raises(ConfigError, match=r"no mask is called 'mask-error'.*success-only.*Did you mean mask-errors\?"):
        mask_names("mask-error")
    with pytest.raises(ConfigError, match="no mask is called 'half'"):
        mask(turns(), ["half"], Facts())


@given(st.lists(st.sampled_from(sorted(MASKS)), max_size=4), st.dictionaries(st.integers(0, 6), st.just(["loop"])))
def test_the_smallest_weight_wins_whatever_the_order(names: list[str], found: dict[int, list[str]]) -> None:
    facts = Facts(found, Verdict("failure", "reward 0"))
    weights = {name: masked([name], facts) for name in names}
    for index, (weight, _) in masked(names, facts).items():
        alone = [each[index][0] for each in weights.values()]
        assert weight == min([*alone, 1.0 if index in (4, 6) else 0.0])


# Verdicts

DONE = [human("Fix it."), model("Done.")]


def judged(*messages: Message | list[Message], **labels: Any) -> tuple[str, str]:
    made: Rollout = rollout(*messages, meta={"labels": labels})
    found = verdict(made, signals(made))
    return found.outcome, found.reason


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"resolved": True, "reward": 0.0}, ("success", "resolved true")),
        ({"resolved": 0}, ("failure", "resolved false")),
        ({"success": "yes"}, ("success", "resolved true")),
        ({"result": "failed"}, ("failure", "resolved false")),
        ({"result": "42"}, ("unknown", "no label, tests or word")),
        ({"reward": 1}, ("success", "reward 1")),
        ({"reward": 0.999}, ("failure", "reward 0.999")),
        ({"reward": -1.0}, ("failure", "reward -1")),
        ({"reward": 37}, ("unknown", "reward 37 on an unknown scale")),
        ({"score": 0.5}, ("unknown", "score 0.5 on an unknown scale")),
        ({"score": 0}, ("failure", "score 0")),
        ({"reward": float("nan")}, ("unknown", "no label, tests or word")),
        ({"reward": "1.0"}, ("unknown", "no label, tests or word")),
        ({"exception": "DockerError"}, ("unknown", "no reward, exception DockerError")),
    ],
)
def test_labels_come_first(labels: dict[str, Any], expected: tuple[str, str]) -> None:
    assert judged(*DONE, **labels) == expected


def test_then_the_last_tests_unless_code_was_edited_behind_them() -> None:
    passed, failed = bash("pytest", "1 passed in 0.1s"), bash("pytest", "1 failed in 0.1s", True)
    assert judged(human("Fix it."), failed, passed) == ("success", "last tests passed")
    assert judged(human("Fix it."), passed, failed, human("thanks!")) == ("failure", "last tests failed")
    assert judged(human("Fix it."), passed, edit("README.md", "1", "2")) == ("success", "last tests passed")
    expected = ("unknown", "no label, 1 edits after the last tests")
    assert judged(human("Fix it."), passed, edit("a.py", "1", "2")) == expected


@pytest.mark.parametrize(
    "text",
    ["Thanks!", "perfect, thank you so much", "OK great, it works now :)", "LGTM", "looks good to me", "awesome 🎉"],
)
def test_then_praise_that_says_nothing_else(text: str) -> None:
    assert judged(*DONE, human(text)) == ("success", "human pleased")
    assert judged(*DONE, human(text), model("You're welcome.")) == ("success", "human pleased")


@pytest.mark.parametrize(
    "text",
    [
        "Thanks! Please update CLAUDE.md for current changes",
        "does it work?",
        "great, now add tests",
        "works?",
        "commit",
    ],
)
def test_praise_that_goes_on_says_nothing(text: str) -> None:
    assert judged(*DONE, human(text), model("Done."))[0] == "unknown"


def test_a_last_word_of_disagreement_counts_when_no_model_answered_it() -> None:
    assert judged(*DONE, human("that's wrong")) == ("failure", "human displeased")
    assert judged(*DONE, human("that's wrong"), model("Sorry."))[0] == "unknown"
    passed = bash("pytest", "1 passed in 0.1s")
    wrong = human("no, that's wrong. revert it")
    assert judged(human("Fix it."), passed, wrong) == ("failure", "human displeased"), "it outweighs earlier tests"
    assert judged(human("Fix it."), passed, wrong, model("Done.")) == ("success", "last tests passed")
    assert judged(human("Fix it."), passed, wrong, resolved=True) == ("success", "resolved true")
    assert judged(human("perfect"))[0] == "unknown", "nothing was done yet"
