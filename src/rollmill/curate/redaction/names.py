"""The names that secrets are given: ``<API_KEY_1>``, one for each secret of a data set."""

from __future__ import annotations

import re
from hashlib import blake2b

LABELS = {
    "private_key": "PRIVATE_KEY",
    "password": "PASSWORD",
    "url_password": "PASSWORD",
    "basic_auth": "PASSWORD",
    "command_password": "PASSWORD",
    "secret": "SECRET",
    "url_signature": "SECRET",
    "bearer_token": "TOKEN",
    "jwt": "TOKEN",
    "cookie": "COOKIE",
    "email": "EMAIL",
    "home_user": "USER",
}
"""What a kind's pseudonyms are called; any other kind by how it ends: ``…_token``, ``…_webhook``, else a key."""

_NAMES = ("API_KEY", "TOKEN", "WEBHOOK", *sorted(set(LABELS.values()) - {"TOKEN"}))

PLACEHOLDER = re.compile(rf"<({'|'.join(_NAMES)})_([1-9][0-9]{{0,8}})>")
"""Every pseudonym that we write: its label and its number."""

PLACEHOLDER_STARTS = tuple(f"<{name}_" for name in _NAMES)


def label(kind: str) -> str:
    """The label of a kind's pseudonyms."""
    if kind in LABELS:
        return LABELS[kind]
    return "TOKEN" if kind.endswith("_token") else "WEBHOOK" if kind.endswith("_webhook") else "API_KEY"


class Names:
    """The names given so far. Secrets are kept as hashes: who finds this in memory has found none."""

    def __init__(self) -> None:
        self._names: dict[bytes, str] = {}
        self._reserved: dict[str, set[int]] = {}
        self._last: dict[str, int] = {}

    def reserve(self, text: str) -> None:
        """Keep the names that stand in ``text`` already for what they mean there."""
        if "\\u003" in text:  # Some programs write < and > so in JSON.
            text = re.sub(r"\\+u003[cC]", "<", re.sub(r"\\+u003[eE]", ">", text))
        for found in PLACEHOLDER.finditer(text):
            number = int(found[2])
            if number > self._last.get(found[1], 0):
                self._reserved.setdefault(found[1], set()).add(number)

    def name(self, kind: str, secret: str) -> str:
        """The secret's name, a new one for a new secret."""
        key = blake2b(secret.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if (known := self._names.get(key)) is None:
            known = self._names[key] = self._next(label(kind))
        return known

    def _next(self, label: str) -> str:
        number = self._last.get(label, 0) + 1
        reserved = self._reserved.get(label, set())
        while number in reserved:
            reserved.discard(number)
            number += 1
        self._last[label] = number
        return f"<{label}_{number}>"
