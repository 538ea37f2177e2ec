"""The first pass: every row is filtered, judged, redacted and cut, and what only the whole data set shows is learnt.

That is: which tools were called how, which samples say the same, which tasks and sessions belong together, and what
shape the target's rows need.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from rollmill.curate._study import study
from rollmill.curate.findings import findings
from rollmill.curate.masks import Facts, mask, verdict
from rollmill.curate.redaction import POLICY, Redactor
from rollmill.curate.sample import Redacted, Sample
from rollmill.curate.samples import Contents, SeenMessages, build_sample, sample_digest
from rollmill.curate.segments import contexts, from_model
from rollmill.curate.signals import Signals, rows_where, signals
from rollmill.curate.splits import Groups
from rollmill.curate.task_id import task_id
from rollmill.curate.tools import InferredTools
from rollmill.export import Projection
from rollmill.export.pipeline.counts import ExportSummary
from rollmill.export.pipeline.plan import ExportPlan
from rollmill.export.pipeline.spool import Entry
from rollmill.rollout import Rollout

ALL_MASKED, DUPLICATE = "nothing_to_learn", "duplicate"


WINDOW_MESSAGES = 2000
"""As many messages are asked about in one query of the filter."""


class Judged(NamedTuple):
    """A row, what can be said of it, and which of its turns are bad."""

    rollout: Rollout
    signals: Signals
    findings: dict[int, list[str]]


def _judge(rollout: Rollout) -> Judged:
    studied = study(rollout)
    return Judged(rollout, signals(rollout, task_id(rollout), studied), findings(rollout, studied))


def _windows(rows: Iterable[Judged]) -> Iterator[list[Judged]]:
    window: list[Judged] = []
    for row in rows:
        window.append(row)
        if sum(len(each.rollout.messages) for each in window) >= WINDOW_MESSAGES:
            yield window
            window = []
    yield window


class Survey:
    """What is known after the first pass, growing while it goes on."""

    def __init__(self, plan: ExportPlan, summary: ExportSummary, projection: Projection) -> None:
        self.plan = plan
        self.summary = summary
        self.projection = projection
        self.inferred = InferredTools()
        self.groups = Groups()
        self.redactor = Redactor()
        self._seen = SeenMessages()
        self._digests: set[bytes] = set()
        self._rows: Counter[str] = Counter()

    def entries(self, rollouts: Iterable[Rollout]) -> Iterator[Entry]:
        """The rows that go on to the second pass."""
        for judged in self._wanted(map(_judge, self._spoken(rollouts))):
            yield self._entry(*judged)

    def _spoken(self, rollouts: Iterable[Rollout]) -> Iterator[Rollout]:
        for rollout in rollouts:
            self.summary.rows += 1
            if any(map(from_model, rollout.messages)):
                yield rollout
            else:
                self.summary.rows_without_model += 1

    def _wanted(self, judged: Iterable[Judged]) -> Iterator[Judged]:
        if self.plan.where is None:
            yield from judged
            return
        for window in _windows(judged):
            kept = rows_where([row.rollout for row in window], [row.signals for row in window], self.plan.where)
            for row, is_kept in zip(window, kept, strict=True):
                if is_kept:
                    yield row
                else:
                    self.summary.rows_filtered += 1
                    self.summary.model_messages["filtered"] += sum(map(from_model, row.rollout.messages))

    def _entry(self, rollout: Rollout, found: Signals, faults: dict[int, list[str]]) -> Entry:
        """One row: judged as it is, then redacted, then cut."""
        task = found.task_id or ""
        facts = Facts(faults, verdict(rollout, found))
        self.groups.join(task, _relatives(rollout))
        redacted_signals, redaction = self._redact(rollout, msgspec.structs.asdict(found))
        self.inferred.add(rollout)
        self.summary.sources[rollout.source_kind] += 1
        self._rows[rollout.trace_id] += 1
        number = self._rows[rollout.trace_id]
        entry = Entry(number, rollout, task, [], [], facts, redacted_signals, redaction)
        self._cut(entry)
        return entry

    def clean(self, value: Any) -> Any:
        """Text, or plain data with texts in it, as it may leave: redacted, unless that was refused."""
        return self.redactor.value(value) if self.plan.redact else value

    def _redact(self, rollout: Rollout, found: dict[str, Any]) -> tuple[dict[str, Any], Redacted | None]:
        if not self.plan.redact:
            return found, None
        _, counts = self.redactor.rollout(rollout)
        self.summary.secrets.update(counts)
        return self.redactor.value(found), Redacted(POLICY, counts)

    def _cut(self, entry: Entry) -> None:
        contents = Contents()
        self._seen.next_row(contents)
        cut = contexts(entry.rollout, self.plan.mode, self._seen)
        self.summary.model_messages.update(copied=cut.copied, cut=cut.cut)
        entry.contexts = cut.contexts
        entry.drops = [self._drop(sample, contents) for sample in samples(entry, self.plan)]

    def _drop(self, sample: Sample, contents: Contents) -> str:
        """Why the sample is not written; an empty text when it is, as far as is known yet."""
        self.summary.samples += 1
        if not sample.targets:
            return ALL_MASKED
        if (digest := sample_digest(sample.turns, contents)) in self._digests:
            return DUPLICATE
        self._digests.add(digest)
        self.projection.survey(sample)
        return ""


def _relatives(rollout: Rollout) -> list[Hashable]:
    """Ids of the threads that say the same as this one, or that it is a part of."""
    meta = rollout.source_meta
    parent = meta.parent.trace_id if meta.parent else None
    ids = (rollout.trace_id.partition("#b")[0], rollout.root_session_id, meta.forked_from, parent)
    return [("thread", each) for each in ids if each]


def samples(entry: Entry, plan: ExportPlan) -> Iterator[Sample]:
    """The samples of a row, masked: the same in both passes."""
    again = f"~{entry.number}" if entry.number > 1 else ""
    for number, context in enumerate(entry.contexts):
        sample = build_sample(entry.rollout, context, plan.mode, entry.task_id, plan.train_summaries)
        sample.sample_id = f"{sample.row_id}{again}/{number}"
        sample.signals, sample.redaction = entry.signals, entry.redaction
        mask(sample.turns, plan.masks, entry.facts)
        yield sample
