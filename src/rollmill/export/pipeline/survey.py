"""The first pass: every row is filtered, judged, redacted and cut, and what only the whole data set shows is learnt.

That is: which tools were called how, which tasks and sessions belong together, and what shape the target's rows need.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from rollmill.curate._study import study
from rollmill.curate.findings import findings
from rollmill.curate.masks import Facts, verdict
from rollmill.curate.redaction import POLICY, Redactor, earlier
from rollmill.curate.sample import Redacted
from rollmill.curate.samples import content_of, copy_keys, digest
from rollmill.curate.segments import BRANCH, from_model
from rollmill.curate.signals import Signals, rows_where, signals
from rollmill.curate.splits import Groups
from rollmill.curate.task_id import task_id
from rollmill.curate.tools import InferredTools
from rollmill.export import Projection, Refused
from rollmill.export.pipeline.counts import ExportSummary
from rollmill.export.pipeline.cutting import Cutting, Piece
from rollmill.export.pipeline.plan import ExportPlan
from rollmill.export.pipeline.spool import Entry
from rollmill.rollout import Rollout

EARLIER = "earlier"
"""The policy of a row that only earlier runs redacted: its row says which."""

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
        self._cutting = Cutting(plan)
        self.pieces: list[Piece] = []
        """The samples of the row that was looked at last."""
        self._holders: dict[bytes, str] = {}
        """The first thread that held a message, by the keys of the message."""
        self._rows: Counter[str] = Counter()

    def entries(self, rollouts: Iterable[Rollout]) -> Iterator[Entry]:
        """The rows that go on to the second pass."""
        for judged in self._wanted(map(_judge, self._spoken(rollouts))):
            yield self._entry(*judged)

    def _spoken(self, rollouts: Iterable[Rollout]) -> Iterator[Rollout]:
        for rollout in rollouts:
            self.summary.rows += 1
            spoken = sum(map(from_model, rollout.messages))
            self.summary.messages_read += spoken
            if spoken:
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
        """One row, judged as it was, redacted, and cut for a first look."""
        self.summary.rows_used += 1
        task = found.task_id or ""
        facts = Facts(faults, verdict(rollout, found))
        self.groups.join(task, _relatives(rollout))
        contents = [
            digest(content_of(message)) for message in rollout.messages
        ]  # Before: a copy may say it unredacted.
        redacted_signals, redaction = self._redact(rollout, msgspec.structs.asdict(found))
        self.inferred.add(rollout)
        self.summary.sources[rollout.source_kind] += 1
        self._rows[rollout.trace_id] += 1
        number = self._rows[rollout.trace_id]
        keys = [copy_keys(m, c) if from_model(m) else [] for m, c in zip(rollout.messages, contents, strict=True)]
        self.groups.join(task, self._sharers(rollout.trace_id, keys))
        entry = Entry(number, rollout, task, contents, keys, facts, redacted_signals, redaction, self.redactor.known)
        self._look_at(entry)
        return entry

    def _sharers(self, trace_id: str, keys: list[list[bytes]]) -> list[Hashable]:
        """The threads that hold a message of this one too."""
        each = (key for of_message in keys for key in of_message)
        return [("thread", self._holders.setdefault(key, trace_id)) for key in each]

    def _look_at(self, entry: Entry) -> None:
        self.pieces = list(self._cutting.pieces(entry, self._cutting.contexts(entry)))
        for piece in self.pieces:
            with suppress(Refused):
                self._cutting.check(piece)
                self.projection.survey(piece.sample)
                self._cutting.learn(entry, piece)

    def clean(self, value: Any) -> Any:
        """Text, or plain data with texts in it, as it may leave: redacted, unless that was refused."""
        return self.redactor.value(value) if self.plan.redact else value

    def _redact(self, rollout: Rollout, found: dict[str, Any]) -> tuple[dict[str, Any], Redacted | None]:
        before = earlier(rollout)
        self.summary.secrets.update(before)
        if not self.plan.redact:
            return found, Redacted(EARLIER, before) if before else None
        _, counts = self.redactor.rollout(rollout)
        self.summary.secrets.update(counts)
        return self.redactor.value(found), Redacted(POLICY, dict(Counter(before) + Counter(counts)))

    def redact_again(self, entry: Entry) -> None:
        """Redact in a row what only rows after it gave away."""
        if entry.redaction is None or not self.plan.redact or entry.known == self.redactor.known:
            return
        counts = self.redactor.again(entry.rollout, entry.known)
        self.summary.secrets.update(counts)
        entry.redaction.counts = dict(Counter(entry.redaction.counts) + Counter(counts))
        entry.signals = self.redactor.value(entry.signals)


def _relatives(rollout: Rollout) -> list[Hashable]:
    """Ids of the threads that say the same as this one, or that it is a part of."""
    meta = rollout.source_meta
    parent = meta.parent.trace_id if meta.parent else None
    ids = (BRANCH.sub("", rollout.trace_id), rollout.root_session_id, meta.forked_from, parent)
    return [("thread", each) for each in ids if each]
