"""Seeded stand-ins for what agents read and write: code, terminal output, prose, ids, signatures.

The same on every machine and Python version, because nothing comes from the machine: one pool of about 3 MB is made
from a word list, and every text is a slice of it. Its share of newlines, tabs, quotes and backslashes follows real
transcripts, and so does the share of text in strings with a wide character somewhere: that is what the speed of a JSON
decoder and of all that copies its strings depends on. One emoji makes Python keep a whole string in four bytes a
letter, an arrow in two; of real transcripts' text 0 to 5 % is in strings of the first kind, about a third to a half in
strings of the second.
"""

from __future__ import annotations

import base64
import math
import random
import uuid
from functools import cache

_WORDS = """
    parse result value index buffer record token stream config handler cursor branch message window schema column
    filter reader writer offset length path folder cache retry timeout session thread worker queue batch row field
    header payload response request status error signal update render layout button layer vector matrix sample epoch
    return because should before after while other which their would there first check build test fix add remove
""".split()
_ODDITIES = (
    "│ ✔ build   passed  │ → 12.4s",
    "\x1b[32mPASSED\x1b[0m tests/test_reader.py::test_length",
    "C:\\Users\\dev\\src\\main.ts:12:5 - error TS2322",
    "修复了解析器中的错误",
    '{"name": "pkg", "version": "1.2.3", "private": true}',
)
_RARITIES = ("🎉 released", "test_größe passed")
_ODD, _RARE = 0.015, 0.0004
_POOL_LINES = 66_000
_ID_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz123456789"


@cache
def pool() -> str:
    """The text that all others are slices of."""
    rng = random.Random("pool")
    return "\n".join(_line(rng) for _ in range(_POOL_LINES))


def _line(rng: random.Random) -> str:
    makers = (_code_line, _key_line, _tabbed_line, _call_line, _prose_line, _log_line, _blank_line)
    chance = rng.random()
    if chance < _RARE:
        return rng.choice(_RARITIES)
    return rng.choice(_ODDITIES) if chance < _RARE + _ODD else rng.choice(makers)(rng)


def _name(rng: random.Random) -> str:
    return "_".join(rng.choices(_WORDS, k=rng.randint(1, 3)))


def _code_line(rng: random.Random) -> str:
    return f"{'    ' * rng.randint(0, 4)}{_name(rng)} = {_name(rng)}.{_name(rng)}[{rng.randrange(900)}]"


def _key_line(rng: random.Random) -> str:
    return f'{"    " * rng.randint(0, 3)}{_name(rng)}["{_name(rng)}"] = {_name(rng)}'


def _tabbed_line(rng: random.Random) -> str:
    tabs = "\t"
    return f"{tabs * rng.randint(0, 4)}{_name(rng)} := {_name(rng)}({_name(rng)}, {rng.randrange(900)})"


def _call_line(rng: random.Random) -> str:
    return f"{'    ' * rng.randint(0, 3)}assert {_name(rng)}(\"{_name(rng)}\", {_name(rng)}='{rng.choice(_WORDS)}\\n'):"


def _prose_line(rng: random.Random) -> str:
    return "# " + " ".join(rng.choices(_WORDS, k=rng.randint(4, 16))).capitalize() + "."


def _log_line(rng: random.Random) -> str:
    return f"src/{_name(rng)}.py:{rng.randrange(2000)}:\t{rng.random():.6f} {rng.getrandbits(48):012x}  {_name(rng)}"


def _blank_line(rng: random.Random) -> str:
    return ""


def length_between(rng: random.Random, low: int, high: int) -> int:
    """A length, log-uniform: short ones are common, long ones hold most of the bytes."""
    return int(math.exp(rng.uniform(math.log(low), math.log(high))))


def text(rng: random.Random, low: int, high: int) -> str:
    """A slice of the pool, log-uniform in length."""
    length = length_between(rng, low, high)
    start = rng.randrange(len(pool()) - length)
    return pool()[start : start + length]


def one_line(rng: random.Random, low: int, high: int) -> str:
    """The same without line breaks."""
    return " ".join(text(rng, low, high).split()) or "ok"


def ciphertext(rng: random.Random, low: int, high: int) -> str:
    """Base64 of random bytes: what signatures and encrypted reasoning look like."""
    return base64.b64encode(rng.randbytes(length_between(rng, low, high))).decode()


def new_uuid(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def new_id(rng: random.Random, prefix: str, length: int = 24) -> str:
    return prefix + "".join(rng.choices(_ID_LETTERS, k=length))
