"""Which module may import which. The arrows point one way; a crossed one is named, with what to do about it.

Imports are read from the source, those inside functions too. ``docs/design.md`` has the same order with its reasons.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import rollmill

PACKAGE = Path(rollmill.__file__).parent

ORDER = (
    ("_version", "errors"),
    ("refused",),
    ("rollout",),
    ("files",),
    ("media",),
    ("formats",),
    ("rows", "detection", "stored"),
    ("seeds",),
    ("reading",),
    ("models",),
    ("columns",),
    ("config",),
    ("engine",),
    ("curate",),
    ("export",),
    ("explore",),
    ("results",),
    ("designer",),
    ("recipes",),
    ("cli",),
    ("__main__",),
)
"""A module may import what stands on an earlier line, and what lies in its own folder. The package's own
``__init__`` stands outside: it names everything and imports it when it is used."""

HEAVY = {
    "pyarrow": {
        "rows": "top",
        "seeds.batches": "top",
        "engine.outputs": "top",
        "engine.preload": "inside",
        "engine.handover": "inside",
        "engine.where": "inside",
        "stored": "inside",
        "curate.signals": "inside",
        "export": "inside",
        "export._columns": "top",
        "columns": "inside",
        "engine.shelves": "top",
        "engine.store": "top",
        "engine.fitting": "top",
        "engine.onefile": "top",
        "engine.tables": "top",
        "results": "inside",
    },
    "duckdb": {"engine.where": "inside"},
    "matplotlib": {"explore.picture": "inside"},
    "tokenizers": {"columns._tokenizer": "inside"},
    "transformers": {"export._tokens": "inside", "export._chat_tokens": "inside"},
    "jinja2": {"export._chat_tokens": "inside", "columns._sandbox": "top", "columns.templates": "inside"},
    "jsonschema": {"columns._schema": "inside"},
    "aiohttp": {"models.client": "top", "models.sending": "top"},
    "uvloop": {"engine.loops": "inside"},
    "ahocorasick_rs": {"curate.redaction.windows": "inside"},
    "torch": {},
    "datasets": {},
    "pandas": {},
    "zstandard": {"formats._jsonl": "inside"},
    "rich": {"cli": "inside"},
    "click": {"cli": "top"},
}
"""The modules, or whole folders, that may import a heavy library: at their top, or only inside the function that
needs it. Whatever only names a type imports it under ``TYPE_CHECKING``, which costs nothing."""


class Import(NamedTuple):
    """One imported module: who imports it, where (``top``, ``inside`` a function, ``typing`` only), which line."""

    module: str
    target: str
    where: str
    line: int


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of the package by its name below ``rollmill``; the package itself is an empty string."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports() -> Iterator[Import]:
    for module, path in modules():
        yield from _below(ast.parse(path.read_text(encoding="utf-8")), module, "top")


def _below(node: ast.AST, module: str, where: str) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(module, name.name, where, child.lineno) for name in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"{module} line {child.lineno}: write the whole name, rollmill.…"
            for name in child.names:
                yield Import(module, _target(child.module or "", name.name), where, child.lineno)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from _below(child, module, "typing")
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _below(child, module, "inside" if where == "top" else where)
        else:
            yield from _below(child, module, where)


def _target(module: str, name: str) -> str:
    """``from a import b`` imports the module ``a.b`` when there is one, else ``a``."""
    path = PACKAGE.parent.joinpath(*module.split("."), name)
    return f"{module}.{name}" if path.is_dir() or path.with_suffix(".py").exists() else module


def own(target: str) -> str | None:
    """The name below ``rollmill`` of a module of ours; None for anybody else's."""
    return target.partition(".")[2] if target.partition(".")[0] == "rollmill" else None


def line_of(module: str) -> int:
    """The module's line in ``ORDER``."""
    first = module.partition(".")[0]
    found = [number for number, names in enumerate(ORDER) if first in names]
    assert found, (
        f"rollmill.{module} has no place in the order of tests/test_architecture.py: decide what may import it"
    )
    return found[0]


def test_arrows_point_one_way() -> None:
    crossed = []
    for each in imports():
        target = own(each.target)
        if not each.module or not target:
            continue
        same_folder = each.module.partition(".")[0] == target.partition(".")[0]
        if not same_folder and line_of(target) >= line_of(each.module):
            crossed.append(f"{each.module} → {target} (line {each.line})")
    assert not crossed, "these imports point the wrong way: " + ", ".join(crossed)


def test_formats_do_not_know_each_other() -> None:
    crossed = []
    for each in imports():
        target = own(each.target) or ""
        if target.startswith("formats.") and not target.startswith("formats._") and each.module.startswith("formats"):
            crossed.append(f"{each.module} → {target} (line {each.line})")
    assert not crossed, "what two formats share belongs in a module with an underscore: " + ", ".join(crossed)


def test_heavy_libraries_are_imported_where_the_table_says() -> None:
    wrong = []
    for each in imports():
        library = each.target.partition(".")[0]
        if library not in HEAVY or each.where == "typing":
            continue
        allowed = HEAVY[library].get(each.module) or HEAVY[library].get(each.module.partition(".")[0])
        if allowed is None or (allowed == "inside" and each.where == "top"):
            wrong.append(f"{each.module} imports {library} at line {each.line} ({each.where}; allowed: {allowed})")
    assert not wrong, "; ".join(wrong)


def test_the_table_names_no_module_that_is_gone() -> None:
    used = {(each.target.partition(".")[0], name) for each in imports() for name in _with_folder(each.module)}
    gone = [
        f"{library} in {module}"
        for library, table in HEAVY.items()
        for module in table
        if (library, module) not in used
    ]
    assert not gone, f"take these out of HEAVY: {', '.join(gone)}"


def _with_folder(module: str) -> tuple[str, str]:
    return module, module.partition(".")[0]


def _loaded_by(statement: str) -> set[str]:
    """The top-level packages that a new process has after ``statement``."""
    script = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(subprocess.check_output([sys.executable, "-c", script], text=True).split())


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert not _loaded_by("import rollmill") & {*HEAVY, "pydantic", "msgspec", "yaml"}


def test_the_seed_source_imports_no_data_library() -> None:
    assert not _loaded_by("from rollmill import AgentRolloutSeedSource, SeedConfig") & HEAVY.keys()
