"""From a seed to rows, one after the other, each with the key it is known by in every later run.

A rollout's key is what it is: its kind, the relative path of its file, its trace id. Any other row's key is a hash of
the row, with a number when the same row comes again. ``digest`` is a hash of the content: a part is written anew when
the content of one of its rows has changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import count, islice
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from msgspec import Struct

from rollmill.config import DataDesignerConfig, DataFrameSeedSource, LocalFileSeedSource
from rollmill.engine.log import LOG
from rollmill.engine.where import check_condition
from rollmill.errors import ConfigError, SeedReaderError
from rollmill.rollout import COLUMNS, Rollout
from rollmill.seeds.file_readers import DirectorySeedReader, FileContentsSeedReader
from rollmill.seeds.reader import FileSystemSeedReader, SecretResolver, SeedReader
from rollmill.seeds.rollout_reader import AgentRolloutSeedReader
from rollmill.seeds.selection import SamplingStrategy, SeedConfig, select
from rollmill.seeds.source import AgentRolloutSeedSource
from rollmill.seeds.summary import ReadSummary

if TYPE_CHECKING:
    import pyarrow as pa

Record = dict[str, Any]
READ_AT_ONCE = 64
"""Rows that a batch reader is asked for at a time."""
MACHINE_COLUMNS = ("source_path",)
"""Left out of a row's key: the same file elsewhere is the same row."""


class SeedRow(Struct):
    """One row before its columns are made. ``size`` is about the bytes of its texts."""

    key: str
    digest: bytes
    size: int
    content: Rollout | Record
    pass_number: int = 0

    @property
    def drawn_by(self) -> str:
        """What ``random`` in templates follows from: the row, and the pass. Rows that begin empty differ by nothing
        else."""
        return f"{self.key}\npass {self.pass_number}" if self.pass_number else self.key

    def values(self) -> Record:
        """The row as plain Python, a rollout's 16 columns or the record itself."""
        return self.content.to_row() if isinstance(self.content, Rollout) else dict(self.content)


class Seed(Protocol):
    """Where rows come from. Nothing is read before ``rows`` is asked for its first one, but a table's column names."""

    columns: tuple[str, ...]
    schema: pa.Schema | None
    """The columns' Arrow types where they are known."""
    summary: ReadSummary
    """What became of the files, while ``rows`` goes on."""

    def manifest_size(self) -> int:
        """How many rows a range or partition selects from: files, for rollouts."""
        ...

    def expected(self, given: int = 0) -> int:
        """About how many rows there will be, when ``given`` were read so far."""
        ...

    def check_where(self) -> None:
        """Raises ``ConfigError`` when the condition cannot hold for any row of this shape."""
        ...

    def rows(self) -> Iterator[SeedRow]:
        """Every selected row once."""
        ...


def open_seed(
    config: DataDesignerConfig, readers: Sequence[SeedReader[Any]] = (), secrets: SecretResolver | None = None
) -> Seed:
    """The seed of a configuration, read by the user's reader for its kind when there is one."""
    if config.seed_config is None:
        return _NoSeed()
    seed_config = config.seed_config
    if isinstance(seed_config.source, LocalFileSeedSource | DataFrameSeedSource):
        return _TableSeed(seed_config, config.where)
    reader = _reader_for(seed_config, readers)
    reader.attach(seed_config.source, secrets)
    if type(reader) is AgentRolloutSeedReader:
        return _RolloutSeed(reader, seed_config, config.where)
    return _ReaderSeed(reader, seed_config, config.where)


def columns_unread(config: DataDesignerConfig) -> tuple[str, ...] | None:
    """The seed's columns as far as they are known without looking for it: those of rollouts, whatever is wrong with
    their folder; None for other seeds."""
    rollouts = config.seed_config is not None and isinstance(config.seed_config.source, AgentRolloutSeedSource)
    return COLUMNS if rollouts else None


def cycled(seed: Seed, num_records: int | None, once: bool = False) -> Iterator[SeedRow]:
    """``num_records`` rows, beginning again with the next pass number after the last one, which the log says; None
    takes every row once, and so does ``once`` as far as there are rows.

    Raises ``SeedReaderError`` when there is no row at all.
    """
    one_pass = num_records is None or (once and bool(seed.columns))
    told = one_pass or not seed.columns or _foretold(seed, num_records or 0)
    for pass_number in range(1) if one_pass else count():
        given = 0
        for row in islice(seed.rows(), num_records):
            given += 1
            row.pass_number = pass_number
            yield row
        if not given:
            raise SeedReaderError(_why_no_rows(seed))
        if num_records is not None and (num_records := num_records - given) <= 0:
            return
        if not told:
            told = True
            LOG.warning("%s", f"the seed has given all of its {given:,} rows: {_AGAIN}")


_AGAIN = "it is gone through again, with other replies each time"


def _foretold(seed: Seed, num_records: int) -> bool:
    """Whether rows will come again, as far as that can be told before they are read; the log says so."""
    expected = seed.expected()
    if again := 0 < expected < num_records:
        LOG.warning("%s", f"{num_records:,} records are wanted and the seed has about {expected:,}: {_AGAIN}")
    return again


def _why_no_rows(seed: Seed) -> str:
    problems = "; ".join(str(problem) for problem in seed.summary.problems[:3])
    return (
        f"the seed gave no row ({seed.summary.files} files seen, {seed.summary.read} read"
        f"{': ' + problems if problems else ''}); select other rows, or look at `where`"
    )


def _reader_for(seed_config: SeedConfig, readers: Sequence[SeedReader[Any]]) -> SeedReader[Any]:
    kind = seed_config.source.seed_type
    for reader in (*readers, AgentRolloutSeedReader(), DirectorySeedReader(), FileContentsSeedReader()):
        if reader.get_seed_type() == kind:
            return reader
    raise ConfigError(f"no seed reader reads {kind!r}; give one as DataDesigner(seed_readers=[...])")


class _NoSeed:
    """Rows that begin empty: one for each pass."""

    columns: tuple[str, ...] = ()
    schema = None

    def __init__(self) -> None:
        self.summary = ReadSummary()

    def manifest_size(self) -> int:
        return 1

    def expected(self, given: int = 0) -> int:
        return 1

    def check_where(self) -> None:
        """There are no columns that a condition could be about."""

    def rows(self) -> Iterator[SeedRow]:
        yield SeedRow("empty", b"", 0, {})


class _RolloutSeed:
    """Agents' rollouts, one file at a time."""

    columns: tuple[str, ...] = COLUMNS
    schema = None

    def __init__(self, reader: AgentRolloutSeedReader, config: SeedConfig, where: str | None) -> None:
        self._reader, self._config, self._where = reader, config, where
        self.summary = ReadSummary()

    def manifest_size(self) -> int:
        return self._reader.get_seed_dataset_size()

    def expected(self, given: int = 0) -> int:
        files = _selected_size(self._config, self.manifest_size())
        read = self.summary.read + self.summary.file_problems
        return round(files * given / read) if given and read else files

    def check_where(self) -> None:
        from rollmill.rows import record_batch

        check_condition(self._where, record_batch([]))

    def rows(self) -> Iterator[SeedRow]:
        manifest = _selected(self._reader.manifest_rows(), self._config)
        paths = {row["source_path"]: row["relative_path"] for row in manifest}
        self.summary = ReadSummary()
        rollouts = self._reader.read_rollouts(manifest, self.summary)
        seen: Counter[str] = Counter()
        for rollout in rollouts if self._where is None else _rollouts_where(rollouts, self._where):
            path = paths.get(rollout.source_path, rollout.source_path)
            yield _rollout_row(rollout, _numbered(f"{rollout.source_kind}\n{path}\n{rollout.trace_id}", seen))


def _rollout_row(rollout: Rollout, key: str) -> SeedRow:
    from rollmill.rows import text_size

    return SeedRow(key, _digest(rollout), text_size(rollout), rollout)


def _numbered(key: str, seen: Counter[str]) -> str:
    """The key, and how often it came before when it did."""
    seen[key] += 1
    return key if seen[key] == 1 else f"{key}\n{seen[key]}"


class _Records:
    """What seeds of plain records share: their keys."""

    columns: tuple[str, ...]
    schema: pa.Schema | None = None

    def __init__(self, config: SeedConfig, where: str | None) -> None:
        self._config, self._where = config, where
        self.summary = ReadSummary()

    def manifest_size(self) -> int:
        raise NotImplementedError

    def expected(self, given: int = 0) -> int:
        return _selected_size(self._config, self.manifest_size())

    def check_where(self) -> None:
        from rollmill.engine.tables import no_rows

        if self._where is not None:
            rows = no_rows(self.columns, self.schema)
            check_condition(self._where, rows, types_known=self.schema is not None)

    def rows(self) -> Iterator[SeedRow]:
        seen: Counter[str] = Counter()
        for record in self._records() if self._where is None else _records_where(self._records(), self._where):
            own = {name: value for name, value in record.items() if name not in MACHINE_COLUMNS}
            key = _numbered(_digest(own).hex(), seen)
            yield SeedRow(key, _digest(record), _text_size(record), record)

    def _records(self) -> Iterator[Record]:
        raise NotImplementedError


class _ReaderSeed(_Records):
    """What any seed reader gives, a batch at a time."""

    def __init__(self, reader: SeedReader[Any], config: SeedConfig, where: str | None) -> None:
        super().__init__(config, where)
        self._reader = reader
        self.columns = tuple(reader.get_column_names())

    def manifest_size(self) -> int:
        return self._reader.get_seed_dataset_size()

    def _records(self) -> Iterator[Record]:
        shuffle = self._config.sampling_strategy is SamplingStrategy.SHUFFLE
        batches = self._reader.create_batch_reader(
            batch_size=READ_AT_ONCE,
            index_range=self._config.index_range(self.manifest_size()),
            shuffle=shuffle,
            seed=self._config.seed,
        )
        for batch in batches:
            self.summary.rows += batch.num_rows
            yield from batch.to_pylist()
        if isinstance(self._reader, FileSystemSeedReader):
            self.summary.files = self.summary.read = self.manifest_size()


class _TableSeed(_Records):
    """Rows of local files or of a data frame."""

    def __init__(self, config: SeedConfig, where: str | None) -> None:
        from rollmill.engine.tables import Table, open_table

        super().__init__(config, where)
        self._table: Table = open_table(config.source)
        self.columns, self.schema = tuple(self._table.schema.names), self._table.schema

    def manifest_size(self) -> int:
        return self._table.size()

    def _records(self) -> Iterator[Record]:
        self.summary = ReadSummary(files=len(self._table.files), read=len(self._table.files))
        records = self._table.records()
        if self._config.selection_strategy is None and self._config.sampling_strategy is SamplingStrategy.ORDERED:
            return records
        if self._config.sampling_strategy is SamplingStrategy.SHUFFLE:
            return iter(_selected(list(records), self._config))
        found = self._config.index_range(self.manifest_size())
        return islice(records, found.start, found.end + 1) if found else records


def _selected_size(config: SeedConfig, size: int) -> int:
    found = config.index_range(size)
    return size if found is None else found.size


def _selected(rows: Sequence[Record], config: SeedConfig) -> list[Record]:
    shuffle = config.sampling_strategy is SamplingStrategy.SHUFFLE
    return select(rows, config.index_range(len(rows)), shuffle, config.seed)


def _rollouts_where(rollouts: Iterable[Rollout], where: str) -> Iterator[Rollout]:
    from rollmill.engine.tables import matching_numbers
    from rollmill.rows import record_batch

    source = iter(rollouts)
    while chunk := list(islice(source, READ_AT_ONCE)):
        yield from (chunk[number] for number in matching_numbers(record_batch(chunk), where))


def _records_where(records: Iterator[Record], where: str) -> Iterator[Record]:
    from rollmill.engine.tables import batch_of, matching_numbers

    while chunk := list(islice(records, READ_AT_ONCE)):
        yield from (chunk[number] for number in matching_numbers(batch_of(chunk), where))


def _digest(value: Any) -> bytes:
    try:
        data = msgspec.json.encode(value, enc_hook=repr, order="deterministic")
    except (UnicodeEncodeError, TypeError, ValueError, OverflowError):
        data = repr(value).encode("utf-8", "surrogatepass")
    return blake2b(data, digest_size=16).digest()


def _text_size(value: Any) -> int:
    """About how many bytes a value takes."""
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_text_size, value.values())) + 50 * len(value)
    if isinstance(value, list | tuple):
        return sum(map(_text_size, value)) + 8 * len(value)
    return 8
