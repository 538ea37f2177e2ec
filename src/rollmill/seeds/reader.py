"""Seed readers: from a source to rows, in two steps.

``build_manifest`` lists what there is, cheaply: one row for each file. ``hydrate_row`` reads one manifest row and gives
one seed row or many. Everything else, which rows, in what order, how many at a time, is done here. A reader written
for the reference's file-system base class works with only its import lines changed (``docs/agent-rollouts.md``).
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, get_args

from rollmill.errors import ConfigError, SeedReaderError
from rollmill.seeds.discovery import SHOWN_NAMES, name_test
from rollmill.seeds.local_files import LocalFiles
from rollmill.seeds.records import Record, hydrated_records, manifest_records
from rollmill.seeds.selection import IndexRange, select
from rollmill.seeds.source import FileSystemSeedSource, SeedSource

if TYPE_CHECKING:
    from rollmill.seeds.batches import BatchReader


class SecretResolver(Protocol):
    """Turns the name of a secret in a config into the secret."""

    def resolve(self, secret: str) -> str: ...


@dataclass(frozen=True)
class SeedReaderFileSystemContext:
    """The folder a reader works in: ``root_path``, absolute, and ``fs``, which opens and lists paths relative to it."""

    fs: LocalFiles
    root_path: Path


SourceT = TypeVar("SourceT", bound=SeedSource)
FileSystemSourceT = TypeVar("FileSystemSourceT", bound=FileSystemSeedSource)


class SeedReader(ABC, Generic[SourceT]):
    """Reads one kind of source, which ``attach`` gives it. A subclass names the kind: ``SeedReader[MySource]``."""

    source: SourceT
    secret_resolver: SecretResolver | None

    def attach(self, source: SourceT, secret_resolver: SecretResolver | None = None) -> None:
        """Begin with a source. What was remembered of an earlier one is forgotten."""
        self._reset_attachment_state()
        self.source = source
        self.secret_resolver = secret_resolver
        self.on_attach()

    def on_attach(self) -> None:
        """Called at the end of ``attach``, for subclasses."""

    def _reset_attachment_state(self) -> None:
        """Forget what belongs to one source. Not in ``__init__``: a subclass may have its own without calling ours."""

    def _ensure_attached(self) -> None:
        if not hasattr(self, "source"):
            name = type(self).__name__
            raise SeedReaderError(f"{name} has no source yet; call {name}.attach(source) first")

    def get_seed_type(self) -> str:
        """The ``seed_type`` of the sources this reader is for, from the class in its brackets."""
        for base in getattr(type(self), "__orig_bases__", ()):
            for source_class in get_args(base):
                field = getattr(source_class, "model_fields", {}).get("seed_type")
                if field is not None and isinstance(field.default, str):
                    return field.default
        raise SeedReaderError(
            f"{type(self).__name__} does not say which sources it reads; derive it from a reader with the source class "
            f"in brackets, FileSystemSeedReader[MySource], whose seed_type is a Literal with a default"
        )

    @abstractmethod
    def get_column_names(self) -> list[str]:
        """The columns of the seed rows."""

    @abstractmethod
    def get_seed_dataset_size(self) -> int:
        """How many rows a range or partition can select from."""

    @abstractmethod
    def create_batch_reader(
        self, *, batch_size: int, index_range: IndexRange | None = None, shuffle: bool = False, seed: int | None = None
    ) -> BatchReader:
        """The selected seed rows as Arrow batches."""


class FileSystemSeedReader(SeedReader[FileSystemSourceT]):
    """A reader of files below a folder. A subclass gives ``build_manifest`` and, to read them, ``hydrate_row``.

    ``output_columns`` names the columns of what ``hydrate_row`` gives; left None, they are those of the manifest.
    """

    output_columns: ClassVar[list[str] | None] = None
    _manifest: list[Record] | None = None
    _context_of_source: SeedReaderFileSystemContext | None = None

    @abstractmethod
    def build_manifest(self, *, context: SeedReaderFileSystemContext) -> Any:
        """One dict for each file or group of files, in a list or as a pandas DataFrame; nothing should be read."""

    def hydrate_row(
        self, *, manifest_row: dict[str, Any], context: SeedReaderFileSystemContext
    ) -> dict[str, Any] | Iterable[dict[str, Any]]:
        """The seed row, or rows, of one manifest row: the manifest row itself unless a subclass says otherwise."""
        return manifest_row

    def create_filesystem_context(self, root_path: Path | str) -> SeedReaderFileSystemContext:
        """The context for a folder as the user wrote it. Raises ``SeedReaderError`` when it is not there."""
        root = existing_folder(str(root_path))
        return SeedReaderFileSystemContext(fs=LocalFiles(root), root_path=root)

    def get_matching_relative_paths(
        self, *, context: SeedReaderFileSystemContext, file_pattern: str, recursive: bool
    ) -> list[str]:
        """The files below the root whose base name matches, sorted. Raises ``SeedReaderError`` when there is none."""
        names = context.fs.find("", maxdepth=None if recursive else 1)
        matches = name_test(file_pattern)
        if not (matching := [name for name in names if matches(name.rpartition("/")[2])]):
            raise SeedReaderError(_no_match(context.root_path, file_pattern, recursive, names))
        return sorted(matching)

    def get_column_names(self) -> list[str]:
        """The columns of the seed rows. Opens no file; raises ``SeedReaderError`` when the folder is not there."""
        self._context()
        return list(self.output_columns) if self.output_columns is not None else list(self.manifest_rows()[0])

    def get_seed_dataset_size(self) -> int:
        """The number of manifest rows: files, not seed rows. Opens no file."""
        return len(self.manifest_rows())

    def manifest_rows(self) -> list[dict[str, Any]]:
        """The manifest, built once for an attached source. Raises ``SeedReaderError`` when it is empty."""
        if not (manifest := self._built_manifest()):
            raise SeedReaderError(self._why_no_manifest())
        return manifest

    def create_batch_reader(
        self, *, batch_size: int, index_range: IndexRange | None = None, shuffle: bool = False, seed: int | None = None
    ) -> BatchReader:
        """Arrow batches of at most ``batch_size`` seed rows from the selected manifest rows.

        Files are read one after the other, each when its turn comes, until a batch is full. ``index_range`` counts
        manifest rows; ``shuffle`` mixes those rows among themselves, the same way each time for one ``seed``.
        """
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}; a batch has at least 1 row")
        return self._batch_reader(select(self.manifest_rows(), index_range, shuffle, seed), batch_size)

    def _batch_reader(self, rows: Sequence[Record], batch_size: int) -> BatchReader:
        from rollmill.seeds.batches import BatchReader, record_batches

        batches = record_batches(self._records(rows), self.get_column_names(), batch_size, type(self).__name__)
        return BatchReader(batches, lambda: self._why_no_rows(len(rows)))

    def _records(self, rows: Iterable[Record]) -> Iterator[Record]:
        context, columns, name = self._context(), self.get_column_names(), type(self).__name__
        for number, row in enumerate(rows):
            row_name = f"{number} ({row['relative_path']})" if "relative_path" in row else str(number)
            try:
                output = self.hydrate_row(manifest_row=dict(row), context=context)
                yield from hydrated_records(output, columns, name, row_name)
            except SeedReaderError:
                raise
            except Exception as error:
                error.add_note(f"while {name} hydrated manifest row {row_name}")
                raise

    def _reset_attachment_state(self) -> None:
        self._manifest = None
        self._context_of_source = None

    def _built_manifest(self) -> list[Record]:
        if self._manifest is None:
            context = self._context()
            with _explained("the files below", context.root_path):
                self._manifest = self._manifest_records(self.build_manifest(context=context))
        return self._manifest

    def _manifest_records(self, manifest: Any) -> list[Record]:
        return manifest_records(manifest, type(self).__name__)

    def _context(self) -> SeedReaderFileSystemContext:
        self._ensure_attached()
        if self._context_of_source is None:
            with _explained("seed path", self.source.runtime_path):
                self._context_of_source = self.create_filesystem_context(self.source.runtime_path)
        return self._context_of_source

    def _why_no_manifest(self) -> str:
        return f"{type(self).__name__}.build_manifest() found nothing to read in {self._context().root_path}"

    def _why_no_rows(self, selected: int) -> str:
        return (
            f"{type(self).__name__} read {selected} of {self.get_seed_dataset_size()} manifest rows of "
            f"{self._context().root_path}, and they gave no seed row; select other rows or another folder"
        )


@contextmanager
def _explained(what: str, path: Path | str) -> Iterator[None]:
    """Turns an ``OSError`` in looking at a path into a ``SeedReaderError``."""
    try:
        yield
    except OSError as error:
        raise SeedReaderError(f"{what} {path} cannot be looked at: {error}; check its permissions") from error


def existing_folder(path: str) -> Path:
    """The folder, absolute, ``~`` and links resolved. Raises ``SeedReaderError`` when there is none."""
    folder = Path(os.path.expanduser(path)).resolve()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise SeedReaderError(
            f"seed folder {path!r} is a file ({folder}); give the folder {str(folder.parent)!r} "
            f"and the file's name as file_pattern"
        )
    raise SeedReaderError(missing(path, folder))


def missing(path: str, resolved: Path) -> str:
    """What to say of a path that is not there: how far it exists, and what lies there."""
    parent = next(parent for parent in resolved.parents if parent.is_dir())
    return (
        f"seed path {path!r} does not exist (looked at {resolved}); {parent} does and holds {_names_in(parent)}; "
        f"give a folder that exists"
    )


def _names_in(folder: Path) -> str:
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return "what this user may not list"
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return (", ".join(names[:SHOWN_NAMES]) or "nothing") + more


def _no_match(root: Path, file_pattern: str, recursive: bool, names: Sequence[str]) -> str:
    scope = "below" if recursive else "directly in"
    found = f"{len(names)} files there, e.g. {', '.join(names[:SHOWN_NAMES])}" if names else "there is no file at all"
    step = "set another file_pattern" if recursive else "set another file_pattern, or recursive=True for sub-folders"
    return f"no file {scope} {root} has a name like {file_pattern!r}: {found}; {step}"
