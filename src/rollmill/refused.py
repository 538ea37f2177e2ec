"""The names of the reference that are not here, and what to use for each.

A script written for NVIDIA NeMo Data Designer finds the other names in ``rollmill`` and ``rollmill.config``; one of
these says why it is not there. ``docs/from-data-designer.md`` has the whole list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rollmill.errors import ConfigError

_SAMPLERS = (
    "there are no samplers: rows come from seeds; put the values into a seed file, draw them with the template "
    "filter `random`, or make them in a CustomColumnConfig"
)
_CONSTRAINTS = "there are no constraints, because there are no samplers; leave rows out with SkipConfig or `where`"
_VALIDATORS = "there are no validators: check with a CustomColumnConfig, or judge with an LLMJudgeColumnConfig"
_MEDIA = "nothing is generated from or to media: rows keep images as references by hash; models see text only"
_EMBEDDINGS = "there are no embeddings: make them in a CustomColumnConfig"
_TOOLS = "models get no tools: call what you need in a CustomColumnConfig"
_PROCESSORS = "there are no processors: leave columns out with drop=True, and project rows with `rollmill export`"
_PROFILERS = "there is no profiler: the run's summary counts what came, and `rollmill stats` tells of rollouts"
_ADMISSION = "requests adapt to each endpoint by themselves; max_parallel_requests of a model is their ceiling"
_WORKFLOWS = "data sets are chained by giving the parts of one to the next as LocalFileSeedSource"
_ERRORS = "what a user can mend is raised as rollmill.RollmillError"
DISTRIBUTIONS = "parameters of a model are plain numbers: draw no temperature, give one"

_REASONS = {
    _SAMPLERS: "SamplerColumnConfig SamplerType BernoulliMixtureSamplerParams BernoulliSamplerParams "
    "BinomialSamplerParams CategorySamplerParams DatetimeSamplerParams GaussianSamplerParams PersonSamplerParams "
    "PersonFromFakerSamplerParams PoissonSamplerParams ScipySamplerParams SubcategorySamplerParams "
    "TimeDeltaSamplerParams UUIDSamplerParams UniformSamplerParams",
    _CONSTRAINTS: "ColumnInequalityConstraint ScalarInequalityConstraint ConstraintType InequalityOperator",
    _VALIDATORS: "ValidationColumnConfig ValidatorType CodeValidatorParams LocalCallableValidatorParams "
    "RemoteValidatorParams",
    _MEDIA: "ImageColumnConfig ImageContext ImageFormat ImageInferenceParams AudioContext AudioFormat VideoContext "
    "VideoFormat Modality ModalityContext ModalityDataType",
    _EMBEDDINGS: "EmbeddingColumnConfig EmbeddingInferenceParams GenerationType",
    _TOOLS: "MCPProvider LocalStdioMCPProvider ToolConfig",
    _PROCESSORS: "DropColumnsProcessorConfig SchemaTransformProcessorConfig ProcessorType",
    _PROFILERS: "JudgeScoreProfilerConfig",
    _ADMISSION: "RunConfig ThrottleConfig RequestAdmissionTuningConfig SchedulingMetadata SchedulingMetadataError",
    DISTRIBUTIONS: "ManualDistribution ManualDistributionParams UniformDistribution UniformDistributionParams",
    "there is no code column: use LLMTextColumnConfig and take the code out of its fence with an "
    "ExpressionColumnConfig or CustomColumnConfig": "LLMCodeColumnConfig CodeLang",
    "every column of the seed is there without being declared": "SeedDatasetColumnConfig",
    "nothing is downloaded: fetch the files yourself and give them as LocalFileSeedSource": "HuggingFaceSeedSource",
    "column types are told by their classes, or by names such as 'llm-text' in `column_type`": "DataDesignerColumnType",
    "custom columns are made cell by cell; leave generation_strategy out": "GenerationStrategy",
    "templates are rendered in one way only, sandboxed and strict": "JinjaRenderingEngine",
    "a script passes its own parameters": "DataDesignerScriptParams",
    "the version is rollmill.__version__": "get_library_version",
    "there is nothing to look up: print the configuration itself": "InfoType",
    _WORKFLOWS: "CompositeWorkflow CompositeWorkflowResults SkippedStageResult SkippedStageStatus "
    "CompletedWorkflowStageMetadata FailedWorkflowStageMetadata RunningWorkflowStageMetadata "
    "SkippedWorkflowStageMetadata WorkflowMetadata WorkflowStageMetadata validate_workflow_stage_metadata",
    _ERRORS: "DataDesignerGenerationError DataDesignerProfilingError DataDesignerEarlyShutdownError "
    "DataDesignerWorkflowError",
}
REFUSED = {name: reason for reason, names in _REASONS.items() for name in names.split()}
"""What to use instead, by the reference's name."""

_REASONS_OF_PARTS = {
    _CONSTRAINTS: "DataDesignerConfigBuilder.add_constraint DataDesignerConfigBuilder.delete_constraints "
    "DataDesignerConfigBuilder.get_constraints",
    _PROCESSORS: "DataDesignerConfigBuilder.add_processor DataDesignerConfigBuilder.get_processor_configs "
    "DatasetCreationResults.load_processor_dataset DatasetCreationResults.get_path_to_processor_artifacts "
    "PreviewResults.processor_artifacts display_sample_record(processors_to_display)",
    _PROFILERS: "DataDesignerConfigBuilder.add_profiler DataDesignerConfigBuilder.get_profilers "
    "PreviewResults.analysis",
    _TOOLS: "DataDesignerConfigBuilder.add_tool_config DataDesignerConfigBuilder.delete_tool_config "
    "DataDesignerConfigBuilder.get_tool_config DataDesignerConfigBuilder.tool_configs "
    "DataDesigner.list_mcp_tool_names DataDesigner(mcp_providers) DataDesignerConfigBuilder(tool_configs)",
    _SAMPLERS: "DataDesigner(managed_assets_path) DataDesigner(person_reader)",
    _ADMISSION: "DataDesigner.set_run_config DataDesigner.run_config",
    _WORKFLOWS: "DataDesigner.compose_workflow",
    "there is nothing to look up: print the configuration itself": "DataDesigner.info DataDesignerConfigBuilder.info",
    "build() gives the configuration, and write_config(path) saves it": "DataDesignerConfigBuilder.get_builder_config",
    "preview(builder, num_records=1) asks every model once": "DataDesigner.check_models DataDesigner.get_models",
    "there are no default models: give ModelConfig(alias=…, model=…, provider=…)": "DataDesigner."
    "get_default_model_configs",
    "rollmill.models.providers.all_providers() has every provider by name": "DataDesigner.get_default_model_providers "
    "DataDesigner.model_provider_registry",
    "keys are found by the resolver that you gave, or in environment variables": "DataDesigner.secret_resolver",
    "parts are at their place when they are whole; progress=… is told how far the run is": "create(on_batch_complete)",
    "nothing is uploaded: export(path) writes one file, and the Hub's own client uploads it": "DatasetCreationResults."
    "push_to_hub",
    "there are no traces of tasks: summary has usage and problems": "DatasetCreationResults.task_traces "
    "PreviewResults.task_traces",
    "seed columns are those of the seed; the others are get_column_configs()": "DatasetCreationResults."
    "dataset_metadata PreviewResults.dataset_metadata",
    "rows are printed as text: `rollmill show --html` makes a page of a rollout": "display_sample_record(save_path)",
}
REFUSED_PARTS = {part: reason for reason, parts in _REASONS_OF_PARTS.items() for part in parts.split()}
"""What to use instead of a method (``Class.method``) or of an argument (``call(argument)``) of the reference."""


def refusal(name: str) -> str | None:
    """What to say to somebody who asks for a name of the reference that is not here; None for any other name."""
    return _words(name, REFUSED)


def _words(name: str, refused: Mapping[str, str]) -> str | None:
    if name not in refused:
        return None
    return f"{name} is of Data Designer, and Rollmill does not have it: {refused[name]} (docs/from-data-designer.md)"


def refuse_arguments(call: str, given: Mapping[str, Any]) -> None:
    """Raises ``ConfigError`` for arguments that only the reference takes, ``TypeError`` for those that nobody takes.
    One that is none or empty asks for nothing."""
    for name, value in given.items():
        words = _words(f"{call}({name})", REFUSED_PARTS)
        if words is None:
            raise TypeError(f"{call}() got an unexpected keyword argument {name!r}")
        if value is not None and value != []:
            raise ConfigError(words)


class OfTheReference:
    """A class by the reference's name. Methods that only the reference has say what to use."""

    if not TYPE_CHECKING:  # For a type checker the class has what it has, and nothing else.

        def __getattr__(self, name: str) -> Any:
            kind = type(self).__name__
            raise AttributeError(
                _words(f"{kind}.{name}", REFUSED_PARTS) or f"{kind!r} object has no attribute {name!r}",
                name=name,
                obj=self,
            )
