"""Readers that users write, and the two plain ones. The first two are as they would be for the reference, with only
the import lines changed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Literal

import pandas as pd
import pyarrow as pa
import pytest

from rollmill import (
    ConfigError,
    DirectorySeedReader,
    DirectorySeedSource,
    FileContentsSeedReader,
    FileContentsSeedSource,
    FileSystemSeedReader,
    FileSystemSeedSource,
    IndexRange,
    SeedReaderError,
    SeedReaderFileSystemContext,
)


class LineSeedSource(FileSystemSeedSource):
    seed_type: Literal["lines"] = "lines"
    prefix: str = "> "


class LineSeedReader(FileSystemSeedReader[LineSeedSource]):
    """A row for each line of each file; the manifest is a DataFrame; no call of our ``__init__``."""

    output_columns: ClassVar[list[str] | None] = ["relative_path", "line_number", "line"]

    def __init__(self, bonus: str = "") -> None:
        self.bonus = bonus
        self.hydrated: list[str] = []

    def on_attach(self) -> None:
        self.hydrated = []

    def build_manifest(self, *, context: SeedReaderFileSystemContext) -> pd.DataFrame:
        matched = self.get_matching_relative_paths(
            context=context, file_pattern=self.source.file_pattern, recursive=self.source.recursive
        )
        return pd.DataFrame([{"relative_path": path, "number": number} for number, path in enumerate(matched)])

    def hydrate_row(
        self, *, manifest_row: dict[str, Any], context: SeedReaderFileSystemContext
    ) -> Iterable[dict[str, Any]]:
        relative_path = str(manifest_row["relative_path"])
        self.hydrated.append(relative_path)
        with context.fs.open(relative_path, "r", encoding="utf-8") as handle:
            lines = handle.read().splitlines()
        assert (context.root_path / relative_path).is_file()
        for number, line in enumerate(lines):
            yield {"relative_path": relative_path, "line_number": number, "line": self.source.prefix + line}


class StemSeedReader(FileSystemSeedReader[LineSeedSource]):
    """A row for each file, without ``hydrate_row`` and ``output_columns``; the manifest is a list."""

    def build_manifest(self, *, context: SeedReaderFileSystemContext) -> pd.DataFrame | list[dict[str, Any]]:
        return [{"stem": Path(path).stem, "size": context.fs.size(path)} for path in context.fs.find("", maxdepth=1)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, lines in {"a.txt": 3, "b.txt": 0, "c.txt": 1, "d.txt": 5, "deep/e.txt": 2, "x.md": 9}.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f"{name}:{number}\n" for number in range(lines)))
    return tmp_path


def line_reader(folder: Path, **fields: Any) -> LineSeedReader:
    reader = LineSeedReader()
    reader.attach(LineSeedSource(path=str(folder), **{"file_pattern": "*.txt", **fields}), None)
    return reader


def test_a_reader_written_for_the_reference_fans_out_over_batches(folder: Path) -> None:
    reader = line_reader(folder)
    assert reader.get_seed_type() == "lines"
    assert reader.get_seed_dataset_size() == 5
    assert reader.get_column_names() == ["relative_path", "line_number", "line"]
    batches = list(reader.create_batch_reader(batch_size=4, index_range=None, shuffle=False))
    assert [batch.num_rows for batch in batches] == [4, 4, 3]
    frame = pd.concat([batch.to_pandas() for batch in batches])
    assert list(frame["line"])[:4] == ["> a.txt:0", "> a.txt:1", "> a.txt:2", "> c.txt:0"]
    assert len(frame) == 11


def test_files_are_read_only_until_a_batch_is_full(folder: Path) -> None:
    reader = line_reader(folder)
    batches = reader.create_batch_reader(batch_size=4)
    assert reader.hydrated == []
    assert batches.read_next_batch().num_rows == 4
    assert reader.hydrated == ["a.txt", "b.txt", "c.txt"]
    assert batches.read_next_batch().num_rows == 4
    assert reader.hydrated == ["a.txt", "b.txt", "c.txt", "d.txt"]
    assert batches.read_next_batch().num_rows == 3
    with pytest.raises(StopIteration):
        batches.read_next_batch()


def test_a_range_selects_files_and_a_shuffle_stays_inside(folder: Path) -> None:
    reader = line_reader(folder)
    batches = reader.create_batch_reader(batch_size=100, index_range=IndexRange(start=2, end=3), shuffle=True, seed=3)
    (batch,) = batches
    assert sorted(reader.hydrated) == ["c.txt", "d.txt"] and batch.num_rows == 6


def test_without_output_columns_the_manifest_is_the_rows(folder: Path) -> None:
    reader = StemSeedReader()
    reader.attach(LineSeedSource(path=str(folder)))
    assert reader.get_column_names() == ["stem", "size"]
    (batch,) = reader.create_batch_reader(batch_size=10)
    assert batch.to_pydict()["stem"] == ["a", "b", "c", "d", "x"]


def test_attaching_again_forgets_the_first_folder(folder: Path) -> None:
    reader = line_reader(folder)
    assert reader.get_seed_dataset_size() == 5
    reader.attach(LineSeedSource(path=str(folder / "deep"), file_pattern="*.txt"))
    assert reader.get_seed_dataset_size() == 1


class Scripted(FileSystemSeedReader[LineSeedSource]):
    """Gives what a test says."""

    output_columns: ClassVar[list[str] | None] = ["a", "b"]

    def __init__(self, manifest: Any, output: Any) -> None:
        self.manifest = manifest
        self.output = output

    def build_manifest(self, *, context: SeedReaderFileSystemContext) -> Any:
        return self.manifest

    def hydrate_row(self, *, manifest_row: dict[str, Any], context: SeedReaderFileSystemContext) -> Any:
        return self.output(manifest_row) if callable(self.output) else self.output


def scripted(tmp_path: Path, manifest: Any, output: Any) -> Scripted:
    reader = Scripted(manifest, output)
    reader.attach(LineSeedSource(path=str(tmp_path)))
    return reader


ROWS = [{"relative_path": "x"}, {"relative_path": "y"}]
GOOD = {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("manifest", "output", "says"),
    [
        (ROWS, {"a": 1}, r"Scripted.hydrate_row\(\) for manifest row 0 \(x\): record 0 lacks 'b'"),
        (ROWS, lambda row: GOOD if row["relative_path"] == "x" else {**GOOD, "c": 3}, r"row 1 \(y\): record 0 has 'c'"),
        (ROWS, [GOOD, {"a": 1, "d": 1}], "record 1 lacks 'b' and has 'd'"),
        (ROWS, [GOOD, "text"], "record 1 is str 'text'"),
        (ROWS, 7, "returned int"),
        (ROWS, None, "returned NoneType"),
        ("text", GOOD, r"build_manifest\(\) returned str"),
        ([GOOD, 5], GOOD, "row 1 is int 5"),
        ([], GOOD, "found nothing to read"),
        (ROWS, [], "read 2 of 2 manifest rows .* gave no seed row"),
        (ROWS, {"a": 1, "b": object()}, "column 'b' cannot become an Arrow column"),
    ],
)
def test_a_breach_of_the_contract_names_reader_row_and_column(
    tmp_path: Path, manifest: Any, output: Any, says: str
) -> None:
    with pytest.raises(SeedReaderError, match=says):
        list(scripted(tmp_path, manifest, output).create_batch_reader(batch_size=10))


def test_after_the_error_of_an_empty_reading_comes_the_end(tmp_path: Path) -> None:
    batches = scripted(tmp_path, ROWS, []).create_batch_reader(batch_size=1)
    with pytest.raises(SeedReaderError):
        batches.read_next_batch()
    with pytest.raises(StopIteration):
        batches.read_next_batch()


def test_a_mistake_in_a_users_reader_keeps_its_traceback_and_names_the_row(tmp_path: Path) -> None:
    def mistaken(row: dict[str, Any]) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        list(scripted(tmp_path, ROWS, mistaken).create_batch_reader(batch_size=1))
    assert caught.value.__notes__ == ["while Scripted hydrated manifest row 0 (x)"]


def test_manifest_rows_have_the_same_keys_and_cannot_be_spoilt(tmp_path: Path) -> None:
    def spoil(row: dict[str, Any]) -> dict[str, Any]:
        row["q"] = "spoilt"
        return {"a": row["p"], "b": 0}

    reader = scripted(tmp_path, [{"q": 1}, {"p": 2}], spoil)
    assert [b.to_pydict()["a"] for b in reader.create_batch_reader(batch_size=9)] == [[None, 2]]
    assert reader.manifest_rows() == [{"q": 1, "p": None}, {"q": None, "p": 2}]


def test_a_column_that_is_null_in_one_batch_keeps_its_type(tmp_path: Path) -> None:
    values = iter([1, None])
    reader = scripted(tmp_path, ROWS, lambda row: {"a": next(values), "b": "x"})
    first, second = reader.create_batch_reader(batch_size=1)
    assert second.schema == first.schema and second["a"].type == pa.int64()


def test_a_batch_has_at_least_one_row(folder: Path) -> None:
    with pytest.raises(ConfigError, match="batch_size is 0"):
        line_reader(folder).create_batch_reader(batch_size=0)


def test_a_reader_without_source_says_so() -> None:
    with pytest.raises(SeedReaderError, match=r"call LineSeedReader.attach\(source\) first"):
        LineSeedReader().get_seed_dataset_size()


@pytest.mark.parametrize(
    ("path", "fields", "says"),
    [
        ("nowhere/deep", {}, "'.*nowhere/deep' does not exist .*holds a.txt, b.txt, .* and 1 more"),
        ("a.txt", {}, "is a file .*give the folder"),
        ("", {"file_pattern": "*.TXT"}, "like '\\*.TXT': 6 files there, e.g. a.txt"),
        ("", {"file_pattern": "e.txt", "recursive": False}, "recursive=True"),
    ],
)
def test_a_wrong_folder_or_pattern_is_explained_at_use(
    folder: Path, path: str, fields: dict[str, Any], says: str
) -> None:
    reader = line_reader(folder / path, **fields)
    with pytest.raises(SeedReaderError, match=says):
        reader.get_seed_dataset_size()
    with pytest.raises(SeedReaderError, match=r"does not exist|is a file|like"):
        reader.get_column_names() if path else reader.manifest_rows()


def test_directory_rows(folder: Path) -> None:
    reader = DirectorySeedReader()
    reader.attach(DirectorySeedSource(path=folder, file_pattern="?.txt", recursive=True))
    (batch,) = reader.create_batch_reader(batch_size=10)
    assert batch.num_rows == reader.get_seed_dataset_size() == 5
    assert batch.to_pylist()[4] == {
        "source_kind": "directory_file",
        "source_path": str(folder / "deep" / "e.txt"),
        "relative_path": "deep/e.txt",
        "file_name": "e.txt",
    }


def test_file_contents(folder: Path) -> None:
    (folder / "latin.csv").write_bytes("ü\r\n".encode("latin-1"))
    reader = FileContentsSeedReader()
    reader.attach(FileContentsSeedSource(path=folder, file_pattern="*.csv", encoding="latin-1"))
    (batch,) = reader.create_batch_reader(batch_size=10)
    assert batch.to_pylist()[0]["content"] == "ü\n"
    reader.attach(FileContentsSeedSource(path=folder, file_pattern="*.csv"))
    with pytest.raises(SeedReaderError, match=r"latin.csv is not utf-8 text"):
        reader.create_batch_reader(batch_size=1).read_next_batch()


def test_the_folder_offers_what_fsspec_offers(folder: Path) -> None:
    local = pytest.importorskip("fsspec.implementations.local")
    from fsspec.implementations.dirfs import DirFileSystem

    from rollmill.seeds.local_files import LocalFiles

    ours, theirs = LocalFiles(folder), DirFileSystem(path=str(folder), fs=local.LocalFileSystem())
    assert ours.find("") == theirs.find("")
    assert ours.find("", maxdepth=1) == theirs.find("", maxdepth=1)
    assert ours.find("deep") == theirs.find("deep")
    assert ours.ls("", detail=False) == sorted(theirs.ls("", detail=False))
    for path in ("a.txt", "deep", "deep/e.txt", "none"):
        assert ours.exists(path) == theirs.exists(path)
        assert ours.isfile(path) == theirs.isfile(path)
        assert ours.isdir(path) == theirs.isdir(path)
    assert ours.size("a.txt") == theirs.size("a.txt")
    assert ours.cat_file("a.txt") == theirs.cat_file("a.txt")
    assert ours.read_text("a.txt") == theirs.read_text("a.txt")
    for key in ("size", "type", "mtime"):
        assert ours.info("deep/e.txt")[key] == theirs.info("deep/e.txt")[key]
    with ours.open("a.txt") as a, theirs.open("a.txt") as b:
        assert a.read() == b.read()


def test_no_name_leads_out_of_the_folder(folder: Path) -> None:
    from rollmill.seeds.local_files import LocalFiles

    (folder / "deep" / "out").symlink_to(folder / "a.txt")
    for name in ("../a.txt", "out"):
        with pytest.raises(SeedReaderError, match="leads out of"):
            LocalFiles(folder / "deep").open(name)
