"""``Redactor``: secrets of a data set replaced by their names, everywhere a rollout says them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from rollmill.curate.redaction.assignments import named_secret
from rollmill.curate.redaction.fields import Field, change_ids, fields, text_of
from rollmill.curate.redaction.finding import Finding
from rollmill.curate.redaction.json_strings import Replace, replaced
from rollmill.curate.redaction.known import Known, Memory
from rollmill.curate.redaction.names import Names
from rollmill.curate.redaction.search import find, find_at, literals, may_hold, names_any
from rollmill.curate.redaction.views import may_hide
from rollmill.curate.redaction.windows import Hit
from rollmill.rollout import Rollout

POLICY = "rollmill/2"
"""The name and version of what is removed: it changes whenever the same text could come out differently."""

ROUNDS = 8
"""A name that takes a secret's place can leave another one standing free; it is looked for this often."""


class Place(NamedTuple):
    """Where a rollout holds secrets: the index of the message (None: the row itself), the field, how many by kind."""

    message: int | None
    field: str
    counts: dict[str, int]


class Redactor:
    """Keeps the pseudonyms of one data set, and its secrets, so that what one row gives away is known in the others.

    ``counts`` says how many places of each kind were replaced.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._names = Names()
        self._memory = Memory()
        self._here: Counter[str] = Counter()

    def text(self, text: str) -> str:
        """``text`` with its secrets replaced, those known from before too; the same object when it has none."""
        return self._bare(self._text(text, find(text)))

    def json_text(self, text: str) -> str:
        """JSON text whose strings have their secrets replaced and nothing else changed; other text like ``text``."""
        text = self._json_text(text, list(literals().places(text)))
        for known in self._memory.known():
            if findings := known.find(text):
                text = self._known_in(text, findings, known, True)
        return text

    def value(self, value: Any) -> Any:
        """Builtins, nested, with the secrets of every string replaced, those known from before too."""
        return self._value(self._value(value, "", self._string), "", lambda text, _: self._bare(text))

    def rollout(self, rollout: Rollout) -> tuple[Rollout, dict[str, int]]:
        """The rollout, redacted in place, and how many places of each kind were replaced in it."""
        counts: Counter[str] = Counter()
        for place in self.places(rollout):
            counts.update(place.counts)
        return rollout, dict(counts)

    def places(self, rollout: Rollout) -> list[Place]:
        """Redact the rollout in place and tell where something was replaced, and what kinds of secrets."""
        self._memory.next_row()
        places = fields(rollout)
        texts = list(map(text_of, places))
        changed: dict[int, Counter[str]] = {}
        doubtful = list(literals().places_in(texts))
        for index, hits in doubtful:
            if names_any(hits):
                self._names.reserve(texts[index])
        for index, hits in doubtful:
            self._here = Counter()
            text, is_json = texts[index], places[index][2]
            new = self._json_text(text, hits) if is_json else self._text(text, find_at(text, hits))
            texts[index] = _set(places[index], text, new)
            if self._here:
                changed[index] = self._here
        ids = self._here = Counter()
        change_ids(rollout, lambda path: self._text(path, find(path)))
        for known in self._memory.known():
            self._known_again(places, texts, changed, known)
        if ids:
            changed[len(places)] = ids
            places.append((rollout, "trace_id", False, None, "ids"))
        self._memory.in_row = False
        return [Place(*places[index][3:], dict(changed[index])) for index in sorted(changed)]

    @property
    def known(self) -> int:
        """How many secrets are known that are looked for in every row."""
        return len(self._memory)

    def again(self, rollout: Rollout, known: int) -> dict[str, int]:
        """Redact in a rollout, in place, what became known after it was redacted, when ``known`` was as given.

        How many places of each kind were replaced comes back.
        """
        secrets = self._memory.secrets()
        if known == self.known or secrets.literals is None:
            return {}
        places = fields(rollout)
        changed: dict[int, Counter[str]] = {}
        self._known_again(places, list(map(text_of, places)), changed, secrets)
        return dict(sum(changed.values(), Counter()))

    def _known_again(
        self, places: list[Field], texts: list[str], changed: dict[int, Counter[str]], known: Known
    ) -> None:
        """Replace what was shown to be secret where nothing but that gives it away."""
        for index, hits in _doubtful(texts, known):
            text = texts[index]
            if findings := known.find(text, hits):
                self._here = changed.setdefault(index, Counter())
                new = self._known_in(text, findings, known, places[index][2])
                texts[index] = _set(places[index], text, new)

    def _known_in(self, text: str, findings: list[Finding], known: Known, is_json: bool) -> str:
        new = replaced(text, lambda value, _: self._without(value, known.find(value))) if is_json else None
        return self._without(text, findings) if new is None else new

    def _bare(self, text: str) -> str:
        """``text`` with what is known from before replaced."""
        for known in self._memory.known():
            text = self._without(text, known.find(text))
        return text

    def _without(self, text: str, findings: list[Finding]) -> str:
        """``text`` without what is known, and without what that had hidden."""
        new = self._replaced(text, findings)
        return new if new is text else self._text(new, find(new))

    def _text(self, text: str, findings: list[Finding]) -> str:
        for _ in range(ROUNDS):
            if not findings:
                break
            text = self._replaced(text, findings)
            findings = find(text)
        return text

    def _json_text(self, text: str, hits: list[Hit]) -> str:
        if not hits or not may_hold(text, hits):
            return text
        if names_any(hits):
            self._names.reserve(text)
        starts = None if "\\u" in text or "\\/" in text else sorted(start for _, start, _ in hits)
        changed = replaced(text, self._string, starts)
        return self._text(text, find(text)) if changed is None else changed

    def _replaced(self, text: str, findings: list[Finding]) -> str:
        if not findings:
            return text
        self._names.reserve(text)
        pieces, at = [], 0
        for each in findings:
            pieces += [text[at : each.start], self._named(each)]
            at = each.end
        return "".join(pieces) + text[at:]

    def _named(self, finding: Finding) -> str:
        self.counts[finding.kind] += 1
        self._here[finding.kind] += 1
        self._memory.add(finding)
        return self._names.name(finding.kind, finding.secret)

    def _string(self, value: str, key: str) -> str:
        if key and (finding := named_secret(key, value)):
            return self._named(finding)
        return self._text(value, find(value))

    def _value(self, value: Any, key: str, change: Replace) -> Any:
        if isinstance(value, str):
            return change(value, key)
        if isinstance(value, dict):
            return {
                self._value(k, "", change): self._value(v, k if isinstance(k, str) else "", change)
                for k, v in value.items()
            }
        if isinstance(value, list | tuple):
            return type(value)(self._value(item, key, change) for item in value)
        return value


def _doubtful(texts: list[str], known: Known) -> Iterator[tuple[int, list[Hit] | None]]:
    """The index of each text that may hold something known; its hits, when they can be told without looking closer."""
    if known.literals is None:
        return
    hidden = {index for index, text in enumerate(texts) if may_hide(text)}
    yield from ((index, None) for index in hidden)
    yield from (found for found in known.literals.places_in(texts) if found[0] not in hidden)


def _set(field: Field, before: str, after: str) -> str:
    """Give the field its new text, unless it is the old one."""
    if after is not before and after != before:
        setattr(field[0], field[1], after)
    return after


def earlier(rollout: Rollout) -> dict[str, int]:
    """What earlier runs have replaced in a row, as ``mark`` wrote it there."""
    before = rollout.source_meta.other.get("redaction")
    counts = before.get("counts", {}) if isinstance(before, dict) else {}
    return {str(k): n for k, n in counts.items() if type(n) is int and n > 0} if isinstance(counts, dict) else {}


def mark(rollout: Rollout, counts: dict[str, int]) -> None:
    """Write into ``source_meta.other`` which policy the row went through, and what it replaced, earlier times too."""
    total = Counter(earlier(rollout))
    total.update(counts)
    rollout.source_meta.other["redaction"] = {"policy": POLICY, "counts": dict(total)}
