"""The reference's ``AgentRolloutSeedReader``, run by the Python of its own environment. One round, one JSON line.

side_reference.py arrow claude_code FOLDER       every row, in its own batches (pandas frames; it makes no Arrow)
side_reference.py manifest claude_code FOLDER    its manifest alone
"""

import json
import os
import sys
import time

os.environ |= {"NEMO_TELEMETRY_ENABLED": "false", "HF_HUB_OFFLINE": "1"}

import duckdb  # noqa: F401 - it would do so while the clock runs
import pyarrow.pandas_compat  # noqa: F401
from data_designer.config.seed_source import AgentRolloutFormat, AgentRolloutSeedSource
from data_designer.engine.resources.seed_reader import AgentRolloutSeedReader
from data_designer.engine.secret_resolver import PlaintextResolver

BATCH_ROWS = 100
"""Its engine's default, 1000, is slower and takes four times the memory."""


def main(what: str, format_name: str, folder: str) -> None:
    begin, cpu = time.perf_counter(), time.process_time()
    reader = AgentRolloutSeedReader()
    reader.attach(AgentRolloutSeedSource(path=folder, format=AgentRolloutFormat(format_name)), PlaintextResolver())
    result = {"files": reader.get_seed_dataset_size(), "rows": 0, "messages": 0}
    if what == "arrow":
        read(reader, result)
    spent = {"seconds": time.perf_counter() - begin, "cpu": time.process_time() - cpu}
    print(json.dumps(spent | result))


def read(reader: AgentRolloutSeedReader, result: dict[str, int]) -> None:
    batches = reader.create_batch_reader(batch_size=BATCH_ROWS, index_range=None, shuffle=False)
    while True:
        try:
            frame = batches.read_next_batch().to_pandas()
        except StopIteration:
            return
        result["rows"] += len(frame)
        result["messages"] += int(frame["message_count"].sum())


if __name__ == "__main__":
    main(*sys.argv[1:])
