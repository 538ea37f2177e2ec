"""Secrets that stand in URLs, in HTTP headers and in cookies."""

from __future__ import annotations

import base64
import binascii
import re

from rollmill.curate.redaction.finding import Finding, Rule, plain
from rollmill.curate.redaction.shapes import is_stand_in, looks_generated, mixture

KINDS = frozenset({"bearer_token", "basic_auth", "cookie", "url_password", "url_signature"})
"""What is found by where it stands."""


def rules() -> list[Rule]:
    return [
        Rule(("://",), _url_password),
        Rule(("Bearer", "bearer", "BEARER", "uthorization: token", "uthorization: Token"), _bearer),
        Rule(("Basic ", "basic ", "Basic\\", "BASIC "), _basic),
        Rule(("ookie", "OOKIE"), _cookies),
        Rule(("-u ", " -u", "--user ", "--user="), _curl_user, in_json=False),
    ]


# URLs

_USER_INFO = re.compile(r"(?P<user>[^\s/:@\"'`<>\\{}$]{0,100}):(?P<password>[^\s/\"'`<>\\]{1,200})@(?=[\w\[.-])")


_URL_TOKEN = re.compile(r"([A-Za-z0-9_-]{20,255})(?::(?:x-oauth-basic)?)?@(?=[\w\[])")


def _url_password(text: str, start: int, end: int) -> Finding | None:
    """``postgres://app:the-password@host/db``; not ``user:password@`` of a manual, nor a password that is its user."""
    if not _scheme_before(text, start):
        return None
    if (token := _URL_TOKEN.match(text, end)) and looks_generated(token[1], 20):
        return Finding("bearer_token", *token.span(1), token[1])
    found = _USER_INFO.match(text, end)
    if found is None:
        return None
    user, password = found["user"], found["password"]
    if (
        len(password) < 3
        or is_stand_in(password)
        or password.lower() == user.lower()
        or re.search(r"^\$|\$\{|[{}()]", password)
    ):
        return None
    return Finding("url_password", found.start("password"), found.end("password"), password)


def _scheme_before(text: str, start: int) -> bool:
    return start > 0 and text[start - 1].isalnum()


# Authorization

_BEARER_TOKEN = re.compile(r"(?:[ \t]+|[\"']?\s*[:=,]\s*[\"']?|%20)[\"']?(?P<token>[A-Za-z0-9._~+/=-]{12,4000})")
_BASIC_TOKEN = re.compile(r"[ \t]*(?P<token>[A-Za-z0-9+/]{8,400}={0,2})(?![A-Za-z0-9+/=])")


def _bearer(text: str, start: int, end: int) -> Finding | None:
    found = _BEARER_TOKEN.match(text, end)
    if found is None:
        return None
    token = found["token"].rstrip(".=") if not found["token"].endswith("=") else found["token"]
    if is_stand_in(token) or not looks_generated(re.sub(r"[._~/=-]", "", token), least=12):
        return None
    return Finding("bearer_token", found.start("token"), found.start("token") + len(token), token)


def _basic(text: str, start: int, end: int) -> Finding | None:
    """Base64 of ``user:password`` behind ``Basic``."""
    found = _BASIC_TOKEN.match(text, end)
    if found is None or not is_user_and_password(found["token"]):
        return None
    return Finding("basic_auth", found.start("token"), found.end("token"), found["token"])


def is_user_and_password(token: str) -> bool:
    """Whether it is the base64 of ``user:password``, and no stand-in."""
    try:
        decoded = base64.b64decode(token, validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return False
    user, colon, password = decoded.partition(":")
    return (
        bool(colon) and decoded.isprintable() and len(password) >= 3 and not is_stand_in(password) and user != password
    )


# curl -u user:password

_PAIR = re.compile(r"[= ]?[\"']?(?P<user>[\w.@+-]{1,64}):(?P<password>[^\s\"'`\\<>]{4,128})")


def _curl_user(text: str, start: int, end: int) -> Finding | None:
    found = _PAIR.match(text, end)
    if found is None or (start and not text[start:end].startswith(" ") and not text[start - 1].isspace()):
        return None
    if "curl" not in text[max(0, start - 600) : start]:
        return None
    password = found["password"]
    if is_stand_in(password) or password == found["user"] or re.search(r"^\$|\$\{|[{}()]", password):
        return None
    return Finding("basic_auth", found.start("password"), found.end("password"), password)


# Cookies

_COOKIE_HEAD = re.compile(r"(?:\\*[\"'])?\s{0,3}[:=]\s{0,3}(?:\\*[\"'])?|[ \t]+[\"']")
_COOKIE = re.compile(r"\s{0,3}(?P<name>[\w.!#$%&*+^`|~-]{1,80})=(?P<value>[^;,\s\"'\\<>]{0,4096})(?P<next>;|)")
_SESSION = re.compile(r"sess|sid\b|auth|token|jwt|csrf|xsrf|remember|login|credential|secret", re.IGNORECASE)
_ATTRIBUTES = frozenset("path domain expires max-age samesite secure httponly priority version".split())


def _cookies(text: str, start: int, end: int) -> Finding | None:
    """The first value of a cookie header that could open a session; the others by their own turn of ``next_cookie``."""
    head = _COOKIE_HEAD.match(text, end)
    return None if head is None else next_cookie(text, head.end())


def next_cookie(text: str, at: int) -> Finding | None:
    """The first secret value in the pairs that begin at ``at``."""
    while pair := _COOKIE.match(text, at):
        if _is_session(pair["name"], pair["value"]):
            return Finding("cookie", pair.start("value"), pair.end("value"), plain(pair["value"]))
        if not pair["next"]:
            return None
        at = pair.end()
    return None


def _is_session(name: str, value: str) -> bool:
    if name.lower() in _ATTRIBUTES or len(value) < 8 or is_stand_in(value):
        return False
    body = re.sub(r"%[0-9A-F]{2}|[._:|-]", "", value)
    if _SESSION.search(name):
        return len(body) >= 8 and any(map(str.isdigit, body)) and mixture(body) >= 0.15
    return looks_generated(body, least=20)
