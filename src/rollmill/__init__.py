"""Rollmill turns the rollouts that coding agents leave behind into training data that can be trusted.

    import rollmill
    for rollout in rollmill.read("~/.claude/projects"):
        print(rollout.trace_id, rollout.message_count)

The public names are imported when they are first used, so that ``import rollmill`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module

from rollmill._version import __version__

TYPE_CHECKING = False  # type checkers know the name; importing typing for it would take longer than all the rest
if TYPE_CHECKING:
    from typing import Any

    from rollmill.config import (
        ChatCompletionInferenceParams,
        CustomColumnConfig,
        DataDesignerConfig,
        DataDesignerConfigBuilder,
        DataFrameSeedSource,
        ExpressionColumnConfig,
        LLMJudgeColumnConfig,
        LLMStructuredColumnConfig,
        LLMTextColumnConfig,
        LocalFileSeedSource,
        ModelConfig,
        ModelProvider,
        ResumeMode,
        Score,
        SkipConfig,
        TraceType,
        custom_column_generator,
    )
    from rollmill.curate.redaction import Redactor
    from rollmill.designer import DataDesigner, DatasetCreationResults, PreviewResults
    from rollmill.detection import detect
    from rollmill.errors import ConfigError, DetectionError, RollmillError, SeedReaderError, UnreadableFile
    from rollmill.export.pipeline.plan import ExportPlan
    from rollmill.export.pipeline.run import export_training_set
    from rollmill.reading import read
    from rollmill.rollout import Message, Rollout
    from rollmill.rows import ROW_SCHEMA
    from rollmill.seeds.file_readers import DirectorySeedReader, FileContentsSeedReader
    from rollmill.seeds.reader import FileSystemSeedReader, SeedReader, SeedReaderFileSystemContext
    from rollmill.seeds.rollout_reader import AgentRolloutSeedReader
    from rollmill.seeds.selection import IndexRange, PartitionBlock, SamplingStrategy, SeedConfig
    from rollmill.seeds.source import (
        AgentRolloutFormat,
        AgentRolloutSeedSource,
        DirectorySeedSource,
        FileContentsSeedSource,
        FileSystemSeedSource,
        SeedSource,
        get_agent_rollout_format_defaults,
    )

__all__ = [
    "ROW_SCHEMA",
    "AgentRolloutFormat",
    "AgentRolloutSeedReader",
    "AgentRolloutSeedSource",
    "ChatCompletionInferenceParams",
    "ConfigError",
    "CustomColumnConfig",
    "DataDesigner",
    "DataDesignerConfig",
    "DataDesignerConfigBuilder",
    "DataFrameSeedSource",
    "DatasetCreationResults",
    "DetectionError",
    "DirectorySeedReader",
    "DirectorySeedSource",
    "ExportPlan",
    "ExpressionColumnConfig",
    "FileContentsSeedReader",
    "FileContentsSeedSource",
    "FileSystemSeedReader",
    "FileSystemSeedSource",
    "IndexRange",
    "LLMJudgeColumnConfig",
    "LLMStructuredColumnConfig",
    "LLMTextColumnConfig",
    "LocalFileSeedSource",
    "Message",
    "ModelConfig",
    "ModelProvider",
    "PartitionBlock",
    "PreviewResults",
    "Redactor",
    "ResumeMode",
    "RollmillError",
    "Rollout",
    "SamplingStrategy",
    "Score",
    "SeedConfig",
    "SeedReader",
    "SeedReaderError",
    "SeedReaderFileSystemContext",
    "SeedSource",
    "SkipConfig",
    "TraceType",
    "UnreadableFile",
    "__version__",
    "custom_column_generator",
    "detect",
    "export_training_set",
    "get_agent_rollout_format_defaults",
    "read",
]

_MODULES = {
    "config": "ChatCompletionInferenceParams CustomColumnConfig DataDesignerConfig DataDesignerConfigBuilder"
    " DataFrameSeedSource ExpressionColumnConfig LLMJudgeColumnConfig LLMStructuredColumnConfig"
    " LLMTextColumnConfig LocalFileSeedSource ModelConfig ModelProvider"
    " ResumeMode Score SkipConfig TraceType"
    " custom_column_generator",
    "curate.redaction": "Redactor",
    "designer": "DataDesigner DatasetCreationResults PreviewResults",
    "detection": "detect",
    "errors": "ConfigError DetectionError RollmillError SeedReaderError UnreadableFile",
    "export.pipeline.plan": "ExportPlan",
    "export.pipeline.run": "export_training_set",
    "reading": "read",
    "rollout": "Message Rollout",
    "rows": "ROW_SCHEMA",
    "seeds.file_readers": "DirectorySeedReader FileContentsSeedReader",
    "seeds.reader": "FileSystemSeedReader SeedReader SeedReaderFileSystemContext",
    "seeds.rollout_reader": "AgentRolloutSeedReader",
    "seeds.selection": "IndexRange PartitionBlock SamplingStrategy SeedConfig",
    "seeds.source": "AgentRolloutFormat AgentRolloutSeedSource DirectorySeedSource FileContentsSeedSource "
    "FileSystemSeedSource SeedSource get_agent_rollout_format_defaults",
}
_MODULE_OF = {name: f"rollmill.{module}" for module, names in _MODULES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        refusal = import_module("rollmill.refused").refusal(name)
        raise AttributeError(refusal or f"module 'rollmill' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULE_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
