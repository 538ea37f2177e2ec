"""The tree in a Claude Code log: which records are the conversation that lived, and which were given up.

Every record names its parent. Rewinding, editing and retrying leave dead branches; parallel tool calls make branches
that are none; compaction starts a new root that only ``logicalParentUuid`` ties to what came before.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec import UNSET

from rollmill.formats._claude_records import ContentBlock, Record


@dataclass
class Branch:
    """The records from a root to a leaf, in conversation order, and how many parents on the way were missing."""

    records: list[Record]
    gaps: int = 0


@dataclass
class Thread:
    """The records of one agent in file order, each uuid once; ``agent_id`` and ``root`` name a sidechain."""

    records: list[Record]
    agent_id: str | None = None
    root: Record | None = None
    position: dict[str | None, int] = field(init=False)

    def __post_init__(self) -> None:
        self.position = dict(zip([record.uuid for record in self.records], range(len(self.records)), strict=True))

    def live_branch(self) -> Branch:
        """The branch whose leaf is latest in the file, with what belongs to it though the walk does not pass it."""
        own = {n for n, r in enumerate(self.records) if r.is_conversation and not r.teamName}
        own = own or {n for n, r in enumerate(self.records) if r.is_conversation}
        leaves = self._leaves(own) or sorted(own)[-1:]
        return self._branch(self._latest(leaves)) if leaves else Branch([])

    def _latest(self, leaves: list[int]) -> int:
        """The last leaf; but not a late tool result, or a prompt queued to the end, beside which another leaf's branch
        went on from the same turn."""
        last = self.records[leaves[-1]]
        if len(leaves) > 1 and (last.only_results or last.is_queued_prompt):
            if (parent := self._turn_above(last)) is None:
                return leaves[-1]
            turn = self._lines_of(parent)
            barren: set[int] = set()
            for leaf in reversed(leaves[:-1]):
                if self._passes(leaf, turn, barren):
                    return leaf
        return leaves[-1]

    def _lines_of(self, record: Record) -> set[int]:
        """Where the lines of a record's message are."""
        if record.type != "assistant":
            return {self._index(record)}
        key = record.message_key
        return {n for n, r in enumerate(self.records) if r.message_key == key and r.type == "assistant"}

    def _passes(self, leaf: int, turn: set[int], barren: set[int]) -> bool:
        """Whether the way from a leaf to the root passes a record of ``turn``. From where it certainly does not is
        added to ``barren``, for many leaves share most of their way."""
        seen: set[int] = set()
        current: int | None = leaf
        while current is not None and current not in seen and current not in barren:
            if current in turn:
                return True
            seen.add(current)
            record = self.records[current]
            parent = record.parentUuid or record.logicalParentUuid
            current = self.position.get(parent) if parent else None
            if current is None and (parent or _continues(record)):
                return any(self._index(passed) in turn for passed in self._walk(leaf).records)
        barren |= seen
        return False

    def _turn_above(self, record: Record) -> Record | None:
        """The nearest turn among a record's ancestors."""
        for _ in range(len(self.records)):
            parent = self.position.get(record.parentUuid or "")
            if parent is None:
                return None
            record = self.records[parent]
            if record.is_conversation:
                return record
        return None

    def abandoned_branches(self, live: Branch) -> list[Branch]:
        """The branches that were given up, in file order of their leaves; each abandoned record is on one of them."""
        on_live = {id(record) for record in live.records}
        left = {n for n, r in enumerate(self.records) if r.is_said and id(r) not in on_live}
        branches = []
        while left:
            branch = self._branch((self._leaves(left) or [max(left)])[-1])
            branches.append((max(self._index(r) for r in branch.records if self._index(r) in left), branch))
            left -= {self._index(record) for record in branch.records}
        return [branch for _, branch in sorted(branches, key=lambda found: found[0])]

    def _index(self, record: Record) -> int:
        return self.position[record.uuid or ""]

    def _leaves(self, among: set[int]) -> list[int]:
        """Positions of the turns at which branches end, in file order: from every record that nothing points to, up
        to the nearest turn. Only turns ``among`` the given positions count."""
        records = self.records
        pointed_to = {r.parentUuid for n, r in enumerate(records) if n in among or not r.is_conversation}
        ends = [record for record in records if record.uuid not in pointed_to]
        return sorted({turn for record in ends if (turn := self._nearest_turn(record, among)) is not None})

    def _nearest_turn(self, record: Record, among: set[int]) -> int | None:
        turn = record if record.is_conversation else self._turn_above(record)
        index = self._index(turn) if turn is not None else -1
        return index if index in among else None

    def _branch(self, leaf: int) -> Branch:
        branch = self._walk(leaf)
        branch.records = self._with_strays(branch.records)
        return branch

    def _walk(self, leaf: int) -> Branch:
        """From the leaf up to the root, across compactions and over gaps."""
        path, seen, gaps = [], set(), 0
        records, position = self.records, self.position
        current: int | None = leaf
        while current is not None and current not in seen:
            seen.add(current)
            record = records[current]
            path.append(record)
            parent = record.parentUuid or record.logicalParentUuid
            above = position.get(parent) if parent else None
            if above is None and (parent or _continues(record)):
                above = self._turn_before(current, seen)
                gaps += bool(parent) or self._lost_its_parent(record, above)
            current = above
        path.reverse()
        return Branch(path, gaps)

    def _lost_its_parent(self, record: Record, before: int | None) -> bool:
        """Whether a record without parent must have had one: not where a compaction cut, where parents are not told
        at all, or where a resumed log says a message again."""
        if record.parentUuid is UNSET or _compacts(record):
            return False
        return before is None or record.message_key != self.records[before].message_key

    def _turn_before(self, index: int, seen: set[int]) -> int | None:
        return next((n for n in range(index - 1, -1, -1) if n not in seen and self.records[n].is_conversation), None)

    def _with_strays(self, path: list[Record]) -> list[Record]:
        """The path, with the lines of its messages and the results of its calls that the walk did not pass.

        Parallel calls make these: each result points at its own call's line, and the next turn at one result only."""
        if len(path) == len(self.records):
            return path
        on_path = set(map(id, path))
        off_path = [r for r in self.records if r.is_conversation and id(r) not in on_path]
        if not off_path:
            return path
        ends = {record.message_key: n for n, record in enumerate(path) if record.type == "assistant"}
        lines = [r for r in off_path if r.type == "assistant" and r.message_key in ends]
        asked = {block.tool_use_id for record in off_path for block in _results(record)}
        calls = _calls([*path, *lines], asked) if asked else {}
        results = [r for r in off_path if any(block.tool_use_id in calls for block in _results(r))]
        path = _inserted(path, ends, lines, results, calls) if lines or results else path
        queued = [record for record in off_path if record.is_queued_prompt]
        return self._with_queued(path, queued) if queued else path

    def _with_queued(self, path: list[Record], queued: list[Record]) -> list[Record]:
        """The path with prompts that were typed meanwhile, each before the first record written after it."""
        turns = set(map(id, path))
        for prompt in [record for record in queued if id(self._turn_above(record)) in turns]:
            at = self._index(prompt)
            after = next((n for n, record in enumerate(path) if self._index(record) > at), len(path))
            path = [*path[:after], prompt, *path[after:]]
        return path


def _continues(record: Record) -> bool:
    """Whether a record without parent goes on from what came before it: compactions do, answers and tool results
    must, and a writer that names no parents at all writes in order."""
    return record.parentUuid is UNSET or _compacts(record) or record.type == "assistant" or record.only_results


def _compacts(record: Record) -> bool:
    return bool(record.isCompactSummary) or record.subtype == "compact_boundary"


def _results(record: Record) -> list[ContentBlock]:
    """The tool results in a user's record."""
    return [block for block in record.blocks if block.type == "tool_result"] if record.type == "user" else []


def _calls(records: list[Record], asked: set[str | None]) -> dict[str | None, str]:
    """The message of each call with one of the ids."""
    return {
        block.id: record.message_key
        for record in records
        if record.type == "assistant"
        for block in record.blocks
        if block.id in asked and block.type == "tool_use"
    }


def _inserted(
    path: list[Record], ends: dict[str, int], lines: list[Record], results: list[Record], calls: dict[str | None, str]
) -> list[Record]:
    """``lines`` behind the last line of their message, and ``results`` behind that of their call; ``ends`` says where
    on the path that is. Results of calls that the path answers itself come last of all, as repetitions."""
    behind: dict[int, list[Record]] = {}
    for line in lines:
        behind.setdefault(ends[line.message_key], []).append(line)
    answered = {
        block.tool_use_id
        for record in (path if results else ())
        if record.type == "user"
        for block in record.blocks
        if block.type == "tool_result"
    }
    repeated = []
    for result in results:
        called = [block.tool_use_id for block in _results(result)]
        if result.only_results and answered.issuperset(called):
            repeated.append(result)
        else:
            message_key = next(calls[call] for call in called if call in calls)
            behind.setdefault(ends[message_key], []).append(result)
    whole: list[Record] = []
    done = 0
    for end in sorted(behind):
        whole += path[done : end + 1] + behind[end]
        done = end + 1
    return whole + path[done:] + repeated


def threads(records: list[Record], is_agent_file: bool) -> tuple[Thread | None, list[Thread]]:
    """The main thread and the sidechains of one file. In a sub-agent's own file its thread is the main one."""
    inline = [] if is_agent_file else [record for record in records if record.isSidechain]
    main = [record for record in records if not record.isSidechain] if inline else records
    side: dict[str, list[Record]] = {}
    owner: dict[str, str] = {}
    for record in inline:
        key = record.agentId or owner.get(record.parentUuid or "") or record.uuid or f"line:{record.line}"
        owner[record.uuid or ""] = key
        side.setdefault(key, []).append(record)
    main_thread = Thread(main) if any(r.is_conversation for r in main) else None
    return main_thread, [Thread(rs, agent_id=rs[0].agentId, root=rs[0]) for rs in side.values()]
