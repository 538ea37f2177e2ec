"""Columns: what is made for each row. One module for each type, and this folder is their list.

A column is a frozen pydantic model: data that a config file can hold, with the behaviour beside it. It says which
names it needs, which mistakes it has, and fills one row:

    cell = await column.fill(row, ask)      ask: one call of a model, bound to the row by the engine
    cell.value, cell.sides, cell.problem    a cell that failed is null and says why; the row stays

Outside packages add column classes under the entry-point group ``rollmill.columns``.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.metadata
import os
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from msgspec import Struct, field
from pydantic import BaseModel, ConfigDict, Field, field_validator

from rollmill.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

    from rollmill.columns.templates import Template
    from rollmill.models.types import Reply

ENTRY_POINT_GROUP = "rollmill.columns"
FALSE_TEXTS = ("", "false", "none", "null", "0", "0.0", "[]", "{}")
"""What a skip condition renders to when it does not hold."""
_WORDS = {"large_string": "text", "int64": "whole numbers", "double": "numbers", "bool": "true or false"}


@runtime_checkable
class Ask(Protocol):
    """One call of a model, with the row, the column and the pass bound in. Raises ``ModelError``."""

    row_key: str
    """What the row and its pass are, whenever they are asked for again; ``random`` in templates follows from it."""

    def shown(self, text: str) -> str:
        """``text`` as the model sees it: redacted when it leaves the machine."""
        ...

    async def __call__(
        self, alias: str, messages: list[dict[str, Any]], *, schema: dict[str, Any] | None = None, sample: int = 0
    ) -> Reply:
        """The reply; the same one for the same messages, unless ``sample`` is another number."""
        ...


class Problem(Struct, frozen=True):
    """Why a cell is null. ``kind`` is a short stable word for counts, ``raw`` the reply as it came, when one came."""

    column: str
    kind: str
    text: str
    raw: str | None = None


class Cell(Struct):
    """What a column made of a row: the value, those of its side columns, and the problem when there is one."""

    value: Any
    sides: dict[str, Any] = field(default_factory=dict)
    problem: Problem | None = None


class SkipConfig(BaseModel):
    """When a column leaves a row out, and what then stands in its cell."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    when: str = Field(description="Template; the row is skipped unless it renders to nothing, False, None or 0.")
    value: bool | int | float | str | None = Field(default=None, description="The skipped cell's value.")

    @property
    def columns(self) -> frozenset[str]:
        """The names that ``when`` uses."""
        return _names(self.when)

    def applies(self, row: Mapping[str, Any], row_key: str = "") -> bool:
        """Whether the row is to be skipped. Raises ``TemplateError``."""
        return _template(self.when).render(row, row_key).strip().lower() not in FALSE_TEXTS


def _template(text: str) -> Template:
    from rollmill.columns.templates import compile_template

    return compile_template(text)


def _names(text: str) -> frozenset[str]:
    """The names that a template uses; none for one with a mistake, which ``Column.check`` tells."""
    from rollmill.columns.templates import TemplateError

    try:
        return _template(text).names
    except TemplateError:
        return frozenset()


class Column(BaseModel):
    """One column to make. Subclasses give ``column_type`` as a ``Literal`` with a default, and ``fill``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="The column's name.")
    drop: bool = Field(default=False, description="Make the column, but leave it out of the data set.")
    skip: SkipConfig | None = Field(default=None, description="When to leave a row out.")
    propagate_skip: bool = Field(
        default=True, description="Be null when a column it needs is null by a skip or a failure."
    )
    column_type: str

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not name.strip() or not name.isprintable():
            raise ConfigError(f"a column is called {name!r}; give it a name that can be read")
        return name

    @property
    def required_columns(self) -> frozenset[str]:
        """The names that must be there before: those of its templates and of its skip condition."""
        return self._template_names() | (self.skip.columns if self.skip else frozenset())

    def _template_names(self) -> frozenset[str]:
        return frozenset().union(*(_names(text) for text in self._templates().values()))

    def _templates(self) -> dict[str, str]:
        """The column's templates by the field they stand in."""
        return {}

    @property
    def side_columns(self) -> tuple[str, ...]:
        """The columns that come with it."""
        return ()

    @property
    def model_aliases(self) -> tuple[str, ...]:
        """The models it asks."""
        return ()

    def check(self, names: Collection[str]) -> list[str]:
        """The column's mistakes, one sentence each, given all names that rows will have."""
        from rollmill.columns.templates import GLOBALS, TemplateError

        taken = [f"column `{self.name}`: that name means something else in templates; choose another"]
        mistakes = taken if self.name in GLOBALS else []
        for place, text in self._checked_templates().items():
            try:
                used = _template(text).names
            except TemplateError as error:
                mistakes.append(f"column `{self.name}`, {place}: {error}")
            else:
                mistakes += [self._unknown(name, place, names) for name in sorted(used - set(names))]
                mistakes += [f"column `{self.name}`, {place} uses itself"] * (self._makes(used))
        return mistakes + self._wrong_skip()

    def _wrong_skip(self) -> list[str]:
        kind = self.arrow_type()
        if self.skip is None or kind is None or self._holds(self.skip.value, kind):
            return []
        cells = _WORDS.get(str(kind), "of one shape")
        return [
            f"column `{self.name}`, skip.value is {self.skip.value!r}, and its cells are {cells}; "
            "give a value of that type, or none for null"
        ]

    def _holds(self, value: Any, kind: pa.DataType) -> bool:
        """Whether a cell of this type can hold the value as it is."""
        import pyarrow as pa

        try:
            (held,) = pa.array([value], kind).to_pylist()
        except (pa.ArrowException, OverflowError):
            return False
        return bool(held == value) and isinstance(held, bool) == isinstance(value, bool)

    def _checked_templates(self) -> dict[str, str]:
        return {**self._templates(), **({"skip": self.skip.when} if self.skip else {})}

    def _makes(self, used: Collection[str]) -> bool:
        return not {self.name, *self.side_columns}.isdisjoint(used)

    def _unknown(self, name: str, place: str, names: Collection[str]) -> str:
        return f"column `{self.name}`, {place} uses `{name}`; {no_such(name, names)}"

    async def fill(self, row: Mapping[str, Any], ask: Ask) -> Cell:
        """The row's cell. Raises only fatal ``ModelError``s and bugs."""
        raise NotImplementedError

    def identity(self) -> str:
        """A hash of all that the column's values follow from, for plans: its config, and code it calls."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def arrow_type(self) -> pa.DataType | None:
        """The Arrow type of the column's values; None when it follows from the values."""
        import pyarrow as pa

        return pa.large_string()

    def side_types(self) -> dict[str, pa.DataType | None]:
        """The Arrow types of the side columns, by name; None for one that follows from the values."""
        import pyarrow as pa

        return dict.fromkeys(self.side_columns, pa.large_string())

    def to_arrow(self, value: Any) -> Any:
        """A cell's value as ``arrow_type`` takes it: what is no text becomes JSON text where that is text."""
        from rollmill.columns._json import as_text

        return value if value is None else as_text(value)

    def problem(self, kind: str, text: str, raw: str | None = None) -> Cell:
        """A null cell with its reason."""
        return Cell(None, problem=Problem(self.name, kind, text, raw))


def no_such(name: str, names: Collection[str], what: str = "seed or column") -> str:
    """``no seed or column has that name. Did you mean `answer`?``"""
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    hint = f"Did you mean `{near[0]}`?" if near else f"There are: {', '.join(sorted(names)) or 'none'}"
    return f"no {what} has that name. {hint}"


HELPERS = ("templates",)
REFUSED = {
    "sampler": "no sampler columns: rows come from seeds; put the values into a seed file, or draw them in a custom "
    "column or with the filter `random` in an expression",
    "validation": "no validation columns: use a custom column that checks, or a judge",
    "embedding": "no embedding columns: use a custom column",
    "image": "no image columns: media stay references",
    "llm-code": "no code columns: use llm-text, and take the code out of the fence with a custom column",
    "seed-dataset": "no seed columns: every column of the seed is there already",
}
"""Column types of the reference that are not here, and what to use."""


@cache
def column_types() -> dict[str, type[Column]]:
    """Every column class by its ``column_type``. An outside package cannot replace a built-in one."""
    found = {kind: cls for module in _built_in() for kind, cls in _columns_of(module)}
    for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        cls = point.load()
        found.setdefault(_kind(cls), cls)
    return found


def _built_in() -> Iterator[Any]:
    for file in sorted(os.listdir(os.path.dirname(__file__))):
        name, ending = os.path.splitext(file)
        if ending == ".py" and not name.startswith("_") and name not in HELPERS:
            yield importlib.import_module(f"{__name__}.{name}")


def _columns_of(module: Any) -> Iterator[tuple[str, type[Column]]]:
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Column) and value.__module__ == module.__name__:
            yield _kind(value), value


def _kind(cls: type[Column]) -> str:
    return str(cls.model_fields["column_type"].default)


def column_from(value: Any) -> Column:
    """A saved column as the class its ``column_type`` names; a column as it is. Raises ``ConfigError``."""
    if isinstance(value, Column):
        return value
    if not isinstance(value, Mapping) or not isinstance(kind := value.get("column_type"), str):
        raise ConfigError(f"a column is a mapping with a `column_type`: {', '.join(sorted(column_types()))}")
    if kind not in column_types():
        raise ConfigError(f"column {value.get('name')!r} has column_type {kind!r}; {_why_not(kind)}")
    return column_types()[kind].model_validate(dict(value))


def _why_not(kind: str) -> str:
    return f"there are {REFUSED[kind]}" if kind in REFUSED else no_such(kind, column_types(), "column type")
