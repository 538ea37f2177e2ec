"""The benchmarks measure what they say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCRIPT = """
import sys
import side_rollmill
side_rollmill.warm_up()
before = set(sys.modules)
assert side_rollmill.arrow(sys.argv[1], sys.argv[2])["rows"]
print(sorted(set(sys.modules) - before))
"""


def test_nothing_is_imported_while_the_clock_runs() -> None:
    folder = ROOT / "tests" / "formats" / "claude_code" / "thinking_kinds" / "input"
    command = [sys.executable, "-c", SCRIPT, "claude_code", str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT / "benchmarks", check=True)
    assert ran.stdout.strip() == "[]"
