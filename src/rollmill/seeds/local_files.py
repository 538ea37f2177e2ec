"""The files below one folder, under their relative names: what a seed reader gets as ``context.fs``.

The method names are those of fsspec's file systems, so that readers written against them work; only what readers of
a local folder use is here. No path leads outside the folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from rollmill.errors import SeedReaderError
from rollmill.files import FoundFile, is_inside, walk


class LocalFiles:
    """The folder ``root``; every path is relative to it, with ``/`` between its parts."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def open(self, path: str, mode: str = "rb", **options: Any) -> IO[Any]:
        """The open file, as Python's ``open`` gives it; bytes unless ``mode`` says text."""
        return open(self._below_root(path), mode, **options)

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder of that name."""
        return self._below_root(path).exists()

    def isfile(self, path: str) -> bool:
        """Whether there is a file of that name."""
        return self._below_root(path).is_file()

    def isdir(self, path: str) -> bool:
        """Whether there is a folder of that name."""
        return self._below_root(path).is_dir()

    def size(self, path: str) -> int:
        """The file's size in bytes."""
        return self._below_root(path).stat().st_size

    def info(self, path: str) -> dict[str, Any]:
        """``name``, ``size`` in bytes, ``type`` (``file`` or ``directory``) and ``mtime`` (s, UTC)."""
        full = self._below_root(path)
        stat = full.stat()
        kind = "directory" if full.is_dir() else "file"
        return {"name": path.strip("/"), "size": stat.st_size, "type": kind, "mtime": stat.st_mtime}

    def read_text(self, path: str, encoding: str = "utf-8") -> str:
        """The file's text."""
        return self._below_root(path).read_text(encoding=encoding)

    def read_bytes(self, path: str) -> bytes:
        """The file's bytes."""
        return self._below_root(path).read_bytes()

    cat_file = read_bytes

    def ls(self, path: str = "", detail: bool = True) -> list[Any]:
        """What lies directly in a folder, sorted: ``info`` of each, or with ``detail=False`` the names."""
        prefix = path.strip("/") + "/" if path.strip("/") else ""
        names = [prefix + name for name in sorted(os.listdir(self._below_root(path)))]
        return [self.info(name) for name in names] if detail else names

    def find(self, path: str = "", maxdepth: int | None = None, withdirs: bool = False) -> list[str]:
        """The files below a folder, sorted; ``maxdepth=1`` those directly in it. ``withdirs`` must stay False."""
        if withdirs:
            raise SeedReaderError("find(withdirs=True) is not supported; ls() lists folders too")
        folder, prefix = self._below_root(path), path.strip("/")
        found = (f"{prefix}/{name}".lstrip("/") for name in _readable_names(folder, maxdepth))
        return sorted(found)

    def _below_root(self, path: str) -> Path:
        full = self.root / path.lstrip("/")
        if not is_inside(full, self.root):
            raise SeedReaderError(f"{path!r} leads out of {self.root}; a seed reader reads below its folder only")
        return full


def _readable_names(folder: Path, maxdepth: int | None) -> Iterator[str]:
    for found in walk(folder, recursive=maxdepth != 1):
        if _is_readable(found) and (maxdepth is None or found.relative_path.count("/") < maxdepth):
            yield found.relative_path


def _is_readable(found: FoundFile) -> bool:
    return found.skip in ("", "link")
