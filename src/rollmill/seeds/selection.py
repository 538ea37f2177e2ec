"""Which manifest rows are read, and in what order: as data, before anything is read.

A manifest row is one file. Ranges and partitions count files, and a shuffle stays inside them, so that two machines
with different partitions never read the same file.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny, model_validator

from rollmill.errors import ConfigError
from rollmill.seeds.source import SeedSource

Row = TypeVar("Row")


class SamplingStrategy(StrEnum):
    """The order of rows: as they lie, or shuffled within the selection."""

    ORDERED = "ordered"
    SHUFFLE = "shuffle"


class IndexRange(BaseModel):
    """The manifest rows ``start`` to ``end``, counted from 0, both included."""

    model_config = ConfigDict(extra="forbid")

    start: int = Field(ge=0, description="First row, from 0.")
    end: int = Field(ge=0, description="Last row, included.")

    @model_validator(mode="after")
    def _check_order(self) -> IndexRange:
        if self.start > self.end:
            raise ConfigError(
                f"start {self.start} lies after end {self.end}; both are included, "
                f"so one row alone is IndexRange(start={self.start}, end={self.start})"
            )
        return self

    @property
    def size(self) -> int:
        """How many rows the range has."""
        return self.end - self.start + 1

    def within(self, dataset_size: int) -> IndexRange:
        """The range itself. Raises ``ConfigError`` when it leads beyond a manifest of that size."""
        if self.end >= dataset_size:
            raise ConfigError(
                f"IndexRange(start={self.start}, end={self.end}) leads beyond the manifest, which has {dataset_size} "
                f"rows (one per file): the last possible end is {dataset_size - 1}"
            )
        return self


class PartitionBlock(BaseModel):
    """Partition ``index`` (from 0) of ``num_partitions`` nearly equal blocks of the manifest."""

    model_config = ConfigDict(extra="forbid")

    index: int = Field(0, ge=0, description="Which partition, from 0.")
    num_partitions: int = Field(1, ge=1, description="How many partitions there are.")

    @model_validator(mode="after")
    def _check_index(self) -> PartitionBlock:
        if self.index >= self.num_partitions:
            raise ConfigError(
                f"there is no partition {self.index} of {self.num_partitions}: "
                f"they are counted from 0 to {self.num_partitions - 1}"
            )
        return self

    def to_index_range(self, dataset_size: int) -> IndexRange:
        """The partition's rows. All partitions together are every row once; the last takes the remainder.

        Raises ``ConfigError`` when there are more partitions than rows.
        """
        if self.num_partitions > dataset_size:
            raise ConfigError(
                f"{self.num_partitions} partitions of {dataset_size} manifest rows (one per file) would leave some "
                f"empty; use num_partitions of at most {dataset_size}"
            )
        size = dataset_size // self.num_partitions
        is_last = self.index == self.num_partitions - 1
        end = dataset_size if is_last else (self.index + 1) * size
        return IndexRange(start=self.index * size, end=end - 1)


def _source_of_its_kind(value: Any) -> Any:
    """A saved source as the class its ``seed_type`` names, whoever defined that class; anything else as it is."""
    if not isinstance(value, dict):
        return value
    kinds = {cls.model_fields["seed_type"].default: cls for cls in _subclasses(SeedSource)}
    known = sorted(kind for kind in kinds if isinstance(kind, str))
    if (seed_type := value.get("seed_type")) not in known:
        raise ConfigError(f"no seed source has seed_type {seed_type!r}; known: {', '.join(known)}")
    return kinds[seed_type].model_validate(value)


def _subclasses(cls: type[SeedSource]) -> list[type[SeedSource]]:
    return [below for direct in cls.__subclasses__() for below in (direct, *_subclasses(direct))]


class SeedConfig(BaseModel):
    """A seed source with the selection of its rows and their order."""

    model_config = ConfigDict(extra="forbid")

    source: Annotated[SerializeAsAny[SeedSource], BeforeValidator(_source_of_its_kind)] = Field(
        description="Where the rows come from."
    )
    sampling_strategy: SamplingStrategy = Field(
        SamplingStrategy.ORDERED, description="The order of rows; `shuffle` shuffles within the selection."
    )
    selection_strategy: IndexRange | PartitionBlock | None = Field(
        None, description="Which manifest rows are read; left out: all."
    )
    seed: int | None = Field(None, description="Makes a shuffle repeatable. Left out: another order every time.")

    def index_range(self, dataset_size: int) -> IndexRange | None:
        """The selected rows of a manifest of that size; None for all. Raises ``ConfigError`` when there are none."""
        match self.selection_strategy:
            case None:
                return None
            case PartitionBlock() as block:
                return block.to_index_range(dataset_size)
            case IndexRange() as selected:
                return selected.within(dataset_size)


def select(rows: Sequence[Row], index_range: IndexRange | None, shuffle: bool, seed: int | None) -> list[Row]:
    """The rows of the range (of all), in their order or shuffled among themselves.

    An order follows from ``seed`` alone, on every machine; without a seed it is a new one each time.
    """
    selected = list(rows if index_range is None else rows[index_range.start : index_range.end + 1])
    if shuffle:
        # Sorted by drawn numbers: random() is the one method whose sequence Python promises to keep.
        draw = random.Random(seed).random
        selected.sort(key=lambda _: draw())
    return selected
