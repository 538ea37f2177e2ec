"""A short look at files of rows: ``python examples/look.py ROWS.parquet…``"""

import sys

import pyarrow.parquet as pq

COLUMNS = ["trace_id", "agent_id", "started_at", "message_count", "tool_call_count", "final_assistant_message"]

for path in sys.argv[1:]:
    table = pq.read_table(path, columns=COLUMNS)
    print(f"\n{path}: {table.num_rows} rows")
    for row in table.to_pylist():
        name = "  sub-agent " + row["agent_id"] if row["agent_id"] else row["trace_id"]
        counts = f"{row['message_count']:4} messages {row['tool_call_count']:4} calls"
        last = " ".join((row["final_assistant_message"] or "").split())
        print(f"{name[:38]:38} {(row['started_at'] or '')[:10]:10} {counts}  {last:.50}")
print()
