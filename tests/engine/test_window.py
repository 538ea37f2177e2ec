"""How rows are read ahead and begun."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rollmill.config import LocalFileSeedSource
from rollmill.engine.tables import open_table
from rollmill.engine.window import FEWEST_IN_FLIGHT
from tests.engine.runs import builder, designer, prompts, seed_file
from tests.models.server import ModelServer


def test_the_last_rows_are_begun_together(tmp_path: Path) -> None:
    """Else the very last one would make its calls alone, one after the other."""
    rows = 2 * FEWEST_IN_FLIGHT
    seed = seed_file(tmp_path / "seed.jsonl", rows)
    with ModelServer("x") as server:
        made = builder(seed, 4, a="{{ id }} one", b="{{ id }} two {{ a }}")
        designer(tmp_path / "artifacts", server).create(made, num_records=None)
        firsts = [at for at, prompt in enumerate(prompts(server)) if prompt.endswith("one")]
    assert len(firsts) == rows
    assert firsts[-1] < rows + FEWEST_IN_FLIGHT // 2, "most second calls come after the last first one"


def test_what_is_read_of_a_seed_file_is_let_go(tmp_path: Path) -> None:
    """Long texts that do not pack well: what Arrow holds does not grow with what was read."""
    draw, size, rows = random.Random(1), 50_000, 400
    texts = [draw.randbytes(size // 2).hex() for _ in range(rows)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "seed.parquet", row_group_size=50)
    before, most, seen = pa.total_allocated_bytes(), 0, 0
    for record in open_table(LocalFileSeedSource(path=tmp_path / "seed.parquet")).records():
        assert record == {"text": texts[seen]}
        seen += 1
        most = max(most, pa.total_allocated_bytes() - before)
    assert seen == rows and most < rows * size
