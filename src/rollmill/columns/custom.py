"""A column that a function of the user's makes.

    @custom_column_generator(required_columns=["messages"], model_aliases=["writer"])
    async def title(row, generator_params, models):
        text, _ = await models["writer"].agenerate(f"A title for: {row['messages'][0]['content'][0]['text']}")
        return text

    CustomColumnConfig(name="title", generator_function=title)

The function gets the row, and its parameters and models when it has a second and a third argument. What it returns is
the cell; a row with a key of the column's name gives that key's value, and those of its side columns. A function that
is not ``async`` runs in a thread.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_type_hints

from msgspec import Struct
from pydantic import BaseModel, Field, PlainValidator, SerializeAsAny, ValidationInfo, field_serializer, field_validator

from rollmill.columns import Ask, Cell, Column, no_such
from rollmill.columns._json import plain
from rollmill.columns._llm import Conversation, Failed
from rollmill.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

_MARK = "custom_column_metadata"
_NAMES = (("row",), ("generator_params",), ("models",))
F = TypeVar("F", bound=Callable[..., Any])


class Needs(Struct, frozen=True):
    """What a function said of itself with ``custom_column_generator``."""

    required_columns: tuple[str, ...] = ()
    side_effect_columns: tuple[str, ...] = ()
    model_aliases: tuple[str, ...] = ()


def custom_column_generator(
    required_columns: Sequence[str] | None = None,
    side_effect_columns: Sequence[str] | None = None,
    model_aliases: Sequence[str] | None = None,
) -> Callable[[F], F]:
    """The function itself, with a note of the columns it reads, those it adds to its own, and the models it asks."""

    def noted(function: F) -> F:
        setattr(
            function,
            _MARK,
            Needs(*map(tuple, (required_columns or (), side_effect_columns or (), model_aliases or ()))),
        )
        return function

    return noted


def _function(value: Any) -> Callable[..., Any]:
    """The function, from itself or from its saved name (``module:name``). Raises ``ConfigError``."""
    function: Callable[..., Any] = _imported(value) if isinstance(value, str) else value
    if not callable(function) or not isinstance(getattr(function, _MARK, None), Needs):
        raise ConfigError("generator_function is no function under @custom_column_generator(required_columns=[…])")
    names = list(inspect.signature(function).parameters)
    wrong = [name for name, right in zip(names, _NAMES, strict=False) if name not in right]
    if not 1 <= len(names) <= len(_NAMES) or wrong:
        raise ConfigError(
            f"{_name(function)} takes {', '.join(names) or 'nothing'}; a generator takes (row), "
            "(row, generator_params) or (row, generator_params, models)"
        )
    return function


def _imported(name: str) -> Any:
    module, _, path = name.partition(":")
    if not path or module == "__main__" or not path.isidentifier():
        raise ConfigError(
            f"generator_function {name!r} cannot be found again; put it into a module and write MODULE:NAME"
        )
    try:
        return getattr(importlib.import_module(module), path)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"generator_function {name!r} cannot be imported: {error}") from None


def _name(function: Any) -> str:
    return f"{getattr(function, '__module__', '?')}:{getattr(function, '__qualname__', type(function).__name__)}"


def _parameters(value: Any, info: ValidationInfo) -> Any:
    """The parameters; a saved mapping as the pydantic class that the function's second argument is annotated with."""
    if value is None or isinstance(value, BaseModel):
        return value
    if not isinstance(value, Mapping):
        raise ConfigError(f"generator_params is a {type(value).__name__}; give a pydantic object or a mapping")
    cls = _annotated(info.data.get("generator_function"))
    return cls.model_validate(value) if cls is not None else dict(value)


def _annotated(function: Any) -> type[BaseModel] | None:
    """The pydantic class of a generator's parameters; None when it names none."""
    try:
        cls = get_type_hints(function).get("generator_params")
    except (NameError, TypeError, AttributeError):
        return None
    return cls if isinstance(cls, type) and issubclass(cls, BaseModel) else None


class CustomColumnConfig(Column):
    """Values by a function. An exception of it is a failed cell."""

    generator_function: Annotated[Any, PlainValidator(_function)] = Field(
        description="A function under @custom_column_generator; in a saved config MODULE:NAME."
    )
    generation_strategy: Literal["cell_by_cell"] = Field(
        default="cell_by_cell", description="Rows are made one by one."
    )
    generator_params: Annotated[SerializeAsAny[Any], PlainValidator(_parameters)] = Field(
        default=None, description="What the function gets as its second argument: a pydantic object, or a mapping."
    )
    column_type: Literal["custom"] = "custom"

    @field_validator("generation_strategy", mode="before")
    @classmethod
    def _one_by_one(cls, strategy: Any) -> Any:
        if strategy == "full_column":
            raise ConfigError(
                "generation_strategy full_column is not available: rows are made one by one, so that a run can be "
                "resumed; work over whole columns belongs behind the run, on the data set"
            )
        return strategy

    @field_serializer("generator_function")
    def _saved_function(self, function: Any) -> str:
        return _name(function)

    @property
    def _needs(self) -> Needs:
        needs: Needs = getattr(self.generator_function, _MARK)
        return needs

    def _template_names(self) -> frozenset[str]:
        return frozenset(self._needs.required_columns)

    @property
    def side_columns(self) -> tuple[str, ...]:
        return self._needs.side_effect_columns

    @property
    def model_aliases(self) -> tuple[str, ...]:
        return self._needs.model_aliases

    def check(self, names: Collection[str]) -> list[str]:
        missing = [name for name in self._needs.required_columns if name not in names]
        return super().check(names) + [
            f"column `{self.name}`, required_columns has `{name}`; {no_such(name, names)}" for name in missing
        ]

    def identity(self) -> str:
        """The config's hash and that of the function's source, so that an edited function makes its cells anew."""
        return hashlib.sha256((super().identity() + _source(self.generator_function)).encode()).hexdigest()

    async def fill(self, row: Mapping[str, Any], ask: Ask) -> Cell:
        """The row's cell, as the function returns it."""
        models = {alias: AskedModel(ask, alias, asyncio.get_running_loop()) for alias in self.model_aliases}
        try:
            cell = self._cell(await self._returned(row, models))
        except Failed as failed:
            cell = self.problem(failed.kind, failed.text, failed.raw)
        except Exception as error:  # The function is the user's, and a row that it cannot take is one bad row.
            cell = self.problem("custom_failed", f"column `{self.name}`: {type(error).__name__}: {str(error)[:500]}")
        for model in models.values():
            model.raise_what_stops_the_run()
        return cell

    async def _returned(self, row: Mapping[str, Any], models: dict[str, AskedModel]) -> Any:
        function = self.generator_function
        arguments = (dict(row), self.generator_params, models)[: len(inspect.signature(function).parameters)]
        if inspect.iscoroutinefunction(function):
            return await function(*arguments)
        return await asyncio.to_thread(function, *arguments)

    def arrow_type(self) -> None:
        """The type follows from the values."""

    def side_types(self) -> dict[str, pa.DataType | None]:
        return dict.fromkeys(self.side_columns)

    def to_arrow(self, value: Any) -> Any:
        return value

    def _cell(self, returned: Any) -> Cell:
        if not isinstance(returned, Mapping) or self.name not in returned:
            sides = dict.fromkeys(self.side_columns)
            return Cell(plain(returned), sides)
        if missing := [name for name in self.side_columns if name not in returned]:
            return self.problem("custom_failed", f"column `{self.name}`: the function returned no {', '.join(missing)}")
        return Cell(plain(returned[self.name]), {name: plain(returned[name]) for name in self.side_columns})


def _source(function: Any) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        return _name(function)


class AskedModel:
    """A model for a custom column: ``generate`` for plain functions, ``agenerate`` for async ones."""

    def __init__(self, ask: Ask, alias: str, loop: asyncio.AbstractEventLoop) -> None:
        self._ask, self._alias, self._loop = ask, alias, loop
        self._stopping: BaseException | None = None

    async def agenerate(
        self,
        prompt: str,
        *,
        system_prompt: str | None = None,
        parser: Callable[[str], Any] | None = None,
        sample: int = 0,
    ) -> tuple[Any, list[dict[str, Any]]]:
        """The reply, parsed when a parser is given, and the messages. Raises what makes the cell fail.

        A prompt that was asked in the row has its reply; another ``sample`` asks for another one."""
        system = [] if system_prompt is None else [{"role": "system", "content": system_prompt}]
        talk = Conversation(self._ask, self._alias, [*system, {"role": "user", "content": prompt}], None, sample)
        try:
            text = await talk.reply()
        except Failed:
            raise
        except BaseException as error:
            self._stopping = error
            raise
        return (text if parser is None else parser(text)), talk.messages

    def raise_what_stops_the_run(self) -> None:
        """Raise what came from the engine and not from a model's reply, though the function may have caught it."""
        if self._stopping is not None:
            raise self._stopping

    def generate(
        self,
        prompt: str,
        *,
        system_prompt: str | None = None,
        parser: Callable[[str], Any] | None = None,
        sample: int = 0,
    ) -> tuple[Any, list[dict[str, Any]]]:
        """``agenerate`` from the thread in which a plain function runs."""
        answer = self.agenerate(prompt, system_prompt=system_prompt, parser=parser, sample=sample)
        return asyncio.run_coroutine_threadsafe(answer, self._loop).result()
