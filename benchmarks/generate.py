"""Generating beside the reference: ``DataDesigner.create`` of both over the same rows and prompts, in turns.

    python -m benchmarks.generate [--reference PYTHON] [--only zero latency …] [--rounds 3] [--quick]

Text, structured, judge and expression columns, so three calls a row, one after the other; Rollmill's journal is on.
Each run is a process of its own with a data set of its own, against a model server in a third process. Ideal is
calls × latency ÷ concurrency; what ``create`` needs before the first request and after the last reply is told beside.
Targets are in brackets. With two cores the server and who asks it have one each, and the journal's thread shares them.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import words
from benchmarks.machine import Stolen

HERE = Path(__file__).parent
Figures = dict[str, Any]
CALLS_A_ROW = 3
SMALL, BIG = 1_000, 200_000
"""Characters of a row's text."""
KILLS = 20


@dataclass
class Bench:
    """The settings of a run."""

    rounds: int
    reference: Path | None
    folder: Path
    quick: bool
    results: dict[str, Any] = field(default_factory=dict)

    def rows_file(self, number: int, size: int = SMALL, plain: bool = True) -> Path:
        """A Parquet file of rows with a number and a text each; ``plain`` is ASCII alone, as Python keeps a text in one
        byte for each letter, or in four where it holds one emoji."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.folder / f"rows-{number}-{size}-{plain}.parquet"
        if not path.exists():
            pool, draw = words.pool(), random.Random(1)
            pool = pool.encode("ascii", "ignore").decode() if plain else pool
            texts = [pool[at : at + size] for at in (draw.randrange(len(pool) - size) for _ in range(number))]
            pq.write_table(pa.table({"rid": range(number), "trace": texts}), path, row_group_size=100)
        return path

    def say(self, what: str, value: float, unit: str, target: str = "", note: str = "") -> None:
        """Print one figure and keep it."""
        self.results[what] = {"value": value, "unit": unit, "target": target}
        shown = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
        print(f"  {what:62} {shown:>9} {unit:11} {f'[{target}]' if target else '':10} {note}", flush=True)


# One run: a server, a side, and what both say


class Server:
    """A model server in a process of its own, and what it has counted."""

    def __init__(self, options: dict[str, object]) -> None:
        given = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", str(value))]
        command = [sys.executable, str(HERE / "generate_server.py"), *given]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.endpoint = self._line()

    def counts(self) -> Figures:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return dict(json.loads(self._line()))

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def server(**options: object) -> Iterator[Server]:
    running = Server(options)
    try:
        yield running
    finally:
        running.stop()


def begun(bench: Bench, side: str, running: Server, into: str, rows: Path, number: int, **more: object) -> Any:
    """The process of a side, just started."""
    given = {"endpoint": running.endpoint, "rows": str(rows), "number": number, "into": into, **more}
    python = str(bench.reference) if side == "reference" else sys.executable
    command = [python, str(HERE / "side_generate.py"), side, json.dumps(given)]
    with Path(into, "errors.txt").open("ab") as errors:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=into)


@dataclass
class Run:
    """How a side is run: behind a limit of ``concurrency``, over as many rows as make ``calls``, for so many seconds
    at most; ``options`` are the server's."""

    concurrency: int
    calls: int
    options: dict[str, object] = field(default_factory=dict)
    size: int = SMALL
    plain: bool = True
    cut_off: float | None = None
    more: dict[str, object] = field(default_factory=dict)

    @property
    def number(self) -> int:
        return -(-self.calls // CALLS_A_ROW)


def measured(bench: Bench, side: str, run: Run) -> Figures:
    """What the side and the server say of a run. Every row is there and whole, unless it was cut off."""
    rows = bench.rows_file(run.number, run.size, run.plain)
    with server(full=run.concurrency, **run.options) as running, tempfile.TemporaryDirectory(dir=bench.folder) as into:
        more, stolen = {"concurrency": run.concurrency, **run.more}, Stolen()
        process = begun(bench, side, running, into, rows, run.number, **more)
        try:
            said, _ = process.communicate(timeout=run.cut_off)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return _phase(running.counts()) | {"cut_off": True}
        if process.returncode:
            raise SystemExit(f"{side} failed:\n{Path(into, 'errors.txt').read_text()[-3000:]}")
        figures = json.loads(said.splitlines()[-1]) | _phase(running.counts())
    assert figures["distinct_rows"] == figures["whole_rows"] == run.number, f"{side}: rows are missing: {figures}"
    return figures | {"cut_off": False, "each": 1000 * figures["cpu"] / figures["answered"], "stolen": stolen.share()}


def _phase(counts: Figures) -> Figures:
    """The server's counts, with the rate from the first request to the last reply."""
    took = max(counts["last"] - counts["first"], 1e-9)
    answered = max(counts["answered"], 1)
    return counts | {
        "phase": took,
        "rate": counts["answered"] / took,
        "server_each": 1000 * counts["server_cpu"] / answered,
    }


def in_turns(bench: Bench, sides: dict[str, Run], rounds: int | None = None) -> dict[str, list[Figures]]:
    """What each side measured, the sides taking turns; without a reference, Rollmill alone."""
    found: dict[str, list[Figures]] = {name: [] for name in sides if name != "reference" or bench.reference}
    for _ in range(rounds or bench.rounds):
        for name, runs in found.items():
            runs.append(measured(bench, name.partition(" ")[0], sides[name]))
    return found


def middle(runs: list[Figures], name: str) -> float:
    return median(figures[name] for figures in runs)


def taken(runs: list[Figures]) -> str:
    """What the host gave to others meanwhile: such a run says little of who was measured."""
    return f"; {100 * middle(runs, 'stolen'):.0f} % of the processors' time went to other machines"


# The measurements


def measure_zero(bench: Bench) -> None:
    """Requests a second where the server answers at once."""
    heading("zero latency: requests a second from the first request to the last reply")
    shorter = 4 if bench.quick else 1
    for concurrency in (8, 64, 256):
        ours, theirs = Run(concurrency, 12_000 // shorter), Run(concurrency, 1_800 // shorter)
        found = in_turns(bench, {"rollmill": ours, "reference": theirs})
        for side, runs in found.items():
            each, server_each = middle(runs, "each"), middle(runs, "server_each")
            note = f"{each:.2f} ms of CPU a call, the server {server_each:.2f}{taken(runs)}"
            bench.say(f"{concurrency} in flight: {side}", middle(runs, "rate"), "requests/s", note=note)
        if "reference" in found:
            ratio = middle(found["rollmill"], "rate") / middle(found["reference"], "rate")
            by_cpu = middle(found["reference"], "each") / middle(found["rollmill"], "each")
            note = f"{by_cpu:.1f} x by CPU time"
            bench.say(f"{concurrency} in flight: against the reference", ratio, "x", "≥ 10", note)


def measure_latency(bench: Bench) -> None:
    """The share of ideal, for calls that take a while: half a minute or more of them, in rounds of whole rows."""
    heading("share of ideal, from the first request to the last reply")
    for latency, calls, rounds in ((0.2, 144, bench.rounds), (1.0, 72, 1)):
        for concurrency in (8, 64, 256):
            calls = 21 if bench.quick else calls
            options: dict[str, object] = {"latency": latency}
            # 30 for the reference, which would take ten minutes else; its ends weigh more in that.
            sides = {
                "rollmill": Run(concurrency, calls * concurrency, options),
                "reference": Run(concurrency, min(30, calls) * concurrency, options),
            }
            for side, runs in in_turns(bench, sides, rounds).items():
                share = middle(runs, "rate") * latency / concurrency
                target = "≥ 0.95" if side == "rollmill" else ""
                label = f"{latency * 1000:,.0f} ms, {concurrency} in flight: {side}"
                bench.say(label, share, "of ideal", target, _ends(runs, latency / concurrency))


def _ends(runs: list[Figures], ideal_each: float) -> str:
    """What lies before the first request and until all places are taken, and after the last reply; and the share with
    all of that, imports included."""
    before = median(each["first"] - each["started"] for each in runs)
    full = median(max(each["full_at"] - each["first"], 0) if each["full_at"] else -1 for each in runs)
    after = median(each["ended"] - each["last"] for each in runs)
    filled = f"{full:.2f} s until all places are taken" if full >= 0 else "never all places taken"
    whole = median(each["answered"] * ideal_each / each["seconds"] for each in runs)
    return (
        f"first request after {before:.2f} s, {filled}, ends {after:.2f} s after the last reply; with that {whole:.3f}"
        f"{taken(runs)}"
    )


def measure_faults(bench: Bench) -> None:
    """Random refusals and failures, against the same without."""
    heading("5 % 429 and 2 % 500 at random, 200 ms, 64 in flight")
    calls = 20 * 64 if bench.quick else 70 * 64
    cut_off = 20.0 if bench.quick else 60.0
    faults: dict[str, object] = {"latency": 0.2, "faults": json.dumps({429: 0.05, 500: 0.02})}
    for side, number in (("rollmill", calls), ("reference", min(calls, 1800))):
        sides = {
            f"{side} clean": Run(64, number, {"latency": 0.2}),
            f"{side} faults": Run(64, number, faults, cut_off=cut_off if side == "reference" else None),
        }
        if side == "reference" and not bench.reference:
            continue
        found = in_turns(bench, sides, 1 if side == "reference" else None)
        rates = {name: middle(runs, "rate") for name, runs in found.items()}
        share = rates[f"{side} faults"] / rates[f"{side} clean"]
        cut = any(each["cut_off"] for each in found[f"{side} faults"])
        note = f"clean {rates[f'{side} clean']:.0f}/s, {f'cut off after {cut_off:.0f} s' if cut else 'every row there'}"
        bench.say(f"{side}: of its clean rate", share, "", "≥ 0.8" if side == "rollmill" else "", note)


def measure_slots(bench: Bench) -> None:
    """A server that takes half as many as the limit allows."""
    heading("32 slots behind a limit of 64, 200 ms")
    calls = 20 * 64 if bench.quick else 70 * 64
    options: dict[str, object] = {"latency": 0.2, "slots": 32}
    sides = {"rollmill": Run(64, calls, options), "reference": Run(64, min(calls, 1200), options, cut_off=120.0)}
    for side, runs in in_turns(bench, sides, None if bench.quick else min(2, bench.rounds)).items():
        share = middle(runs, "rate") * 0.2 / 32
        note = f"{median(each['statuses'].get('429', 0) for each in runs):.0f} refused"
        bench.say(f"{side}: of what 32 allow", share, "", "≥ 0.9" if side == "rollmill" else "", note)


def measure_load(bench: Bench) -> None:
    """Prompts as large as rollouts are."""
    heading("200 KB in each prompt, 256 in flight, 1 s")
    rows = 400 if bench.quick else 1500
    options: dict[str, object] = {"latency": 1.0}
    more: dict[str, object] = {"big": True, "lags": True}
    sides = {
        "rollmill": Run(256, rows * CALLS_A_ROW, options, BIG, more=more),
        "reference": Run(256, 400 * CALLS_A_ROW, options, BIG, more={"big": True}),
        "rollmill with emoji": Run(256, rows * CALLS_A_ROW, options, BIG, plain=False, more=more),
    }
    for side, [figures] in in_turns(bench, sides, 1).items():
        if "lag_p99" in figures:
            longest = f"the longest {1000 * figures['lag_max']:.0f} ms"
            bench.say(f"{side}: lag of the event loop, 99th %", 1000 * figures["lag_p99"], "ms", "< 50", longest)
        target = "< 600" if side != "reference" else ""
        bench.say(f"{side}: memory", figures["memory"], "MB", target, f"{figures['each']:.2f} ms of CPU a call")
        bench.say(f"{side}: of ideal", figures["rate"] / 256, "")


def measure_kills(bench: Bench) -> None:
    """``kill -9`` at random moments, the same run resumed each time. In flight is what a process had asked
    and the journal did not get, read right after the kill: what is asked again beyond that was on the disk."""
    kills, number = (5, 1000) if bench.quick else (KILLS, 3000)
    heading(f"kill -9 at {kills} random moments, 200 ms, 64 in flight, {number * CALLS_A_ROW:,} calls")
    draw = random.Random()
    rows = bench.rows_file(number)
    with server(latency=0.2) as running, tempfile.TemporaryDirectory(dir=bench.folder) as into:
        in_flight = begun_before = kept_before = 0
        for _ in range(kills):
            process = begun(bench, "rollmill", running, into, rows, number, concurrency=64)
            time.sleep(draw.uniform(0.3, 2.5))
            process.kill()
            process.wait()
            asked, kept = running.counts()["begun"], _kept(Path(into, "bench", "journal.sqlite"))
            in_flight += (asked - begun_before) - (kept - kept_before)
            begun_before, kept_before = asked, kept
        process = begun(bench, "rollmill", running, into, rows, number, concurrency=64)
        said, _ = process.communicate()
        figures, counts = json.loads(said.splitlines()[-1]), running.counts()
    twice = counts["twice_open"] + counts["twice_answered"]
    note = (
        f"{counts['twice_open']} were open at the server, {counts['twice_answered']} on their way to the disk, "
        f"answered at most {1000 * counts['longest_before_kill']:.0f} ms before the kill"
    )
    bench.say("calls asked twice", twice, "calls", f"≤ {in_flight}", note)
    bench.say("rows lost", number - figures["distinct_rows"], "rows", "0")
    bench.say("rows doubled", figures["rows"] - figures["distinct_rows"], "rows", "0")
    bench.say("rows with null cells", figures["rows"] - figures["whole_rows"], "rows", "0")


def _kept(journal: Path) -> int:
    """How many replies a killed run has on the disk, read from a copy, as the next run will find them."""
    import shutil
    import sqlite3

    if not journal.exists():
        return 0
    with tempfile.TemporaryDirectory() as aside:
        for path in journal.parent.glob(f"{journal.name}*"):
            shutil.copy(path, aside)
        connection = sqlite3.connect(Path(aside, journal.name))
        try:
            return int(connection.execute("SELECT count(*) FROM replies").fetchone()[0])
        except sqlite3.OperationalError:  # killed before its table was made
            return 0
        finally:
            connection.close()


def heading(text: str) -> None:
    print(f"\n{text}", flush=True)


MEASUREMENTS: dict[str, Callable[[Bench], None]] = {
    "zero": measure_zero,
    "latency": measure_latency,
    "faults": measure_faults,
    "slots": measure_slots,
    "load": measure_load,
    "kills": measure_kills,
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=3, help="one for what takes over a minute")
    arguments.add_argument("--only", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS))
    arguments.add_argument("--quick", action="store_true", help="one short round: to see that it works")
    arguments.add_argument("--reference", type=Path, default=Path(sys.prefix, "reference", "bin", "python"))
    arguments.add_argument("--json", type=Path, help="also write the figures here")
    given = arguments.parse_args()
    there = given.reference if given.reference.exists() else None
    if there is None:
        print(f"no reference at {given.reference}: measured without it (benchmarks/install_reference.sh installs it)")
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(1 if given.quick else given.rounds, there, Path(folder), given.quick)
        for name in given.only:
            MEASUREMENTS[name](bench)
    if given.json:
        given.json.write_text(json.dumps(bench.results, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
