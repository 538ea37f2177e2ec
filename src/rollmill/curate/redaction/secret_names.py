"""Names that secrets are given in code, settings and JSON: ``DB_PASSWORD``, ``apiKey``, ``--auth-token``."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

Kind = Literal["password", "secret"]

_PASSWORD = re.compile(
    r"(?:password|passwd|passphrase|passcode|pwd|(?:^|[_-])pass|(?-i:(?<=[a-z])Pass|PASS)|[_-]pw)(?:[_-]?\d{1,2})?$",
    re.IGNORECASE,
)
_KEY_OF = (
    r"api|secret|access|private|auth|encryption|signing|sign|master|account|service|license|client|consumer|storage|shared"
    r"|subscription|webhook|deploy|jwt|session|cookie|bot|server|admin|app|application|hmac|crypto?|aes|security|ingest"
    r"|write|read|integration|personal|bearer|credential|functions?|host|rest|live|prod|openai|anthropic|azure|google|maps"
    r"|gemini|groq|mistral|cohere|stripe|aws|gcp|github|gitlab|sendgrid|mailgun|twilio|algolia|datadog|sentry|newrelic"
    r"|wandb|deepseek|together|fireworks|pinecone|tavily|serp|serper|weather|airtable|resend|supabase|firebase|elevenlabs"
    r"|deepgram|assemblyai|voyage|jina|exa|brave"
)
_LAST = (
    r"value|val|string|str|prod|production|dev|staging|live|test|main|primary|secondary|old|new|default|raw|plain|\d\d?"
)
_SECRET = re.compile(
    r"(?:secret|token|credentials?|apikey|(?:^|[_.-])(?:pat|auth|dsn)|secret[_-]?key[_-]?base"
    rf"|(?:{_KEY_OF})[_.-]?key)(?:[_-]?(?:{_LAST}))?$",
    re.IGNORECASE,
)
_ENVIRONMENT_KEY = re.compile(r"[A-Z][A-Z0-9_]*_(?:KEY|APIKEY)(?:_\d{1,2})?$")

_NOT_OF = (
    r"public|pub|publishable|anon|site|cache|cached|primary|foreign|sort|partition|idempoten(?:cy|t)|dedup|row|object|s3|page|next"
    r"|prev|continuation|continue|cursor|sync|pagination|resume|change|column|field|index|group|hash|hashed|lookup|translation|i18n"
    r"|known|registry|press|hot|short|stop|eos|bos|pad|unk|sep|cls|mask|special|start|end|first|last|num|max|min|total|input"
    r"|output|prompt|completion|reasoning"
)
_PASS_OF = (
    r"boarding|render|shadow|blur|bloom|depth|shader|multi|single|forward|backward|season|guest|lookup|add|post|pre|all"
    r"|second|third|compiler|opt|optimi[sz]ation|lowering"
)
"""What passes that are no passwords are of."""
_NO_SECRET = re.compile(
    rf"(?:{_NOT_OF})[_.-]?(?:(?:api|key)[_-]?)?(?:key|token|secret|pass)s?$|(?:by|com|encom|sur|{_PASS_OF})[_-]?pass$|^(?:OLD)?PWD$",
    re.IGNORECASE,
)


@lru_cache(1 << 14)
def name_kind(name: str) -> Kind | None:
    """``password`` or ``secret`` for the name of one, by how it ends; None for any other name."""
    name = name.strip("-.")
    if _NO_SECRET.search(name):
        return None
    if _PASSWORD.search(name):
        return "password"
    return "secret" if _SECRET.search(name) or _ENVIRONMENT_KEY.search(name) else None
