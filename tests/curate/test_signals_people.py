"""Corrections and human turns: what people said, and what of it counts."""

from __future__ import annotations

import pytest

from rollmill.curate.findings import findings
from rollmill.curate.signals import signals
from tests.curate.conversations import CORRECTIONS, edit, harness, human, model, result, rollout

REFUSED = (
    "The user doesn't want to proceed with this tool use. The tool use was rejected (eg. if it was a file edit, the "
    "new_string was NOT written to the file). "
)
REFUSED_WITH_WORDS = REFUSED + "To tell you how to proceed, the user said:\nlet's cut a branch first"


NO_CORRECTIONS = [
    "yes please",
    "no problem, go on",
    "no worries",
    "stop the server and commit",
    "don't forget to push",
    "wait for the tests, then commit",
    "commit please, then push and open a PR",
    "Can you add a test that says what happens when it is not there?",
    "now add the nopes to the list",
    "not sure, what do you think?",
    "this is great",
    "linting is failing now",
    "notes.md should list them",
    "Undo/redo support please",
    "Revert button: add one to the UI",
    "Rollback support: implement",
    "wrong-way tests: add them",
    "It doesn't matter, go on with plan B",
    "you missed nothing, good job",
    "this still has potential, add more",
    "the config is wrong in prod, please look into it",
    "don't use semicolons in the new file",
    "Don't you think we should also test X? great work",
    "why did you choose redis? just curious",
    "I said hello to the team; now next task",
    "add a button to undo all changes",
    "tell me if this is wrong",
    "",
]


@pytest.mark.parametrize("text", CORRECTIONS)
def test_a_turn_that_corrects(text: str) -> None:
    made = rollout(human("Add it up."), model("Done."), human(text), model("Sorry."))
    assert (signals(made).corrections, findings(made)) == (1, {1: ["corrected"]})


@pytest.mark.parametrize("text", NO_CORRECTIONS)
def test_a_turn_that_does_not(text: str) -> None:
    assert signals(rollout(human("Add it up."), model("Done."), human(text), model("Yes."))).corrections == 0


def test_the_first_prompt_corrects_nothing() -> None:
    assert signals(rollout(human("That's wrong, fix it."), model("Done."))).corrections == 0


def test_no_is_an_answer_to_a_question() -> None:
    assert signals(rollout(human("Go."), model("Shall I push?"), human("No, don't."), model("ok"))).corrections == 0


def test_what_is_said_behind_an_interruption_is_a_correction_unless_it_is_to_go_on() -> None:
    begun = [human("Go."), model("I will"), harness("interrupt")]
    assert signals(rollout(*begun, human("use make"), model("ok"))).corrections == 1
    assert signals(rollout(*begun, human("OK, continue"), model("ok"))).corrections == 0


def test_a_refusal_with_words_is_a_correction_and_one_without_is_not() -> None:
    call = model("", ("Edit", {"file_path": "a.py", "old_string": "1", "new_string": "2"}))
    with_words = signals(rollout(human("Go."), call, result(REFUSED_WITH_WORDS, True), model("ok")))
    without = signals(rollout(human("Go."), call, result(REFUSED, True), harness("interrupt")))
    assert (with_words.rejections, with_words.corrections, with_words.edits) == (1, 1, 0)
    assert (without.rejections, without.corrections, without.ended) == (1, 0, "interrupted")


def test_a_bare_refusal_and_the_turn_behind_it_are_one_correction() -> None:
    call = model("", ("Bash", {"command": "rm -rf build"}))
    made = rollout(
        human("Go."), call, result(REFUSED, True), harness("interrupt"), human("use make clean"), model("ok")
    )
    assert signals(made).corrections == 1


def test_a_revert_typed_into_a_shell_is_a_correction() -> None:
    typed = human("<bash-input>git checkout -- app.py</bash-input>", "bash")
    made = rollout(human("Go."), edit("/r/app.py", "1", "2"), model("Done."), typed)
    assert signals(made).corrections == 1
    assert findings(made) == {1: ["reverted_edit", "corrected"], 3: ["corrected"]}


def test_human_turns_leave_out_injected_text_local_commands_and_copies() -> None:
    copied = human("Before.", "copied")
    local = [harness("caveat"), human("<command-name>/exit</command-name>", "command"), harness("command_output")]
    asked = human("<command-name>/init</command-name>", "command")
    made = rollout(
        copied, harness("environment"), asked, model("a"), human("b"), human("c", "queued"), model("d"), local
    )
    assert signals(made).human_turns == 2
