"""What an export tells about itself: the dataset card for people and the Hub, the manifest for programs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import msgspec
import yaml

from rollmill._version import __version__
from rollmill.curate.redaction import POLICY
from rollmill.export import Projection
from rollmill.export._columns import features
from rollmill.export.pipeline.counts import ExportSummary
from rollmill.export.pipeline.outputs import DROPPED, MADE_BY
from rollmill.export.pipeline.plan import ExportPlan


def manifest(plan: ExportPlan, summary: ExportSummary) -> str:
    """The plan and all counts as JSON."""
    redaction = {"policy": POLICY} if plan.redact else None
    whole = {
        "made_by": f"{MADE_BY} {__version__}",
        "plan": plan.to_dict(),
        "redaction": redaction,
        **summary.to_dict(),
    }
    return msgspec.json.format(msgspec.json.encode(whole), indent=2).decode() + "\n"


def card(plan: ExportPlan, summary: ExportSummary, projection: Projection) -> str:
    """The README of the data set: what is in it, from where, what was done and left out, how to use and repeat it."""
    sections = [
        _front(plan, summary, projection),
        f"# {summary.folder.name}\n\n{_about(plan, summary)}",
        "## What is in it\n\n" + _splits(summary),
        "## Where it is from\n\n" + _sources(plan, summary),
        "## What was done\n\n" + _done(plan, summary),
        "## What was left out\n\n" + _left_out(summary),
        "## How to train with it\n\n" + projection.notes().strip(),
        "## How to make it again\n\n" + _again(plan, summary),
    ]
    return "\n\n".join(section.strip() for section in sections) + "\n"


def _front(plan: ExportPlan, summary: ExportSummary, projection: Projection) -> str:
    """The YAML that the Hub and ``datasets`` read: which file is which split, and what the columns are.

    Left to guess the columns from the first rows, ``datasets`` fails at the first row that differs.
    """
    files = [{"split": split.name, "path": split.file} for split in summary.splits.values()]
    front: dict[str, Any] = {"license": plan.license or "unknown", "tags": ["agent-traces", "rollmill"]}
    if files:
        front["configs"] = [{"config_name": "default", "data_files": files}]
        front["dataset_info"] = {"features": features(projection.schema())}
    return "---\n" + yaml.safe_dump(front, sort_keys=False) + "---"


def _about(plan: ExportPlan, summary: ExportSummary) -> str:
    kinds = ", ".join(sorted(summary.sources)) or "nothing"
    return (
        f"{summary.written:,} training samples from rollouts of coding agents ({kinds}), made by Rollmill "
        f"{__version__} for `{plan.target}`."
    )


def _splits(summary: ExportSummary) -> str:
    about = "estimated " if summary.tokens_source == "estimate" else ""
    rows = [[s.name, s.file, f"{s.samples:,}", f"{s.tokens:,}"] for s in summary.splits.values()]
    table = _table(["split", "file", "samples", f"{about}tokens"], rows)
    return f"{table}\n\n{_MEANING.strip()}"


_MEANING = """
Splits are made by task: attempts at one task, a session's sub-agents, its forks and copies are never on two sides.
"""


def _sources(plan: ExportPlan, summary: ExportSummary) -> str:
    kinds = _table(["agent", "rows"], _counts(summary.sources))
    models = _table(["model", "messages to learn"], _counts(summary.models))
    licence = plan.license or (
        "not stated. Rollouts hold prompts of people, code of repositories and output of models: whoever publishes "
        "them has to know the terms of each. State it with `--license`."
    )
    return f"{kinds}\n\n{models}\n\nLicence: {licence}"


def _done(plan: ExportPlan, summary: ExportSummary) -> str:
    lines = [
        f"* Mode `{plan.mode}`, masks {', '.join(f'`{name}`' for name in plan.masks)}.",
        f"* Filter: {_code(plan.where) if plan.where else 'none'}.",
        f"* Required of samples: {', '.join(plan.require) or 'nothing'}.",
        f"* Tool schemas: {_inline(summary.tools)}. System prompts: {_inline(summary.systems)}.",
        _redaction(plan, summary),
    ]
    return "\n".join(lines)


def _redaction(plan: ExportPlan, summary: ExportSummary) -> str:
    if not plan.redact:
        return "* Redaction: **none** (`--no-redact`)."
    return f"* Redaction: policy `{POLICY}`, {summary.secrets.total():,} places replaced: {_inline(summary.secrets)}."


def _left_out(summary: ExportSummary) -> str:
    counts = summary.to_dict()
    tables = [
        _table(["rows", "number"], list(map(_cells, counts["rows"].items()))),
        _table(["samples dropped", "number"], _counts(summary.dropped)),
        _table(["nothing to learn, because", "samples"], _counts(summary.all_masked)),
        _table(["messages of models", "number"], list(map(_cells, counts["model_messages"].items()))),
        _table(["masked messages", "number"], _counts(summary.masked)),
        _table(["noticed", "number"], _counts(summary.notes)),
    ]
    return "\n\n".join(filter(None, tables)) + f"\n\n`{DROPPED}` names each dropped sample with its reason."


def _again(plan: ExportPlan, summary: ExportSummary) -> str:
    return f"```shell\n{command_line(plan, summary)}\n```"


def command_line(plan: ExportPlan, summary: ExportSummary) -> str:
    """The command that makes the export again."""
    words = ["rollmill", "export", *([str(plan.path)] if plan.path else []), "--to", plan.target]
    for name, value in plan.to_dict().items():
        words += _option(name, value)
    return shlex.join([*words, "-o", summary.folder.name])


def _option(name: str, value: Any) -> list[str]:
    if name in ("target", "path"):
        return []
    if name == "redact":
        return ["--no-redact"]
    if name == "train_summaries":
        return ["--train-summaries"]
    if name == "splits":
        return ["--split", ",".join(f"{split['name']}={split['share']!r}" for split in value)]
    if name == "require":
        return [word for each in value for word in ("--require", each)]
    if name == "masks":
        return ["--mask", ",".join(value)]
    return [f"--{name.replace('_', '-')}", str(value)]


def _table(head: list[str], rows: list[list[str]]) -> str:
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _counts(counts: Mapping[str, int]) -> list[list[str]]:
    return [_cells(pair) for pair in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])) if pair[1]]


def _cells(pair: tuple[str, int]) -> list[str]:
    return [pair[0], f"{pair[1]:,}"]


def _cell(text: str) -> str:
    """Text of logs (a model's name) in a table: nothing in it is Markdown or HTML."""
    plain = "".join(character if character.isprintable() else " " for character in text)
    return plain.translate({ord(c): f"&#{ord(c)};" for c in "&<>|`*[]!\\"}) if not plain.isalnum() else plain


def _code(text: str) -> str:
    return "`" + text.replace("`", "'").replace("\n", " ") + "`"


def _inline(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in sorted(counts.items())) or "none"
