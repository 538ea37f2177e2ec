"""Rows into samples, the same way in both passes, with a ledger of what was learnt already.

The first pass takes every sample that is not dropped yet as learnt; the second knows which were really written. So a
copy of a message is left to another row only when that row teaches it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rollmill.curate.masks import mask
from rollmill.curate.sample import Sample
from rollmill.curate.samples import build_sample, sample_digest
from rollmill.curate.segments import Context, Contexts, contexts
from rollmill.export import Refused
from rollmill.export.pipeline.plan import ExportPlan
from rollmill.export.pipeline.spool import Entry

MASKED, DUPLICATE = "nothing_to_learn", "duplicate"


class Piece(NamedTuple):
    """A sample, the context it was made from, and what makes it the same as another."""

    sample: Sample
    context: Context
    digest: bytes


class Cutting:
    """Cuts one row after the other, knowing what those before taught."""

    def __init__(self, plan: ExportPlan) -> None:
        self.plan = plan
        self._taught: set[bytes] = set()
        self._by_this_row: set[bytes] = set()
        self._digests: set[bytes] = set()

    def contexts(self, entry: Entry) -> Contexts:
        """The contexts of the next row. Within one row nothing is a copy."""
        self._taught |= self._by_this_row
        self._by_this_row.clear()
        return contexts(entry.rollout, self.plan.mode, lambda index: not self._taught.isdisjoint(entry.keys[index]))

    def pieces(self, entry: Entry, cut: Contexts) -> Iterator[Piece]:
        """The samples of the row, masked."""
        again = f"~{entry.number}" if entry.number > 1 else ""
        for number, context in enumerate(cut.contexts):
            sample = build_sample(entry.rollout, context, self.plan.mode, entry.task_id, self.plan.train_summaries)
            sample.sample_id = f"{sample.row_id}{again}/{number}"
            sample.signals, sample.redaction = entry.signals, entry.redaction
            mask(sample.turns, self.plan.masks, entry.facts)
            yield Piece(sample, context, sample_digest(sample.turns, context, entry.contents))

    def check(self, piece: Piece) -> None:
        """Raise ``Refused`` for a sample from which nothing is to be learnt, or nothing new."""
        if not piece.sample.targets:
            reasons = {turn.reason: None for turn in piece.sample.turns if turn.index in piece.context.targets}
            raise Refused(MASKED, "; ".join(reasons))
        if piece.digest in self._digests:
            raise Refused(DUPLICATE, "another sample says and learns exactly the same")

    def learn(self, entry: Entry, piece: Piece) -> None:
        """Note that the sample is written: what it teaches is a copy elsewhere."""
        self._digests.add(piece.digest)
        for turn in piece.sample.targets:
            self._by_this_row.update(entry.keys[turn.index])
