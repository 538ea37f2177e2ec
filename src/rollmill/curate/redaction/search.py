"""All secrets of a text: one pass of a multi-literal search, then a closer look around its hits.

Most texts hold nothing, and the pass over them runs in compiled code. It says where a rule's literal stands; only
there the rule's pattern is tried.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import cache

from rollmill.curate.redaction import assignments, commands, headers, homes, pem, people, tokens, views
from rollmill.curate.redaction.finding import Finding, Rule
from rollmill.curate.redaction.names import PLACEHOLDER, PLACEHOLDER_STARTS
from rollmill.curate.redaction.windows import Hit, Literals

BY_CONTEXT = assignments.KINDS | headers.KINDS | commands.KINDS
"""Kinds that only what stands around gives away; what has a form of its own may stand inside."""


@cache
def _rules() -> dict[str, list[Rule | None]]:
    """Whose literal each is: rules', or (None) that of an escape, these first, or of a pseudonym."""
    rules: dict[str, list[Rule | None]] = {literal: [None] for literal in (*views.STARTS, *PLACEHOLDER_STARTS)}
    for module in (tokens, pem, headers, assignments, people, homes, commands):
        for rule in module.rules():
            for literal in rule.literals:
                rules.setdefault(literal, []).append(rule)
    return rules


@cache
def _rules_in_order() -> list[list[Rule | None]]:
    return list(_rules().values())


@cache
def literals() -> Literals:
    """What the pre-filter looks for: where none of it stands there is no secret."""
    return Literals(list(_rules()), dense=True)


def find(text: str) -> list[Finding]:
    """The secrets in ``text``, in order, none overlapping another nor a pseudonym that is there already."""
    return find_at(text, literals().places(text))


def find_at(text: str, hits: Iterable[Hit]) -> list[Finding]:
    """``find``, for whom the pre-filter has been over the text already."""
    candidates, has_escapes = _candidates(text, hits)
    if has_escapes and (view := views.view_of(text)).places:
        candidates, _ = _candidates(view.text, literals().places(view.text))
        return _settled(view.placed(_settled(candidates, view.text)), text)
    return _settled(candidates, text)


def names_any(hits: Iterable[Hit]) -> bool:
    """Whether one of the hits can be of a pseudonym."""
    rules_of = _rules_in_order()
    return any(rules_of[which][0] is None for which, _, _ in hits)


def may_hold(text: str, hits: Iterable[Hit]) -> bool:
    """Whether the strings of this JSON text can hold a secret. Most of those with a hit do not."""
    if '"value"' in text or '"Value"' in text:
        return True  # Its name may stand anywhere in the object.
    rules_of = _rules_in_order()
    return any(
        rule is None or not rule.in_json or rule.check(text, start, end) is not None
        for which, start, end in hits
        for rule in rules_of[which]
    )


def _candidates(text: str, hits: Iterable[Hit]) -> tuple[list[Finding], bool]:
    """What the checks say, and whether escapes were met."""
    rules_of = _rules_in_order()
    found: list[Finding] = []
    has_escapes, past = False, 0
    for which, start, end in hits:
        if start < past:
            continue
        for rule in rules_of[which]:
            if rule is None:
                has_escapes |= which < len(views.STARTS)
            elif finding := rule.check(text, start, end):
                found.append(finding)
                if finding.kind == "cookie":
                    found += _more_cookies(text, finding.end)
                if finding.kind not in BY_CONTEXT:
                    past = max(past, finding.end)  # It knows where it ends: nothing in it is another's.
    return found, has_escapes


def _more_cookies(text: str, at: int) -> Iterator[Finding]:
    while text[at : at + 1] == ";" and (finding := headers.next_cookie(text, at + 1)):
        yield finding
        at = finding.end


def _settled(candidates: list[Finding], text: str) -> list[Finding]:
    """The candidates without those inside longer ones and those that touch a pseudonym."""
    if not candidates:
        return []
    taken = [found.span() for found in PLACEHOLDER.finditer(text)] if "_" in text and "<" in text else []
    if taken:
        candidates = [each for each in candidates if not _touches(each, taken)]
    kept: list[Finding] = []
    for finding in sorted(candidates, key=_order):
        if kept and finding.start < kept[-1].end:
            if _is_better(finding, kept[-1]):
                kept[-1] = finding
        else:
            kept.append(finding)
    return kept


def _is_better(finding: Finding, than: Finding) -> bool:
    """Of two that overlap the longer is; but a token in a value that is hardly more than it has its own name."""
    length, other = finding.end - finding.start, than.end - than.start
    if than.kind in BY_CONTEXT and finding.kind not in BY_CONTEXT:
        return length >= 0.8 * other
    return length > other


def _order(finding: Finding) -> tuple[int, int, bool]:
    """From the left, the longer first, and of two that are the same the one that knows whose secret it is."""
    return finding.start, -finding.end, finding.kind in BY_CONTEXT


def _touches(finding: Finding, spans: list[tuple[int, int]]) -> bool:
    """Whether the finding overlaps one of the spans, which are in order."""
    at = bisect_left(spans, (finding.end, 0))
    return at > 0 and spans[at - 1][1] > finding.start
