"""What is found in a folder, with nothing opened."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rollmill.files import UnlistedFolder, walk
from rollmill.seeds import discovery as discovery_module
from rollmill.seeds.discovery import SKIP_REASONS, Discovery, discover
from tests import seeds_toy
from tests.seeds_toy import write

_opened: list[str] | None = None
_folder = ""


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _opened is not None and _folder in (path := _path(arguments[0])):
        _opened.append(path)


def _path(opened: object) -> str:
    return os.fsdecode(opened) if isinstance(opened, bytes) else str(opened)


@contextmanager
def opened_files(folder: Path) -> Iterator[list[str]]:
    """The paths below the folder that are opened meanwhile, as the interpreter itself reports them."""
    global _opened, _folder
    if not getattr(sys, "_rollmill_audit", False):
        sys.addaudithook(_note)
        sys._rollmill_audit = True  # type: ignore[attr-defined]
    _opened, _folder = [], str(folder)
    try:
        yield _opened
    finally:
        _opened = None


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery_module, "load_format", lambda name: seeds_toy)


def names(found: Discovery) -> list[str]:
    return [row["relative_path"] for row in found.rows]


def adds_up(found: Discovery) -> bool:
    return found.seen == len(found.rows) + found.skipped.total()


def test_manifest_rows_say_all_that_reading_needs(tmp_path: Path) -> None:
    path = write(tmp_path / "b" / "x.jsonl", 1)
    os.utime(path, (1000.5, 2000.5))
    found = discover(tmp_path, "codex", "*.jsonl")
    assert found.rows == [
        {
            "source_kind": "codex",
            "source_path": str(path),
            "relative_path": "b/x.jsonl",
            "file_name": "x.jsonl",
            "size": path.stat().st_size,
            "mtime": 2000.5,
        }
    ]


def test_rows_are_sorted_by_relative_path_and_every_file_is_counted(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a/z.jsonl", "a.jsonl", "B.JSONL", "history.jsonl", "a/notes.txt"):
        write(tmp_path / name, 1)
    found = discover(tmp_path, "codex", "*.jsonl")
    assert names(found) == ["a.jsonl", "a/z.jsonl", "b.jsonl"]
    assert found.skipped == {"pattern": 2, "not_handled": 1} and adds_up(found)


@pytest.mark.parametrize("pattern", ["*.jsonl", "?.jsonl", "[ab].jsonl", "a*", "*", "a.jsonl", "*a*"])
def test_patterns_match_base_names_as_fnmatchcase(tmp_path: Path, pattern: str) -> None:
    from fnmatch import fnmatchcase

    all_names = ["a.jsonl", "b.jsonl", "A.jsonl", "ab.jsonl", "a.json", "d/a.jsonl", "a/x.jsonl"]
    for name in all_names:
        write(tmp_path / name, 1)
    expected = sorted(name for name in all_names if fnmatchcase(name.rpartition("/")[2], pattern))
    assert names(discover(tmp_path, "codex", pattern)) == expected


def test_without_recursion_sub_folders_are_not_even_counted(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", 1)
    write(tmp_path / "deep" / "b.jsonl", 1)
    found = discover(tmp_path, "codex", "*.jsonl", recursive=False)
    assert names(found) == ["a.jsonl"] and found.seen == 1


def test_nothing_is_opened(tmp_path: Path) -> None:
    for number in range(20):
        write(tmp_path / f"d{number % 3}" / f"{number}.jsonl", 1)
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "d0" / "0.jsonl")
    with opened_files(tmp_path) as opened:
        found = discover(tmp_path, "codex", "*.jsonl")
    assert len(found.rows) == 20 and opened == []
    with opened_files(tmp_path) as opened:
        (tmp_path / "d0" / "0.jsonl").read_bytes()
    assert opened == [str(tmp_path / "d0" / "0.jsonl")], "the check itself must see an open"


def test_a_plain_file_wins_over_its_compressed_copy(tmp_path: Path) -> None:
    for name in ("x.jsonl", "x.jsonl.zst", "y.jsonl.zst", "d/x.jsonl.zst"):
        write(tmp_path / name, 1)
    found = discover(tmp_path, "codex", "*.jsonl*")
    assert names(found) == ["d/x.jsonl.zst", "x.jsonl", "y.jsonl.zst"]
    assert found.skipped == {"superseded": 1} and adds_up(found)
    assert names(discover(tmp_path, "codex", "*.zst", recursive=False)) == ["x.jsonl.zst", "y.jsonl.zst"]


def test_links_are_followed_inside_the_root_only_and_a_file_is_read_once(tmp_path: Path) -> None:
    root = tmp_path / "root"
    outside = write(tmp_path / "outside.jsonl", 1)
    write(root / "a.jsonl", 1)
    write(root / "store" / "blob", 1)
    (root / "again.jsonl").symlink_to(root / "a.jsonl")
    (root / "only-way.jsonl").symlink_to(root / "store" / "blob")
    (root / "second-way.jsonl").symlink_to(root / "store" / "blob")
    (root / "out.jsonl").symlink_to(outside)
    (root / "broken.jsonl").symlink_to(root / "gone.jsonl")
    (root / "loop").symlink_to(root)
    (root / "self.jsonl").symlink_to(root / "self.jsonl")
    os.mkfifo(root / "pipe.jsonl")
    found = discover(root, "codex", "*.jsonl")
    assert names(found) == ["a.jsonl", "only-way.jsonl"]
    assert found.skipped == {"link": 2, "link_out_of_root": 1, "broken_link": 2, "special_file": 1, "pattern": 1}
    assert adds_up(found)


def test_a_folder_that_cannot_be_listed_does_not_stop_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a" / "a.jsonl", 1)
    write(tmp_path / "secret" / "b.jsonl", 1)
    write(tmp_path / "z" / "c.jsonl", 1)
    forbid(monkeypatch, tmp_path / "secret")
    found = discover(tmp_path, "codex", "*.jsonl")
    assert names(found) == ["a/a.jsonl", "z/c.jsonl"] and adds_up(found)
    assert [folder.relative_path for folder in found.unlisted] == ["secret/"]
    assert "Permission" in found.unlisted[0].message
    unlisted: list[UnlistedFolder] = []
    forbid(monkeypatch, tmp_path)
    with pytest.raises(PermissionError):
        list(walk(tmp_path, True, unlisted))


def forbid(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Make a folder unlistable, for tests that run as root too."""
    scandir = os.scandir

    def guarded(path: str) -> object:
        if os.fspath(path) == str(folder):
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)


def test_a_name_that_is_no_text_is_counted_and_left_out(tmp_path: Path) -> None:
    write(tmp_path / "ü.jsonl", 1)
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jsonl")).write_text("x")
    except OSError:
        pytest.skip("this file system refuses such names")
    found = discover(tmp_path, "codex", "*.jsonl")
    assert names(found) == ["ü.jsonl"] and found.skipped == {"undecodable_name": 1} and adds_up(found)


def test_a_file_that_vanishes_while_it_is_listed_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.jsonl", 1)
    gone = write(tmp_path / "b.jsonl", 1)
    stream = walk(tmp_path)
    next(stream)
    gone.unlink()
    assert [found.skip for found in stream] == ["vanished"]


def test_the_page_names_every_reason_to_leave_a_file_out() -> None:
    page = (Path(__file__).parent.parent / "docs" / "agent-rollouts.md").read_text()
    assert {reason for reason in SKIP_REASONS if f"`{reason}`" not in page} == set()
