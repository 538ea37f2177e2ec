"""Tool schemas and system prompts for logs that have neither: what the user gives, else what the calls show.

Claude Code and Codex write down which tools were called and with what, never which tools there were. So schemas are
taken, in this order, from the row itself, from a catalogue the user gives per agent version, or from all calls of the
data set, and a sample says which (``tools_source``).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Raw

from rollmill.curate.sample import Sample, ToolsSource, Turn
from rollmill.errors import ConfigError
from rollmill.formats import format_names
from rollmill.rollout import Block, Extra, Function, Message, Rollout

NAME = re.compile(r"[A-Za-z0-9_.:/-]{1,128}")
"""Names of tools and arguments that a schema may have; what hostile logs call otherwise is passed over."""
MOST_ARGUMENTS = 100
SUBAGENT = "subagent"
PER_PROJECT = "mcp__"
"""Tools whose names begin so belong to a project's own servers: a row is given those it called, not everyone's."""

_arguments = msgspec.json.Decoder(dict[str, Raw]).decode
_TYPES = {
    ord(first): name
    for first, name in {
        "{": "object",
        "[": "array",
        '"': "string",
        "t": "boolean",
        "f": "boolean",
        "n": "null",
    }.items()
}


@dataclass
class SeenTool:
    """How often a tool was called, and with which arguments of which JSON types how often."""

    calls: int = 0
    arguments: dict[str, int] = field(default_factory=dict)
    types: dict[str, set[str]] = field(default_factory=dict)

    def add(self, arguments: dict[str, Raw]) -> None:
        """Count one call."""
        self.calls += 1
        for name, value in arguments.items():
            if name in self.arguments or (len(self.arguments) < MOST_ARGUMENTS and NAME.fullmatch(name)):
                self.arguments[name] = self.arguments.get(name, 0) + 1
                self.types.setdefault(name, set()).add(_json_type(value))

    def schema(self, name: str) -> dict[str, Any]:
        """The tool as a function schema; an argument is required when every call had it."""
        parameters: dict[str, Any] = {
            "type": "object",
            "properties": {argument: _property(self.types[argument]) for argument in sorted(self.arguments)},
        }
        if required := [argument for argument in sorted(self.arguments) if self.arguments[argument] == self.calls]:
            parameters["required"] = required
        # Some chat templates stop at a tool without a description.
        return {"type": "function", "function": {"name": name, "description": name, "parameters": parameters}}


def _json_type(value: Raw) -> str:
    if (found := _TYPES.get(memoryview(value)[0])) is not None:
        return found
    return "number" if any(mark in bytes(value) for mark in b".eE") else "integer"


def _property(types: set[str]) -> dict[str, Any]:
    types = types - {"integer"} if "number" in types else types
    names = sorted(types)
    found: dict[str, Any] = {"type": names[0] if len(names) == 1 else names}
    # Schemas of arrays without items are refused by some trainers and providers.
    return {**found, "items": {}} if "array" in types else found


class InferredTools:
    """The tools that the calls of a data set show, by agent, version, and whether it is a sub-agent.

    A call that failed shows nothing: its tool, or its arguments, may be the model's invention.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[str, ...], dict[str, SeenTool]] = {}

    def add(self, rollout: Rollout) -> None:
        """Look at the calls of one more row."""
        tools = self._seen.setdefault(_agent(rollout), {})
        waiting: dict[str, Function] = {}
        for message in rollout.messages:
            if message.role == "tool":
                function = waiting.pop(message.tool_call_id or "", None)
                if function is not None and not message.extra.is_error:
                    tools.setdefault(function.name, SeenTool()).add(_decoded(function.arguments))
            for call in message.tool_calls:
                if call.type == "function" and NAME.fullmatch(call.function.name):
                    waiting[call.id] = call.function

    def schemas(self, rollout: Rollout) -> list[dict[str, Any]]:
        """The schemas for a row, in order of their names."""
        mine = {call.function.name for message in rollout.messages for call in message.tool_calls}
        tools = self._seen.get(_agent(rollout), {})
        names = [name for name in sorted(tools) if not name.startswith(PER_PROJECT) or name in mine]
        return [tools[name].schema(name) for name in names]


def _agent(rollout: Rollout) -> tuple[str, ...]:
    """Which agent it is, its version to the second figure, and ``subagent`` for one that another started."""
    about = rollout.source_meta.other.get("agent")
    name = str(about.get("name", "")) if isinstance(about, dict) else ""
    version = ".".join((rollout.source_meta.agent_version or "").split(".")[:2])
    return (rollout.source_kind, name, version, *([SUBAGENT] if rollout.is_sidechain else []))


def _decoded(arguments: str) -> dict[str, Raw]:
    try:
        return _arguments(arguments)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return {}


@dataclass(frozen=True)
class Catalogue:
    """Something for each agent version: ``{"claude_code": {"2.1": …, "*": …}}``; the longest version that fits wins.

    Sub-agents have other prompts and tools than the agent that starts them, so they have entries of their own,
    ``"claude_code/subagent"``.
    """

    path: Path
    entries: dict[str, dict[str, Any]]

    def redacted(self, clean: Callable[[Any], Any]) -> Catalogue:
        """The same catalogue with what it gives passed through ``clean``."""
        return Catalogue(self.path, {kind: {v: clean(each[v]) for v in each} for kind, each in self.entries.items()})

    def find(self, rollout: Rollout) -> Any | None:
        """What the catalogue has for the agent of that row; None when it has nothing."""
        suffix = f"/{SUBAGENT}" if rollout.is_sidechain else ""
        versions = {**self.entries.get(f"*{suffix}", {}), **self.entries.get(rollout.source_kind + suffix, {})}
        version = rollout.source_meta.agent_version or ""
        fitting = [known for known in versions if known == "*" or _begins(version, known)]
        return versions[max(fitting, key=lambda known: (known != "*", len(known)))] if fitting else None


def _begins(version: str, prefix: str) -> bool:
    return version == prefix or version.startswith((prefix + ".", prefix + "-"))


def tool_catalogue(path: Path) -> Catalogue:
    """The catalogue of ``--tools``: a list of function schemas for all, or one for each agent and version."""
    return _catalogue(path, _read_json(path), _is_tools, "a list of tools, each with a name")


def system_catalogue(path: Path) -> Catalogue:
    """The catalogue of ``--system``: a text for all, or JSON with one for each agent and version."""
    if path.suffix == ".json":
        return _catalogue(path, _read_json(path), lambda value: isinstance(value, str), "a text")
    try:
        return Catalogue(path, {"*": {"*": path.read_text(encoding="utf-8")}})
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"{path} cannot be read as text: {error}") from error


def _read_json(path: Path) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read as JSON: {error}") from error


def _catalogue(path: Path, value: Any, fits: Callable[[Any], bool], what: str) -> Catalogue:
    if fits(value):
        return Catalogue(path, {"*": {"*": value}})
    right = f'it must be {what}, or {{"claude_code": {{"2.1": {what}, "*": …}}}}'
    if not isinstance(value, dict) or not all(isinstance(versions, dict) for versions in value.values()):
        raise ConfigError(f"{path}: {right}")
    known = {"*", *format_names()}
    if unknown := [kind for kind in value if kind.removesuffix(f"/{SUBAGENT}") not in known]:
        raise ConfigError(f"{path}: no agent is called {', '.join(map(repr, unknown))}; known are {', '.join(known)}")
    if wrong := [f"{kind} {version}" for kind, each in value.items() for version, v in each.items() if not fits(v)]:
        raise ConfigError(f"{path}: the entry of {', '.join(wrong)} is not {what}; {right}")
    return Catalogue(path, value)


def _is_tools(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(tool, dict) and _has_name(tool) for tool in value)


def _has_name(tool: dict[str, Any]) -> bool:
    function = tool.get("function", tool)
    return isinstance(function, dict) and isinstance(function.get("name"), str)


@dataclass(frozen=True)
class Outfit:
    """What a sample gets that its log does not have: tools and a system prompt."""

    inferred: InferredTools
    tools: Catalogue | None = None
    system: Catalogue | None = None

    def redacted(self, clean: Callable[[Any], Any]) -> Outfit:
        """The same outfit with what the user gave passed through ``clean``; calls were redacted with their rows."""
        tools, system = (each and each.redacted(clean) for each in (self.tools, self.system))
        return Outfit(self.inferred, tools, system)

    def give(self, sample: Sample, rollout: Rollout) -> None:
        """Give the sample its tools and, where the log has none, a system prompt."""
        sample.tools, sample.tools_source = self._tools(rollout)
        if sample.system_source == "absent" and (text := self._system(rollout)) is not None:
            prompt = Message("system", [Block("text", text)], extra=Extra(origin="harness", kind="base_instructions"))
            sample.turns.insert(0, Turn(prompt, -1, reason="given system prompt"))
            sample.system_source = "given"

    def _tools(self, rollout: Rollout) -> tuple[list[Any] | None, ToolsSource]:
        if rollout.source_meta.tools is not None:
            return [_function(tool) for tool in rollout.source_meta.tools], "recorded"
        if self.tools and (tools := self.tools.find(rollout)) is not None:
            return [_function(tool) for tool in tools], "catalogue"
        inferred = self.inferred.schemas(rollout)
        return (inferred, "inferred") if inferred else (None, "absent")

    def _system(self, rollout: Rollout) -> str | None:
        found = self.system and self.system.find(rollout)
        return found if isinstance(found, str) else None


def _function(tool: Any) -> Any:
    """A tool in the shape of chat completions, whether it came so, bare, or in Anthropic's or Responses' shape."""
    if not isinstance(tool, dict) or "function" in tool or "name" not in tool:
        return tool
    parameters = tool.get("parameters", tool.get("input_schema", {"type": "object", "properties": {}}))
    function = {"name": tool["name"], "description": tool.get("description", tool["name"]), "parameters": parameters}
    return {"type": "function", "function": function}
