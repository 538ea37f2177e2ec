"""Base64 media taken out of lines, whole or in pieces."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollmill.formats._lift import Lifter, LongLine, embedded, has_marker, linked, without_markers
from rollmill.media import NoStore
from rollmill.rollout import Media
from tests.writers.settings import examples


def lift(line: bytes, store: Any) -> bytes:
    return Lifter(store).lift(line)


class Counted:
    """A store that counts how often it is given what."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def put(self, sha256: str, data: bytes) -> None:
        assert hashlib.sha256(data).hexdigest() == sha256
        self.kept[sha256] = data


_IMAGES = [b"\x89PNG" + bytes([n]) * (240 + n) for n in range(4)]
_BASE64 = [base64.b64encode(data).decode() for data in _IMAGES]
_KINDS = ["image/png", "image/svg+xml", "application/vnd.x-y"]

_media = st.one_of(
    st.builds(
        lambda n, kind, key, wrap: {key: f"data:{kind};base64,{_BASE64[n]}"} | wrap,
        st.integers(0, 3),
        st.sampled_from(_KINDS),
        st.sampled_from(["image_url", "url"]),
        st.sampled_from([{}, {"detail": "auto"}]),
    ),
    st.builds(
        lambda n, key: {"type": "base64", key: _BASE64[n]}, st.integers(0, 3), st.sampled_from(["data", "result"])
    ),
)
_untouched = st.sampled_from(
    [
        f'see {{"url":"data:image/png;base64,{_BASE64[0]}"}} there',
        f'"data":"{_BASE64[1]}',
        f"data:image/png;base64,{_BASE64[2]}",
        {"url": "data:image/png;base64,"},
        {"url": f"data:image/png;base64,{_BASE64[0]}!"},
        {"url": f"data:image/png;base64,{_BASE64[0]}A"},
        {"url": "data:text/plain,hello"},
        {"url": "https://x/y.png"},
        {"data": _BASE64[0] + "*"},
        {"data": "QUJD"},
        {"text": "base64"},
        {"other": _BASE64[3]},
        "data",
        'url": "data:image/png;base64,QUJD',
        "\\",
        '\\"url\\":\\"data:image/png;base64,' + _BASE64[0] + '\\"',
    ]
)
_values = st.recursive(
    st.one_of(_media, _untouched, st.text(max_size=6), st.integers(), st.none()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)
_lines = st.builds(
    lambda value, pretty: json.dumps(
        {"note": "base64", "v": value}, separators=(", ", ": ") if pretty else (",", ":")
    ).encode(),
    _values,
    st.booleans(),
)


def resolved(value: Any, store: Counted) -> Any:
    """A decoded value with each medium, lifted or not, as the reference it stands for."""
    if isinstance(value, dict):
        return {key: _medium(key, item, store) for key, item in value.items()}
    return [resolved(item, store) for item in value] if isinstance(value, list) else value


def _medium(key: str, item: Any, store: Counted) -> Any:
    if not isinstance(item, str):
        return resolved(item, store)
    if key in ("data", "result") and (media := embedded(item, None, store)) is not None:
        return media
    if key in ("url", "image_url") and item.startswith("data:") and (media := linked(item, store)) is not None:
        return media
    return item


def in_pieces(line: bytes, cuts: list[int], store: Counted) -> bytes:
    long_line = LongLine(Lifter(store), line[: cuts[0]] if cuts else line)
    for start, end in zip(cuts, [*cuts[1:], len(line)], strict=False):
        long_line.feed(line[start:end])
    return long_line.finish()


@examples(200)
@given(_lines)
def test_a_lifted_line_says_the_same(line: bytes) -> None:
    there, here = Counted(), Counted()
    lifted = lift(line, there)
    assert resolved(json.loads(lifted), here) == resolved(json.loads(line), here)
    assert there.kept.items() <= here.kept.items()


@examples(200)
@given(_lines, st.data())
def test_pieces_make_no_difference(line: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(line)), max_size=6)))
    store = Counted()
    assert in_pieces(line, cuts, store) == lift(line, store)


def test_every_cut_of_a_line_with_everything() -> None:
    line = json.dumps(
        {
            "a": {"image_url": f"data:image/svg+xml;base64,{_BASE64[0]}"},
            "b": [{"data": _BASE64[1]}, {"result": _BASE64[1]}],
            "c": f'"url":"data:image/png;base64,{_BASE64[2]}"',
        }
    ).encode()
    store = Counted()
    whole = lift(line, store)
    assert len(store.kept) == 2 and whole.count(b"rollmill-media-") == 3
    for cut in range(len(line)):
        assert in_pieces(line, [cut], Counted()) == whole
    assert in_pieces(line, list(range(len(line))), Counted()) == whole


@pytest.mark.parametrize(
    "value",
    [
        f'x "url":"data:image/png;base64,{_BASE64[0]}" y',
        f"data:image/png;base64,{_BASE64[0]}",
        f'"data":"{_BASE64[0]}"',
    ],
)
def test_a_quoted_data_url_is_text(value: str) -> None:
    line = json.dumps({"text": value, "base64": 1}).encode()
    store = Counted()
    assert lift(line, store) == line and not store.kept


@pytest.mark.parametrize(
    "encoded", [_BASE64[0] + "A", _BASE64[0][:-4] + "*" + _BASE64[0][-3:], "", _BASE64[0][:300] + "\n"]
)
def test_undecodable_base64_stays(encoded: str) -> None:
    line = json.dumps({"url": f"data:image/png;base64,{encoded}", "data": encoded}).encode()
    store = Counted()
    assert lift(line, store) == line and not store.kept


def test_a_marker_is_read_back_with_hash_type_and_size() -> None:
    store = Counted()
    line = lift(
        json.dumps({"url": f"data:image/svg+xml;base64,{_BASE64[0]}", "data": _BASE64[1], "base64": 1}).encode(), store
    )
    value = json.loads(line)
    sha256 = [hashlib.sha256(data).hexdigest() for data in _IMAGES]
    assert linked(value["url"], NoStore()) == Media(sha256[0], "image/svg+xml", len(_IMAGES[0]))
    assert embedded(value["data"], None, NoStore()) == Media(sha256[1], "image/png", len(_IMAGES[1]))
    assert embedded(value["data"], "image/jpeg", NoStore()) == Media(sha256[1], "image/jpeg", len(_IMAGES[1]))
    assert has_marker(value["data"]) and without_markers(f"({value['data']})") == f"(sha256:{sha256[1]})"


def test_a_foreign_marker_is_only_text() -> None:
    forged = f"rollmill-media-{'0' * 24}:{'a' * 64}:5:image/png"
    assert embedded(forged, None, NoStore()) is None and not has_marker(forged)


@pytest.mark.parametrize("piece", [7, 1 << 10, 1 << 16])
def test_what_waits_is_at_most_one_medium(piece: int) -> None:
    """Text passes through; only an opened medium is held until its end."""
    medium = base64.b64encode(b"\x89PNG" + b"\0" * (30_000 if piece > 7 else 300)).decode()
    part = json.dumps({"text": "x" * 5000, "image_url": f"data:image/png;base64,{medium}"}).encode()
    line, store, waiting = b"[" + b",".join([part] * (12 if piece > 7 else 2)) + b"]", Counted(), 0
    long_line = LongLine(Lifter(store), b"")
    for start in range(0, len(line), piece):
        long_line.feed(line[start : start + piece])
        waiting = max(waiting, len(long_line.waiting))
    assert waiting <= len(medium) + 500 + piece
    assert sum(map(len, long_line.done)) < len(line) / 2 if piece > 7 else True
    assert len(json.loads(long_line.finish())) == (12 if piece > 7 else 2) and len(store.kept) == 1


def test_an_image_that_comes_again_is_not_decoded_again() -> None:
    store, image = Counted(), b"\x89PNG" + bytes(range(256)) * 2
    lifter = Lifter(store)
    line = b'{"image_url":"data:image/png;base64,%s"}' % base64.b64encode(image)
    assert lifter.lift(line) == lifter.lift(line) != line
    assert len(store.kept) == 1
