"""Who it was, by the e-mail address."""

from __future__ import annotations

import re

from rollmill.curate.redaction.finding import Finding, Rule


def rules() -> list[Rule]:
    return [Rule(("@", "%40"), _email)]


_DOMAIN = re.compile(r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,6}(?P<top>[A-Za-z]{2,24})(?![\w-])")
_NO_PERSON = re.compile(
    r"(?:(?:do)?[-_]?no[-_.]?t?[-_.]?reply|git|hg|svn|noreply|postmaster|mailer-daemon|nobody|user(?:name)?|you|your[-_.]?(?:name|e?mail)?|name|e?mail"
    r"|someone|somebody|eslint|prettier|foo|bar|test|example)(?:\+.*)?$",
    re.IGNORECASE,
)
_NO_DOMAIN = re.compile(
    r"(?:^|\.)(?:example|test|invalid|localhost|local|localdomain|internal|lan|domain|your-?(?:domain|company|site|org)|mydomain|yourcompany"
    r"|acme|email|company|foo|bar|host|sentry\.io)(?:\.(?:com|org|net|edu|io|dev|co\.\w\w))?$"
    r"|(?:^|\.)example\.",
    re.IGNORECASE,
)
_TOPS = frozenset(
    "com org net edu gov mil int info biz name pro mobi jobs coop museum aero travel tel asia cat post app dev "
    "tech cloud online site store shop xyz systems solutions company agency studio design digital software "
    "engineering email network group team work works world life live space website blog wiki page academy school "
    "university health care finance bank capital ventures partners consulting services support tools codes "
    "computer science social media news one zone global international center foundation ngo ong london paris nyc "
    "berlin hamburg koeln wien amsterdam tokyo moscow club fun games art photo video audio bio bot chat link "
    "click ltd llc inc gmbh limited expert guru ninja rocks earth eco green energy house land city community "
    "church education institute training technology technologies industries enterprises holdings management "
    "marketing legal law dental doctor clinic fitness fashion cafe coffee restaurant pub beer wine kitchen "
    "recipes today top vip win icu lol wtf sh".split()
)
_NO_TOPS = frozenset("py ts js rs md cc so mm gz db go".split())
"""Two letters are a country; but these are the endings of files oftener."""


_COLOUR = re.compile(r"\d{0,3}m")


def _email(text: str, start: int, end: int) -> Finding | None:
    if start == 0 or text[start - 1] in " \n\"'(/" or not (domain := _DOMAIN.match(text, end)):
        return None
    begin = start
    while begin > max(0, start - 64) and (text[begin - 1].isalnum() or text[begin - 1] in "_.+%'-"):
        begin -= 1
    if begin and text[begin - 1] == "\\" and text[begin] in "nrtbf":
        begin += 1  # The letter belongs to the escape before it.
    elif begin and text[begin - 1] in "[;" and (colour := _COLOUR.match(text, begin)):
        begin = colour.end()
    begin += len(text[begin:start]) - len(text[begin:start].lstrip(".+%'-_"))
    name, host = text[begin:start], domain[0]
    if (
        _is_code(text, begin, domain)
        or not name
        or name[-1] in ".'"
        or _is_nobody(name, host, domain["top"])
        or _in_url(text, begin)
    ):
        return None
    return Finding("email", begin, domain.end(), f"{name}@{host}".lower())


def _is_code(text: str, begin: int, domain: re.Match[str]) -> bool:
    """Whether matrices are multiplied, something is decorated, or a package's version is named."""
    top = domain["top"]
    if text[domain.end() : domain.end() + 1] in ("(", "[") or not (top.islower() or top.isupper()):
        return True
    return re.search(r"@[\w-]{1,40}/$", text[max(0, begin - 42) : begin]) is not None


def _is_nobody(name: str, host: str, top: str) -> bool:
    if not _is_top(top.lower()) or _NO_DOMAIN.search(host) or _NO_PERSON.match(name):
        return True
    return name.isdigit() or re.fullmatch(r"v?\d[\d.]*", host[: -len(top) - 1]) is not None


def _is_top(top: str) -> bool:
    return top in _TOPS or (len(top) == 2 and top not in _NO_TOPS)


def _in_url(text: str, begin: int) -> bool:
    """Whether what stands before the @ is a URL's user and password."""
    before = text[max(0, begin - 80) : begin]
    return re.search(r"://[^\s/@]*$", before) is not None
