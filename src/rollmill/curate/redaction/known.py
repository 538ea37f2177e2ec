"""Secrets that were shown once, found again where nothing around them gives them away.

A password is known by its name in one message and stands bare in the next, or in what a sub-agent was told; a user's
name is known by a path and stands alone in ``ls -l``. So texts are searched a second time, for what was found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from rollmill.curate.redaction.finding import Finding
from rollmill.curate.redaction.shapes import is_word_and_digits, looks_chosen, looks_generated
from rollmill.curate.redaction.views import View, may_hide, view_of
from rollmill.curate.redaction.windows import Hit, Literals

LEAST_SECRET = 6
LEAST_USER = 3
"""Shorter ones are words of code (``max``, ``id``) too often."""
LEAST_LINE = 32
"""Characters of a private key's line that is searched by itself."""
HEAD = 12
"""As many characters of a secret that a program made give it away when a terminal or a log has cut the rest off."""
UNMISTAKABLE = 24
"""So long, and made by a generator, a secret is itself wherever it stands, also within a longer word."""


class Needle(NamedTuple):
    """What a text is searched for: whose secret it is, and the kind."""

    secret: str
    kind: str


_OWN = frozenset({"private_key", "email"})
"""Kinds that are found wherever they stand; of a private key, only its lines are searched."""

_USER_AFTER = re.compile(r"@(?:[A-Za-z]|\d{1,3}(?:\.\d{1,3}){3})")
_USER_BEFORE = re.compile(
    r"(?:[/\\](?i:Users|home)[/\\]+|%2F(?:Users|home)%2F|\b(?:USER|LOGNAME|USERNAME|SUDO_USER)=|~)$"
)
_OWNER_BEFORE = re.compile(r"[r-][w-][xsStT-][@+.]?\s{1,5}\d{1,6}\s{1,8}(?:\S{1,40}\s{1,8})?$")
_DASHED_BEFORE = re.compile(r"-(?:Users|home)-$")
_JOINED_BEFORE = re.compile(r"(?:\\[nrtbf]|\[[\d;]{0,12}[mK]|\s-[pa]|%[0-9A-Fa-f]{2}|(?:^|\n)-)$")
"""What may stand right before a secret though it looks like a part of its word: escapes, colours, ``-p``, a diff."""


class Known:
    """What to look for: each needle with whose it is."""

    def __init__(self, needles: Mapping[str, Needle]) -> None:
        self._forms = dict(_forms(needles))
        self._heads = {head: form for form in self._forms if (head := _head(form, self._forms[form].kind))}
        self._forms |= {head: self._forms[form] for head, form in self._heads.items() if head not in self._forms}
        self._needles = list(self._forms)
        self.literals = Literals(self._needles, dense=False) if self._needles else None

    def find(self, text: str, hits: Iterable[Hit] | None = None) -> list[Finding]:
        """Where the known secrets stand, in order, none overlapping another."""
        if self.literals is None:
            return []
        view = None
        if may_hide(text):
            view = view_of(text)
            hits = self.literals.places(view.text)
        elif hits is None:
            hits = self.literals.places(text)
        if not hits:
            return []
        view = view or View(text)
        found: list[Finding] = []
        for which, start, end in sorted(hits, key=lambda hit: (hit[1], -hit[2])):
            form = self._needles[which]
            needle = self._forms[form]
            if form in self._heads and not (end := _cut_end(view.text, start, self._heads[form])):
                continue
            if (not found or start >= found[-1].end) and _stands_alone(needle, view.text, start, end):
                found.append(Finding(needle.kind, start, end, needle.secret))
        return view.placed(found)


def _forms(needles: Mapping[str, Needle]) -> Iterator[tuple[str, Needle]]:
    """The ways in which a needle may be written."""
    for text, needle in needles.items():
        if needle.kind == "home_user":
            dashed = re.sub(r"[._]", "-", text)
            for form in (text, dashed) if len(text) >= LEAST_USER else ():
                yield from ((cased, needle) for cased in (form, form.lower(), form.upper(), form.title()))
        else:
            escaped = json.dumps(text)[1:-1]
            yield from dict.fromkeys((form, needle) for form in (text, escaped, json.dumps(escaped)[1:-1]))


_PREFIX = re.compile(r"(?:[A-Za-z]{1,10}[-_.])?(?:[a-z0-9]{1,8}[-_])?")


def _head(form: str, kind: str) -> str | None:
    """How a cut secret begins; None for one that many begin alike, or that is hardly longer."""
    if kind in ("home_user", "jwt", "private_key", "cookie") or not looks_generated(form, 20):
        return None
    prefix = _PREFIX.match(form)
    length = HEAD + (prefix.end() if prefix else 0)
    return form[:length] if len(form) >= length + 4 else None


def _cut_end(text: str, start: int, form: str) -> int:
    """Where a cut secret that begins like ``form`` ends, its rest on the next line too; 0 when it goes on otherwise."""
    there = text[start : start + len(form)]
    same = next((at for at, (a, b) in enumerate(zip(there, form, strict=False)) if a != b), len(there))
    end = start + same
    rest = form[end - start :]
    if text.startswith("\n" + rest, end):
        return end + 1 + len(rest)
    return 0 if _is_part(text[end : end + 1], "_-") and rest else end


def needles_of(finding: Finding) -> Iterator[tuple[str, Needle]]:
    """What to look for after a finding, and whose it is; nothing where chance or prose could say the same."""
    needle = Needle(finding.secret, finding.kind)
    if finding.kind == "home_user" or (finding.kind not in _OWN and is_distinct(finding.secret)):
        yield finding.secret, needle
    yield from ((part, needle) for part in finding.parts if len(part) >= LEAST_LINE)


def is_distinct(secret: str) -> bool:
    """Whether chance or prose could not say the same."""
    if len(secret) < LEAST_SECRET or is_word_and_digits(secret):
        return False
    return looks_generated(secret, LEAST_SECRET) or looks_chosen(secret) or len(secret) >= 20


def _stands_alone(needle: Needle, text: str, start: int, end: int) -> bool:
    before, after = text[start - 1 : start], text[end : end + 1]
    if needle.kind == "home_user":
        return not _is_part(after, "_") and _is_user(text, start, end)
    if (
        len(needle.secret) >= UNMISTAKABLE
        and looks_generated(needle.secret, UNMISTAKABLE)
        and not _is_hex(needle.secret)
    ):
        return True
    if _is_part(after, "_-"):
        return False
    return not _is_part(before, "_-") or _JOINED_BEFORE.search(text[max(0, start - 16) : start]) is not None


def _is_part(letter: str, signs: str) -> bool:
    return letter.isalnum() or (letter != "" and letter in signs)


def _is_hex(secret: str) -> bool:
    return re.fullmatch(r"[0-9a-fA-F-]+", secret) is not None


def _is_user(text: str, start: int, end: int) -> bool:
    """Whether a home folder, an address or the owner's column of a listing says the name."""
    before = text[max(0, start - 80) : start]
    if _USER_BEFORE.search(before) or _DASHED_BEFORE.search(before):
        return True
    if _is_part(before[-1:], "_-.") and not _JOINED_BEFORE.search(before):
        return False
    if _USER_AFTER.match(text, end):
        return before[-1:] not in ("/", "\\") or before.endswith("//")
    return text[end : end + 1].isspace() and _OWNER_BEFORE.search(before) is not None


class Memory:
    """What a data set has shown so far. Users belong to one row, everything else to all rows."""

    def __init__(self) -> None:
        self._secrets: dict[str, Needle] = {}
        self._users: dict[str, Needle] = {}
        self.in_row = False
        """Whether users are remembered: not those of texts that no row holds."""
        self._old, self._old_size = Known({}), 0
        self._new, self._new_key = Known({}), (0, frozenset[str]())
        self._all, self._all_size = Known({}), 0
        self._seen: tuple[int, int] | None = None

    def __len__(self) -> int:
        """How many secrets are known; the users of the row are not counted."""
        return len(self._secrets)

    def add(self, finding: Finding) -> None:
        """Remember what was found, if it can be looked for."""
        if finding.kind == "home_user":
            if self.in_row and finding.secret not in self._users:
                self._users.update(needles_of(finding))
        elif finding.secret not in self._secrets:
            for text, needle in needles_of(finding):
                self._secrets.setdefault(text, needle)

    def next_row(self) -> None:
        """Forget the users of the row before."""
        self._users, self.in_row, self._seen = {}, True, None

    def known(self) -> list[Known]:
        """What is to be looked for in this row. Secrets of long ago lie apart, so that few are compiled anew."""
        size = len(self._secrets)
        if size - self._old_size > max(256, self._old_size // 4):
            self._old, self._old_size = Known(self._secrets), size
            self._new_key = -1, frozenset()
        if self._seen != (size, len(self._users)):
            self._seen = size, len(self._users)
            self._compile_new()
        return [known for known in (self._old, self._new) if known.literals is not None]

    def _compile_new(self) -> None:
        """Compile what is newer, unless the row before had the same users and nothing was found since."""
        key = len(self._secrets), frozenset(self._users)
        if self._new_key != key:
            self._new, self._new_key = Known(dict(list(self._secrets.items())[self._old_size :]) | self._users), key

    def secrets(self) -> Known:
        """All secrets of the data set, without users."""
        if self._all_size != len(self._secrets):
            self._all, self._all_size = Known(self._secrets), len(self._secrets)
        return self._all
