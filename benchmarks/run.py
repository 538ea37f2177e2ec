"""Rollmill beside the reference and the floor, over corpora of our own: ``make bench``, or

    python benchmarks/run.py [--mb 200 | --full] [--rounds 5] [--only read parse …]

Each figure is the median of several rounds; what is compared takes turns within each round, each in a process of its
own, because such machines change their speed from minute to minute. MB are 10⁶ bytes of input files, in the page
cache. "To Arrow" is from the files to Arrow batches, manifest included, one process, imports not counted. Targets
in brackets are for --full on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import corpus
import machine

HERE = Path(__file__).parent
FORMATS = {"claude": "claude_code", "codex": "codex"}
Figures = dict[str, Any]


@dataclass
class Bench:
    """The settings of a run, and where its corpora and Pythons are."""

    megabytes: float
    files: int
    rounds: int
    corpora: Path
    reference: Path | None
    results: dict[str, Any] = field(default_factory=dict)

    def corpus(self, kind: str, files: int | None = None, megabytes: float | None = None) -> Path:
        """The folder of a corpus, made when it is not there."""
        files, megabytes = files or self.files, megabytes or self.megabytes
        folder = self.corpora / f"{kind}-{files}-{megabytes:g}"
        corpus.make(kind, folder, files, megabytes, seed=1)
        return folder

    def rounds_of(self, sides: dict[str, Callable[[], Figures]], rounds: int | None = None) -> dict[str, list[Figures]]:
        """What each side measured, the sides taking turns."""
        measured: dict[str, list[Figures]] = {name: [] for name in sides}
        for _ in range(rounds or self.rounds):
            for name, side in sides.items():
                measured[name].append(side())
        return measured

    def say(self, what: str, value: float, unit: str, target: str = "", note: str = "") -> None:
        """Print one figure and keep it."""
        self.results[what] = {"value": value, "unit": unit, "target": target}
        shown = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
        print(f"  {what:58} {shown:>9} {unit:8} {f'[{target}]' if target else '':12} {note}", flush=True)


# Sides: each run is a process of its own that prints one JSON line.


def rollmill(what: str, *arguments: object) -> Figures:
    return _json_line([sys.executable, HERE / "side_rollmill.py", what, *arguments])


def reference(bench: Bench, what: str, *arguments: object) -> Figures:
    return _json_line([bench.reference, HERE / "side_reference.py", what, *arguments])


def _json_line(command: list[object]) -> Figures:
    ran = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{ran.stderr[-3000:]}")
    return dict(json.loads(ran.stdout.splitlines()[-1]))


def seconds(rounds: list[Figures], clock: str = "seconds") -> float:
    return median(figures[clock] for figures in rounds)


def size_of(folder: Path) -> float:
    """Megabytes of rollouts in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*.jsonl")) / 1e6


# The measurements.


def measure_read(bench: Bench) -> None:
    """To Arrow, beside the reference and the floor; and parsing alone, beside the floor."""
    for kind, target in {"claude": "≥ 2.5", "codex": "≥ 2.2"}.items():
        folder = bench.corpus(kind)
        measured = bench.rounds_of(_read_sides(bench, FORMATS[kind], folder))
        size = size_of(folder)
        heading(f"{kind}: {size:.0f} MB in {bench.files} files, {bench.rounds} rounds")
        for side, rounds in measured.items():
            bench.say(f"{kind}: {_SIDE_NAMES[side]}", size / seconds(rounds), "MB/s", note=spread(rounds))
        if bench.reference:
            ratio, by_cpu = _ratios(measured, "reference", "arrow")
            bench.say(f"{kind}: to Arrow against the reference", ratio, "x", target, f"{by_cpu:.2f} x by CPU time")
        ratio, by_cpu = _ratios(measured, "floor", "parse")
        bench.say(
            f"{kind}: parsing alone, of the floor's speed",
            100 * ratio,
            "%",
            "≥ 65",
            f"{100 * by_cpu:.0f} % by CPU time",
        )
        print(f"  what limits it now: {_parts(measured)}")


def _read_sides(bench: Bench, name: str, folder: Path) -> dict[str, Callable[[], Figures]]:
    sides = {
        "floor": lambda: machine.floor(folder),
        "parse": lambda: rollmill("parse", name, folder),
        "arrow": lambda: rollmill("arrow", name, folder),
    }
    if bench.reference:
        sides["reference"] = lambda: reference(bench, "arrow", name, folder)
    return sides


def _ratios(measured: dict[str, list[Figures]], slow: str, fast: str) -> tuple[float, float]:
    """How many times faster, by the clock; and by CPU time, which other programs on the machine disturb less."""
    wall, cpu = (seconds(measured[slow], clock) / seconds(measured[fast], clock) for clock in ("seconds", "cpu"))
    return wall, cpu


def _parts(measured: dict[str, list[Figures]]) -> str:
    """The shares of the time to Arrow, by CPU time."""
    floor_time, parse_time, arrow_time = (seconds(measured[side], "cpu") for side in ("floor", "parse", "arrow"))
    parts = {
        "decoding as the floor does": floor_time,
        "the rest of parsing": parse_time - floor_time,
        "batches and manifest": arrow_time - parse_time,
    }
    return ", ".join(f"{part} {100 * spent / arrow_time:.0f} %" for part, spent in parts.items())


_SIDE_NAMES = {
    "floor": "floor, orjson.loads on each line",
    "parse": "parsing alone",
    "arrow": "to Arrow",
    "reference": "the reference, to its batches",
}


def measure_workers(bench: Bench) -> None:
    """Two worker processes against one, to Arrow and to Parquet."""
    heading(f"workers ({effective_cores():.2f} cores' worth of two were there just now)")
    for kind, name in FORMATS.items():
        folder = bench.corpus(kind)
        sides = {
            f"{what} {workers}": lambda what=what, workers=workers, name=name, folder=folder: rollmill(
                what, name, folder, workers
            )
            for what in ("engine", "parquet")
            for workers in (1, 2)
        }
        time_of = {side: seconds(rounds) for side, rounds in bench.rounds_of(sides).items()}
        size = size_of(folder)
        for what, (shown, target) in {"engine": ("to Arrow", "≥ 1.8"), "parquet": ("to Parquet", "≥ 1.6")}.items():
            gain = time_of[f"{what} 1"] / time_of[f"{what} 2"]
            note = f"{size / time_of[f'{what} 1']:.0f} -> {size / time_of[f'{what} 2']:.0f} MB/s"
            bench.say(f"{kind}: {shown}, two workers against one", gain, "x", target, note)


def measure_first(bench: Bench) -> None:
    """How soon something comes out of many files."""
    folder = bench.corpus("claude", files=2000)
    heading(f"first row, {size_of(folder):.0f} MB in 2,000 files")
    rounds = [rollmill("first", "claude_code", folder) for _ in range(bench.rounds)]
    bench.say("until the first rollout", median(each["first_rollout"] for each in rounds), "s", "< 0.5")
    bench.say(f"until the first batch of {100} rows", median(each["first_batch"] for each in rounds), "s")


def measure_memory(bench: Bench) -> None:
    """Memory of a run to Parquet with two workers; then of a quarter of the files, for it should not grow with them."""
    heading("memory: sum of PSS with the parent and the fork server, to Parquet, two workers")
    whole = {"files": 2000, "megabytes": bench.megabytes}
    quarter = {"files": 500, "megabytes": bench.megabytes / 4}
    for kind, name in FORMATS.items():
        for sizes, target in ((whole, "< 450"), (quarter, "")):
            folder = bench.corpus(kind, **sizes)
            with_two = peak_memory("parquet", name, folder, 2)
            with_three = peak_memory("parquet", name, folder, 3)
            label = f"{kind}, {sizes['megabytes']:g} MB in {sizes['files']} files"
            bench.say(
                f"{label}: two workers", with_two.total, "MB", target, f"largest process {with_two.largest:.0f} MB"
            )
            bench.say(
                f"{label}: the third worker adds", with_three.total - with_two.total, "MB", "≤ 160" if target else ""
            )


def measure_training(bench: Bench) -> None:
    """Rollouts to TRL's JSONL, redacted, in one process; the floor between the rounds, for the machine's own speed."""
    heading("to a training set for TRL, redaction on, one process")
    for kind, name in FORMATS.items():
        folder = bench.corpus(kind)
        size, rounds, floors = size_of(folder), [], []
        for _ in range(max(1, bench.rounds // 2)):
            floors.append(machine.floor(folder))
            rounds.append(rollmill("training", name, folder))
        speed, share = size / seconds(rounds), machine.share(kind, floors, "seconds")
        bench.say(f"{kind}: to a training set", speed, "MB/s", "≥ 30", spread(rounds))
        bench.say(f"{kind}: this machine, by the floor, to that of the targets", share, "x", "", spread(floors))
        bench.say(f"{kind}: so to a training set there", speed / share, "MB/s", "≥ 30")
        bench.say(f"{kind}: memory (PSS)", peak_memory("training", name, folder).total, "MB", "< 500")


def measure_images(bench: Bench) -> None:
    """One file that is nearly all images, few of them distinct."""
    folder = bench.corpus("images", files=1)
    size = size_of(folder)
    heading(f"one Codex file of {size:.0f} MB, nearly all repeated base64 images")
    memory = peak_memory("parquet", "codex", folder, 1)
    rounds = [rollmill("parquet", "codex", folder, 1) for _ in range(max(1, bench.rounds // 2))]
    bench.say("images: memory (PSS)", memory.total, "MB", "< 300")
    bench.say("images: to Parquet", size / seconds(rounds), "MB/s", "≥ 150")
    bench.say("images: stored", rounds[0]["stored_media"], "files", f"{corpus.DISTINCT_IMAGES}")


def measure_single(bench: Bench) -> None:
    """One large transcript."""
    folder = bench.corpus("single", files=1)
    size = size_of(folder)
    heading(f"one Claude Code file of {size:.0f} MB")
    memory = peak_memory("parquet", "claude_code", folder, 1)
    bench.say("single: to Parquet", size / rollmill("parquet", "claude_code", folder, 1)["seconds"], "MB/s")
    bench.say("single: memory (PSS)", memory.total, "MB")


def measure_manifest(bench: Bench) -> None:
    """Files found in a second, with size and time."""
    files = 100_000 if bench.megabytes >= 1000 else 20_000
    folder = bench.corpus("tiny", files=files, megabytes=1)
    heading(f"manifest, {files:,} files")
    sides = {"rollmill": lambda: rollmill("manifest", "claude_code", folder)}
    if bench.reference:
        sides["reference"] = lambda: reference(bench, "manifest", "claude_code", folder)
    measured = bench.rounds_of(sides)
    for side, target in (("rollmill", "≥ 200,000"), ("reference", "")):
        if side in measured:
            bench.say(f"manifest: {side}", files / seconds(measured[side]), "files/s", target)


def measure_start(bench: Bench) -> None:
    """Imports, inside a new process; and the command line's help as a user waits for it."""
    heading("start")
    rounds = max(bench.rounds, 7)
    for statement, target in (
        ("import rollmill", "< 40"),
        ("from rollmill import AgentRolloutSeedSource", "< 200"),
        ("from rollmill import AgentRolloutSeedReader, ROW_SCHEMA", ""),
    ):
        timed = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
        spent = [float(subprocess.check_output([sys.executable, "-c", timed], text=True)) for _ in range(rounds)]
        bench.say(statement, 1000 * median(spent), "ms", target)
    for command, target in ((["--help"], "< 300"), (["ingest", "--help"], "")):
        spent = [_wall([Path(sys.executable).with_name("rollmill"), *command]) for _ in range(rounds)]
        bench.say(f"rollmill {' '.join(command)}", 1000 * median(spent), "ms", target)


def _wall(command: list[object]) -> float:
    begin = time.perf_counter()
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


# Memory: the proportional share of each process of the tree, sampled while it runs.


@dataclass
class Memory:
    """Peaks in MB: of the sum over all processes, and of the largest one."""

    total: float = 0.0
    largest: float = 0.0


def peak_memory(what: str, *arguments: object) -> Memory:
    """What a measurement and all its processes hold at most (PSS: shared pages counted once)."""
    command = [sys.executable, HERE / "side_rollmill.py", what, *arguments]
    peak = Memory()
    with subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            shares = [share for pid in _family(process.pid) if (share := _pss(pid))]
            peak.total = max(peak.total, sum(shares))
            peak.largest = max(peak.largest, *shares, 0.0)
            time.sleep(0.03)
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed")
    return peak


def _family(pid: int) -> list[int]:
    """The process and all below it."""
    try:
        texts = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return []
    return [pid, *(below for text in texts for child in text.split() for below in _family(int(child)))]


def _pss(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / 1e6


def effective_cores() -> float:
    """How many cores' worth of work two processes get done now, against one."""
    loop = "import time; t = time.perf_counter(); sum(i * i for i in range(6_000_000)); print(time.perf_counter() - t)"
    alone = float(subprocess.check_output([sys.executable, "-c", loop], text=True))
    together: list[float] = []

    def run() -> None:
        together.append(float(subprocess.check_output([sys.executable, "-c", loop], text=True)))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 2 * alone / max(together)


def heading(text: str) -> None:
    print(f"\n{text}", flush=True)


def spread(rounds: list[Figures]) -> str:
    spent = sorted(figures["seconds"] for figures in rounds)
    return f"{spent[0]:.2f} to {spent[-1]:.2f} s" if len(spent) > 1 else ""


MEASUREMENTS = {
    "start": measure_start,
    "read": measure_read,
    "workers": measure_workers,
    "first": measure_first,
    "manifest": measure_manifest,
    "memory": measure_memory,
    "training": measure_training,
    "images": measure_images,
    "single": measure_single,
}
_NEED_PROC = ("memory", "training", "images", "single")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--mb", type=float, default=200, help="size of each corpus (default 200)")
    arguments.add_argument("--files", type=int, help="files in the read corpora (default: two for each MB)")
    arguments.add_argument("--full", action="store_true", help="1,000 MB in 2,000 files")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--only", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS))
    arguments.add_argument("--corpora", type=Path, default=HERE.parent / "bench-corpus")
    arguments.add_argument("--reference", type=Path, default=Path(sys.prefix, "reference", "bin", "python"))
    arguments.add_argument("--json", type=Path, help="also write the figures here")
    given = arguments.parse_args()
    megabytes = 1000 if given.full else given.mb
    there = given.reference if given.reference.exists() else None
    if there is None:
        print(f"no reference at {given.reference}: measured without it (benchmarks/install_reference.sh installs it)")
    bench = Bench(megabytes, given.files or int(2 * megabytes), given.rounds, given.corpora.resolve(), there)
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} CPUs")
    for name in given.only:
        if name in _NEED_PROC and not Path("/proc/self/smaps_rollup").exists():
            print(f"\n{name}: not measured, needs Linux's /proc/*/smaps_rollup")
        else:
            MEASUREMENTS[name](bench)
    if given.json:
        given.json.write_text(json.dumps(bench.results, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
