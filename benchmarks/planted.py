"""Secrets that are none, planted in texts like those of rollouts.

They follow what the providers say of their formats, not the patterns of any detector, and are made by chance from a
seed: another seed gives other secrets in other places, for a test that nothing was fitted to.
"""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable, Iterator
from typing import NamedTuple

HEX = "0123456789abcdef"
LOWER = string.ascii_lowercase
UPPER = string.ascii_uppercase
BASE62 = string.ascii_letters + string.digits
URLSAFE = BASE62 + "-_"
BASE64 = BASE62 + "+/"
WORDS = (
    "falcon river copper winter lantern orbit maple canyon violet thunder harbor meadow pepper saturn walnut glacier"
    " ember willow quartz bison"
).split()
FIRST = "chloe marek priya tomas ingrid kwame sofia hiroshi lena omar beatriz nils yuki fatima joao".split()
LAST = "novak okafor lindqvist tanaka moreau silva haddad kowalski jensen rossi".split()
SITES = (
    "northwind-labs.io bluefjord.com quantaleaf.dev harborline.co.uk tu-muenster.de pixelforge.net"
    " kestrelworks.org".split()
)


class Planted(NamedTuple):
    """A text, and the secret in it; for a decoy (``decoys.py``) no secret."""

    kind: str
    text: str
    secret: str = ""


class Maker:
    """Random pieces from one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def of(self, alphabet: str, least: int, most: int | None = None) -> str:
        return "".join(self.random.choices(alphabet, k=self.random.randint(least, most or least)))

    def pick(self, *choices: str) -> str:
        return self.random.choice(choices)

    def digits(self, count: int) -> str:
        return self.of("123456789", 1) + self.of(string.digits, count - 1) if count else ""

    def base64_of(self, size: int) -> str:
        return base64.b64encode(self.random.randbytes(size)).decode()

    def urlsafe_of(self, size: int) -> str:
        return base64.urlsafe_b64encode(self.random.randbytes(size)).decode().rstrip("=")

    def uuid(self) -> str:
        return "-".join(self.of(HEX, size) for size in (8, 4, 4, 4, 12))

    def word(self) -> str:
        return self.random.choice(WORDS)

    def user(self) -> str:
        first, last = self.random.choice(FIRST), self.random.choice(LAST)
        return self.pick(first, first[0] + last, f"{first}.{last}", first + self.digits(2), f"{first}_{last}")

    def password(self) -> str:
        """As people and password managers make them."""
        word, other = self.word(), self.word()
        return self.pick(
            f"{word.title()}{self.pick('!', '#', '$', '@', '%')}{self.digits(4)}",
            f"{word}{other.title()}{self.digits(2)}{self.pick('!', '?', '*')}",
            self.of(BASE62, 10, 20) + self.digits(1),
            self.of(BASE62, 6) + self.pick("!", "#", "%", "^") + self.of(BASE62, 6),
            f"{word.replace('e', '3').replace('o', '0').title()}-{other}-{self.digits(3)}",
        )


# The secrets: kind → how its provider makes one.

SECRETS: dict[str, Callable[[Maker], str]] = {
    "openai, first form": lambda m: f"sk-{m.of(BASE62, 20)}T3BlbkFJ{m.of(BASE62, 20)}",
    "openai, project": lambda m: f"sk-proj-{m.of(URLSAFE, 74)}T3BlbkFJ{m.of(URLSAFE, 74)}",
    "openai, service account": lambda m: f"sk-svcacct-{m.of(URLSAFE, 58)}T3BlbkFJ{m.of(URLSAFE, 58)}",
    "deepseek": lambda m: f"sk-{m.of(HEX, 32)}",
    "anthropic": lambda m: f"sk-ant-api03-{m.of(URLSAFE, 93)}AA",
    "anthropic, oauth": lambda m: f"sk-ant-oat01-{m.of(URLSAFE, 86)}AA",
    "openrouter": lambda m: f"sk-or-v1-{m.of(HEX, 64)}",
    "google api": lambda m: f"AIzaSy{m.of(URLSAFE, 33)}",
    "google oauth secret": lambda m: f"GOCSPX-{m.of(URLSAFE, 28)}",
    "google access token": lambda m: f"ya29.a0{m.of(URLSAFE, 160, 200)}",
    "aws access key": lambda m: m.pick("AKIA", "ASIA") + m.of(UPPER + "234567", 16),
    "github, classic": lambda m: m.pick("ghp_", "gho_", "ghs_", "ghu_") + m.of(BASE62, 36),
    "github, fine-grained": lambda m: f"github_pat_{m.of(BASE62, 22)}_{m.of(BASE62, 59)}",
    "gitlab": lambda m: f"glpat-{m.of(URLSAFE, 20)}",
    "slack bot": lambda m: f"xoxb-{m.digits(12)}-{m.digits(13)}-{m.of(BASE62, 24)}",
    "slack user": lambda m: f"xoxp-{m.digits(12)}-{m.digits(12)}-{m.digits(13)}-{m.of(HEX, 32)}",
    "slack webhook": lambda m: (
        f"https://hooks.slack.com/services/T{m.of(UPPER, 8)}/B{m.of(UPPER, 10)}/{m.of(BASE62, 24)}"
    ),
    "stripe": lambda m: m.pick("sk_live_", "rk_live_") + m.of(BASE62, 24, 99),
    "hugging face": lambda m: f"hf_{m.of(string.ascii_letters, 34)}",
    "npm": lambda m: f"npm_{m.of(BASE62, 36)}",
    "pypi": lambda m: f"pypi-AgEIcHlwaS5vcmc{m.of(URLSAFE, 130, 160)}",
    "azure storage": lambda m: f"AccountKey={m.base64_of(64)}",
    "azure client secret": lambda m: f"{m.of(BASE62, 3)}8Q~{m.of(BASE62 + '-_~.', 33)}{m.of(BASE62, 1)}",
    "digitalocean": lambda m: f"dop_v1_{m.of(HEX, 64)}",
    "sendgrid": lambda m: f"SG.{m.of(URLSAFE, 22)}.{m.of(URLSAFE, 43)}",
    "telegram": lambda m: f"{m.digits(10)}:AA{m.of(URLSAFE, 33)}",
    "discord bot": lambda m: (
        f"{base64.b64encode(m.digits(18).encode()).decode()}.{m.of(URLSAFE, 6)}.{m.of(URLSAFE, 37)}{m.of(BASE62, 1)}"
    ),
    "discord webhook": lambda m: f"https://discord.com/api/webhooks/{m.digits(19)}/{m.of(URLSAFE, 68)}",
    "jwt": lambda m: ".".join(
        [
            _unpadded({"alg": m.pick("HS256", "RS256"), "typ": "JWT"}),
            _unpadded({"sub": m.digits(10), "iat": 1_700_000_000 + m.random.randrange(10**7)}),
            m.urlsafe_of(m.random.choice([32, 256])),
        ]
    ),
    "groq": lambda m: f"gsk_{m.of(BASE62, 52)}",
    "xai": lambda m: f"xai-{m.of(BASE62, 80)}",
    "replicate": lambda m: f"r8_{m.of(BASE62, 37)}",
    "perplexity": lambda m: f"pplx-{m.of(BASE62, 48)}",
    "linear": lambda m: f"lin_api_{m.of(BASE62, 40)}",
    "databricks": lambda m: f"dapi{m.of(HEX, 32)}",
    "docker hub": lambda m: f"dckr_pat_{m.of(URLSAFE, 27)}",
    "vault": lambda m: f"hvs.{m.of(BASE62, 24)}",
    "shopify": lambda m: f"shpat_{m.of(HEX, 32)}",
}
"""Tokens that are secrets wherever they stand."""


def _unpadded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).decode().rstrip("=")


PLACES: tuple[str, ...] = (
    "The key is {s} and it should work until Friday.",
    "export SERVICE_KEY={s}\nnpm run dev",
    'SERVICE_KEY="{s}"\nDEBUG=1\n',
    'client = Client(base_url=URL, api_key="{s}", timeout=30)',
    '{{"name": "prod", "credentials": {{"value": "{s}"}}, "retries": 3}}',
    '{{"stdout": "{{\\"config\\": \\"{s}\\"}}", "code": 0}}',
    "curl -s https://api.service.test/v1/items -H 'Authorization: Bearer {s}' | jq .",
    "services:\n  web:\n    environment:\n      - KEY={s}\n      - PORT=80\n",
    "2026-03-01T10:22:31Z INFO  using {s} for upstream",
    '"first line\\n{s}\\nlast line"',
    "    12→  value: {s}\n    13→  region: eu-west-1\n",
    "+const KEY = '{s}';\n-const KEY = process.env.KEY;",
    "HOME=/root\nKEY={s}\nPATH=/usr/local/bin:/usr/bin\n",
    "`{s}`",
    "(see {s})",
)


def pem(maker: Maker, kind: str, size: int) -> str:
    """So many random bytes in the armour of ``kind``."""
    body = maker.base64_of(size)
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    return "\n".join([f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----"])


def _lines_of(pem: str) -> list[str]:
    return [line for line in pem.splitlines() if not line.startswith("-----")]


def keys(maker: Maker) -> Iterator[Planted]:
    """Private keys: in a file, in a JSON string, shown by a tool, cut off."""
    whole = pem(maker, maker.pick("RSA PRIVATE KEY", "PRIVATE KEY", "EC PRIVATE KEY"), 600)
    yield Planted("private key", f"$ cat server.key\n{whole}\n$ ", "\n".join(_lines_of(whole)))
    ssh = pem(maker, "OPENSSH PRIVATE KEY", 380)
    numbered = "\n".join(f"{n:6}→{line}" for n, line in enumerate(ssh.splitlines(), 1))
    yield Planted("private key, numbered lines", numbered, _lines_of(ssh)[2])
    account = {"type": "service_account", "project_id": "demo", "private_key": pem(maker, "PRIVATE KEY", 900) + "\n"}
    yield Planted("gcp service account", json.dumps(account, indent=2), _lines_of(account["private_key"])[3])
    inner = json.dumps({"output": json.dumps(account)})
    yield Planted("private key, escaped twice", inner, _lines_of(account["private_key"])[5])
    cut = whole[: len(whole) // 2]
    yield Planted("private key, cut off", f"Here is what the log has:\n{cut}", _lines_of(cut)[2])


def connections(maker: Maker) -> Iterator[Planted]:
    """Passwords in URLs."""
    password = maker.password().replace("@", "!").replace("#", "*").replace("?", "!").replace("%", "~")
    user, host = maker.pick("app", "svc", "admin", "reporting"), f"{maker.word()}.{maker.pick(*SITES)}"
    scheme = maker.pick("postgres", "postgresql+asyncpg", "mysql", "mongodb+srv", "redis", "amqp")
    url = f"{scheme}://{user}:{password}@{host}:{maker.digits(4)}/main"
    line = maker.pick(
        f"DATABASE_URL={url}", f'engine = create_engine("{url}")', f"connecting to {url} ...", f"  url: {url}"
    )
    yield Planted("connection string", line, password)
    token = maker.of(BASE62, 24)
    yield Planted(
        "basic auth in a url", f"git clone https://{maker.user()}:{token}@git.{maker.pick(*SITES)}/a/b.git", token
    )


def headers(maker: Maker) -> Iterator[Planted]:
    """Cookies and authorization headers."""
    value = maker.pick(maker.of(HEX, 32), maker.of(BASE62, 40), maker.urlsafe_of(24))
    name = maker.pick("sessionid", "connect.sid", "PHPSESSID", "auth_token", "_session", "remember_token")
    sent = maker.pick(
        "Cookie: theme=dark; {n}={v}; lang=en", "-H 'Cookie: {n}={v}'", 'headers = {{"Cookie": "{n}={v}"}}'
    )
    yield Planted("cookie", sent.format(n=name, v=value), value)
    yield Planted("set-cookie", f"< Set-Cookie: {name}={value}; Path=/; HttpOnly; SameSite=Lax", value)
    opaque = maker.pick(maker.of(BASE62, 32), maker.urlsafe_of(32), maker.of(HEX, 48))
    shown = maker.pick(
        "Authorization: Bearer {v}",
        '"Authorization": "Bearer {v}"',
        "authorization: bearer {v}",
        "-H 'Authorization: Bearer {v}'",
    )
    yield Planted("bearer", shown.format(v=opaque), opaque)
    pair = base64.b64encode(f"{maker.user()}:{maker.password()}".encode()).decode()
    yield Planted("basic", maker.pick(f"Authorization: Basic {pair}", f'{{"Authorization": "Basic {pair}"}}'), pair)
    api = maker.pick(maker.of(HEX, 32), maker.of(BASE62, 40))
    yield Planted("x-api-key", maker.pick(f"X-Api-Key: {api}", f'-H "x-api-key: {api}"', f"'X-API-KEY': '{api}'"), api)


def assignments(maker: Maker) -> Iterator[Planted]:
    """Secrets that only their name gives away."""
    name = maker.pick("DB_PASSWORD", "POSTGRES_PASSWORD", "SMTP_PASSWORD", "REDIS_PASSWORD", "ADMIN_PASSWORD")
    password = maker.password()
    yield Planted("password, env", f"{maker.pick('', 'export ')}{name}={password}\nLOG_LEVEL=info", password)
    password = maker.password()
    yield Planted("password, json", json.dumps({"user": "svc", "password": password, "port": 5432}), password)
    password = maker.password()
    yield Planted(
        "password, yaml",
        f"database:\n  user: svc\n  password: {maker.pick(password, repr(password))}\n  pool: 5",
        password,
    )
    password = maker.password()
    flag = maker.pick("--password {p}", "--password={p}", "--password '{p}'", '--db-password "{p}"')
    yield Planted("password, command line", f"./deploy.sh --user svc {flag.format(p=password)} --force", password)
    password = maker.password()
    code = maker.pick('password = "{p}"', "conn = connect(host, user='svc', password='{p}')", 'const password = "{p}";')
    yield Planted("password, code", code.format(p=password), password)
    value = maker.pick(
        maker.of(HEX, 32), maker.of(HEX, 64), maker.of(BASE62, 32, 48), maker.urlsafe_of(32), maker.base64_of(32)
    )
    line = maker.pick(
        "API_KEY={v}",
        'api_key = "{v}"',
        '"apiKey": "{v}"',
        "export AUTH_TOKEN={v}",
        "  client_secret: {v}",
        "SECRET_KEY='{v}'",
        '{{\\"access_token\\": \\"{v}\\"}}',
        "--api-key {v}",
        "JWT_SECRET={v}",
        'authToken: "{v}",',
        "TWILIO_AUTH_TOKEN={v}",
        "https://api.service.test/v2/list?access_token={v}&page=2",
        'encryption_key: "{v}"',
        "os.environ['SERVICE_TOKEN'] = '{v}'",
    )
    yield Planted("secret, assigned", f"# settings\n{line.format(v=value)}\n", value)
    value = maker.of(BASE64, 40)
    line = maker.pick(
        "aws_secret_access_key = {v}",
        "export AWS_SECRET_ACCESS_KEY={v}",
        '"SecretAccessKey": "{v}"',
        "AWS_SECRET_ACCESS_KEY: {v}",
    )
    yield Planted("aws secret key", line.format(v=value), value)


def people(maker: Maker) -> Iterator[Planted]:
    """E-mail addresses and home folders."""
    address = (
        f"{maker.random.choice(FIRST)}.{maker.random.choice(LAST)}@{maker.pick(*SITES, 'gmail.com', 'outlook.com')}"
    )
    line = maker.pick(
        "Author: Some One <{v}>",
        "contact {v} for access",
        '"email": "{v}"',
        "git config user.email {v}",
        "mailto:{v}",
        "first\\n{v}\\nlast",
        "Signed-off-by: Some One <{v}>",
        "user={v}&lang=en",
    )
    yield Planted("e-mail", line.format(v=address), address)
    user = maker.user()
    path = maker.pick(
        "cd /Users/{u}/src/app",
        '{{"file_path": "/Users/{u}/src/app/main.ts"}}',
        "file:///Users/{u}/a.md",
        "at f (/Users/{u}/x.js:1:2)",
    )
    yield Planted("home, macos", path.format(u=user), f"/Users/{user}")
    path = maker.pick(
        "/home/{u}/src/app/main.py:12: error",
        "PWD=/home/{u}/src",
        'File "/home/{u}/x.py", line 3',
        "ls /home/{u}",
        "\\n/home/{u}/a\\n",
    )
    yield Planted("home, linux", path.format(u=user), f"/home/{user}")
    path = maker.pick(
        "C:\\Users\\{u}\\src\\app", '"cwd": "C:\\\\Users\\\\{u}\\\\src"', "c:\\users\\{u}\\x.py", "C:/Users/{u}/src"
    )
    yield Planted("home, windows", path.format(u=user), user)
    dashed = user.replace(".", "-").replace("_", "-")
    if "-" not in dashed:
        yield Planted(
            "home, project folder",
            f"~/.claude/projects/-{maker.pick('Users', 'home')}-{dashed}-src-app/x.jsonl",
            f"-{dashed}-src",
        )


def secrets(seed: int, each: int = 14) -> list[Planted]:
    """``each`` texts of every kind with a planted secret."""
    maker, found = Maker(seed), []
    for _ in range(each):
        for kind, make in SECRETS.items():
            secret = make(maker)
            found.append(Planted(kind, maker.pick(*PLACES).format(s=secret), secret))
        for group in (keys, connections, headers, assignments, people):
            found += group(maker)
    return found
