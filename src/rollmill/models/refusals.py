"""What a status other than 200 means: a ``ModelError`` whose one message says what to do.

408, 425, 429 and every 5xx may pass by waiting, 409 too. 400, 401, 402, 403, 404 and 422 do not. 401 and 402 stop the
run: no other request would fare better.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import msgspec

from rollmill.models.replies import excerpt, told
from rollmill.models.types import ModelError

THROTTLED = {429, 503, 529}
LONGEST_WAIT = 3600.0
"""A server's Retry-After is believed up to this many seconds."""
_NO_MONEY = ("insufficient_quota", "billing_hard_limit", "insufficient credits", "insufficient balance")


def refusal(status: int, body: bytes, headers: Mapping[str, str], endpoint: str, model: str, key: str) -> ModelError:
    """The error for a status. ``key`` says in words where the key comes from; the key itself is not known here."""
    said = _said(body)
    if status == 429 and any(word in said.lower() for word in _NO_MONEY):
        status = 402
    if status in THROTTLED:
        text = f"{endpoint} is busy ({status}): {said}"
        return ModelError("throttled", text, retryable=True, status=status, retry_after=retry_after(headers))
    if status >= 500 or status in (408, 409, 425):
        kind = "timeout" if status in (408, 504) else "server"
        text = f"{endpoint} failed with status {status}: {said}"
        return ModelError(kind, text, retryable=True, status=status, retry_after=retry_after(headers))
    return _final(status, said, headers, endpoint, model, key)


def _final(status: int, said: str, headers: Mapping[str, str], endpoint: str, model: str, key: str) -> ModelError:
    if 300 <= status < 400:
        place = excerpt(headers.get("Location", "nowhere").partition("?")[0], 200)
        text = f"{endpoint} redirects to {place}; keys are not carried along, so give the endpoint that answers"
        return ModelError("redirect", text, fatal=True, status=status)
    if status == 401:
        return ModelError("unauthorized", f"{endpoint} refuses {key} (401): {_fix(key)}", fatal=True, status=401)
    if status == 402:
        text = f"the account at {endpoint} has no credit left: {said}. Top it up and run again; replies are kept"
        return ModelError("no_credit", text, fatal=True, status=402)
    if status == 403:
        text = f"{endpoint} forbids this request (403): {said}. May {key} use model {model!r}?"
        return ModelError("forbidden", text, status=403)
    if status == 404:
        text = f"{endpoint} has no model {model!r}, or no /chat/completions: {said}. Check model and endpoint"
        return ModelError("not_found", text, status=404)
    return ModelError("bad_request", f"{endpoint} refuses the request ({status}): {said}", status=status)


def _fix(key: str) -> str:
    if "$" in key:
        return "set that variable to a valid one"
    return (
        "give a valid one by the name of its environment variable: with --api-key-variable, or as api_key of the "
        "ModelProvider or in providers.yaml"
    )


def why_unreachable(error: OSError) -> str:
    """What the system says of a connection that was not made: ``Connection refused``."""
    number = re.search(r"\[Errno (\d+)\]", str(error))  # several addresses were tried: each has its own
    return os.strerror(int(number.group(1))) if number else excerpt(error.strerror or error, 100)


def _said(body: bytes) -> str:
    try:
        return told(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return excerpt(body) or "it says nothing more"


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds to wait: ``Retry-After`` as a number or an HTTP date, an hour at most. None when it is missing or makes
    no sense."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    seconds = _number(text)
    if seconds is None:
        seconds = _until(text, time.time() if now is None else now)
    if seconds is None or not 0 <= seconds < float("inf"):
        return None
    return min(seconds, LONGEST_WAIT)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _until(text: str, now: float) -> float | None:
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None
