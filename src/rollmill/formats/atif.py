"""ATIF, the Agent Trajectory Interchange Format (v1.0 to v1.8): one document a thread.

    {"schema_version":"ATIF-v1.7","session_id":"agent-001","agent":{"name":"calculator_agent",…},"steps":[{"step_id":2,
     "source":"agent","message":"","tool_calls":[{"tool_call_id":"call_abc","function_name":"calculator__add",
     "arguments":{"a":3,"b":4}}],"observation":{"results":[{"source_call_id":"call_abc","content":"7"}]}},…]}

Sub-agents are embedded in it or lie beside it. ``_atif_steps`` makes steps messages, ``_atif_threads`` makes a document
with its sub-agents rows, ``_harbor`` finds a trial's reward; here a file is one document, or one on each line of a
``.jsonl`` file. Harbor's own validator refuses unknown keys and odd types; we read what is there and note the rest in
the ledger.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from msgspec import Raw

from rollmill.errors import UnreadableFile
from rollmill.formats import FormatDefaults, RolloutFile
from rollmill.formats._atif_steps import count_unknown
from rollmill.formats._atif_threads import link, threads_of
from rollmill.formats._harbor import trial_labels
from rollmill.formats._jsonl import MAX_UNREADABLE_LINES
from rollmill.formats._raw_json import NOT_JSON, document_fields, repaired, text, type_of
from rollmill.media import NoStore
from rollmill.rollout import RECORD_CLASSES, Fidelity, Rollout

DEFAULTS = FormatDefaults(None, "*.json")

_LINES = (".jsonl", ".ndjson")
"""Not in the default pattern: agents leave their own logs of that ending in Harbor's folders."""
Found = tuple[list[Rollout], Fidelity]
_OF_THE_FILE = ("records", "unknown_types", "unreadable_lines", "torn_tail", "replaced_characters")
_NO_TRAJECTORIES = {"config.json", "lock.json", "result.json", "results.json", "reward.json", "manifest.json"}


def is_handled_file(relative_path: str) -> bool:
    """Any JSON file but the ones that Harbor writes around a trajectory; JSON lines where the pattern has them."""
    name = PurePosixPath(relative_path).name
    return name.endswith((".json", *_LINES)) and name not in _NO_TRAJECTORIES


def recognise(records: list[Any]) -> bool:
    """A document that names its ATIF version, or has an agent and its steps."""
    document = records[0] if records and isinstance(records[0], dict) else {}
    version = document.get("schema_version")
    if isinstance(version, str) and version.startswith("ATIF-"):
        return True
    return isinstance(document.get("agent"), dict) and isinstance(document.get("steps"), list)


def parse_file(file: RolloutFile) -> Iterable[Rollout]:
    """The document's row, then one for each embedded sub-agent; none, and the reason in ``file.skip``, without a step.
    Of JSON lines those of each line.

    Raises ``OSError``, and ``UnreadableFile`` when the file is not JSON (``not_json``) or no ATIF (``not_a_rollout``).
    """
    if file.path.name.endswith(_LINES):
        return _rollouts_of_lines(file)
    return _rollouts(file, file.path.read_bytes(), Fidelity())[0]


def _rollouts(file: RolloutFile, data: bytes, before: Fidelity, line: int = 0, taken: Container[str] = ()) -> Found:
    """A document's rows, and the ledger ``before`` with what is in it. A line goes by no id that is ``taken``."""
    try:
        return _parsed(file, data, deepcopy(before), line, taken)
    except NOT_JSON:
        data, replaced = repaired(data)
    ledger = deepcopy(before)
    ledger.replaced_characters += replaced
    try:
        return _parsed(file, data, ledger, line, taken)
    except NOT_JSON as error:
        raise UnreadableFile("not_json", f"{file.path} is not JSON: {error}") from error


def _parsed(file: RolloutFile, data: bytes, ledger: Fidelity, line: int, taken: Container[str]) -> Found:
    document = document_fields(data)
    _refuse_other_documents(file, document, data)
    threads = list(threads_of(file, document, ledger))
    ledger.records.total = sum(getattr(ledger.records, name) for name in RECORD_CLASSES)
    for thread in threads:
        while thread.trace_id in taken:
            thread.trace_id += f":{line}"
    link(threads)
    threads = [thread for thread in threads if thread.steps.messages]
    file.skip = "" if threads else "no_messages"
    labels = trial_labels(file) if threads and not line else {}
    return [thread.rollout(dict(labels)) for thread in threads], ledger


def _rollouts_of_lines(file: RolloutFile) -> Iterator[Rollout]:
    """The rows of all lines. The file is read twice: every row says what the whole file is like, and no more than one
    line is kept."""
    whole = Fidelity()
    for _, ledger in _lines(replace(file, media=NoStore())):
        whole = ledger
    if whole.records.total and not whole.records.metadata:
        kind = "not_a_rollout" if whole.records.unknown else "not_json"
        raise UnreadableFile(kind, f"{file.path}: none of its lines is an ATIF document")
    file.skip = "no_messages"
    for rollouts, _ in _lines(file):
        for rollout in rollouts:
            for name in _OF_THE_FILE:
                setattr(rollout.source_meta.fidelity, name, getattr(whole, name))
            yield rollout


def _lines(file: RolloutFile) -> Iterator[Found]:
    """Each line's rows, and the ledger of the file so far. A line that is no document is counted."""
    taken: set[str] = set()
    ledger = Fidelity()
    with file.path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            rollouts: list[Rollout] = []
            try:
                if line.strip():
                    rollouts, ledger = _rollouts(file, line, ledger, number, taken)
            except UnreadableFile as problem:
                _count_no_document(ledger, problem.kind, number, torn=not line.endswith(b"\n"))
            taken.update(rollout.trace_id for rollout in rollouts)
            yield rollouts, ledger


def _count_no_document(ledger: Fidelity, kind: str, line: int, torn: bool) -> None:
    ledger.records.total += 1
    if kind == "not_a_rollout":
        count_unknown(ledger, "no ATIF document")
    else:
        ledger.records.unreadable += 1
        ledger.unreadable_lines = [*ledger.unreadable_lines, line][:MAX_UNREADABLE_LINES]
        ledger.torn_tail = torn


def _refuse_other_documents(file: RolloutFile, document: dict[str, Raw], data: bytes) -> None:
    version = text(document.get("schema_version")) or ""
    steps = document.get("steps")
    if steps is not None and type_of(steps) == "array" and (version.startswith("ATIF-") or "agent" in document):
        return
    found = f"an object with the keys {', '.join(list(document)[:8])}" if document else f"JSON of type {type_of(data)}"
    raise UnreadableFile(
        "not_a_rollout",
        f"{file.path} is {found}; an ATIF document has a list of steps and a schema_version ATIF-v1.x or an agent",
    )
