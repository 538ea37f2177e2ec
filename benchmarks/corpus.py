"""Make a benchmark corpus: everything follows from the kind, the sizes and the seed.

python benchmarks/corpus.py claude OUT --files 2000 --mb 1000     transcripts and sub-agents
python benchmarks/corpus.py codex  OUT --files 2000 --mb 1000     rollouts by date
python benchmarks/corpus.py tiny   OUT --files 100000             two-line files, for the manifest
python benchmarks/corpus.py single OUT --mb 1000                  one Claude Code transcript
python benchmarks/corpus.py images OUT --mb 1000                  one Codex rollout, 95 % repeated base64 images
python benchmarks/corpus.py describe OUT                          what is in it: lines, sizes, shares
"""

from __future__ import annotations

import argparse
import base64
import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import Any

import orjson
from claude_sessions import Session, SubAgent
from codex_sessions import image_records, new_thread
from words import new_id, new_uuid

DISTINCT_IMAGES, _IMAGE_BYTES = 22, 400_000


def make(kind: str, out: Path, files: int, megabytes: float, seed: int, processes: int = 2) -> None:
    """Write the corpus unless ``out`` holds the very same one already."""
    recipe = out.with_name(out.name + ".recipe.json")
    wanted = json.dumps({"kind": kind, "files": files, "mb": float(megabytes), "seed": seed, "version": 2})
    if recipe.is_file() and recipe.read_text() == wanted:
        return
    if out.exists():
        raise SystemExit(f"{out} exists and was made by another recipe; remove it or name another folder")
    jobs = list(_KINDS[kind](out, files, megabytes * 1e6, seed))
    with ProcessPoolExecutor(processes) as pool:
        list(pool.map(_run, jobs, chunksize=max(1, min(8, len(jobs) // 8))))
    recipe.write_text(wanted)


Job = tuple[Any, ...]


def _run(job: Job) -> None:
    function, *arguments = job
    function(*arguments)


def _write(path: Path, records: Iterable[dict[str, Any]], size: float) -> None:
    """Records, one a line, until the file has ``size`` bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with path.open("wb", buffering=1 << 20) as file:
        for record in records:
            written += file.write(orjson.dumps(record) + b"\n")
            if written >= size:
                return


def _sizes(rng: random.Random, files: int, total: float) -> list[float]:
    """Log-normal sizes that add up to ``total``: most files are small, a few hold half of the bytes."""
    raw = [min(rng.lognormvariate(0, 1.1), 20) for _ in range(files)]
    return [value * total / sum(raw) for value in raw]


# Claude Code: sessions, a fifth of all files being sub-agents of one.


def claude_jobs(out: Path, files: int, size: float, seed: int) -> Iterator[Job]:
    rng = random.Random(f"claude {seed}")
    sizes = _sizes(rng, files, size)
    while sizes:
        children = rng.choices((0, 1, 2, 3), weights=(86, 6, 5, 3))[0]
        own, sizes = sizes[: 1 + children], sizes[1 + children :]
        yield write_claude_session, out, own, rng.getrandbits(64)


def write_claude_session(out: Path, sizes: list[float], seed: int) -> None:
    """One transcript and its sub-agents: ``sizes`` holds the session's size, then one for each sub-agent."""
    rng = random.Random(seed)
    project = rng.randrange(60)
    folder, cwd, session_id = (
        out / f"-home-dev-src-project-{project}",
        f"/home/dev/src/project-{project}",
        new_uuid(rng),
    )
    agents = [SubAgent(f"a{rng.getrandbits(28):07x}", new_id(rng, "toolu_01", 22)) for _ in sizes[1:]]
    _write(folder / f"{session_id}.jsonl", Session(rng, session_id, cwd, to_start=list(agents)).records(), sizes[0])
    for agent, size in zip(agents, sizes[1:], strict=True):
        path = folder / session_id / "subagents" / f"agent-{agent.agent_id}.jsonl"
        _write(path, Session(rng, session_id, cwd, agent_id=agent.agent_id).records(), size)
        meta = {"agentType": "Explore", "description": "look around", "toolUseId": agent.tool_use_id}
        path.with_suffix(".meta.json").write_bytes(orjson.dumps(meta))


def single_jobs(out: Path, files: int, size: float, seed: int) -> Iterator[Job]:
    yield write_claude_session, out, [size], seed


# Codex.


def codex_jobs(out: Path, files: int, size: float, seed: int) -> Iterator[Job]:
    rng = random.Random(f"codex {seed}")
    for own in _sizes(rng, files, size):
        yield write_codex_thread, out, own, rng.getrandbits(64)


def write_codex_thread(out: Path, size: float, seed: int) -> None:
    thread = new_thread(random.Random(seed))
    _write(_rollout_path(out, thread.started, thread.thread_id), thread.records(), size)


def _rollout_path(out: Path, started: Any, thread_id: str) -> Path:
    return out / f"{started:%Y/%m/%d}" / f"rollout-{started:%Y-%m-%dT%H-%M-%S}-{thread_id}.jsonl"


def images_jobs(out: Path, files: int, size: float, seed: int) -> Iterator[Job]:
    yield write_image_thread, out, size, seed


def write_image_thread(out: Path, size: float, seed: int) -> None:
    thread = new_thread(random.Random(seed))
    images = [
        "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + thread.rng.randbytes(_IMAGE_BYTES)).decode()
        for _ in range(DISTINCT_IMAGES)
    ]
    _write(_rollout_path(out, thread.started, thread.thread_id), image_records(thread, images), size)


# Many tiny files.


def tiny_jobs(out: Path, files: int, size: float, seed: int) -> Iterator[Job]:
    folders = min(100, files)
    for number in range(folders):
        count = files // folders + (number < files % folders)
        yield write_tiny_files, out / f"-home-dev-src-project-{number}", count, f"{seed} {number}"


def write_tiny_files(folder: Path, count: int, seed: str) -> None:
    rng = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for _ in repeat(None, count):
        session, first = new_uuid(rng), new_uuid(rng)
        common = {"sessionId": session, "cwd": "/p", "gitBranch": "main", "version": "2.1.0", "isSidechain": False}
        lines = (
            {
                "type": "user",
                "uuid": first,
                "parentUuid": None,
                **common,
                "timestamp": "2026-01-01T00:00:00.000Z",
                "message": {"role": "user", "content": "hi"},
            },
            {
                "type": "assistant",
                "uuid": new_uuid(rng),
                "parentUuid": first,
                **common,
                "timestamp": "2026-01-01T00:00:01.000Z",
                "message": {"role": "assistant", "content": [{"type": "text", "text": "hello"}]},
            },
        )
        (folder / f"{session}.jsonl").write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))


_KINDS = {"claude": claude_jobs, "codex": codex_jobs, "single": single_jobs, "images": images_jobs, "tiny": tiny_jobs}


def describe(folder: Path) -> None:
    """Print line sizes, each record type's share, and what decoding depends on, to hold the corpus against real ones.
    Lines that are no JSON object are left out."""
    lengths: list[int] = []
    share: Counter[str] = Counter()
    widths: Counter[int] = Counter()
    structured = files = escapes = 0
    for path in folder.rglob("*.jsonl"):
        files += 1
        for line in path.open("rb"):
            if (record := _object(line)) is None:
                continue
            lengths.append(len(line))
            payload = record.get("payload") or {}
            share[f"{record.get('type')} {payload.get('type') or ''}".strip()] += len(line)
            structured += len(orjson.dumps(record.pop("toolUseResult"))) if "toolUseResult" in record else 0
            escapes += line.count(b"\\")
            for said in _strings(record):
                widths[_letter_bytes(said)] += len(said)
    lengths.sort()
    total, letters = sum(lengths), sum(widths.values())
    print(f"{total / 1e6:.1f} MB, {files} files, {len(lengths)} lines, toolUseResult {structured / total:.1%} of bytes")
    print(
        "line bytes: mean", total // len(lengths), *(f"p{p} {lengths[len(lengths) * p // 100]}" for p in (50, 90, 99))
    )
    kept = ", ".join(f"{widths[n] / letters:.1%} in strings of {n}" for n in (1, 2, 4))
    print(
        f"bytes a letter, as Python keeps what is used: {kept}; {1000 * escapes / total:.0f} backslashes in 1,000 bytes"
    )
    for name, size in share.most_common(20):
        print(f"  {size / total:6.1%}  {name}")


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return record if isinstance(record, dict) else None


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)


def _letter_bytes(text: str) -> int:
    """How many bytes Python takes for each letter of a text: the widest one decides."""
    widest = max(text, default="")
    return 1 if widest < "\u0100" else 2 if widest < "\U00010000" else 4


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("kind", choices=[*_KINDS, "describe"])
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--files", type=int, default=400)
    arguments.add_argument("--mb", type=float, default=200)
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    if given.kind == "describe":
        describe(given.out)
    else:
        make(given.kind, given.out, given.files, given.mb, given.seed)


if __name__ == "__main__":
    main()
