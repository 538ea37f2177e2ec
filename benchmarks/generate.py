"""How fast requests pass through gate, client and journal, against a scripted server in a process of its own.

    python -m benchmarks.generate                          # everything, about four minutes
    python -m benchmarks.generate --only zero,latency      # zero · latency · faults · slots

Ideal is calls × latency ÷ concurrency; every run has its own journal on the disk of the temporary folder.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rollmill.models import ModelConfig, ModelProvider, OpenedModel, Request, open_model
from rollmill.models.journal import Journal

REFERENCE_RATE = {8: 282, 64: 223, 256: 198}
"""Requests per second of the reference at zero latency on this kind of machine, by concurrency."""


@contextmanager
def server(**options: object) -> Iterator[str]:
    """The endpoint of a test server in another process."""
    given = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.models.fast_server", *given],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdin is not None
    try:
        yield process.stdout.readline().strip()
        process.stdin.write("\n")
        process.stdin.flush()
        print("      server:", process.stdout.readline().strip())
    finally:
        process.kill()
        process.wait()


async def _ask(model: OpenedModel, endpoint: str, numbers: Iterator[int], size: int) -> None:
    for number in numbers:
        message = {"role": "user", "content": f"row {number} " + "x" * size}
        await model.complete(Request(endpoint, "toy", (message,), {"temperature": 0.5}, row_key=str(number)))


async def run(endpoint: str, calls: int, concurrency: int, workers: int, size: int, warm: int) -> float:
    """Seconds for ``calls`` calls after ``warm`` others, of ``workers`` tasks behind a limit of ``concurrency``."""
    parameters = {"max_parallel_requests": concurrency}
    config = ModelConfig.model_validate({"alias": "toy", "model": "toy", "inference_parameters": parameters})
    with tempfile.TemporaryDirectory() as folder:
        async with Journal(Path(folder) / "replies.sqlite") as journal:
            model = open_model(config, ModelProvider(name="bench", endpoint=endpoint), journal)
            await _all(model, endpoint, iter(range(-warm, 0)), workers, size)
            started = time.perf_counter()
            await _all(model, endpoint, iter(range(calls)), workers, size)
            seconds = time.perf_counter() - started
            assert len(journal) == calls + warm
            await model.close()
    return seconds


async def _all(model: OpenedModel, endpoint: str, numbers: Iterator[int], workers: int, size: int) -> None:
    await asyncio.gather(*(_ask(model, endpoint, numbers, size) for _ in range(workers)))


def timed(endpoint: str, calls: int, concurrency: int, workers: int = 0, size: int = 200, warm: int = 0) -> float:
    return asyncio.run(run(endpoint, calls, concurrency, workers or concurrency + 128, size, warm))


def zero() -> None:
    for concurrency in (8, 64, 256):
        with server() as endpoint:
            used = resource.getrusage(resource.RUSAGE_SELF).ru_utime
            seconds = timed(endpoint, 10_000, concurrency, warm=500)
            used = resource.getrusage(resource.RUSAGE_SELF).ru_utime - used
            rate = 10_000 / seconds
            print(
                f"zero latency, {concurrency} in flight: {rate:.0f} requests/s, {used / 10.5:.2f} ms of user CPU each, "
                f"{rate / REFERENCE_RATE[concurrency]:.1f} × the reference (target 10)"
            )


def latency() -> None:
    for concurrency in (8, 64, 256):
        with server(latency=0.2) as endpoint:
            calls = 70 * concurrency
            seconds = timed(endpoint, calls, concurrency)
            print(f"200 ms, {concurrency} in flight: {calls * 0.2 / concurrency / seconds:.3f} of ideal (target 0.95)")


def faults() -> None:
    rates = {}
    for name, options in (("clean", {}), ("faults", {"faults": json.dumps({429: 0.05, 500: 0.02})})):
        with server(latency=0.2, **options) as endpoint:
            rates[name] = 4480 / timed(endpoint, 4480, 64)
    share = rates["faults"] / rates["clean"]
    print(f"5 % 429 and 2 % 500: {share:.3f} of the clean {rates['clean']:.0f}/s (target 0.8)")


def slots() -> None:
    with server(latency=0.2, slots=32) as endpoint:
        seconds = timed(endpoint, 4480, 64)
        print(f"32 slots behind a limit of 64: {4480 * 0.2 / 32 / seconds:.3f} of what 32 allow (target 0.9)")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", default="zero,latency,faults,slots")
    for name in options.parse_args().only.split(","):
        {"zero": zero, "latency": latency, "faults": faults, "slots": slots}[name]()


if __name__ == "__main__":
    main()
