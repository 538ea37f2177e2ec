"""Lift base64 media out of long lines before they are decoded.

    …"image_url":"data:image/png;base64,iVBORw0KGgo…"…   becomes   …"image_url":"data:image/png;base64,<marker>"…

A Codex log can carry the same screenshot in hundreds of records and reach many gigabytes. Here each image goes to the
media store as soon as its closing quote has been read, and only a marker with its hash and size is decoded.
Only whole string values are lifted: a data URL quoted inside other text is that text.
"""

from __future__ import annotations

import os
import re

from rollmill.media import MediaStore, from_base64, from_data_url
from rollmill.rollout import Media

_MARK = f"rollmill-media-{os.urandom(12).hex()}:"
"""Differs in every process, so that no rollout can contain one."""
_OPENING = re.compile(
    rb'"(?:data|result)" ?: ?"(?=[A-Za-z0-9+/]{256})'
    rb'|"(?:image_url|url)" ?: ?"data:([\w.+-]{1,64}/[\w.+-]{1,64})[^",]{0,64};base64,'
)
_LONGEST_OPENING = 400
MAX_KNOWN = 10_000
_WHOLE_MARK = re.compile(re.escape(_MARK) + r"([0-9a-f]{64}):(\d+):([\w/+.-]*)")


class Lifter:
    """Takes the media out of one file's lines. What came before is known again by the hash of its base64 text, which
    is quicker than decoding it: the same screenshots come hundreds of times."""

    def __init__(self, media: MediaStore) -> None:
        self.media = media
        self._known: dict[tuple[bytes, str | None], Media | None] = {}

    def lift(self, line: bytes) -> bytes:
        """The line with its base64 media replaced by markers; the line itself when it has none."""
        if b"base64" not in line and b'"image_generation' not in line:
            return line
        long_line = LongLine(self, line)
        return long_line.finish() if long_line.lifted else line

    def take(self, encoded: bytes, media_type: str | None) -> Media | None:
        """The reference for base64 text; None when it is none."""
        from hashlib import sha256  # Late: few logs have media.

        key = sha256(encoded).digest(), media_type
        if key not in self._known:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[key] = from_base64(encoded, media_type, self.media)
        return self._known[key]


def lifted(encoded: str, media_type: str | None) -> Media | None:
    """The reference a marker stands for; None when ``encoded`` is no marker."""
    if (match := _WHOLE_MARK.fullmatch(encoded)) is None:
        return None
    return Media(sha256=match[1], media_type=media_type or match[3] or None, size=int(match[2]))


def embedded(encoded: str, media_type: str | None, store: MediaStore) -> Media | None:
    """The reference for a base64 value, lifted before or not; None when it is not valid base64."""
    return lifted(encoded, media_type) or from_base64(encoded, media_type, store)


def linked(url: str, store: MediaStore) -> Media | None:
    """The reference for a media URL, lifted before or not; None when it is embedded and not valid base64."""
    head, _, encoded = url.partition(";base64,")
    media_type = head.removeprefix("data:").partition(";")[0] or None
    return (lifted(encoded, media_type) if encoded else None) or from_data_url(url, store)


def has_marker(text: str) -> bool:
    """Whether a marker is somewhere in ``text``."""
    return _MARK in text


def without_markers(text: str) -> str:
    """``text`` with each marker as a readable reference: for values that were lifted but are no media block."""
    return _WHOLE_MARK.sub(r"sha256:\1", text)


class LongLine:
    """A line that arrives in pieces. ``feed`` the pieces, then ``finish`` gives the line without its media."""

    def __init__(self, lifter: Lifter, start: bytes) -> None:
        self.lifter = lifter
        self.done: list[bytes] = []
        self.waiting = bytearray()
        self.lifted = False
        self.feed(start)

    def feed(self, piece: bytes) -> None:
        """Take the next piece; memory afterwards holds the text so far and at most one unfinished medium."""
        self.waiting += piece
        position = 0
        while (opening := _OPENING.search(self.waiting, position)) is not None:
            start = opening.end()
            end = self.waiting.find(b'"', start)
            if end < 0:
                self._settle(opening.start(), position)
                return
            media_type = opening[1].decode() if opening[1] else None
            found = self.lifter.take(bytes(self.waiting[start:end]), media_type)
            if found is not None:
                self.lifted = True
                self.done.append(bytes(self.waiting[position:start]))
                self.done.append(f"{_MARK}{found.sha256}:{found.size}:{found.media_type or ''}".encode())
            else:
                self.done.append(bytes(self.waiting[position:end]))
            position = end
        self._settle(max(position, len(self.waiting) - _LONGEST_OPENING), position)

    def _settle(self, until: int, since: int = 0) -> None:
        self.done.append(bytes(self.waiting[since:until]))
        del self.waiting[:until]

    def finish(self) -> bytes:
        """The whole line."""
        self.done.append(bytes(self.waiting))
        self.waiting.clear()
        return b"".join(self.done)
