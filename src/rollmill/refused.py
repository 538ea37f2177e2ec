"""The names of the reference that are not here, and what to use for each.

A script written for NVIDIA NeMo Data Designer finds the other names in ``rollmill`` and ``rollmill.config``; one of
these says why it is not there. ``docs/from-data-designer.md`` has the whole list.
"""

from __future__ import annotations

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
_DISTRIBUTIONS = "parameters of a model are plain numbers: draw no temperature, give one"

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
    _DISTRIBUTIONS: "ManualDistribution ManualDistributionParams UniformDistribution UniformDistributionParams",
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
    "datasets are chained by giving one's parts to the next as LocalFileSeedSource": "CompositeWorkflow "
    "CompositeWorkflowResults",
}
REFUSED = {name: reason for reason, names in _REASONS.items() for name in names.split()}
"""What to use instead, by the reference's name."""


def refusal(name: str) -> str | None:
    """What to say to somebody who asks for a name of the reference that is not here; None for any other name."""
    if name not in REFUSED:
        return None
    return (
        f"{name} is a name of Data Designer that Rollmill does not have: {REFUSED[name]} (docs/from-data-designer.md)"
    )
