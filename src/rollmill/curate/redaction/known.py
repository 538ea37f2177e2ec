"""Secrets that a rollout has shown once, found again where nothing around them gives them away.

A password is known by its name in one message and stands bare in the next; a user's name is known by a path and
stands alone in ``ls -l``. So a rollout is searched a second time, for what the first search has found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping

from rollmill.curate.redaction.finding import Finding
from rollmill.curate.redaction.shapes import looks_chosen, looks_generated
from rollmill.curate.redaction.windows import Hit, Literals

LEAST_SECRET = 8
LEAST_USER = 3
"""Shorter ones are words of code (``max``, ``id``) too often."""

_OWN = frozenset({"private_key", "email"})
"""Kinds that are found wherever they stand."""

_USER_AFTER = re.compile(r"/|@[\w-]|\s+(?:staff|wheel|users|admin|docker)\b")
_USER_BEFORE = re.compile(
    r"(?:/|\b(?:USER|LOGNAME|USERNAME|SUDO_USER)=|[r-][w-][xsStT-][@+.]?\s{1,5}\d{1,6}\s{1,8}(?:\S{1,40}\s{1,8})?)$"
)


class Known:
    """What to look for in one rollout: secret → kind."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._forms = dict(_forms(secrets))
        self._needles = list(self._forms)
        self.literals = Literals(self._needles, dense=False) if self._needles else None

    def find(self, text: str, hits: Iterable[Hit] | None = None) -> list[Finding]:
        """Where the known secrets stand, in order, none overlapping another."""
        if self.literals is None:
            return []
        found: list[Finding] = []
        places = self.literals.places(text) if hits is None else hits
        for which, start, end in sorted(places, key=lambda hit: (hit[1], -hit[2])):
            secret, kind = self._forms[self._needles[which]]
            if (not found or start >= found[-1].end) and _stands_alone(kind, text, start, end):
                found.append(Finding(kind, start, end, secret))
        return found


def _forms(secrets: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, str]]]:
    """The ways in which a secret may be written, each with the secret and its kind."""
    for secret, kind in secrets.items():
        if kind == "home_user" and len(secret) >= LEAST_USER:
            yield from dict.fromkeys((form, (secret, kind)) for form in (secret, re.sub(r"[._]", "-", secret)))
        elif kind not in _OWN | {"home_user"} and len(secret) >= LEAST_SECRET and _is_distinct(secret):
            escaped = json.dumps(secret)[1:-1]
            yield from dict.fromkeys((form, (secret, kind)) for form in (secret, escaped, json.dumps(escaped)[1:-1]))


def _is_distinct(secret: str) -> bool:
    """Whether chance or prose could not say the same."""
    return looks_generated(secret, LEAST_SECRET) or looks_chosen(secret) or len(secret) >= 20


def _stands_alone(kind: str, text: str, start: int, end: int) -> bool:
    if kind != "home_user":
        return True
    before, after = text[start - 1 : start], text[end : end + 1]
    if before.isalnum() or after.isalnum() or before == "_" or after == "_":
        return False
    if before == "-" and after in ("-", ""):  # The dashed folder of a project, when its name had dots.
        return re.search(r"-(?:Users|home)-$", text[max(0, start - 7) : start]) is not None
    if _USER_AFTER.match(text, end):
        return after == "@" or after.isspace() or before == "/"
    return before != "/" and _USER_BEFORE.search(text[max(0, start - 80) : start]) is not None
