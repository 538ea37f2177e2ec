"""The golden folders: what they hold, what the code says, and the difference.

``python -m tests.golden`` prints where the code disagrees with the expected rows; ``ACCEPT=1`` writes what the code
says over them, for a change that was read line by line. An expected row is a claim worked out from the raw bytes.
"""

from __future__ import annotations

import difflib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rollmill.errors import UnreadableFile
from rollmill.files import Tree, walk
from rollmill.formats import RolloutFile, load_format

FOLDER = Path(__file__).parent / "formats"


def situations() -> list[Path]:
    """Every folder with an ``input``, good and bad."""
    return sorted(path.parent for path in FOLDER.glob("*/**/input") if path.is_dir())


def name(situation: Path) -> str:
    return situation.relative_to(FOLDER).as_posix()


def read(situation: Path) -> tuple[list[dict[str, Any]], dict[str, str], dict[str, str]]:
    """``(rows, skips, problems)`` as the code sees the input: rows bare, the rest by relative path."""
    format_name = situation.relative_to(FOLDER).parts[0]
    module = load_format(format_name)
    options = _json(situation / "options.json", {})
    root = _root(situation / "input", format_name)
    tree = Tree(root)
    rows, skips, problems = [], {}, {}
    found = sorted(walk(root), key=lambda file: file.relative_path)
    for old in {f"{file.relative_path}.zst" for file in found} & {file.relative_path for file in found}:
        skips[_below_input(situation, root, old)] = "superseded"
    for relative_path in (file.relative_path for file in found):
        if not module.is_handled_file(relative_path) or _below_input(situation, root, relative_path) in skips:
            continue
        file = RolloutFile(root / relative_path, relative_path, tree, **options)
        try:
            rollouts = list(module.parse_file(file))
        except UnreadableFile as problem:
            problems[_below_input(situation, root, relative_path)] = problem.kind
            continue
        if not rollouts:
            skips[_below_input(situation, root, relative_path)] = file.skip
        rows += [bare(rollout.to_row()) for rollout in rollouts]
    return rows, skips, problems


def _root(folder: Path, format_name: str) -> Path:
    """A Codex input is a whole ``$CODEX_HOME``, so that its session index lies where Codex puts it."""
    sessions = folder / "sessions"
    return sessions if format_name == "codex" and sessions.is_dir() else folder


def _below_input(situation: Path, root: Path, relative_path: str) -> str:
    return (root / relative_path).relative_to(situation / "input").as_posix()


def bare(row: dict[str, Any]) -> dict[str, Any]:
    """A row as golden files hold it: no source path, no nulls, no empty lists or objects, no zeros in the ledger."""
    row = {key: value for key, value in row.items() if key != "source_path"}
    row["source_meta"] = dict(row["source_meta"])
    row["source_meta"]["fidelity"] = _without_zeros(row["source_meta"]["fidelity"])
    bared: dict[str, Any] = _bare(row)
    return bared


def _bare(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        items = ((k, _bare(v, k)) for k, v in value.items())
        return {k: v for k, v in items if v is not None and v != [] and v != {} and not (k == "segment" and v == 0)}
    if isinstance(value, list):
        return [_bare(item) for item in value]
    return value


def _without_zeros(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_zeros(v) for k, v in value.items() if v not in (0, False)}
    return value


def expected(situation: Path) -> tuple[list[dict[str, Any]], dict[str, str], dict[str, str]]:
    file = situation / "expected.jsonl"
    lines = file.read_text(encoding="utf-8").split("\n") if file.exists() else []
    return (
        [json.loads(line) for line in lines if line.strip()],
        _json(situation / "expected_skips.json", {}),
        _json(situation / "expected_problems.json", {}),
    )


def _json(path: Path, default: Any) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else default


def difference(situation: Path) -> str:
    """The difference between what is expected and what the code says, as a diff; empty when they agree."""
    return "\n".join(
        difflib.unified_diff(_lines(expected(situation)), _lines(read(situation)), "expected", "code", lineterm="", n=4)
    )


def _lines(result: Any) -> list[str]:
    return json.dumps(result, indent=1, ensure_ascii=False, sort_keys=True).splitlines()


def accept(situation: Path) -> None:
    rows, skips, problems = read(situation)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (situation / "expected.jsonl").write_text(text, encoding="utf-8")
    for file_name, value in (("expected_skips.json", skips), ("expected_problems.json", problems)):
        path = situation / file_name
        if value:
            path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
        else:
            path.unlink(missing_ok=True)


def differing(names: list[str]) -> Iterator[tuple[Path, str]]:
    for situation in situations():
        if (not names or any(part in name(situation) for part in names)) and (text := difference(situation)):
            yield situation, text


def main(names: list[str]) -> int:
    count = 0
    for situation, text in differing(names):
        count += 1
        print(f"== {name(situation)}\n{text}\n")
        if os.environ.get("ACCEPT") == "1":
            accept(situation)
    print(f"{count} of {len(situations())} golden folders differ")
    return 1 if count and os.environ.get("ACCEPT") != "1" else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
