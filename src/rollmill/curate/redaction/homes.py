"""Who it was, by the user's name in the paths of a home folder.

A route of a web site (``/home/orders/:id``) looks the same: names that are words of sites, paths with parameters and
paths that a router or a link is given are no homes.
"""

from __future__ import annotations

import re

from rollmill.curate.redaction.finding import Finding, Rule


def rules() -> list[Rule]:
    return [
        Rule(("/Users/", "/home/", "/USERS/"), _home),
        Rule(("\\Users", "\\users", "\\USERS"), _windows_home),
        Rule(("\\home\\",), _wsl_home),
        Rule(("%2FUsers%2F", "%2Fhome%2F", "%5CUsers%5C"), _encoded_home),
        Rule(("-Users-", "-home-"), _dashed_home),
    ]


_NAME = r"[^\W_](?:[\w.-]{0,62}[\w])?"
_NOBODY = frozenset(
    "actions admin administrator agent airflow all all_users alluser ansible api app app-user appuser azureuser bar "
    "bin build builder buildkite centos circleci cloud cloudshell coder coderunner codespace codespaces computeruse "
    "conda container daytona debian default defaultuser0 deploy deployer dev developer docker ec2-user elasticsearch "
    "example fedora foo forge frappe ftp ftpuser git gitlab-runner gitpod guest hadoop item items jboss jenkins "
    "jovyan kafka kasm-user laravel lib library linux linuxbrew list mamba me minecraft model mysql name nginx nobody "
    "node nonroot oai odoo oh_user opam opc openhands oracle pi postgres project projects public pwuser rails redis "
    "root runner runneradmin rust sandbox service shared site somebody someone spark src steam svc swe swe-agent "
    "terraform test test-user tester testuser tomcat travis ubuntu user user_name username users vagrant vscode web "
    "webapp work workspace www www-data xxx you your-name your-username your_name your_username yourname "
    "yourusername".split()
)
_ROUTES = frozenset(
    "about about-us account accounts activity admin analytics api article articles assets blog blogs calendar cart "
    "categories category channel channels checkout components contact contact-us content create dashboard detail "
    "details docs documents download downloads edit event events explore faq favorites feature features feed file "
    "files footer gallery group groups header help hero history home inbox index item items landing layout list lists "
    "login logout main media messages new news notifications order orders overview page pages people post posts "
    "pricing privacy product products profile register report reports search settings shop signin signup site start "
    "static statistics stats store styles sweet tag tags task tasks team teams terms upload uploads user users view "
    "views welcome".split()
)
_ROUTED = re.compile(
    r"(?:\b(?:href|to|action|routerLink|Link)=[{(]?|<Route\s[^<>]{0,60}|\b(?:fetch|navigate|redirect|reverse|route|Route)\(|\burl:\s?"
    r"|\.(?:get|post|put|delete|patch|use|route|goto|visit)\(|\b(?:GET|POST|PUT|DELETE|PATCH)\s)\s?\\{0,4}[\"'`]?$"
)
"""What a path stands behind that is a route."""
_OPENING = frozenset("\"'`=({")
_METHODS = ("GET ", "POST ", "PUT ", "DELETE ", "PATCH ", "HEAD ")
_PARAMETER = re.compile(r"/(?::\w|\{\w|\[\w|<\w+[:>](?!\w*_\d))")
_FILE = re.compile(r"\.(?:html?|[jt]sx?|css|php|vue|svelte|json|md|py|rb|erb|png|svg|jpe?g|go|rs|ya?ml|txt)$")
_HOME = re.compile(rf"({_NAME})(?P<next>[/\\:\s\"'`,;)\]}}<>|*&]|$|\.(?=\s|$))")
_WINDOWS_HOME = re.compile(r"\\+([^\W_](?:[\w. -]{0,30}[\w])?)(?=[\\\"'\s/,;:)\]]|$)")
_AFTER_BACKSLASH = re.compile(r"\\*([^\W_](?:[\w.-]{0,30}[\w])?)(?=[\\\"'\s/,;:)\]]|$)")
_ENCODED = re.compile(r"([^\W_](?:[\w.-]{0,30}[\w])?)(?=%2F|%5C|[\\\"'\s/,;:)\]&]|$)")
_DASHED = re.compile(r"([^\W_][\w.]{0,30})(?=-|[/\\\"'\s]|$)")
_ROOT = re.compile(
    r"(?:^|[^\w.~})\]-])"
    r"(?:(?:/mnt|/host_mnt|/cygdrive)?/[A-Za-z]|[A-Za-z]:|(?:/[\w.-]+)?/(?:var|export|usr|data|Data|rootfs|Volumes/[\w. -]+)|file://|/net"
    r"|file:///[A-Za-z]%3A|-[IL]|vscode-remote://[\w%+.-]{1,60}|@)?$"
)


def _home(text: str, start: int, end: int) -> Finding | None:
    found = _HOME.match(text, end)
    if found is None or not _is_root(text, start) or _is_no_user(found[1]) or _is_route(text, start, found):
        return None
    return _user(found)


def _is_route(text: str, start: int, found: re.Match[str]) -> bool:
    """Whether a web site is meant, not a folder: sites have pages below ``/home`` and ``/Users``."""
    if _stem(found[1]) in _ROUTES or _PARAMETER.match(text, found.end(1)):
        return True
    if text[start + 1] == "h" and found["next"] != "/" and _FILE.search(found[1]):
        return True
    if text[start - 1 : start] == " ":
        return text.endswith(_METHODS, max(0, start - 7), start)
    return text[start - 1 : start] in _OPENING and _ROUTED.search(text[max(0, start - 80) : start]) is not None


def _stem(name: str) -> str:
    """The word without a number behind it or an ``s``: ``settings2``, ``dashboards``."""
    word = name.lower().rstrip("0123456789")
    return word.removesuffix("s") if word not in _ROUTES and word.removesuffix("s") in _ROUTES else word


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


def _wsl_home(text: str, start: int, end: int) -> Finding | None:
    """``\\\\wsl$\\Ubuntu\\home\\chloe``."""
    found = _AFTER_BACKSLASH.match(text, end)
    is_wsl = "wsl" in text[max(0, start - 60) : start]
    return _user(found) if found and is_wsl and not _is_no_user(found[1]) else None


def _encoded_home(text: str, start: int, end: int) -> Finding | None:
    """The same in a URL: ``%2FUsers%2Fchloe``."""
    found = _ENCODED.match(text, end)
    return _user(found) if found and not _is_no_user(found[1]) and _stem(found[1]) not in _ROUTES else None


def _dashed_home(text: str, start: int, end: int) -> Finding | None:
    """Claude Code names a project's folder by its path with dashes: ``-Users-chloe-c-slay``."""
    before = text[max(0, start - 3) : start]
    found = _DASHED.match(text, end)
    if (
        found is None
        or _is_no_user(found[1])
        or _stem(found[1]) in _ROUTES
        or not re.search(r"(?:^|[^\w.]|\b[A-Za-z]-|-[a-z]|\\[nrt])$", before)
    ):
        return None
    return _user(found)


def _is_no_user(name: str) -> bool:
    return name.lower() in _NOBODY or name.isdigit()


def _user(found: re.Match[str]) -> Finding:
    return Finding("home_user", found.start(1), found.end(1), found[1].lower())
