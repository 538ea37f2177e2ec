"""The seed reader for agent rollouts: a folder of any agent's logs to rows of one shape."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from rollmill.errors import SeedReaderError, UnreadableFile
from rollmill.files import Tree
from rollmill.formats import RolloutFile
from rollmill.rollout import COLUMNS, Rollout
from rollmill.seeds.bulk import Media, media_store, parse, read_rollouts, uncollected, unreadable
from rollmill.seeds.discovery import Discovery, ManifestRow, discover, discover_file
from rollmill.seeds.local_files import LocalFiles
from rollmill.seeds.reader import FileSystemSeedReader, SeedReaderFileSystemContext, existing_folder, missing
from rollmill.seeds.source import AgentRolloutSeedSource
from rollmill.seeds.summary import OnError, Problem, ReadSummary

if TYPE_CHECKING:
    from rollmill.seeds.batches import BatchReader


class AgentRolloutSeedReader(FileSystemSeedReader[AgentRolloutSeedSource]):
    """Reads the files of one format below a folder; the rows are those of ``docs/rows.md``.

    ``on_error`` says what batches do with a file that cannot be read: ``record`` it in ``summary`` and go on, or
    ``raise``. ``media`` is a store, or a folder, for embedded images; without one rows carry their hash and size only.
    """

    output_columns: ClassVar[list[str] | None] = list(COLUMNS)
    on_error: OnError = "record"
    media: Media = None
    discovery: Discovery | None = None
    """What lies in the folder, once the manifest is built."""
    summary: ReadSummary | None = None
    """The counts of the last reading that was begun."""
    _tree: Tree | None = None

    def __init__(self, *, on_error: OnError = "record", media: Media = None) -> None:
        self.on_error = on_error
        self.media = media

    def create_filesystem_context(self, root_path: Path | str) -> SeedReaderFileSystemContext:
        """The context for a folder, or for the folder of one file. Raises ``SeedReaderError`` when it is not there."""
        path = Path(os.path.expanduser(root_path)).resolve()
        if not path.exists():
            raise SeedReaderError(self._why_missing(str(root_path), path))
        root = path.parent if path.is_file() else existing_folder(str(path))
        return SeedReaderFileSystemContext(fs=LocalFiles(root), root_path=root)

    def build_manifest(self, *, context: SeedReaderFileSystemContext) -> list[dict[str, Any]]:
        """``source_kind``, ``source_path``, ``relative_path``, ``file_name``, ``size`` (bytes) and ``mtime`` (s, UTC)
        of each file to read, sorted by relative path. No file is opened."""
        source = self.source
        if (file := self._single_file()) is not None:
            self.discovery = discover_file(file, source.format.value)
        else:
            self.discovery = discover(
                context.root_path, source.format.value, source.resolved_file_pattern, source.recursive
            )
        return self.discovery.rows

    def _manifest_records(self, manifest: Any) -> list[dict[str, Any]]:
        """Our own rows are known to be alike: to look at each of them would be a twentieth of the time."""
        if type(self).build_manifest is AgentRolloutSeedReader.build_manifest:
            return cast(list[dict[str, Any]], manifest)
        return super()._manifest_records(manifest)

    def hydrate_row(
        self, *, manifest_row: dict[str, Any], context: SeedReaderFileSystemContext
    ) -> list[dict[str, Any]]:
        """The rows of one file as plain dicts, main thread first; none for a file without messages.

        Raises ``SeedReaderError`` when the file cannot be read.
        """
        path, relative_path = Path(manifest_row["source_path"]), manifest_row["relative_path"]
        file = RolloutFile(path, relative_path, self._rooted(context), self.source.branches, media_store(self.media))
        try:
            return [rollout.to_row() for rollout in parse(file, self.source.format.value)]
        except (OSError, UnreadableFile) as error:
            raise unreadable(file, Problem.of(error, relative_path)) from error

    def discovered(self) -> Discovery:
        """What lies in the folder, looked at once; no error when there is nothing to read."""
        self._built_manifest()
        assert self.discovery is not None
        return self.discovery

    def read_rollouts(
        self, manifest_rows: Sequence[ManifestRow] | None = None, summary: ReadSummary | None = None
    ) -> Iterator[Rollout]:
        """The rollouts of the given manifest rows (of all), one file at a time, counted in ``summary``: a new one, or
        the given one, which then counts several readers."""
        rows = self.manifest_rows() if manifest_rows is None else manifest_rows
        self.summary = ReadSummary() if summary is None else summary
        self.summary.add_discovery(self.discovered(), selected=len(rows))
        return read_rollouts(
            rows,
            tree=self._rooted(self._context()),
            summary=self.summary,
            branches=self.source.branches,
            media=self.media,
            on_error=self.on_error,
        )

    def _batch_reader(self, rows: Sequence[ManifestRow], batch_size: int) -> BatchReader:
        if type(self).hydrate_row is not AgentRolloutSeedReader.hydrate_row:
            return super()._batch_reader(rows, batch_size)
        from rollmill.rows import batches
        from rollmill.seeds.batches import BatchReader

        full = batches(self.read_rollouts(rows), max_rows=batch_size)
        return BatchReader(uncollected(full), lambda: self._why_no_rows(len(rows)))

    def _reset_attachment_state(self) -> None:
        super()._reset_attachment_state()
        self.discovery = self.summary = self._tree = None

    def _single_file(self) -> Path | None:
        path = Path(os.path.expanduser(self.source.runtime_path)).resolve()
        return path if path.is_file() else None

    def _rooted(self, context: SeedReaderFileSystemContext) -> Tree:
        if self._tree is None:
            # A lone file's folder may be a whole home: what spans files is not searched for below it.
            recursive = self.source.recursive and self._single_file() is None
            self._tree = Tree(context.root_path, recursive)
        return self._tree

    def _why_missing(self, path: str, resolved: Path) -> str:
        text = missing(path, resolved)
        if self.source.path is not None:
            return text
        variable = self.source.defaults.home_variable
        hint = f" or set {variable}" if variable else ""
        return f"{text}. It is the default of format {self.source.format.value!r}: pass path{hint}"

    def _why_no_manifest(self) -> str:
        if (found := self.discovery) is None:
            return super()._why_no_manifest()
        scope = "below" if self.source.recursive else "directly in"
        step = "" if self.source.recursive else ", recursive=True"
        return (
            f"no {self.source.format.value} rollout {scope} {found.root}: {found.seen} files looked at, "
            f"file_pattern {found.pattern!r}{_examples(found)}; set another path, file_pattern{step} or format"
        )

    def _why_no_rows(self, selected: int) -> str:
        text = super()._why_no_rows(selected)
        if self.summary is None:
            return text
        return "; ".join([f"{text} ({self.summary})", *map(str, self.summary.problems[:3])])


def _examples(found: Discovery) -> str:
    names = [*found.some_skipped, *(f"{path} (folder not listed: {text})" for path, text in found.unlisted)]
    return f", left out: {'; '.join(names)}" if names else ""
