"""Claude Code transcripts, made up: the record kinds, sizes and tangles of real ones, and none of their text.

A model message is several lines with one ``message.id``; parallel calls are answered between those lines; progress
lines hang in the tree; a compaction starts a new root; a rewind leaves an abandoned branch behind.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from words import ciphertext, length_between, new_id, new_uuid, one_line, text

Record = dict[str, Any]

_TOOLS = {"Bash": 36, "Read": 24, "Edit": 18, "Grep": 9, "Write": 6, "TodoWrite": 5, "WebFetch": 2}
_MODELS = ("claude-opus-4-6", "claude-sonnet-4-6", "claude-haiku-4-5-20251001")
_PARALLEL, _REWIND, _COMPACTION = 0.18, 0.03, 0.05


@dataclass
class SubAgent:
    """A sub-agent that a session starts: its id, and the call that started it once the session has made it."""

    agent_id: str
    tool_use_id: str


@dataclass
class Session:
    """One transcript while it is written: the clock, and the record that the next one hangs under."""

    rng: random.Random
    session_id: str
    cwd: str
    agent_id: str | None = None
    to_start: list[SubAgent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.parent: str | None = None
        self.time = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.rng.randrange(20_000_000))
        self.model = self.rng.choice(_MODELS)
        self.version = f"2.1.{self.rng.randrange(10, 120)}"
        self.branch = self.rng.choice(("main", "main", "fix/" + one_line(self.rng, 8, 20).split()[0]))
        self.slug = "-".join(one_line(self.rng, 40, 80).lower().split()[:3])

    def records(self) -> Iterator[Record]:
        """Turn after turn, without end: the caller stops when the file is large enough."""
        if self.agent_id is None:
            yield {"type": "permission-mode", "permissionMode": "default", "sessionId": self.session_id}
        while True:
            if self.parent and self.rng.random() < _REWIND:
                yield from self._abandoned_turn()
            if self.parent and self.rng.random() < _COMPACTION:
                yield from self._compaction()
            yield from self._turn(min(1 + int(self.rng.expovariate(1 / 18)), 400))

    # One turn: a prompt, then calls until the model is done.

    def _turn(self, calls: int) -> Iterator[Record]:
        yield self._prompt()
        if self.agent_id is None and self.rng.random() < 0.8:
            yield self._snapshot()
        for _ in range(calls):
            yield from self._model_message()
        yield self._assistant({"type": "text", "text": text(self.rng, 100, 3000)}, *self._message_ids(), "end_turn")
        if self.rng.random() < 0.3:
            yield self._in_tree("system", subtype="turn_duration", durationMs=self.rng.randrange(600_000), isMeta=False)

    def _abandoned_turn(self) -> Iterator[Record]:
        """A turn that the user rewinds: what comes next hangs where this one hung."""
        before = self.parent
        yield from self._turn(2)
        self.parent = before

    def _compaction(self) -> Iterator[Record]:
        last, self.parent = self.parent, None
        details = {"trigger": "auto", "preTokens": self.rng.randrange(100_000, 190_000)}
        yield self._in_tree(
            "system",
            subtype="compact_boundary",
            content="Conversation compacted",
            isMeta=False,
            level="info",
            logicalParentUuid=last,
            compactMetadata=details,
        )
        summary = "This session is being continued from a previous conversation.\n" + text(self.rng, 4000, 16000)
        yield self._user(summary, isCompactSummary=True, isVisibleInTranscriptOnly=True)

    def _prompt(self) -> Record:
        prompt = text(self.rng, 30, 3000)
        content = prompt if self.rng.random() < 0.8 else [{"type": "text", "text": prompt}]
        return self._user(content, promptId=new_uuid(self.rng), permissionMode="default")

    def _snapshot(self) -> Record:
        backups = {
            f"src/file_{n}.py": {
                "backupFileName": f"{self.rng.getrandbits(64):016x}@v1",
                "version": 1,
                "backupTime": self._now(),
            }
            for n in range(self.rng.randrange(9))
        }
        snapshot = {"messageId": self.parent, "trackedFileBackups": backups, "timestamp": self._now()}
        return {
            "type": "file-history-snapshot",
            "messageId": self.parent,
            "snapshot": snapshot,
            "isSnapshotUpdate": False,
        }

    # One model message: some of thinking and text, then one call or several in parallel, each block a line.

    def _model_message(self) -> Iterator[Record]:
        ids = self._message_ids()
        if self.rng.random() < 0.3:
            thinking = text(self.rng, 80, 3000) if self.rng.random() < 0.8 else ""
            block = {"type": "thinking", "thinking": thinking, "signature": ciphertext(self.rng, 200, 1800)}
            yield self._assistant(block, *ids)
        if self.rng.random() < 0.45:
            yield self._assistant({"type": "text", "text": text(self.rng, 40, 1200)}, *ids)
        if self.to_start:
            yield from self._sub_agent_call(self.to_start.pop(), ids)
        elif self.rng.random() < _PARALLEL:
            yield from self._parallel_calls(self.rng.randint(2, 4), ids)
        else:
            yield from self._call(ids)

    def _call(self, ids: tuple[str, str]) -> Iterator[Record]:
        tool, call, result, structured = self._tool()
        yield self._assistant(call, *ids, "tool_use")
        caller = self.parent
        if tool == "Bash" and self.rng.random() < 0.6:
            yield from self._bash_progress(call["id"])
        elif self.rng.random() < 0.5:
            yield self._progress(
                {
                    "type": "hook_progress",
                    "hookEvent": "PreToolUse",
                    "hookName": f"PreToolUse:{tool}",
                    "command": "callback",
                },
                call["id"],
            )
        if self.rng.random() < 0.9:
            self.parent = caller  # mostly the result hangs under its call, sometimes under the progress line
        yield self._result(call["id"], result, structured, caller)

    def _parallel_calls(self, count: int, ids: tuple[str, str]) -> Iterator[Record]:
        """Calls chained under each other, their results under their calls; the conversation goes on under the last."""
        answers = []
        for _ in range(count):
            _, call, result, structured = self._tool()
            yield self._assistant(call, *ids, "tool_use")
            answers.append((call["id"], result, structured, self.parent))
            if self.rng.random() < 0.3:  # answered before the next block is written
                chain = self.parent
                yield self._answer(answers.pop())
                self.parent = chain
        for answer in answers:
            yield self._answer(answer)

    def _answer(self, answer: tuple[str, str, Any, str | None]) -> Record:
        self.parent = answer[3]
        return self._result(*answer)

    def _sub_agent_call(self, agent: SubAgent, ids: tuple[str, str]) -> Iterator[Record]:
        prompt, said = text(self.rng, 300, 3000), text(self.rng, 300, 6000)
        call = self._tool_use("Task", {"description": "look around", "prompt": prompt, "subagent_type": "Explore"})
        call["id"] = agent.tool_use_id
        yield self._assistant(call, *ids, "tool_use")
        caller = self.parent
        for _ in range(self.rng.randint(4, 25)):
            inner = {
                "type": "user",
                "message": {"role": "user", "content": [{"type": "text", "text": text(self.rng, 100, 6000)}]},
                "uuid": new_uuid(self.rng),
                "timestamp": self._now(),
            }
            yield self._progress(
                {
                    "message": inner,
                    "normalizedMessages": [],
                    "type": "agent_progress",
                    "prompt": prompt,
                    "agentId": agent.agent_id,
                },
                agent.tool_use_id,
            )
        structured = {
            "status": "completed",
            "prompt": prompt,
            "agentId": agent.agent_id,
            "content": [{"type": "text", "text": said}],
            "totalDurationMs": 91_000,
            "totalTokens": 41_000,
            "totalToolUseCount": 12,
            "usage": self._usage(),
        }
        self.parent = caller
        yield self._result(agent.tool_use_id, [{"type": "text", "text": said}], structured, caller)

    def _bash_progress(self, tool_use_id: str) -> Iterator[Record]:
        whole = ""
        for second in range(2, 2 + self.rng.randint(2, 14)):
            part = text(self.rng, 20, 400)
            whole = (whole + part)[-2000:]
            data = {
                "type": "bash_progress",
                "output": part,
                "fullOutput": whole,
                "elapsedTimeSeconds": second,
                "totalLines": whole.count("\n"),
            }
            yield self._progress(data, tool_use_id)

    # The tools: what is called, what the model sees, and the structured result that stands beside it.

    def _tool(self) -> tuple[str, Record, str, Any]:
        name = self.rng.choices(list(_TOOLS), weights=list(_TOOLS.values()))[0]
        given, result, structured = getattr(self, "_tool_" + name.lower())(
            f"{self.cwd}/src/module_{self.rng.randrange(90)}.py"
        )
        return name, self._tool_use(name, given), result, structured

    def _tool_bash(self, path: str) -> tuple[Record, str, Any]:
        shown = text(self.rng, 40, 20_000)
        given = {"command": text(self.rng, 20, 800), "description": one_line(self.rng, 20, 80)}
        return given, shown, {"stdout": shown, "stderr": "", "interrupted": False, "isImage": False}

    def _tool_read(self, path: str) -> tuple[Record, str, Any]:
        body, first = text(self.rng, 200, 30_000), self.rng.randrange(400)
        shown = "\n".join(f"{first + n:6d}→{line}" for n, line in enumerate(body.split("\n")))
        inner = {
            "filePath": path,
            "content": body,
            "numLines": body.count("\n"),
            "startLine": first,
            "totalLines": 4000,
        }
        return {"file_path": path, "offset": first, "limit": 200}, shown, {"type": "text", "file": inner}

    def _tool_edit(self, path: str) -> tuple[Record, str, Any]:
        old, new = text(self.rng, 40, 1500), text(self.rng, 40, 1500)
        hunk = {
            "oldStart": 10,
            "oldLines": old.count("\n"),
            "newStart": 10,
            "newLines": new.count("\n"),
            "lines": ["-" + line for line in old.split("\n")] + ["+" + line for line in new.split("\n")],
        }
        structured = {
            "filePath": path,
            "oldString": old,
            "newString": new,
            "originalFile": text(self.rng, 2000, 40_000),
            "structuredPatch": [hunk],
            "userModified": False,
            "replaceAll": False,
        }
        given = {"replace_all": False, "file_path": path, "old_string": old, "new_string": new}
        return given, f"The file {path} has been updated.\n" + text(self.rng, 100, 1500), structured

    def _tool_grep(self, path: str) -> tuple[Record, str, Any]:
        shown = text(self.rng, 30, 9000)
        structured = {
            "mode": "content",
            "numFiles": 0,
            "filenames": [],
            "content": shown,
            "numLines": shown.count("\n"),
        }
        return {"pattern": one_line(self.rng, 5, 40), "path": self.cwd, "output_mode": "content"}, shown, structured

    def _tool_write(self, path: str) -> tuple[Record, str, Any]:
        body = text(self.rng, 300, 12_000)
        structured = {"type": "create", "filePath": path, "content": body, "structuredPatch": [], "originalFile": None}
        return {"file_path": path, "content": body}, f"File created successfully at: {path}", structured

    def _tool_todowrite(self, path: str) -> tuple[Record, str, Any]:
        todos = [
            {"content": one_line(self.rng, 30, 80), "status": "pending", "activeForm": one_line(self.rng, 30, 80)}
            for _ in range(self.rng.randint(2, 8))
        ]
        return {"todos": todos}, "Todos have been modified successfully.", {"oldTodos": todos, "newTodos": todos}

    def _tool_webfetch(self, path: str) -> tuple[Record, str, Any]:
        shown = text(self.rng, 200, 8000)
        given = {"url": "https://example.com/docs", "prompt": one_line(self.rng, 40, 200)}
        return (
            given,
            shown,
            {
                "bytes": len(shown) * 3,
                "code": 200,
                "codeText": "OK",
                "result": shown,
                "durationMs": 900,
                "url": given["url"],
            },
        )

    # Records.

    def _tool_use(self, name: str, given: Record) -> Record:
        return {"type": "tool_use", "id": new_id(self.rng, "toolu_01", 22), "name": name, "input": given}

    def _message_ids(self) -> tuple[str, str]:
        return new_id(self.rng, "msg_01", 22), new_id(self.rng, "req_011", 21)

    def _usage(self) -> Record:
        return {
            "input_tokens": self.rng.randrange(2, 4000),
            "cache_creation_input_tokens": self.rng.randrange(9000),
            "cache_read_input_tokens": self.rng.randrange(180_000),
            "output_tokens": self.rng.randrange(1, 3000),
            "cache_creation": {"ephemeral_5m_input_tokens": self.rng.randrange(9000), "ephemeral_1h_input_tokens": 0},
            "service_tier": "standard",
        }

    def _assistant(self, block: Record, message_id: str, request_id: str, stop: str | None = None) -> Record:
        message = {
            "model": self.model,
            "id": message_id,
            "type": "message",
            "role": "assistant",
            "content": [block],
            "stop_reason": stop,
            "stop_sequence": None,
            "usage": self._usage(),
        }
        return self._in_tree("assistant", message=message, requestId=request_id)

    def _user(self, content: Any, **more: Any) -> Record:
        return self._in_tree("user", message={"role": "user", "content": content}, **more)

    def _result(self, tool_use_id: str, shown: Any, structured: Any, caller: str | None) -> Record:
        failed = self.rng.random() < 0.05
        if isinstance(shown, str) and self.rng.random() < 0.15:
            shown = [{"type": "text", "text": shown}]
        block = {"tool_use_id": tool_use_id, "type": "tool_result", "content": shown, "is_error": failed}
        beside = "Error: " + text(self.rng, 40, 2000) if failed else structured
        return self._user([block], toolUseResult=beside, sourceToolAssistantUUID=caller)

    def _progress(self, data: Record, tool_use_id: str) -> Record:
        return self._in_tree(
            "progress", data=data, toolUseID=f"{data['type'].partition('_')[0]}-progress-0", parentToolUseID=tool_use_id
        )

    def _in_tree(self, kind: str, **own: Any) -> Record:
        uuid = new_uuid(self.rng)
        record: Record = {
            "parentUuid": self.parent,
            "isSidechain": self.agent_id is not None,
            "userType": "external",
            "cwd": self.cwd,
            "sessionId": self.session_id,
            "version": self.version,
            "gitBranch": self.branch,
        }
        if self.agent_id:
            record["agentId"] = self.agent_id
        record |= {"slug": self.slug, "type": kind, **own, "uuid": uuid, "timestamp": self._now()}
        self.parent = uuid
        return record

    def _now(self) -> str:
        self.time += timedelta(milliseconds=length_between(self.rng, 20, 30_000))
        return self.time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{self.time.microsecond // 1000:03d}Z"
