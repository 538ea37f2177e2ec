"""What the human did in a rollout: their turns, which of them correct the work before, what they say at the end.

Nothing here understands text. A turn is a correction by where it stands (behind an interruption, behind a refused
call) or by how it opens, in a short list of English words; what is not on the list is not one.
"""

from __future__ import annotations

import re

from msgspec import Struct

from rollmill.curate._calls import Call, first_text, is_model, words_of_rejection
from rollmill.curate._commands import Run, runs
from rollmill.rollout import Message

TYPED = (None, "queued")
_LOCAL = ("caveat", "command_output")
_LOOKED_AT = 600
_FILLER = r"(?:(?:oh|hm+|ok(?:ay)?|well|hey|sorry|but|and|please|actually|yes|yeah|yep|wow|claude)\b[\s,.!-]*)*"
_NEGATIVE = (
    r"no(?=[,.!;:\n-]|$|,? (?:not|that|this|it|don|do not|you|i|wait|stop|the)\b)",
    r"nope\b|hold on\b|let'?s not\b",
    r"(?:wrong|incorrect)(?=[,.!;:\n]|$| (?:file|one|place|way|branch|folder|path|answer|approach|again)\b(?!-))",
    r"(?:undo|revert|roll ?back)(?=[.,!\n]|$| (?:that|this|it|those|these|your|the|my|all|every\w*|to|back|please)\b)",
    r"stop(?=[,.!;:\n-]|$| (?:doing|it|that|this|adding|using|changing|making|trying|you)\b)",
    r"wait(?=[,.!;:\n-]|$| (?:no|why|what|i|you|that)\b)",
    r"not (?:what|like that|that|quite|right|correct)\b",
    r"(?:don'?t|do not) (?:do|touch|change|delete|remove) (?:that|this|it|those|these)\b",
    r"(?:don'?t|do not) [^.!?\n]{1,150}?(?:, (?:i (?:want|meant)|just|use|keep|leave)\b| instead\b| rather\b)",
    r"(?:that|this|it)(?:'s| is| was) (?:wrong|incorrect|still|broken)\b",
    r"(?:that|this|it)(?:'s| is| was) not (?:what|right|correct|how|it|working|good|true)\b",
    r"(?:that|this|it) (?:still )?(?:isn'?t|doesn'?t|does not|didn'?t|did not|won'?t) "
    r"(?!(?:matter|hurt|need|have to|bother|mean|make a difference)\b)",
    r"(?:that|this|it) still (?:fails|says|shows|crashes|happens)",
    r"(?:that|this|it) still has (?:the same|no|(?:an? )?(?:\w+ )?(?:error|bug|issue|problem)s?)\b",
    r"you (?:broke|didn'?t|did not|forgot|missed|misunderstood|removed|deleted)\b"
    r"(?! (?:nothing|none|miss|forget|break|have to|need))",
    r"you (?:should(?:n'?t| not| have)|were(?:n'?t| not))\b|you(?:'re| are) (?:wrong|not)\b",
    r"why (?:did|are|have|would) you\b(?! (?:choose|pick|prefer|decide))",
    r"i (?:didn'?t|did not|never) (?:ask|say|want|mean|tell)\b",
    r"i (?:said(?! (?:hello|hi)\b)|asked you|told you|meant)\b",
    r"still (?:not|broken|fail|doesn'?t|does not|the same|getting|wrong)",
)
_OPENING = re.compile(f"{_FILLER}(?:{'|'.join(_NEGATIVE)})")
_INSIDE = re.compile(
    r"\bnot what i (?:asked|wanted|meant|said)|\byou broke\b|\bi didn't ask\b"
    r"|\b(?:is|was|are|seems?) not correct\b"
    r"|\b(?=[tiy])(?<!if )(?<!whether )(?<!when )(?:that|this|it|you)(?:'s|'re| is| was| are| seems?) "
    r"(?:wrong|incorrect|not (?:right|correct))\b"
    r"|(?:[.,;!\n] ?|please |let'?s )(?:revert|undo) (?:that|this|it|your|all)\b"
)
_HINTS_INSIDE = ("not what i", "broke", "didn't ask", "correct", "wrong", "right", "revert", "undo")
_GO_ON = re.compile(rf"{_FILLER}(?:continue|go on|go ahead|proceed|resume|carry on|keep going)\b")
_POSITIVE = (
    "thanks?(?: you)?(?: so much| a lot| very much)?|thx|ty|perfect|awesome|excellent|amazing|wonderful|brilliant",
    "fantastic|cool|lgtm|great(?: work| job| stuff)?|nice(?: work| job|ly done)?|good (?:work|job)|well done",
    "(?:it|that|this|everything|all)(?:'s| is)? ?(?:works?|worked|working|good|perfect|great|fixed|correct)",
    "works?|looks? (?:good|great|perfect)(?: to me)?|(?:that|it) did it|exactly what i (?:wanted|needed)",
)
_PRAISE = rf"(?:{'|'.join(_POSITIVE)})(?: now| great| fine| perfectly| well)*"
_PLEASED = re.compile(rf"{_FILLER}{_PRAISE}(?:[\s,.!:;)-]*(?:and |so )?{_PRAISE})*[^\w?]*")
_BASH_INPUT = re.compile(r"<(?:bash-input|command)>(.*?)</(?:bash-input|command)>", re.DOTALL)
_COMMAND_ARGUMENTS = re.compile(r"<command-args>(.*?)</command-args>", re.DOTALL)


class Turn(Struct, gc=False):
    """A time the human spoke: the index of its first message, how its text begins, the index of the last model message
    before it (-1 when there is none), and whether it corrects the work before."""

    index: int
    text: str
    last_model: int
    corrects: bool = False


class Revert(Struct, gc=False):
    """A revert that the human typed into a shell: its index, that of the last model message before it, the command."""

    index: int
    last_model: int
    run: Run


class People(Struct, gc=False):
    """All that the human did: turns, the indices of interruptions, reverts."""

    turns: list[Turn]
    interruptions: list[int]
    reverts: list[Revert]


def people(messages: list[Message], calls: list[Call]) -> People:
    """What the human did, in order."""
    refused = {id(call.result) for call in calls if call.rejected}
    found = People([], [], [])
    last_model, stopped, speaking = -1, False, False
    for index, message in enumerate(messages):
        if is_model(message):
            last_model, stopped, speaking = index, False, False
        elif message.role == "tool":
            stopped, speaking = stopped or id(message) in refused, False
        elif message.extra.kind == "interrupt":
            found.interruptions.append(index)
            stopped = True
        elif is_typed(messages, index):
            if not speaking:
                text = opening(message)
                corrects = last_model >= 0 and _corrects(text, stopped, first_text(messages[last_model]))
                found.turns.append(Turn(index, text, last_model, corrects))
            stopped, speaking = False, True
        elif message.extra.kind in ("bash", "user_shell"):
            typed = [run for run in _typed_runs(message) if run.kind == "revert"]
            found.reverts += [Revert(index, last_model, run) for run in typed]
    return found


def is_typed(messages: list[Message], index: int) -> bool:
    """Whether a human typed the message for the model: no local command such as ``/exit``, no copy."""
    message = messages[index]
    if message.role != "user" or message.extra.origin not in ("human", None):
        return False
    if message.extra.kind != "command":
        return message.extra.kind in TYPED
    before = messages[index - 1].extra.kind if index else None
    after = messages[index + 1].extra.kind if index + 1 < len(messages) else None
    return before not in _LOCAL[:1] and after not in _LOCAL[1:]


def opening(message: Message) -> str:
    """How a human's message begins, in small letters, with plain apostrophes and without space around it."""
    text = first_text(message)[: 4 * _LOOKED_AT]
    if message.extra.kind == "command" and (arguments := _COMMAND_ARGUMENTS.search(text)):
        text = arguments[1]
    return text.strip()[:_LOOKED_AT].lower().replace("’", "'")


def _corrects(text: str, stopped: bool, before: str) -> bool:
    """Whether a human turn corrects the work: it is no mere "go on" behind an interruption or a refused call, or it
    opens with a word of disagreement. "No" to a question of the model is an answer."""
    if stopped and not _GO_ON.match(text):
        return True
    answers = text.startswith("no") and before[-200:].rstrip().endswith("?")
    return bool(not answers and _OPENING.match(text)) or _disagrees_inside(text[:250])


def _disagrees_inside(text: str) -> bool:
    return any(hint in text for hint in _HINTS_INSIDE) and bool(_INSIDE.search(text))


def _typed_runs(message: Message) -> list[Run]:
    typed = _BASH_INPUT.search(first_text(message)[:4000])
    return runs(typed[1]) if typed else []


def corrections(found: People, calls: list[Call]) -> list[int]:
    """For each correction the index of the last model message before it, in order."""
    by_words = [turn.last_model for turn in found.turns if turn.corrects]
    by_refusal = [call.message for call in calls if words_of_rejection(call)]
    by_shell = [revert.last_model for revert in found.reverts if revert.last_model >= 0]
    return sorted(by_words + by_refusal + by_shell)


def pleased(text: str) -> bool:
    """Whether a short message says nothing but that the work is good."""
    return len(text) <= 120 and bool(_PLEASED.fullmatch(text))
