"""The blocks of the README and of the pages in ``docs/`` run as they stand, page by page.

A page runs in a folder of its own that holds a copy of ``examples/``, with a home where Claude Code and Codex have
left the same rollouts, and without a network. Its ``python`` blocks share their names, its ``shell`` blocks stop at
the first failing command. A block with ``file=NAME`` behind its language is no code to run but a file to write
before; a ``pyproject.toml`` among them counts as installed. ``text`` blocks, and data, are only read by people.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

from rollmill.refused import REFUSED, REFUSED_PARTS

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
RUN = ("python", "shell")
READ = ("text", "json", "toml", "yaml", "sql", "make")

NO_NETWORK = """
import socket

def refuse(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
        raise OSError(f"the documentation needs no network, but this block connects to {address}")
    return connect(self, address)

connect, socket.socket.connect = socket.socket.connect, refuse
"""


class Block(NamedTuple):
    """A fenced block: its language, the file it is to be written to, its text, and the line it begins at."""

    language: str
    file: str | None
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """The page's fenced blocks in order."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"^( *)```(\w*)(?: file=(\S+))?\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)
    return [Block(m[2], m[3], _unindented(m[4], m[1]), text.count("\n", 0, m.start(4))) for m in found]


def _unindented(text: str, indent: str) -> str:
    return re.sub(f"^{indent}", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_page_runs(page: Path, tmp_path: Path) -> None:
    if not any(block.language in RUN for block in blocks(page)):
        return
    folder = _folder_for(page, tmp_path)
    ran = subprocess.run(
        [sys.executable, __file__, str(page)],
        cwd=folder,
        env=_environment(tmp_path),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
    )
    assert ran.returncode == 0, ran.stdout[-5000:]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_block_escapes(page: Path) -> None:
    strange = [(block.line, block.language) for block in blocks(page) if block.language not in (*RUN, *READ)]
    assert not strange, f"{page.name}: these blocks are neither run ({RUN}) nor marked as not run ({READ}): {strange}"
    assert page.read_text(encoding="utf-8").count("```") == 2 * len(blocks(page)), f"{page.name}: a fence is not closed"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    dead = [link for link in links if not (page.parent / link).exists()]
    assert not dead, f"{page.name} links to what is not there: {', '.join(dead)}"


def test_every_refused_name_is_told_to_those_who_come() -> None:
    page = (ROOT / "docs" / "from-data-designer.md").read_text(encoding="utf-8")
    names = [*REFUSED, *(re.sub(r".*[.]", "", re.sub(r".*[(](\w+)[)]", r"\1=", part)) for part in REFUSED_PARTS)]
    assert not [name for name in names if f"`{name}`" not in page]


def _folder_for(page: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "page"
    shutil.copytree(ROOT / "examples", folder / "examples")
    rollouts = ROOT / "examples" / "rollouts"
    shutil.copytree(rollouts / "claude_code" / "projects", tmp_path / "home" / ".claude" / "projects")
    shutil.copytree(rollouts / "codex" / "sessions", tmp_path / "home" / ".codex" / "sessions")
    for block in blocks(page):
        if block.file is not None:
            target = folder / block.file
            assert target.resolve().is_relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, encoding="utf-8")
    if (folder / "pyproject.toml").exists():
        _install(folder)
    return folder


def _install(folder: Path) -> None:
    """What an installer would leave for ``folder/pyproject.toml``: its name, and its entry points."""
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = project.get("entry-points", {}).items()
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items()) for group, points in groups
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))


def _environment(tmp_path: Path) -> dict[str, str]:
    """Nothing of the machine's but the path, with this Python's own programs first."""
    customize = tmp_path / "customize"
    customize.mkdir()
    (customize / "sitecustomize.py").write_text(NO_NETWORK)
    return {
        "HOME": str(tmp_path / "home"),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": os.pathsep.join([str(tmp_path / "page"), str(customize)]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LANG": "C.UTF-8",
        "TMPDIR": str(tmp_path),
    }


def run(page: Path) -> None:
    """Run the page's blocks in this process and this folder; a traceback shows the page's own lines."""
    names = {"__name__": "__page__"}
    for block in blocks(page):
        if block.file is not None:
            continue
        if block.language == "python":
            exec(compile("\n" * block.line + block.text, page, "exec"), names)
        elif block.language == "shell":
            print(f"{page.name}, line {block.line + 1}:\n{block.text}", flush=True)
            subprocess.run(["bash", "-euo", "pipefail", "-c", block.text], check=True)


if __name__ == "__main__":
    run(Path(sys.argv[1]))
