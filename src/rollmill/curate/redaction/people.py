"""Who it was: e-mail addresses, and the user's name in the paths of a home folder."""

from __future__ import annotations

import re

from rollmill.curate.redaction.finding import Finding, Rule


def rules() -> list[Rule]:
    return [
        Rule(("@",), _email),
        Rule(("/Users/", "/home/"), _home),
        Rule(("\\Users", "\\users"), _windows_home),
        Rule(("-Users-", "-home-"), _dashed_home),
    ]


# E-mail

_DOMAIN = re.compile(r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,6}(?P<top>[A-Za-z]{2,24})(?![\w-])")
_NO_PERSON = re.compile(
    r"(?:(?:do)?[-_]?no[-_.]?t?[-_.]?reply|git|hg|svn|noreply|postmaster|mailer-daemon|nobody|user(?:name)?|you|your[-_.]?(?:name|e?mail)?|name|e?mail"
    r"|someone|somebody|foo|bar|test|example)(?:\+.*)?$",
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
    if not name or name[-1] in ".'" or _is_nobody(name, host, domain["top"]) or _in_url(text, begin):
        return None
    return Finding("email", begin, domain.end(), f"{name}@{host}".lower())


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


# Home folders

_NAME = r"[^\W_](?:[\w.-]{0,30}[\w])?"
_NOBODY = frozenset(
    "shared public default defaultuser0 guest runner runneradmin user users username user_name your_username "
    "yourusername yourname your-name your-username your_name name me you root node ubuntu debian admin "
    "administrator vscode ec2-user centos fedora opc azureuser codespace codespaces jovyan coder circleci vagrant "
    "gitpod linuxbrew git openhands sandbox agent app appuser dev developer oai nobody someone somebody example "
    "test tester testuser test-user foo bar xxx nonroot container docker jenkins travis buildkite gitlab-runner "
    "actions swe swe-agent pwuser all alluser all_users library www-data nginx postgres mysql build builder work "
    "workspace project projects src bin lib".split()
)
_ROUTES = frozenset(
    "index home page pages dashboard settings profile feed about login logout main content header footer hero "
    "view views list layout styles api assets static components".split()
)
_FILE = re.compile(r"\.(?:html?|[jt]sx?|css|php|vue|svelte|json|md|py|rb|erb|png|svg|jpe?g|go|rs|ya?ml|txt)$")
_HOME = re.compile(rf"({_NAME})(?P<next>[/\\:\s\"'`,;)\]}}<>|*&]|$|\.(?=\s|$))")
_WINDOWS_HOME = re.compile(r"\\+([^\W_](?:[\w. -]{0,30}[\w])?)(?=[\\\"'\s/,;:)\]]|$)")
_DASHED = re.compile(r"([^\W_][\w.]{0,30})(?=-|[/\\\"'\s]|$)")
_ROOT = re.compile(
    r"(?:^|[^\w.~})\]-])"
    r"(?:(?:/mnt|/host_mnt)?/[A-Za-z]|[A-Za-z]:|(?:/[\w.-]+)?/(?:var|export|Data|rootfs|Volumes/[\w.-]+)|file://|/net)?$"
)


def _home(text: str, start: int, end: int) -> Finding | None:
    found = _HOME.match(text, end)
    if found is None or not _is_root(text, start) or _is_no_user(found[1]):
        return None
    if text[start + 1] == "h" and (found["next"] != "/") and (found[1].lower() in _ROUTES or _FILE.search(found[1])):
        return None
    return _user(found)


def _is_root(text: str, start: int) -> bool:
    """Whether a path begins here, or what stands before is where homes are mounted."""
    if start == 0 or text[start - 1] in " \n\t\"'`=:(<>[,;{|":
        return True
    if text[start - 1] == "m" and re.search(r"[\[;]\d{0,3}m$", text[max(0, start - 5) : start]):
        return True
    if text[start - 1] in "nrt":
        return text[start - 2 : start - 1] == "\\" or _ROOT.search(text[max(0, start - 40) : start]) is not None
    return text[start - 1] not in "_-.~})]" and _ROOT.search(text[max(0, start - 40) : start]) is not None


def _windows_home(text: str, start: int, end: int) -> Finding | None:
    found = _WINDOWS_HOME.match(text, end)
    return None if found is None or _is_no_user(found[1]) else _user(found)


def _dashed_home(text: str, start: int, end: int) -> Finding | None:
    """Claude Code names a project's folder by its path with dashes: ``-Users-chloe-c-slay``."""
    before = text[max(0, start - 3) : start]
    found = _DASHED.match(text, end)
    if found is None or _is_no_user(found[1]) or not re.search(r"(?:^|[^\w.]|\b[A-Za-z]-|-[a-z]|\\[nrt])$", before):
        return None
    return _user(found)


def _is_no_user(name: str) -> bool:
    return name.lower() in _NOBODY or name.isdigit()


def _user(found: re.Match[str]) -> Finding:
    return Finding("home_user", found.start(1), found.end(1), found[1])
