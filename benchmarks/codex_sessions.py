"""Codex rollouts, made up: what the model saw as response items, most of it said again by events.

Every model call ends in a token count whose total grows, and the next call opens with a repeat of the old total.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from words import ciphertext, length_between, new_id, new_uuid, one_line, text

Record = dict[str, Any]

_CALLS = ("exec_command", "exec_command", "exec_command", "shell_command", "write_stdin", "update_plan")


@cache
def instructions() -> str:
    """The system prompt, the same in every file."""
    return text(random.Random("instructions"), 13_000, 13_001)


@dataclass
class Thread:
    """One rollout while it is written: the clock, and the tokens so far."""

    rng: random.Random
    thread_id: str
    started: datetime
    cwd: str

    def __post_init__(self) -> None:
        self.time = self.started
        self.total = dict.fromkeys(
            ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_output_tokens", "total_tokens"), 0
        )
        self.last = dict(self.total)
        self.seen: list[Record] = []
        self.agents_file = text(self.rng, 300, 5000)

    def records(self) -> Iterator[Record]:
        """Turn after turn, without end: the caller stops when the file is large enough."""
        yield from self._head()
        while True:
            if self.total["input_tokens"] and self.rng.random() < 0.05:
                yield from self._compaction()
            yield from self._turn(min(1 + int(self.rng.expovariate(1 / 14)), 300))

    def _head(self) -> Iterator[Record]:
        git = {
            "commit_hash": f"{self.rng.getrandbits(160):040x}",
            "branch": "main",
            "repository_url": "git@example.com:acme/project.git",
        }
        yield self._line(
            "session_meta",
            {
                "id": self.thread_id,
                "timestamp": _stamp(self.started),
                "cwd": self.cwd,
                "originator": "codex_cli_rs",
                "cli_version": f"0.{self.rng.randrange(60, 120)}.0",
                "source": "cli",
                "model_provider": "openai",
                "base_instructions": {"text": instructions()},
                "git": git,
            },
        )
        yield self._message(
            "developer", "<permissions instructions>" + one_line(self.rng, 1500, 3000) + "</permissions instructions>"
        )
        yield self._message(
            "user", f"# AGENTS.md instructions for {self.cwd}\n\n<INSTRUCTIONS>\n{self.agents_file}\n</INSTRUCTIONS>"
        )
        yield self._message(
            "user", f"<environment_context>\n  <cwd>{self.cwd}</cwd>\n  <shell>zsh</shell>\n</environment_context>"
        )

    def _turn(self, calls: int) -> Iterator[Record]:
        turn_id, prompt = new_uuid(self.rng), text(self.rng, 30, 3000)
        yield self._event("task_started", turn_id=turn_id, model_context_window=258_400)
        yield self._message("user", prompt)
        yield self._event("user_message", message=prompt, images=[], local_images=[], text_elements=[])
        yield self._context(turn_id)
        for _ in range(calls):
            yield from self._model_call()
            if self.rng.random() < 0.15:
                yield self._context(turn_id)
        fate = self.rng.random()
        if fate < 0.03:
            yield self._message("user", "<turn_aborted>\nThe user interrupted the previous turn.\n</turn_aborted>")
            yield self._event("turn_aborted", turn_id=turn_id, reason="interrupted")
            return
        closing = text(self.rng, 100, 3000)
        yield self._event("agent_message", message=closing, phase="final_answer")
        yield self._message("assistant", closing, phase="final_answer")
        yield self._token_count(grown=True)
        yield self._event("task_complete", turn_id=turn_id, last_agent_message=closing)
        if fate > 0.98:
            yield self._event("thread_rolled_back", num_turns=1)

    def _context(self, turn_id: str) -> Record:
        return self._line(
            "turn_context",
            {
                "turn_id": turn_id,
                "cwd": self.cwd,
                "approval_policy": "on-request",
                "sandbox_policy": {"type": "workspace-write", "network_access": False},
                "model": "gpt-5.3-codex",
                "personality": "pragmatic",
                "collaboration_mode": {
                    "mode": "default",
                    "settings": {"model": "gpt-5.3-codex", "reasoning_effort": "high", "developer_instructions": None},
                },
                "effort": "high",
                "summary": "auto",
                "user_instructions": self.agents_file,
                "truncation_policy": {"mode": "tokens", "limit": 10_000},
            },
        )

    # One model call: reasoning, text, calls; its tokens; then what the calls gave.

    def _model_call(self) -> Iterator[Record]:
        yield self._token_count(grown=False)
        if self.rng.random() < 0.6:
            yield from self._reasoning()
        if self.rng.random() < 0.3:
            said = text(self.rng, 40, 800)
            yield self._event("agent_message", message=said, phase="commentary")
            yield self._message("assistant", said, phase="commentary")
        outputs = []
        for _ in range(1 if self.rng.random() < 0.75 else self.rng.randint(2, 5)):
            call, output = self._patch() if self.rng.random() < 0.15 else self._command()
            yield self._item(call)
            outputs.append(output)
        yield self._token_count(grown=True)
        for output in outputs:
            yield self._item(output)

    def _reasoning(self) -> Iterator[Record]:
        said = "**" + one_line(self.rng, 15, 60) + "**\n\n" + text(self.rng, 40, 600)
        yield self._event("agent_reasoning", text=said)
        yield self._item(
            {
                "type": "reasoning",
                "summary": [{"type": "summary_text", "text": said}],
                "content": None,
                "encrypted_content": ciphertext(self.rng, 500, 5000),
            }
        )

    def _command(self) -> tuple[Record, Record]:
        call_id, shown = new_id(self.rng, "call_"), text(self.rng, 60, 20_000)
        arguments = {
            "cmd": text(self.rng, 20, 1200),
            "workdir": self.cwd,
            "yield_time_ms": 10_000,
            "max_output_tokens": 6000,
        }
        head = (
            f"Chunk ID: {self.rng.getrandbits(24):06x}\nWall time: {self.rng.random():.4f} seconds\n"
            f"Process exited with code 0\nOriginal token count: {len(shown) // 4}\nOutput:\n"
        )
        call = {
            "type": "function_call",
            "name": self.rng.choice(_CALLS),
            "arguments": json.dumps(arguments),
            "call_id": call_id,
        }
        return call, {"type": "function_call_output", "call_id": call_id, "output": head + shown}

    def _patch(self) -> tuple[Record, Record]:
        call_id = new_id(self.rng, "call_")
        patch = f"*** Begin Patch\n*** Update File: src/x.py\n{text(self.rng, 100, 8000)}\n*** End Patch"
        text_of_it = "Success. Updated the following files:\nM src/x.py\n"
        output = json.dumps({"output": text_of_it, "metadata": {"exit_code": 0, "duration_seconds": 0.0}})
        call = {
            "type": "custom_tool_call",
            "status": "completed",
            "call_id": call_id,
            "name": "apply_patch",
            "input": patch,
        }
        return call, {"type": "custom_tool_call_output", "call_id": call_id, "output": output}

    def _compaction(self) -> Iterator[Record]:
        kept = [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text(self.rng, 100, 2000)}]}
            for _ in range(6)
        ]
        sealed = {"type": "compaction", "encrypted_content": ciphertext(self.rng, 4000, 12_000)}
        yield self._line("compacted", {"message": "", "replacement_history": [*kept, sealed]})
        yield self._event("context_compacted")

    # Records.

    def _token_count(self, *, grown: bool) -> Record:
        if grown:
            tokens_in, tokens_out = self.rng.randrange(9000, 200_000), self.rng.randrange(20, 3000)
            self.last = {
                "input_tokens": tokens_in,
                "cached_input_tokens": tokens_in // 2,
                "output_tokens": tokens_out,
                "reasoning_output_tokens": tokens_out // 3,
                "total_tokens": tokens_in + tokens_out,
            }
            self.total = {name: self.total[name] + value for name, value in self.last.items()}
        limits = {
            "limit_id": "codex",
            "limit_name": None,
            "primary": {"used_percent": 17.0, "window_minutes": 300, "resets_at": 1_772_413_480},
            "secondary": {"used_percent": 6.0, "window_minutes": 10_080, "resets_at": 1_772_694_737},
            "credits": {"has_credits": False, "unlimited": False, "balance": None},
            "plan_type": None,
        }
        info = {"total_token_usage": self.total, "last_token_usage": self.last, "model_context_window": 258_400}
        return self._event("token_count", info=info if self.total["total_tokens"] else None, rate_limits=limits)

    def _message(self, role: str, said: str, **more: Any) -> Record:
        kind = "output_text" if role == "assistant" else "input_text"
        return self._item({"type": "message", "role": role, "content": [{"type": kind, "text": said}], **more})

    def _item(self, payload: Record) -> Record:
        return self._line("response_item", payload)

    def _event(self, kind: str, **payload: Any) -> Record:
        return self._line("event_msg", {"type": kind, **payload})

    def _line(self, kind: str, payload: Record) -> Record:
        self.time += timedelta(milliseconds=length_between(self.rng, 1, 9000))
        return {"timestamp": _stamp(self.time), "type": kind, "payload": payload}


def _stamp(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03d}Z"


def new_thread(rng: random.Random) -> Thread:
    """A thread with a time-ordered id, as Codex gives them."""
    started = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=rng.randrange(20_000_000))
    number = (
        (int(started.timestamp() * 1000) << 80)
        | (0x7 << 76)
        | (rng.getrandbits(12) << 64)
        | (0b10 << 62)
        | rng.getrandbits(62)
    )
    digits = f"{number:032x}"
    thread_id = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    return Thread(rng, thread_id, started, f"/home/dev/src/project-{rng.randrange(200)}")


def image_records(thread: Thread, images: list[str]) -> Iterator[Record]:
    """A thread that shows the same few images again and again, as prompts, as tool outputs, and whole histories of
    them at every compaction."""
    records = thread.records()
    for turn in range(10**9):
        yield from (next(records) for _ in range(100))
        shown = [_image(url) for url in thread.rng.choices(images, k=thread.rng.randint(1, 3))]
        yield thread._item(
            {
                "type": "message",
                "role": "user",
                "content": [*shown, {"type": "input_text", "text": text(thread.rng, 30, 500)}],
            }
        )
        call_id = new_id(thread.rng, "call_")
        yield thread._item(
            {"type": "function_call", "name": "view_image", "arguments": '{"path":"a.png"}', "call_id": call_id}
        )
        yield thread._item(
            {"type": "function_call_output", "call_id": call_id, "output": [_image(thread.rng.choice(images))]}
        )
        if turn % 6 == 5:
            history = [
                {"type": "message", "role": "user", "content": [_image(url)]}
                for url in thread.rng.choices(images, k=12)
            ]
            yield thread._line("compacted", {"message": "", "replacement_history": history})


def _image(url: str) -> Record:
    return {"type": "input_image", "image_url": url, "detail": "auto"}
