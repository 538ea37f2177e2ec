"""Images, sounds and files out of rollouts: stored once by the SHA-256 of their bytes, referenced in rows.

Names in the store come from the bytes alone, never from a rollout's text.
"""

from __future__ import annotations

import binascii
from pathlib import Path
from typing import Protocol

from rollmill.files import write_whole
from rollmill.rollout import Media

SIGNATURES = (
    (b"\x89PNG", ".png", "image/png"),
    (b"\xff\xd8\xff", ".jpg", "image/jpeg"),
    (b"GIF8", ".gif", "image/gif"),
    (b"RIFF", ".webp", "image/webp"),
    (b"%PDF", ".pdf", "application/pdf"),
)
"""A file's ending follows from its first bytes, so that one medium has one name whatever a log calls its type."""


class MediaStore(Protocol):
    """Where decoded media go."""

    def put(self, sha256: str, data: bytes) -> None:
        """Keep ``data`` under its hash. Called again for the same hash, it does nothing."""


class NoStore:
    """Keeps nothing: rows still carry hash and size."""

    def put(self, sha256: str, data: bytes) -> None:
        pass


class MediaFolder:
    """A folder with one file for each distinct medium, ``ab/abcd….png``, readable by its owner only.

    Several processes may write to one folder: a file appears whole under its name or not at all.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: set[str] = set()

    def put(self, sha256: str, data: bytes) -> None:
        if sha256 in self._known:
            return
        target = self.folder / sha256[:2] / (sha256 + _ending(data))
        if not target.exists():
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(target, data)
        self._known.add(sha256)


def _ending(data: bytes) -> str:
    return next((ending for signature, ending, _ in SIGNATURES if data.startswith(signature)), ".bin")


def sniffed_type(data: bytes) -> str | None:
    """The media type the first bytes tell; None when they tell none."""
    return next((kind for signature, _, kind in SIGNATURES if data.startswith(signature)), None)


def from_base64(encoded: str | bytes, media_type: str | None, store: MediaStore) -> Media | None:
    """The reference for base64 text, its bytes handed to ``store``; None when it is not valid base64."""
    try:
        data = binascii.a2b_base64(encoded, strict_mode=True)
    except (binascii.Error, ValueError):
        return None
    if not data:
        return None
    import hashlib  # Late: few logs have media.

    sha256 = hashlib.sha256(data).hexdigest()
    store.put(sha256, data)
    return Media(sha256=sha256, media_type=media_type or sniffed_type(data), size=len(data))


def from_data_url(url: str, store: MediaStore) -> Media | None:
    """The reference for an image URL: embedded ``data:…;base64,…`` decoded, anything else kept as its ``url``.
    None when the URL is embedded and does not decode."""
    if not url.startswith("data:"):
        return Media(url=url)
    head, found, encoded = url.partition(";base64,")
    return from_base64(encoded, head.removeprefix("data:").partition(";")[0] or None, store) if found else None
