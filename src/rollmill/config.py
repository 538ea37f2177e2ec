"""A run as data: seeds, models and columns, checked when they are given and written to YAML or JSON as they are.

    builder = DataDesignerConfigBuilder([ModelConfig(alias="writer", model="qwen3-32b", provider="local")])
    builder.with_seed_dataset(AgentRolloutSeedSource(format="claude_code"))
    builder.add_column(LLMTextColumnConfig(name="goal", model_alias="writer", prompt="{{ messages | transcript }} …"))
    builder.build().to_yaml("config.yaml")

All names that a configuration needs are here, so that a script for the reference changes its import line only. What
spans several columns (names, cycles, aliases) is checked by ``engine.plan``, all mistakes at once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny, ValidationError, field_validator

from rollmill.columns import Column, SkipConfig, column_from, column_types, no_such
from rollmill.errors import ConfigError
from rollmill.models.providers import ChatCompletionInferenceParams, ModelConfig, ModelProvider
from rollmill.refused import OfTheReference, refusal, refuse_arguments
from rollmill.seeds.selection import IndexRange, PartitionBlock, SamplingStrategy, SeedConfig
from rollmill.seeds.source import (
    AgentRolloutFormat,
    AgentRolloutSeedSource,
    DirectorySeedSource,
    FileContentsSeedSource,
    FileSystemSeedSource,
    PathText,
    SeedSource,
    get_agent_rollout_format_defaults,
)

if TYPE_CHECKING:
    from rollmill.columns.custom import CustomColumnConfig, custom_column_generator
    from rollmill.columns.expression import ExpressionColumnConfig
    from rollmill.columns.judge import LLMJudgeColumnConfig, Score
    from rollmill.columns.structured import LLMStructuredColumnConfig
    from rollmill.columns.text import LLMTextColumnConfig, TraceType

__all__ = [
    "AgentRolloutFormat",
    "AgentRolloutSeedSource",
    "ChatCompletionInferenceParams",
    "CustomColumnConfig",
    "DataDesignerConfig",
    "DataDesignerConfigBuilder",
    "DataFrameSeedSource",
    "DirectorySeedSource",
    "ExpressionColumnConfig",
    "FileContentsSeedSource",
    "FileSystemSeedSource",
    "IndexRange",
    "LLMJudgeColumnConfig",
    "LLMStructuredColumnConfig",
    "LLMTextColumnConfig",
    "LocalFileSeedSource",
    "ModelConfig",
    "ModelProvider",
    "PartitionBlock",
    "ResumeMode",
    "SamplingStrategy",
    "Score",
    "SeedConfig",
    "SeedSource",
    "SkipConfig",
    "TraceType",
    "custom_column_generator",
    "get_agent_rollout_format_defaults",
]

_OF_COLUMNS = {
    "CustomColumnConfig": "custom",
    "custom_column_generator": "custom",
    "ExpressionColumnConfig": "expression",
    "LLMJudgeColumnConfig": "judge",
    "LLMStructuredColumnConfig": "structured",
    "LLMTextColumnConfig": "text",
    "Score": "judge",
    "TraceType": "text",
}


def __getattr__(name: str) -> Any:
    """The names of columns are imported when they are used; a name that only the reference has says what to use."""
    from importlib import import_module

    if module := _OF_COLUMNS.get(name):
        return getattr(import_module(f"rollmill.columns.{module}"), name)
    raise AttributeError(refusal(name) or f"module 'rollmill.config' has no attribute {name!r}")


class ResumeMode(StrEnum):
    """What to do with a data set's folder that is there already. ``never`` leaves it alone and takes a new one;
    ``always`` and ``if_possible`` go on in it: what is unchanged stays, nothing that was answered is asked again."""

    NEVER = "never"
    ALWAYS = "always"
    IF_POSSIBLE = "if_possible"


class LocalFileSeedSource(SeedSource):
    """One row for each row of Parquet, JSONL or CSV files. Values keep the types they have; those of a CSV file are
    numbers where a whole column is."""

    seed_type: Literal["local"] = "local"

    path: PathText = Field(description="A file, or a shell pattern of files of one kind: `data/*.parquet`.")

    @field_validator("path")
    @classmethod
    def _check_path(cls, path: str) -> str:
        if not path.strip():
            raise ConfigError("path is empty; give a .parquet, .jsonl or .csv file, or a pattern of such files")
        return path


class DataFrameSeedSource(SeedSource):
    """One row for each row of a data frame: pandas, Polars, or an Arrow table. It cannot be written to a file."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    seed_type: Literal["df"] = "df"

    df: Any = Field(exclude=True, repr=False, description="The data frame.")

    @field_validator("df")
    @classmethod
    def _check_df(cls, df: Any) -> Any:
        if not hasattr(df, "columns"):
            raise ConfigError(f"df is {type(df).__name__}; give a pandas or Polars data frame, or an Arrow table")
        return df


class DataDesignerConfig(BaseModel):
    """Everything that decides what a run makes: the seed, the models, the columns."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, protected_namespaces=())

    columns: tuple[Annotated[SerializeAsAny[Column], BeforeValidator(column_from)], ...] = Field(
        description="The columns to make, in any order."
    )
    model_configs: tuple[ModelConfig, ...] = Field((), description="The models that columns use by their aliases.")
    seed_config: SeedConfig | None = Field(None, description="Where rows come from. Left out: rows begin empty.")
    where: str | None = Field(
        None, description="Keep the seed rows for which this condition over their columns holds (DuckDB's SQL)."
    )
    tokenizer: PathText | None = Field(
        None, description="Count tokens with this tokenizer.json, or that of this folder. Left out: UTF-8 bytes / 4."
    )

    def to_dict(self) -> dict[str, Any]:
        """The configuration as plain data, without what is None."""
        if self.seed_config is not None and isinstance(self.seed_config.source, DataFrameSeedSource):
            raise ConfigError(
                "a DataFrameSeedSource cannot be written to a file; write the frame to Parquet and seed from that with "
                "LocalFileSeedSource"
            )
        return self.model_dump(mode="json", exclude_none=True)

    def to_json(self, path: str | os.PathLike[str] | None = None, indent: int | None = 2) -> str:
        """The configuration as JSON, written to ``path`` too when one is given."""
        return _written(json.dumps(self.to_dict(), indent=indent, ensure_ascii=False), path)

    def to_yaml(self, path: str | os.PathLike[str] | None = None) -> str:
        """The configuration as YAML, written to ``path`` too when one is given."""
        return _written(_yaml(self.to_dict()), path)

    @classmethod
    def from_dict(cls, value: Any) -> Self:
        """The configuration that ``to_dict`` gave. Raises ``ConfigError`` with every mistake in it."""
        if not isinstance(value, dict):
            raise ConfigError(f"a configuration is a mapping with `columns`, not {type(value).__name__}")
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise ConfigError("; ".join(map(_words, error.errors(include_input=False, include_url=False)))) from None

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The configuration that ``to_json`` gave."""
        try:
            return cls.from_dict(json.loads(text))
        except json.JSONDecodeError as error:
            raise ConfigError(f"the configuration is no JSON: {error}") from None

    @classmethod
    def from_yaml(cls, text: str) -> Self:
        """The configuration that ``to_yaml`` gave."""
        import yaml

        try:
            return cls.from_dict(yaml.safe_load(text))
        except yaml.YAMLError as error:
            raise ConfigError(f"the configuration is no YAML: {error}") from None

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The configuration in a ``.yaml`` or ``.json`` file. Messages begin with the file's name."""
        try:
            text = Path(os.path.expanduser(path)).read_text(encoding="utf-8")
            return cls.from_json(text) if str(path).endswith(".json") else cls.from_yaml(text)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{os.fspath(path)} cannot be read: {_reason(error)}") from None
        except ConfigError as error:
            raise ConfigError(f"{os.fspath(path)}: {error}") from None


def _written(text: str, path: str | os.PathLike[str] | None) -> str:
    if path is not None:
        Path(path).write_text(text, encoding="utf-8")
    return text


def _yaml(value: Any) -> str:
    """YAML in which prompts keep their lines."""
    import yaml

    class Dumper(yaml.SafeDumper):
        pass

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
        # YAML folds every line break it knows; only between double quotes are they written as what they are.
        style = '"' if any(mark in value for mark in "\r\x85\u2028\u2029") else "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)


def _words(error: Any) -> str:
    """One mistake: where it is, and our own words where pydantic wrapped an error of ours."""
    place = ".".join(map(str, error["loc"]))
    words = str(error.get("ctx", {}).get("error", error["msg"]))
    return f"{place}: {words}" if place else words


class DataDesignerConfigBuilder(OfTheReference):
    """Puts a configuration together, step by step; each step gives the builder back."""

    def __init__(
        self, model_configs: Sequence[ModelConfig] | str | os.PathLike[str] | None = None, **of_the_reference: Any
    ) -> None:
        refuse_arguments("DataDesignerConfigBuilder", of_the_reference)
        self.columns: list[Column] = []
        self.model_configs = _models_from(model_configs)
        self.seed_config: SeedConfig | None = None
        self.where: str | None = None
        self.tokenizer: str | None = None

    @classmethod
    def from_config(cls, config: DataDesignerConfig | dict[str, Any] | str | os.PathLike[str]) -> Self:
        """A builder that begins with a configuration: itself, as plain data, or the path of its file."""
        if isinstance(config, dict):
            config = DataDesignerConfig.from_dict(config)
        elif not isinstance(config, DataDesignerConfig):
            config = DataDesignerConfig.load(config)
        builder = cls(list(config.model_configs))
        builder.columns = list(config.columns)
        builder.seed_config, builder.where, builder.tokenizer = config.seed_config, config.where, config.tokenizer
        return builder

    def add_model_config(self, model_config: ModelConfig) -> Self:
        """Adds a model."""
        self.model_configs.append(model_config)
        return self

    def delete_model_config(self, alias: str) -> Self:
        """Takes a model out again."""
        self.model_configs = [model for model in self.model_configs if model.alias != alias]
        return self

    def with_seed_dataset(
        self,
        seed_source: SeedSource,
        *,
        sampling_strategy: SamplingStrategy = SamplingStrategy.ORDERED,
        selection_strategy: IndexRange | PartitionBlock | None = None,
        seed: int | None = None,
        where: str | None = None,
    ) -> Self:
        """Sets where rows come from, which of them, and in what order; ``seed`` makes a shuffle repeatable, ``where``
        is a condition over the seed's columns in DuckDB's SQL."""
        self.seed_config = SeedConfig(
            source=seed_source, sampling_strategy=sampling_strategy, selection_strategy=selection_strategy, seed=seed
        )
        self.where = where
        return self

    def with_tokenizer(self, path: str | os.PathLike[str]) -> Self:
        """Sets the ``tokenizer.json``, or the folder that has it, by which tokens are counted."""
        self.tokenizer = os.fspath(path)
        return self

    def add_column(
        self,
        column_config: Column | None = None,
        *,
        name: str | None = None,
        column_type: str | None = None,
        **fields: Any,
    ) -> Self:
        """Adds a column: its configuration, or the fields of one with its ``column_type``."""
        if column_config is None:
            if name is None or column_type is None:
                raise ConfigError("add_column needs a column, or name= and column_type= with the column's fields")
            column_config = _column({"name": name, "column_type": str(column_type), **fields})
        elif not isinstance(column_config, Column):
            raise ConfigError(
                f"add_column got {type(column_config).__name__}; give a column such as LLMTextColumnConfig"
            )
        self.columns.append(column_config)
        return self

    def delete_column(self, column_name: str) -> Self:
        """Takes a column out again."""
        self.columns = [column for column in self.columns if column.name != column_name]
        return self

    def get_column_config(self, name: str) -> Column:
        """The column of that name."""
        for column in self.columns:
            if column.name == name:
                return column
        raise ConfigError(
            f"no column is called {name!r}; there are {', '.join(c.name for c in self.columns) or 'none'}"
        )

    def get_column_configs(self) -> list[Column]:
        """The columns in the order they were added."""
        return list(self.columns)

    def get_columns_of_type(self, column_type: str) -> list[Column]:
        """The columns of that type, ``llm-text`` for example."""
        return [column for column in self.columns if column.column_type == _known_type(column_type)]

    def get_columns_excluding_type(self, column_type: str) -> list[Column]:
        """The columns of all other types."""
        return [column for column in self.columns if column.column_type != _known_type(column_type)]

    def num_columns_of_type(self, column_type: str) -> int:
        """How many columns are of that type."""
        return len(self.get_columns_of_type(column_type))

    @property
    def allowed_references(self) -> list[str]:
        """The names that columns give to templates; those of the seed come with it."""
        return [name for column in self.columns for name in (column.name, *column.side_columns)]

    def get_seed_config(self) -> SeedConfig | None:
        """Where rows come from."""
        return self.seed_config

    def build(self) -> DataDesignerConfig:
        """The configuration. What is wrong across columns is told by ``DataDesigner.validate``, and before a run."""
        return DataDesignerConfig(
            columns=tuple(self.columns),
            model_configs=tuple(self.model_configs),
            seed_config=self.seed_config,
            where=self.where,
            tokenizer=self.tokenizer,
        )

    def write_config(self, path: str | os.PathLike[str], indent: int | None = 2) -> None:
        """Writes the configuration to a ``.yaml`` or ``.json`` file; ``indent`` is for JSON."""
        config = self.build()
        if os.fspath(path).endswith(".json"):
            config.to_json(path, indent)
        else:
            config.to_yaml(path)


def _known_type(column_type: str) -> str:
    if str(column_type) not in column_types():
        raise ConfigError(
            f"column_type {str(column_type)!r}: {no_such(str(column_type), column_types(), 'column type')}"
        )
    return str(column_type)


def _column(fields: dict[str, Any]) -> Column:
    try:
        return column_from(fields)
    except ValidationError as error:
        words = "; ".join(map(_words, error.errors(include_input=False, include_url=False)))
        raise ConfigError(f"column {fields['name']!r}: {words}") from None


def _models_from(given: Sequence[ModelConfig] | str | os.PathLike[str] | None) -> list[ModelConfig]:
    """Models as given, or those of a YAML file: a list of them, alone or below ``model_configs``."""
    if given is None:
        return []
    if not isinstance(given, str | os.PathLike):
        return list(given)
    import yaml

    try:
        value = yaml.safe_load(Path(os.path.expanduser(given)).read_text(encoding="utf-8"))
        listed = value.get("model_configs", []) if isinstance(value, dict) else value
        return [ModelConfig.model_validate(each) for each in listed or []]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{os.fspath(given)} cannot be read: {_reason(error)}") from None
    except ValidationError as error:
        words = "; ".join(map(_words, error.errors(include_input=False, include_url=False)))
        raise ConfigError(f"{os.fspath(given)}: {words}") from None


def _reason(error: Exception) -> str:
    """Why a file was not read, in the system's words where it is the system's error."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
