"""The journal: durable, quick, asked once, private, and what it says and saves when its file is damaged."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from rollmill.errors import ConfigError
from rollmill.models import ModelConfig, ModelError, ModelProvider, Reply, Request, Usage, open_model
from rollmill.models import journal as journal_module
from rollmill.models.journal import Journal, Journaled, JournalError
from rollmill.models.known import KnownKeys
from rollmill.models.recovery import Recovered, connected
from tests.models.asking import each, request, within
from tests.models.server import ModelServer, prompt_of

REPLY = Reply("4", "stop", Usage(input_tokens=9, output_tokens=5), reasoning="2 + 2", model="toy", seconds=0.5)


def key(number: int) -> str:
    return request(f"row {number}").key()


def fill(path: Path, count: int, text: str = "x" * 500) -> None:
    async def run() -> None:
        async with Journal(path) as journal:
            replies = (Reply(f"{number} {text}", "stop", Usage()) for number in range(count))
            await asyncio.gather(*(journal.put(key(number), reply) for number, reply in enumerate(replies)))

    within(run())


def kept(path: Path, count: int) -> list[int]:
    """The numbers whose replies the journal has, each checked to be the one that was put in."""

    async def run() -> list[int]:
        async with Journal(path) as journal:
            found = [await journal.get(key(number)) for number in range(count)]
        assert all(reply is None or reply.text.startswith(f"{number} ") for number, reply in enumerate(found))
        return [number for number, reply in enumerate(found) if reply is not None]

    return within(run())  # type: ignore[no-any-return]


def test_a_reply_comes_back_as_it_was(tmp_path: Path) -> None:
    async def run() -> None:
        async with Journal(tmp_path / "replies.sqlite") as journal:
            assert await journal.get(key(1)) is None and key(1) not in journal
            await journal.put(key(1), REPLY, "digest", "toy")
            assert key(1) in journal and len(journal) == 1
            first = await journal.get(key(1))
        async with Journal(tmp_path / "replies.sqlite") as journal:
            again = await journal.get(key(1))
        assert first == again and again is not None
        assert again.from_journal and again.usage == REPLY.usage and again.reasoning == "2 + 2"

    within(run())


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "replies.sqlite"
    old = os.umask(0)
    try:
        journal = Journal(path)
        within(journal.put(key(1), REPLY))
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir() if file.is_file()}
        journal.close_now()
    finally:
        os.umask(old)
    assert set(modes.values()) == {0o600} and len(modes) >= 2, modes


def test_neither_requests_nor_keys_are_in_it(tmp_path: Path) -> None:
    async def run(server: ModelServer) -> None:
        lab = ModelProvider(name="lab", endpoint=server.endpoint, api_key="sk-very-secret-0123456789")
        async with Journal(tmp_path / "replies.sqlite") as journal:
            model = open_model(ModelConfig(alias="a", model="toy"), lab, journal)
            await model.complete(request("the prompt nobody needs twice", column="digest"))
            await model.close()

    with ModelServer("the reply", key="sk-very-secret-0123456789") as server:
        within(run(server))
    written = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    assert b"the reply" in written and b"digest" in written
    assert b"nobody needs" not in written and b"very-secret" not in written


class Counting:
    """A model that counts, and answers when it may."""

    def __init__(self) -> None:
        self.asked = 0
        self.error: BaseException | None = None
        self.may = asyncio.Event()

    async def complete(self, request: Request) -> Reply:
        self.asked += 1
        await self.may.wait()
        if self.error:
            raise self.error
        return Reply("4", "stop", Usage())

    async def close(self) -> None:
        """Nothing to close."""


class TestAskedOnce:
    def run(self, path: Path, work: Any) -> Any:
        async def run() -> Any:
            async with Journal(path / "replies.sqlite") as journal:
                model = Counting()
                return await work(Journaled(model, journal), model)

        return within(run())

    def test_identical_requests_in_flight(self, tmp_path: Path) -> None:
        async def work(journaled: Journaled, model: Counting) -> None:
            other = Journaled(model, journaled.journal)  # the same model under another alias
            tasks = [asyncio.create_task(one.complete(request())) for one in (journaled, other, journaled)]
            await asyncio.sleep(0.01)
            model.may.set()
            replies = await asyncio.gather(*tasks)
            assert model.asked == 1 and [each.from_journal for each in replies] == [False, True, True]
            assert (await journaled.complete(request())).from_journal and model.asked == 1

        self.run(tmp_path, work)

    def test_when_the_asking_one_is_cancelled_another_asks(self, tmp_path: Path) -> None:
        async def work(journaled: Journaled, model: Counting) -> None:
            tasks = [asyncio.create_task(journaled.complete(request())) for _ in range(3)]
            await asyncio.sleep(0.01)
            tasks[0].cancel()
            await asyncio.sleep(0.01)
            model.may.set()
            assert [(await task).text for task in tasks[1:]] == ["4", "4"] and model.asked == 2

        self.run(tmp_path, work)

    def test_cancelling_one_that_waits_disturbs_nobody(self, tmp_path: Path) -> None:
        async def work(journaled: Journaled, model: Counting) -> None:
            tasks = [asyncio.create_task(journaled.complete(request())) for _ in range(3)]
            await asyncio.sleep(0.01)
            tasks[1].cancel()
            await asyncio.sleep(0.01)
            model.may.set()
            assert (await tasks[0]).text == (await tasks[2]).text == "4" and model.asked == 1

        self.run(tmp_path, work)

    def test_an_error_is_for_all_and_is_not_kept(self, tmp_path: Path) -> None:
        async def work(journaled: Journaled, model: Counting) -> None:
            model.error = ModelError("bad_request", "no")
            model.may.set()
            found = await each(journaled, [request()] * 3)
            assert [one.kind for one in found] == ["bad_request"] * 3  # type: ignore[union-attr]
            model.error = None
            assert (await journaled.complete(request())).text == "4"

        self.run(tmp_path, work)

    def test_a_reply_that_came_is_kept_though_its_row_was_cancelled(self, tmp_path: Path) -> None:
        async def work(journaled: Journaled, model: Counting) -> None:
            model.may.set()
            task = asyncio.create_task(journaled.complete(request()))
            while not journaled.journal._queue.qsize() and len(journaled.journal) == 0:
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])

        self.run(tmp_path, work)
        journal = Journal(tmp_path / "replies.sqlite")
        assert request().key() in journal
        journal.close_now()


def test_a_request_whose_reply_was_kept_is_told_before_it_is_read(tmp_path: Path) -> None:
    """Calls that fail meanwhile would else be taken for the first ones, and stop the run."""

    class Slow(Journal):
        async def get(self, key: str) -> Reply | None:
            assert told == [asked]
            return await super().get(key)

    told: list[Request] = []
    asked = request("row 1")

    async def run() -> Reply:
        async with Slow(tmp_path / "replies.sqlite") as journal:
            await journal.put(key(1), REPLY)
            return await Journaled(Counting(), journal, told.append).complete(asked)

    assert within(run()).from_journal


def test_writing_does_not_block_the_event_loop(tmp_path: Path) -> None:
    async def run() -> float:
        worst, running = 0.0, True

        async def beat() -> None:
            nonlocal worst
            while running:
                before = time.perf_counter()
                await asyncio.sleep(0.001)
                worst = max(worst, time.perf_counter() - before)

        async with Journal(tmp_path / "replies.sqlite") as journal:
            beating = asyncio.create_task(beat())
            reply = Reply("x" * 20_000, "stop", Usage())
            for start in range(0, 2000, 200):
                await asyncio.gather(*(journal.put(key(number), reply) for number in range(start, start + 200)))
            running = False
            await beating
        return worst

    assert within(run()) < 0.5, "forty megabytes, synced to the disk, in between"


class TestDamaged:
    def test_a_file_that_is_no_journal_is_kept_aside(self, tmp_path: Path) -> None:
        path = tmp_path / "replies.sqlite"
        path.write_bytes(b"something else altogether, and longer than a header of a hundred bytes is" * 9)
        journal = Journal(path)
        assert journal.recovered is not None and journal.recovered.replies == 0
        assert journal.recovered.aside.read_bytes().startswith(b"something else")
        assert str(journal.recovered.aside) in journal.recovered.text
        journal.close_now()

    def test_a_truncated_file_keeps_what_is_left(self, tmp_path: Path) -> None:
        path = tmp_path / "replies.sqlite"
        fill(path, 1000)
        os.truncate(path, path.stat().st_size // 2)
        found = kept(path, 1000)
        assert 200 < len(found) < 1000
        assert len(list(tmp_path.glob("*.damaged-*"))) == 1
        assert kept(path, 1000) == found, "recovered once, sound from then on"

    @pytest.mark.parametrize("seed", range(5))
    def test_a_page_of_rubbish_costs_little(self, tmp_path: Path, seed: int) -> None:
        path, drawn = tmp_path / "replies.sqlite", random.Random(seed)
        fill(path, 1000)
        pages = path.stat().st_size // 4096
        with path.open("r+b") as file:
            file.seek(4096 * drawn.randrange(2, pages))
            file.write(drawn.randbytes(4096))
        assert len(kept(path, 1000)) >= 800

    def test_what_was_damaged_is_told_in_one_line(self) -> None:
        found = Recovered(Path("aside"), 3, "*** in database main ***\nPage 5: btreeInitPage() returns error code 11")
        assert "(Page 5: btreeInitPage() returns error code 11): 3 replies" in found.text and "\n" not in found.text

    def test_a_flipped_bit_in_a_reply_is_not_taken_for_one(self, tmp_path: Path) -> None:
        path = tmp_path / "replies.sqlite"
        fill(path, 50)
        raw = path.read_bytes()
        place = raw.index(b"17 xxx") + 50
        path.write_bytes(raw[:place] + b"y" + raw[place + 1 :])
        assert kept(path, 50) == [number for number in range(50) if number != 17]

    def test_a_newer_version_is_refused_and_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "replies.sqlite"
        fill(path, 1)
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA user_version = 9")
        connection.close()
        with pytest.raises(ConfigError, match="version 9"):
            Journal(path)
        assert [file.name for file in tmp_path.glob("*damaged*")] == []

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(JournalError, match="No such file"):
            Journal(tmp_path / "gone" / "replies.sqlite")


def test_a_full_disk_is_said_and_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's own limit on pages stands for the disk: the same error from the same place."""

    def small(path: Path) -> sqlite3.Connection:
        connection = connected(path)
        connection.execute("PRAGMA max_page_count = 20")
        return connection

    monkeypatch.setattr(journal_module, "connected", small)

    async def run(server: ModelServer) -> list[Any]:
        path = tmp_path / "replies.sqlite"
        async with Journal(path) as journal:
            model = open_model(
                ModelConfig(alias="a", model="toy"), ModelProvider(name="x", endpoint=server.endpoint), journal
            )
            found = [await asyncio.gather(model.complete(request(f"{n}")), return_exceptions=True) for n in range(40)]
            await model.close()
        return [one for [one] in found]

    with ModelServer("x" * 2000) as server:
        found = within(run(server))
    errors = [one for one in found if isinstance(one, ModelError)]
    assert errors and {(one.kind, one.fatal) for one in errors} == {("journal", True)}
    assert "full" in errors[0].text and "free some space" in errors[0].text
    journal = Journal(tmp_path / "replies.sqlite")
    assert len(journal) == sum(isinstance(one, Reply) for one in found) > 0
    journal.close_now()


WRITER = """
import asyncio, sys
from rollmill.models import Reply, Request, Usage
from rollmill.models.journal import Journal
from tests.models.test_journal import key

async def one(journal, number):
    await journal.put(key(number), Reply(f"{number} " + "x" * 500, "stop", Usage()))
    print(number, flush=True)

async def run():
    journal = Journal(sys.argv[1])
    first = len(journal)
    for start in range(first, 100_000, 16):
        await asyncio.gather(*(one(journal, number) for number in range(start, start + 16)))

asyncio.run(run())
"""


def test_what_was_put_outlives_a_kill(tmp_path: Path) -> None:
    """Ten processes write to one journal, each is killed at a random moment."""
    path, drawn, said = tmp_path / "replies.sqlite", random.Random(7), set[int]()
    for _ in range(10):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        said.add(int(process.stdout.readline()))
        time.sleep(drawn.uniform(0.0, 0.15))
        process.send_signal(signal.SIGKILL)
        said |= {int(line) for line in process.stdout.read().split("\n")[:-1]}
        process.wait()
        process.stdout.close()
    assert len(said) > 100
    assert said <= set(kept(path, max(said) + 1))
    assert not list(tmp_path.glob("*damaged*"))


@pytest.mark.skipif(os.name != "posix", reason="the limit is the system's")
def test_a_limit_on_the_size_of_files_is_said(tmp_path: Path) -> None:
    limited = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (1 << 18, 1 << 18))\n" + WRITER
    command = [sys.executable, "-c", limited, str(tmp_path / "replies.sqlite")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "is there a limit on the size of files?" in ended.stderr


def test_known_keys_are_found_wherever_they_are() -> None:
    drawn = random.Random(0)
    old, new, other = ([drawn.randbytes(32) for _ in range(count)] for count in (5000, 40_000, 5000))
    known = KnownKeys(old)
    for start in range(0, len(new), 700):
        known.add(new[start : start + 700])
    assert len(known) == 45_000
    assert all(each in known for each in [*old, *new]) and not any(each in known for each in other)


def test_a_second_run_asks_only_what_is_new(tmp_path: Path) -> None:
    async def run(server: ModelServer, count: int) -> None:
        async with Journal(tmp_path / "replies.sqlite") as journal:
            model = open_model(
                ModelConfig(alias="a", model="toy"), ModelProvider(name="x", endpoint=server.endpoint), journal
            )
            found = await each(model, [request(f"row {number}") for number in range(count)])
            assert [one.text for one in found] == [f"row {number}" for number in range(count)]
            await model.close()

    with ModelServer(prompt_of) as server:
        within(run(server, 50))
        within(run(server, 60))
    assert len(server.requests) == 60 and set(server.counts.values()) == {1}
