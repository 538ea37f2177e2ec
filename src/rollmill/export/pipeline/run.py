"""One export: rows in, a training set out.

Two passes. The first (``survey``) reads, filters, redacts and cuts, and learns what only the whole data set shows. The
second (``writing``) reads again what the first kept, and writes it. Between them the rows lie in the ``spool``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rollmill.curate.masks import mask_names
from rollmill.curate.signals import check_where
from rollmill.curate.tools import Outfit, system_catalogue, tool_catalogue
from rollmill.engine.outputs import explained
from rollmill.export import load_target
from rollmill.export.pipeline.card import card, manifest
from rollmill.export.pipeline.counts import ExportSummary
from rollmill.export.pipeline.inputs import Input
from rollmill.export.pipeline.outputs import CARD, DROPPED, MANIFEST, ExportFolder, JsonLines
from rollmill.export.pipeline.plan import ExportPlan
from rollmill.export.pipeline.spool import Spool
from rollmill.export.pipeline.survey import Survey
from rollmill.export.pipeline.writing import Rows, Writing
from rollmill.rollout import Rollout
from rollmill.seeds.bulk import uncollected


@dataclass
class ExportProgress:
    """How far a run is: what it does, how much of that is done in bytes, and what came of it so far."""

    doing: str
    bytes_done: int
    bytes_total: int
    rows: int
    samples: int
    seconds: float


Show = Callable[[ExportProgress], None]


def export_training_set(plan: ExportPlan, folder: Path, progress: Show = lambda state: None) -> ExportSummary:
    """Write a training set into ``folder``; the counts of the run come back.

    The folder appears when it is whole, and replaces an export that lies there. Raises ``ConfigError`` for a plan that
    cannot be carried out, before anything is read; ``RollmillError`` when the disk fails.
    """
    run = _Run(plan, folder, progress)
    output = ExportFolder(folder)
    try:
        with explained(folder):
            run.write(output)
            output.keep()
    except BaseException:
        output.discard()
        raise
    return run.survey.summary


def begin(plan: ExportPlan, folder: Path) -> tuple[Survey, Outfit]:
    """What a run begins with. Raises ``ConfigError`` for a plan that cannot be carried out."""
    check_where(plan.where)
    mask_names(",".join(plan.masks))
    projection = load_target(plan.target).projection(plan.settings())
    tools = tool_catalogue(plan.tools) if plan.tools else None
    system = system_catalogue(plan.system) if plan.system else None
    survey = Survey(plan, ExportSummary(folder), projection)
    return survey, Outfit(survey.inferred, tools, system)


class _Run:
    def __init__(self, plan: ExportPlan, folder: Path, progress: Show) -> None:
        self.plan = plan
        self.settings = plan.settings()
        self.survey, self.outfit = begin(plan, folder)
        self.input = Input(plan.path, plan.format, plan.branches)
        self.input.refuse_folder(folder)
        self.progress = progress
        self.began = time.monotonic()

    def write(self, output: ExportFolder) -> None:
        """Both passes, and what is told about them."""
        with Spool(output.aside / ".spool") as spool:
            for entry in uncollected(self.survey.entries(self._read())):
                spool.add(entry)
            output.writer(DROPPED, JsonLines)
            outfit = self.outfit.redacted(self.survey.clean)
            writing = Writing(self.survey, Rows(self.survey, outfit), self.settings, output)
            for entry in uncollected(iter(spool)):
                self._show("writing", spool)
                writing.write(entry)
        self._finish(output)

    def _read(self) -> Iterator[Rollout]:
        for rollout in self.input:
            self._show("reading", self.input)
            yield rollout
        self.survey.summary.input = self.survey.clean(self.input.counts())
        self.survey.summary.problems = self.survey.clean(self.input.problems())

    def _show(self, doing: str, of: Input | Spool) -> None:
        summary = self.survey.summary
        seconds = time.monotonic() - self.began
        self.progress(ExportProgress(doing, of.bytes_done, of.bytes_total, summary.rows, summary.written, seconds))

    def _finish(self, output: ExportFolder) -> None:
        summary, projection = self.survey.summary, self.survey.projection
        output.close_writers()
        for split in summary.splits.values():
            split.sha256 = output.sha256(split.file)
        summary.notes.update(projection.counts)
        summary.notes = +summary.notes
        summary.seconds = time.monotonic() - self.began
        told = self.plan.told(self.survey.clean)
        told = replace(told, license=self.survey.clean(told.license))
        output.write(CARD, card(told, summary, projection))
        output.write(MANIFEST, manifest(told, summary))
