"""The two plain readers: a row for each file, and a row for each text file with its content."""

from __future__ import annotations

from typing import Any, ClassVar

from rollmill.errors import SeedReaderError
from rollmill.seeds.reader import FileSystemSeedReader, SeedReaderFileSystemContext
from rollmill.seeds.source import DirectorySeedSource, FileContentsSeedSource, FileSystemSeedSource

FILE_COLUMNS = ["source_kind", "source_path", "relative_path", "file_name"]


class DirectorySeedReader(FileSystemSeedReader[DirectorySeedSource]):
    """``source_kind``, ``source_path``, ``relative_path``, ``file_name`` of each matching file."""

    output_columns: ClassVar[list[str] | None] = FILE_COLUMNS

    def build_manifest(self, *, context: SeedReaderFileSystemContext) -> list[dict[str, Any]]:
        return _file_rows(self, self.source, context, "directory_file")


class FileContentsSeedReader(FileSystemSeedReader[FileContentsSeedSource]):
    """The same columns, and the file's text as ``content``."""

    output_columns: ClassVar[list[str] | None] = [*FILE_COLUMNS, "content"]

    def build_manifest(self, *, context: SeedReaderFileSystemContext) -> list[dict[str, Any]]:
        return _file_rows(self, self.source, context, "file_contents")

    def hydrate_row(self, *, manifest_row: dict[str, Any], context: SeedReaderFileSystemContext) -> dict[str, Any]:
        """The manifest row with its ``content``. Raises ``SeedReaderError`` when it cannot be read or decoded."""
        path, encoding = manifest_row["source_path"], self.source.encoding
        try:
            content = context.fs.read_text(manifest_row["relative_path"], encoding=encoding)
        except (UnicodeError, LookupError) as error:
            raise SeedReaderError(f"{path} is not {encoding} text: {error}; set encoding or file_pattern") from error
        except OSError as error:
            raise SeedReaderError(f"{path} could not be read: {error}; leave it out with file_pattern") from error
        return {**manifest_row, "content": content}


def _file_rows(
    reader: FileSystemSeedReader[Any], source: FileSystemSeedSource, context: SeedReaderFileSystemContext, kind: str
) -> list[dict[str, Any]]:
    relative_paths = reader.get_matching_relative_paths(
        context=context, file_pattern=source.file_pattern, recursive=source.recursive
    )
    return [
        {
            "source_kind": kind,
            "source_path": str(context.root_path / relative_path),
            "relative_path": relative_path,
            "file_name": relative_path.rpartition("/")[2],
        }
        for relative_path in relative_paths
    ]
