"""The second pass: every sample gets its tools, is measured, projected, and written to its split, or dropped."""

from __future__ import annotations

from pathlib import Path

from rollmill.curate.sample import Sample
from rollmill.curate.samples import estimated_tokens
from rollmill.curate.splits import split_of
from rollmill.curate.tools import Outfit
from rollmill.export import Refused, Settings
from rollmill.export.pipeline.counts import SplitCounts
from rollmill.export.pipeline.cutting import MASKED, Cutting, Piece
from rollmill.export.pipeline.outputs import DROPPED, ExportFolder, JsonLines, Parquet, Row, Writer
from rollmill.export.pipeline.plan import REQUIREMENTS
from rollmill.export.pipeline.spool import Entry
from rollmill.export.pipeline.survey import Survey


class Rows:
    """The target's row of each sample, or the reason why it has none."""

    def __init__(self, survey: Survey, outfit: Outfit) -> None:
        self.plan, self.summary, self.projection = survey.plan, survey.summary, survey.projection
        self.outfit = outfit
        self.cutting = Cutting(survey.plan)

    def row(self, entry: Entry, piece: Piece) -> Row:
        """The sample's row. Raises ``Refused`` when it is not to be written."""
        self.cutting.check(piece)
        self.outfit.give(piece.sample, entry.rollout)
        for name in self.plan.require:
            if not REQUIREMENTS[name](piece.sample):
                raise Refused(f"without_{name}", f"--require {name} is not met")
        self._measure(piece.sample)
        return self.projection.row(piece.sample)

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


class Writing:
    """Writes the samples of entries, and counts what becomes of them."""

    def __init__(self, survey: Survey, rows: Rows, settings: Settings, output: ExportFolder) -> None:
        self.plan, self.summary, self.projection = survey.plan, survey.summary, survey.projection
        self.groups, self.redact_again = survey.groups, survey.redact_again
        self.rows = rows
        self.settings = settings
        self.output = output

    def write(self, entry: Entry) -> None:
        """Write the samples of one row, or say in the list of what was dropped why not."""
        self.redact_again(entry)
        group = self.groups.name(entry.task_id)
        split = split_of(group, self.plan.splits, self.plan.seed)
        cut = self.rows.cutting.contexts(entry)
        self.summary.model_messages.update(copied=cut.copied, cut=cut.cut)
        for piece in self.rows.cutting.pieces(entry, cut):
            self.summary.samples += 1
            try:
                row = self.rows.row(entry, piece)
            except Refused as reason:
                self._drop(piece, reason)
            else:
                self.rows.cutting.learn(entry, piece)
                self.summary.groups[group] += 1
                self._keep(piece, row, split)

    def _drop(self, piece: Piece, reason: Refused) -> None:
        sample = piece.sample
        self.summary.dropped[reason.kind] += 1
        self.summary.model_messages["dropped"] += len(piece.context.targets)
        self.summary.dropped_messages[reason.kind] += len(piece.context.targets)
        if reason.kind == MASKED:
            self.summary.all_masked[str(reason)] += 1
        self.output.writer(DROPPED, JsonLines).write(
            {
                "sample_id": sample.sample_id,
                "source_path": sample.source.source_path,
                "segment_index": sample.segment_index,
                "reason": reason.kind,
                "text": str(reason),
                "model_messages": len(piece.context.targets),
            }
        )

    def _keep(self, piece: Piece, row: Row, split: str) -> None:
        sample = piece.sample
        file = f"{split}.{self.settings.file_type}"
        counts = self.summary.splits.setdefault(split, SplitCounts(split, file))
        counts.bytes += self.output.writer(file, self._writer).write(row)
        counts.samples += 1
        counts.tokens += sample.n_tokens
        self.summary.tools[sample.tools_source] += 1
        self.summary.systems[sample.system_source] += 1
        masked = [turn for turn in sample.turns if turn.index in piece.context.targets and not turn.weight]
        self.summary.model_messages.update(learnt=len(sample.targets), masked=len(masked))
        self.summary.masked.update(turn.reason for turn in masked)
        self.summary.models.update(turn.message.extra.model or "unknown" for turn in sample.targets)
        self.summary.notes["samples whose context lacks what a compaction encrypted"] += not sample.context_complete

    def _writer(self, path: Path) -> Writer:
        if self.settings.file_type == "jsonl":
            return JsonLines(path)
        return Parquet(path, self.projection.schema())
