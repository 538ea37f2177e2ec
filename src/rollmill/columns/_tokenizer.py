"""Tokens counted by a local ``tokenizer.json``, as a model's folder has it.

with counted_by("qwen3-32b/tokenizer.json"):
    tokens("What did the user want?")
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from rollmill.columns._tokens import Estimate, use
from rollmill.errors import ConfigError

if TYPE_CHECKING:
    import tokenizers


class Tokenizer:
    """A ``Measure`` whose units are tokens. ``digest`` is a hash of the file."""

    per_token = 1

    def __init__(self, tokenizer: tokenizers.Tokenizer, digest: str) -> None:
        self._tokenizer, self.digest = tokenizer, digest

    def size(self, text: str) -> int:
        # As a batch of one, for only those let other threads work meanwhile; without places it takes a third.
        return len(self._tokenizer.encode_batch_fast([_clean(text)], add_special_tokens=False)[0])

    def cut(self, text: str, most: int) -> str:
        text = _clean(text)
        for kept in range(most, 0, -1):  # A beginning alone may have more tokens than as a part of the text.
            if self.size(text) <= most:
                break
            (encoding,) = self._tokenizer.encode_batch([text], add_special_tokens=False)
            text = text[: encoding.offsets[kept][0]] if len(encoding) > kept else text[:-1]
        return text if self.size(text) <= most else ""


def _clean(text: str) -> str:
    """Lone surrogates are no text to a tokenizer."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def local_tokenizer(path: str) -> Tokenizer:
    """The tokenizer of a ``tokenizer.json``, or the folder that has one. Raises ``ConfigError`` for what is none."""
    file = Path(os.path.expanduser(path))
    file = file / "tokenizer.json" if file.is_dir() else file
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{path} is no tokenizer ({error.strerror}); give a tokenizer.json, or the folder that has one"
        ) from None
    return _loaded(path, content)


@lru_cache(maxsize=2)
def _loaded(path: str, content: bytes) -> Tokenizer:
    try:
        import tokenizers
    except ImportError as error:
        raise ConfigError(f"a tokenizer needs the package tokenizers: pip install tokenizers ({error})") from None
    try:
        tokenizer = tokenizers.Tokenizer.from_str(content.decode())
    except Exception as error:  # The package raises this class itself.
        raise ConfigError(
            f"{path} is no tokenizer ({str(error)[:200]}); give the tokenizer.json of a model's folder"
        ) from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return Tokenizer(tokenizer, hashlib.sha256(content).hexdigest())


_lock = threading.Lock()
_users: list[str | None] = []
"""The digests of the tokenizers that runs under way count with."""


@contextmanager
def counted_by(path: str | None) -> Iterator[None]:
    """While this is open, all tokens in this process are counted by the tokenizer there; by estimate for None. Raises
    ``ConfigError`` when there is none, and when another run counts otherwise at the same time."""
    tokenizer = None if path is None else local_tokenizer(path)
    digest = tokenizer.digest if tokenizer else None
    with _lock:
        if any(other != digest for other in _users):
            raise ConfigError(
                "another run in this process counts tokens otherwise: wait for its end, or give both the same tokenizer"
            )
        _users.append(digest)
        use(tokenizer or Estimate())
    try:
        yield
    finally:
        with _lock:
            _users.pop()
            if not _users:
                use(Estimate())
