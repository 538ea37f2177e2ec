"""How many secrets redaction finds, how often it is wrong, and how fast it is; beside detect-secrets on the same text.

benchmarks/redaction.py                       planted secrets and decoys, and speed
benchmarks/redaction.py --samples FOLDER      also false alarms on real rollouts, to be judged by who reads them
"""

from __future__ import annotations

import argparse
import copy
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import corpus
import decoys
import machine
import planted
from planted import Planted

from rollmill.curate.redaction import Redactor, find
from rollmill.rollout import Rollout

SEED = 9001
"""Held out: patterns were tried on seeds 1 to 9 only."""
SPAN = tuple[int, int]
Detector = Callable[[str], list[SPAN]]
"""The places in a text that a detector calls secret."""


def rollmill(text: str) -> list[SPAN]:
    return [(finding.start, finding.end) for finding in find(text)]


def detect_secrets() -> Detector | None:
    """detect-secrets as its command scans a file, with its default plugins and filters; None when not installed."""
    try:
        from detect_secrets.core.scan import scan_file
        from detect_secrets.settings import default_settings
    except ImportError:
        return None
    file = Path(tempfile.mkdtemp()) / "text.txt"

    def spans(text: str) -> list[SPAN]:
        file.write_text(text, encoding="utf-8")
        starts = [0, *(at + 1 for at, letter in enumerate(text) if letter == "\n")]
        with default_settings():
            secrets = list(scan_file(str(file)))
        return [_span(text, starts[secret.line_number - 1], secret.secret_value or "") for secret in secrets]

    return spans


def _span(text: str, line: int, value: str) -> SPAN:
    begin = max(text.find(value, line), line)
    return begin, begin + max(len(value), 1)


# Recall and precision


class Score:
    """What a detector did with planted secrets and decoys, by kind."""

    def __init__(self, detector: Detector, secrets: list[Planted], decoys: list[Planted]) -> None:
        self.kinds, self.found = Counter(each.kind for each in secrets), Counter[str]()
        self.decoys, self.alarms = Counter(each.kind for each in decoys), Counter[str]()
        self.right = self.wrong = 0
        for each in secrets:
            self._secret(each, detector(each.text))
        for each in decoys:
            spans = detector(each.text)
            self.alarms[each.kind] += bool(spans)
            self.wrong += len(spans)

    def _secret(self, each: Planted, spans: list[SPAN]) -> None:
        places = list(_places(each))
        right = [span for span in spans if any(span[0] < end and start < span[1] for start, end in places)]
        self.found[each.kind] += bool(right)
        self.right += len(right)
        self.wrong += len(spans) - len(right)

    @property
    def recall(self) -> float:
        return self.found.total() / self.kinds.total()

    @property
    def precision(self) -> float:
        return self.right / max(1, self.right + self.wrong)


def _places(each: Planted) -> Iterator[SPAN]:
    """Where the secret stands; a key's text stands for its whole armour."""
    if each.kind.startswith(("private key", "gcp")):
        yield 0, len(each.text)
    elif (at := each.text.find(each.secret)) >= 0:
        yield at, at + len(each.secret)


def survivors(secrets: list[Planted]) -> list[Planted]:
    """Planted secrets that can still be read after redaction."""
    return [each for each in secrets if each.secret in Redactor().text(each.text)]


def report_scores(seed: int, each: int) -> None:
    secrets, harmless = planted.secrets(seed, each), decoys.decoys(seed)
    ours, theirs = Score(rollmill, secrets, harmless), None
    if detector := detect_secrets():
        theirs = Score(detector, secrets, harmless)
    print(f"seed {seed}: {len(secrets)} planted secrets of {len(ours.kinds)} kinds, {len(harmless)} decoys\n")
    print(f"{'planted':28} {'':>5} {'rollmill':>9} {'detect-secrets':>15}")
    for kind, count in ours.kinds.items():
        print(f"{kind:28} {count:5} {ours.found[kind] / count:9.2f} {_share(theirs and theirs.found[kind], count):>15}")
    print(f"\n{'decoys with an alarm':28}")
    for kind, count in ours.decoys.items():
        print(f"{kind:28} {count:5} {ours.alarms[kind]:9} {theirs.alarms[kind] if theirs else '-':>15}")
    left = survivors(secrets)
    print(f"\n{'recall':34} {ours.recall:9.4f} {f'{theirs.recall:.4f}' if theirs else '-':>15}   [≥ 0.98]")
    print(f"{'precision':34} {ours.precision:9.4f} {f'{theirs.precision:.4f}' if theirs else '-':>15}   [≥ 0.98]")
    print(f"{'still readable after redaction':34} {len(left):9}")
    for each_left in left:
        print(f"  {each_left.kind}: {each_left.text[:100]!r}")


def _share(found: int | None, count: int) -> str:
    return "-" if found is None else f"{found / count:.2f}"


# Speed


def report_speed(corpora: Path, megabytes: float, rounds: int) -> None:
    """By CPU time of this one process: the best of the rounds, for other programs can only make it slower. Beside it
    what it would be on the machine of the targets."""
    import rollmill as package

    print(f"\n{'speed, MB of text a second and core':42}")
    for kind, name in {"claude": "claude_code", "codex": "codex"}.items():
        folder = corpora / f"redaction-{kind}-{megabytes:g}"
        corpus.make(kind, folder, files=max(2, int(megabytes / 4)), megabytes=megabytes, seed=1)
        rollouts = list(package.read(folder, name))
        texts = [text for rollout in rollouts for text in texts_of(rollout)]
        nothing = [text for text in texts if not find(text)]
        sides = {
            "whole rollouts": (texts, lambda r=rollouts: _redact_rollouts(r)),
            "their texts one by one": (texts, lambda t=texts: _redact_texts(t)),
            "the texts that hold nothing": (nothing, lambda t=nothing: _redact_texts(t)),
        }
        floors = [machine.floor(folder)]
        for side, (over, run) in sides.items():
            speed = _speed(over, run, rounds)
            floors.append(machine.floor(folder))
            there = speed / machine.share(kind, floors, "cpu")
            print(f"{kind}: {side:34} {speed:9.0f}   there {there:5.0f}   [≥ 60]", flush=True)
        print(f"{kind}: this machine to that of the targets {machine.share(kind, floors, 'cpu'):.2f}")
        _report_other_speed(kind, texts)


def _report_other_speed(kind: str, texts: list[str]) -> None:
    if detector := detect_secrets():
        some = texts[: max(1, len(texts) * 1_000_000 // max(1, sum(map(len, texts))))]
        speed = _speed(some, lambda: list(map(detector, some)), 1)
        print(f"{kind}: {'detect-secrets, text by text':34} {speed:9.2f}")


def _speed(texts: list[str], run: Callable[[], float | object], rounds: int) -> float:
    spent = []
    for _ in range(rounds):
        begin = time.process_time()
        told = run()
        spent.append(told if isinstance(told, float) else time.process_time() - begin)
    return sum(len(text.encode()) for text in texts) / 1e6 / min(spent)


def _redact_rollouts(rollouts: list[Rollout]) -> float:
    copies = copy.deepcopy(rollouts)
    redactor = Redactor()
    begin = time.process_time()
    for rollout in copies:
        redactor.rollout(rollout)
    return time.process_time() - begin


def _redact_texts(texts: list[str]) -> None:
    redactor = Redactor()
    for text in texts:
        redactor.text(text)


def texts_of(rollout: Rollout) -> Iterator[str]:
    """What people, models and tools say in a rollout."""
    for message in rollout.messages:
        yield from (block.text for block in message.content if block.text)
        if message.reasoning_content:
            yield message.reasoning_content
        yield from (call.function.arguments for call in message.tool_calls)


# False alarms on real rollouts


def report_samples(folder: Path) -> None:
    """What is found in real files, by kind and per MB. Nobody but a reader can say what of it is false."""
    found, secrets = Counter[str](), Counter[tuple[str, str, str]]()
    size = 0
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in (".jsonl", ".json", ".md", ".traj", ".yaml", ".txt"):
            text = path.read_text(encoding="utf-8", errors="replace")
            size += len(text)
            for each in find(text):
                found[each.kind] += 1
                shown = (
                    text[max(0, each.start - 40) : each.start] + "[" + each.kind + "]" + text[each.end : each.end + 15]
                )
                secrets[each.kind, each.secret, repr(shown) if not secrets[each.kind, each.secret, ""] else ""] += 1
    print(f"\n{folder}: {size / 1e6:.1f} MB")
    for kind, count in found.most_common():
        distinct = {secret for of, secret, _ in secrets if of == kind}
        print(f"  {kind:20} {count:6} places, {len(distinct):4} distinct, {count / size * 1e6:8.2f} places a MB")
    for kind, _, shown in secrets:
        if shown and kind not in ("home_user", "email"):
            print(f"    {kind}: {shown}")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seed", type=int, default=SEED)
    arguments.add_argument("--each", type=int, default=14, help="planted secrets of each kind (default 14)")
    arguments.add_argument(
        "--mb", type=float, default=40, help="size of each corpus for the speed; 0: do not measure it"
    )
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--corpora", type=Path, default=Path(__file__).parent.parent / "bench-corpus")
    arguments.add_argument("--samples", type=Path, help="a folder of real rollouts")
    given = arguments.parse_args()
    report_scores(given.seed, given.each)
    if given.mb:
        report_speed(given.corpora.resolve(), given.mb, given.rounds)
    if given.samples:
        report_samples(given.samples)


if __name__ == "__main__":
    main()
