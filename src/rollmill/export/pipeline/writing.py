"""The second pass: every sample the first one kept gets its tools, is measured, projected, and written to its split."""

from __future__ import annotations

from pathlib import Path

from rollmill.curate.sample import Sample
from rollmill.curate.samples import estimated_tokens
from rollmill.curate.segments import Context
from rollmill.curate.splits import split_of
from rollmill.curate.tools import Outfit
from rollmill.export import Refused, Settings
from rollmill.export.pipeline.counts import SplitCounts
from rollmill.export.pipeline.outputs import DROPPED, ExportFolder, JsonLines, Parquet, Row, Writer
from rollmill.export.pipeline.plan import REQUIREMENTS
from rollmill.export.pipeline.spool import Entry
from rollmill.export.pipeline.survey import Survey, samples


class Writing:
    """Writes the samples of entries, and counts what becomes of them."""

    def __init__(self, survey: Survey, settings: Settings, outfit: Outfit, output: ExportFolder) -> None:
        self.plan, self.summary, self.projection = survey.plan, survey.summary, survey.projection
        self.groups = survey.groups
        self.outfit = outfit
        self.settings = settings
        self.output = output
        self._tasks: set[str] = set()

    def write(self, entry: Entry) -> None:
        """Write the samples of one row, or say in the list of what was dropped why not."""
        self._tasks.add(entry.task_id)
        self.summary.tasks = len(self._tasks)
        split = split_of(self.groups.name(entry.task_id), self.plan.splits, self.plan.seed)
        pairs = zip(samples(entry, self.plan), entry.contexts, entry.drops, strict=True)
        for sample, context, drop in pairs:
            try:
                row = self._row(entry, sample, drop)
            except Refused as reason:
                self._drop(sample, reason, len(context.targets))
            else:
                self._keep(sample, row, split, context)

    def _row(self, entry: Entry, sample: Sample, drop: str) -> Row:
        if drop:
            raise Refused(drop, _WHY[drop])
        self.outfit.give(sample, entry.rollout)
        for name in self.plan.require:
            if not REQUIREMENTS[name](sample):
                raise Refused(f"without_{name}", f"--require {name} is not met")
        self._measure(sample)
        return self.projection.row(sample)

    def _measure(self, sample: Sample) -> None:
        count = getattr(self.projection, "count_tokens", None)
        if count is None:
            sample.n_tokens = estimated_tokens(sample)
        else:
            sample.n_tokens, sample.n_tokens_source = count(sample), "tokenizer"
        self.summary.tokens_source = sample.n_tokens_source
        if self.plan.max_tokens is not None and sample.n_tokens > self.plan.max_tokens:
            about = "about " if count is None else ""
            raise Refused("too_long", f"{about}{sample.n_tokens:,} tokens, more than --max-tokens allows")

    def _drop(self, sample: Sample, reason: Refused, messages: int) -> None:
        self.summary.dropped[reason.kind] += 1
        self.summary.model_messages["dropped"] += messages
        writer = self.output.writer(DROPPED, JsonLines)
        writer.write(
            {
                "sample_id": sample.sample_id,
                "source_path": sample.source.source_path,
                "segment_index": sample.segment_index,
                "reason": reason.kind,
                "text": str(reason),
                "model_messages": messages,
            }
        )

    def _keep(self, sample: Sample, row: Row, split: str, context: Context) -> None:
        file = f"{split}.{self.settings.file_type}"
        counts = self.summary.splits.setdefault(split, SplitCounts(split, file))
        counts.bytes += self.output.writer(file, self._writer).write(row)
        counts.samples += 1
        counts.tokens += sample.n_tokens
        self.summary.tools[sample.tools_source] += 1
        self.summary.systems[sample.system_source] += 1
        learnt = sample.targets
        masked = [turn for turn in sample.turns if turn.index in context.targets and not turn.weight]
        self.summary.model_messages.update(learnt=len(learnt), masked=len(masked))
        self.summary.masked.update(turn.reason for turn in masked)
        self.summary.models.update(turn.message.extra.model or "unknown" for turn in learnt)
        self.summary.notes["samples whose context lacks what a compaction encrypted"] += not sample.context_complete

    def _writer(self, path: Path) -> Writer:
        if self.settings.file_type == "jsonl":
            return JsonLines(path)
        return Parquet(path, self.projection.schema())


_WHY = {
    "nothing_to_learn": "every message of the model in it is masked",
    "duplicate": "another sample says and learns exactly the same",
}
