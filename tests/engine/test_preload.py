"""What is imported before the first row is read, in processes of its own: what this one has imported is no matter."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("numpy")
pytest.importorskip("pandas")

IMPORTED = """
import sys
from rollmill.engine.preload import preload
{before}
preload({formats})
print(*(name for name in ("numpy", "pandas", "pyarrow.compute", "rollmill.formats.codex") if name in sys.modules))
import numpy, pandas, pyarrow
print(numpy.arange(3).sum(), len(pandas.DataFrame({{"a": [1]}})), pyarrow.array(["x"]).to_pylist())
"""


@pytest.mark.parametrize(
    ("formats", "before", "imported"),
    [
        (["claude_code"], "", ""),
        (["claude_code", "codex"], "", "rollmill.formats.codex"),
        (["claude_code", "of somebody else"], "", "numpy"),
        (["claude_code"], "import numpy", "numpy"),
        (["claude_code"], "import pandas", "numpy pandas pyarrow.compute"),
    ],
)
def test_only_what_the_formats_need_is_imported(formats: list[str], before: str, imported: str) -> None:
    code = IMPORTED.format(before=before, formats=formats)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.stderr, ran.stdout) == ("", f"{imported}\n3 1 ['x']\n")
