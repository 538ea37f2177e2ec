"""What ``walk`` finds in a folder full of links, told file by file."""

from __future__ import annotations

from pathlib import Path

from rollmill.files import Tree, UnlistedFolder, is_inside, walk


def make(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)


def link(root: Path, path: str, target: Path) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).symlink_to(target)


def found(root: Path, recursive: bool = True) -> list[tuple[str, str]]:
    return [(file.relative_path, file.skip) for file in walk(root, recursive)]


def test_loops_end_and_each_link_is_told_for_what_it_is(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    make(root, "a/one.jsonl", "b/two.jsonl", "top.jsonl")
    make(outside, "secret.jsonl")
    link(root, "a/to-b", Path("../b"))
    link(root, "b/to-a", Path("../a"))
    link(root, "b/up", root)
    link(root, "chain.jsonl", Path("first-of-chain.jsonl"))
    link(root, "first-of-chain.jsonl", Path("a/one.jsonl"))
    link(root, "knot.jsonl", Path("knot-too.jsonl"))
    link(root, "knot-too.jsonl", Path("knot.jsonl"))
    link(root, "out-folder", outside)
    link(root, "out-and-back.jsonl", outside / "way-back")
    link(outside, "way-back", root / "top.jsonl")
    link(root, "out-file.jsonl", outside / "secret.jsonl")
    link(root, "out-gone.jsonl", outside / "gone.jsonl")
    assert found(root) == [
        ("chain.jsonl", "link"),
        ("first-of-chain.jsonl", "link"),
        ("knot-too.jsonl", "broken_link"),
        ("knot.jsonl", "broken_link"),
        ("out-and-back.jsonl", "link"),
        ("out-file.jsonl", "link_out_of_root"),
        ("out-folder", "link_out_of_root"),
        ("out-gone.jsonl", "link_out_of_root"),
        ("top.jsonl", ""),
        ("a/one.jsonl", ""),
        ("b/two.jsonl", ""),
    ]


def test_a_link_has_the_size_and_name_of_what_is_read_through_it(tmp_path: Path) -> None:
    make(tmp_path, "store/blob")
    link(tmp_path, "x.jsonl", Path("store/blob"))
    linked, blob = walk(tmp_path)
    assert (linked.name, linked.size, linked.mtime) == ("x.jsonl", len("store/blob"), blob.mtime)


def test_a_root_that_is_itself_a_link_is_the_folder_behind_it(tmp_path: Path) -> None:
    make(tmp_path / "real", "a.jsonl", "deep/b.jsonl")
    link(tmp_path / "real", "again.jsonl", Path("a.jsonl"))
    link(tmp_path, "root", tmp_path / "real")
    everything = [("a.jsonl", ""), ("again.jsonl", "link"), ("deep/b.jsonl", "")]
    assert found(tmp_path / "root") == everything
    assert found(tmp_path / "root", recursive=False) == everything[:2]


def test_what_lies_behind_links_is_in_no_tree(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    make(root, "a/x.jsonl")
    make(outside, "x.jsonl")
    link(root, "b/x.jsonl", root / "a" / "x.jsonl")
    link(root, "c", outside)
    assert Tree(root).named("x.jsonl") == [root / "a" / "x.jsonl"]
    assert is_inside(root / "b" / "x.jsonl", root) and not is_inside(root / "c" / "x.jsonl", root)
    unlisted: list[UnlistedFolder] = []
    assert [file.relative_path for file in walk(root, True, unlisted)] == ["c", "a/x.jsonl", "b/x.jsonl"]
    assert unlisted == []
