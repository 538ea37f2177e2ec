"""The floor: ``orjson.loads`` over every line of every file, and nothing made of it. One round, one JSON line."""

import json
import sys
import time
from pathlib import Path

import orjson


def main(folder: str) -> None:
    begin, cpu = time.perf_counter(), time.process_time()
    size = 0
    for path in Path(folder).rglob("*.jsonl"):
        with path.open("rb") as file:
            for line in file:
                size += len(line)
                orjson.loads(line)
    spent = {"seconds": time.perf_counter() - begin, "cpu": time.process_time() - cpu}
    print(json.dumps(spent | {"bytes": size}))


if __name__ == "__main__":
    main(*sys.argv[1:])
