"""Secrets that stand in an agreed place: a command's argument, a settings file's line, a header, a signed URL."""

from __future__ import annotations

import re

from rollmill.curate.redaction.finding import Check, Finding, Rule
from rollmill.curate.redaction.headers import is_user_and_password, next_cookie
from rollmill.curate.redaction.shapes import is_stand_in, looks_generated

KINDS = frozenset({"command_password", "header_token", "npmrc_token"})

_QUOTE = r"\\{0,4}[\"']?"
_WORD = r"(?P<secret>[^\s\"'`\\<>|;&$(){}]{4,128})"
_REST = r"[^\n|;&]{0,300}?"


def rules() -> list[Rule]:
    return [
        Rule(("mysql", "mariadb"), _argument(rf"[\w-]{{0,10}}\b{_REST}\s-p{_QUOTE}{_WORD}"), in_json=False),
        Rule(("sshpass ",), _argument(rf"{_REST}-p\s?{_QUOTE}{_WORD}"), in_json=False),
        Rule(("docker login", "podman login"), _argument(rf"{_REST}\s-p\s?{_QUOTE}{_WORD}"), in_json=False),
        Rule(("redis-cli",), _argument(rf"{_REST}\s-a\s?{_QUOTE}{_WORD}"), in_json=False),
        Rule(("--password-stdin", "sudo -S"), _piped, in_json=False),
        Rule(("-b '", '-b "'), _curl_cookie, in_json=False),
        Rule(("_authToken=",), _pattern("npmrc_token", re.compile(rf"{_QUOTE}(?P<secret>[\w.+/=-]{{8,400}})"))),
        Rule(("Secret Access Key",), _pattern("aws_secret_key", _AWS)),
        Rule(("uthorization",), _authorization),
        Rule(("X-Amz-Signature=", "X-Goog-Signature=", " Signature="), _pattern("url_signature", _SIGNED)),
        Rule(('"auth',), _docker_auth),
        Rule(("LS0tLS1CRUdJTi",), _encoded_key),
    ]


def _argument(pattern: str) -> Check:
    return _pattern("command_password", re.compile(pattern))


def _pattern(kind: str, pattern: re.Pattern[str]) -> Check:
    """The group ``secret`` of what the pattern matches right behind the literal."""

    def check(text: str, start: int, end: int) -> Finding | None:
        found = pattern.match(text, end)
        return _found(kind, found) if found else None

    return check


def _found(kind: str, found: re.Match[str]) -> Finding | None:
    secret = found["secret"]
    if is_stand_in(secret) or secret.isdigit() or secret.startswith(("-", "/", "$", "@", "%")):
        return None
    return Finding(kind, *found.span("secret"), secret)


_AWS = re.compile(r"\s?(?:\[[^\]\n]{0,24}\])?\s{0,4}[:=]\s{0,4}(?P<secret>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+])")
_SIGNED = re.compile(r"(?P<secret>[0-9a-f]{40,600})(?![0-9a-zA-Z])")
_ECHO = re.compile(
    rf"(?:echo|printf)\s(?:-n\s)?{_QUOTE}(?P<secret>[^\s\"'`\\<>|;&$(){{}}]{{4,128}}){_QUOTE}\s{{0,4}}\|[^\n|]{{0,100}}$"
)


def _piped(text: str, start: int, end: int) -> Finding | None:
    """``echo … | docker login --password-stdin``."""
    line = max(text.rfind("\n", 0, start) + 1, start - 300)
    at = max(text.rfind("echo ", line, start), text.rfind("printf ", line, start))
    found = _ECHO.match(text[:start], at) if at >= 0 else None
    return _found("command_password", found) if found else None


def _curl_cookie(text: str, start: int, end: int) -> Finding | None:
    return next_cookie(text, end) if "curl" in text[max(0, start - 600) : start] else None


_AUTHORIZATION = re.compile(
    r"\\{0,4}[\"']?\s{0,3}[:=]\s{0,3}\\{0,4}[\"'`]?"
    r"(?:(?!Basic|Bearer|basic|bearer|AWS4|Digest)[A-Za-z][\w-]{1,20}[ \t]+)?(?P<secret>[A-Za-z0-9._~+/=-]{16,4000})"
)


def _authorization(text: str, start: int, end: int) -> Finding | None:
    """``Authorization: ApiKey …``, or the key alone."""
    found = _AUTHORIZATION.match(text, end)
    return _found("header_token", found) if found and looks_generated(found["secret"], 16) else None


_DOCKER_AUTH = re.compile(r"\\*\":\s{0,4}\\*\"(?P<secret>[A-Za-z0-9+/]{8,400}={0,2})\\*\"")


def _docker_auth(text: str, start: int, end: int) -> Finding | None:
    found = _DOCKER_AUTH.match(text, end)
    if found is None or not is_user_and_password(found["secret"]):
        return None
    return Finding("basic_auth", *found.span("secret"), found["secret"])


_BASE64 = re.compile(r"[A-Za-z0-9+/]{20,20000}={0,2}")
_ENCODED_PUBLIC = ("BDRVJU", "BQVUJM", "BORVcg")
"""``LS0tLS1CRUdJTi`` is ``-----BEGIN``; so begin `` CERT``, `` PUBL`` and `` NEW ``."""


def _encoded_key(text: str, start: int, end: int) -> Finding | None:
    """A private key of a kubeconfig or a secret of Kubernetes: its whole armour in base64."""
    if text.startswith(_ENCODED_PUBLIC, end) or (start and text[start - 1].isalnum()):
        return None
    found = _BASE64.match(text, end)
    return Finding("private_key", start, found.end(), text[start : found.end()]) if found else None
