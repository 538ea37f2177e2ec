"""How fast the machine at hand is, against the one for which the targets in MB/s were set: by the floor on both. And
how much of it the host gave to others."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

TARGET_FLOOR = {"claude": 539.0, "codex": 580.0}
"""MB/s of ``orjson.loads`` over logs like these on that machine."""


def floor(folder: Path) -> dict[str, float]:
    """One round of the floor over the logs in a folder, in a process of its own: ``seconds``, ``cpu``, ``bytes``."""
    command = [sys.executable, str(Path(__file__).with_name("side_floor.py")), str(folder)]
    figures: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return figures


def share(kind: str, floors: list[dict[str, float]], clock: str) -> float:
    """This machine's speed as a share of that one's, by the best of the rounds: 0.5 is half as fast."""
    return max(each["bytes"] / 1e6 / each[clock] for each in floors) / TARGET_FLOOR[kind]


class Stolen:
    """Which share of the processors' time the host gave to others since this was made; 0 where it does not say."""

    def __init__(self) -> None:
        self._before = _ticks()

    def share(self) -> float:
        whole, stolen = (now - before for now, before in zip(_ticks(), self._before, strict=True))
        return stolen / whole if whole else 0.0


def _ticks() -> tuple[int, int]:
    """All of the processors' time so far, and the stolen time among it, as Linux counts them."""
    try:
        _, *ticks = Path("/proc/stat").read_text().splitlines()[0].split()
    except OSError:
        return 0, 0
    return sum(map(int, ticks[:8])), int(ticks[7])
