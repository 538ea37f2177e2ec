"""Times as every row has them: UTC, ISO-8601, ending in ``Z``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any


def utc(value: Any) -> str | None:
    """The time in UTC ISO-8601. Text that is so already is kept as it is; offsets are converted, a time without
    offset is taken as UTC, a number is seconds or milliseconds since 1970. None when it is no time."""
    if isinstance(value, str):
        if len(value) == 24 and value[-1] == "Z" and value[10] == "T":
            return value
        return _from_text(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _from_number(value)
    return None


def _from_text(text: str) -> str | None:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    if text.endswith("Z") and moment.utcoffset() is not None:
        return text
    return _iso(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _from_number(number: float) -> str | None:
    seconds = number / 1000 if abs(number) > 1e11 else number
    try:
        return _iso(datetime.fromtimestamp(seconds, UTC))
    except (OverflowError, OSError, ValueError):
        return None


def _iso(moment: datetime) -> str | None:
    try:
        utc_moment = moment.astimezone(UTC)
    except (OverflowError, ValueError):
        return None
    precision = "milliseconds" if utc_moment.microsecond % 1000 == 0 else "microseconds"
    return utc_moment.isoformat(timespec=precision).replace("+00:00", "Z")


def span(times: Sequence[Any]) -> tuple[str | None, str | None]:
    """The earliest and the latest of a log's times, in UTC; (None, None) of none."""
    known = [time for time in times if time is not None]
    if not _are_utc_alike(known):
        known = sorted((text for time in known if (text := utc(time)) is not None), key=_without_z)
        return (known[0], known[-1]) if known else (None, None)
    return (min(known), max(known)) if known else (None, None)


def _without_z(time: str) -> str:
    """What UTC texts of different precision sort by: 00 before 00.5."""
    return time.removesuffix("Z")


def _are_utc_alike(times: list[Any]) -> bool:
    """Whether all are UTC texts of one form, which sort as they are."""
    try:
        return set(map(len, times)) == {24} and set(map(itemgetter(-1), times)) == {"Z"}
    except TypeError:
        return False
