"""``Redactor``: secrets of a data set replaced by their names, everywhere a rollout says them."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from rollmill.curate.redaction.assignments import named_secret
from rollmill.curate.redaction.fields import Field, fields, text_of
from rollmill.curate.redaction.finding import Finding
from rollmill.curate.redaction.json_strings import replaced
from rollmill.curate.redaction.known import Known
from rollmill.curate.redaction.names import Names
from rollmill.curate.redaction.search import find, find_at, literals, may_hold, names_any
from rollmill.curate.redaction.windows import Hit
from rollmill.rollout import Rollout

POLICY = "rollmill/1"
"""The name and version of what is removed: it changes whenever the same text could come out differently."""

ROUNDS = 8
"""A name that takes a secret's place can leave another one standing free; it is looked for this often."""


class Place(NamedTuple):
    """Where a rollout holds secrets: the index of the message (None: the row itself), the field, how many by kind."""

    message: int | None
    field: str
    counts: dict[str, int]


class Redactor:
    """Keeps the pseudonyms of one data set. ``counts`` says how many places of each kind were replaced."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._names = Names()
        self._found: dict[str, str] = {}
        self._here: Counter[str] = Counter()

    def text(self, text: str) -> str:
        """``text`` with its secrets replaced; the same object when it has none."""
        return self._text(text, find(text))

    def json_text(self, text: str) -> str:
        """JSON text whose strings have their secrets replaced and nothing else changed; other text like ``text``."""
        return self._json_text(text, list(literals().places(text)))

    def value(self, value: Any) -> Any:
        """Builtins, nested, with the secrets of every string replaced."""
        return self._value(value, "")

    def rollout(self, rollout: Rollout) -> tuple[Rollout, dict[str, int]]:
        """The rollout, redacted in place, and how many places of each kind were replaced in it."""
        counts: Counter[str] = Counter()
        for place in self.places(rollout):
            counts.update(place.counts)
        return rollout, dict(counts)

    def places(self, rollout: Rollout) -> list[Place]:
        """Redact the rollout in place and tell where something was replaced, and what kinds of secrets."""
        self._found = {}
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
        self._known_again(places, texts, changed)
        return [Place(*places[index][3:], dict(changed[index])) for index in sorted(changed)]

    def _known_again(self, places: list[Field], texts: list[str], changed: dict[int, Counter[str]]) -> None:
        """Replace what the rollout has shown to be secret where nothing but that gives it away."""
        known = Known(self._found)
        if known.literals is None:
            return
        for index, hits in known.literals.places_in(texts):
            text = texts[index]
            if findings := known.find(text, hits):
                self._here = changed.setdefault(index, Counter())
                new = self._known_in_strings(text, known) if places[index][2] else None
                _set(places[index], text, self._replaced(text, findings) if new is None else new)

    def _known_in_strings(self, text: str, known: Known) -> str | None:
        return replaced(text, lambda value, _: self._replaced(value, known.find(value)))

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
        self._found.setdefault(finding.secret, finding.kind)
        return self._names.name(finding.kind, finding.secret)

    def _string(self, value: str, key: str) -> str:
        if key and (finding := named_secret(key, value)):
            return self._named(finding)
        return self.text(value)

    def _value(self, value: Any, key: str) -> Any:
        if isinstance(value, str):
            return self._string(value, key)
        if isinstance(value, dict):
            return {self._value(k, ""): self._value(v, k if isinstance(k, str) else "") for k, v in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self._value(item, key) for item in value)
        return value


def _set(field: Field, before: str, after: str) -> str:
    """Give the field its new text, unless it is the old one."""
    if after is not before and after != before:
        setattr(field[0], field[1], after)
    return after


def mark(rollout: Rollout, counts: dict[str, int]) -> None:
    """Write into ``source_meta.other`` which policy the row went through, and what it replaced, earlier times too."""
    before = rollout.source_meta.other.get("redaction")
    earlier = before.get("counts", {}) if isinstance(before, dict) else {}
    total = Counter({str(kind): count for kind, count in earlier.items() if isinstance(count, int)})
    total.update(counts)
    rollout.source_meta.other["redaction"] = {"policy": POLICY, "counts": dict(total)}
