"""Templates over rows: Jinja in a sandbox, with filters for rollouts.

    template = compile_template("{{ messages | window(4000) }}\n\nWhat did the user want?")
    template.names                 frozenset({"messages"})
    template.render(row, row_key)  the text; row text is data and is never compiled

A template reads plain data, without null keys and without ``extra``; a name that is not there is an error that names
the nearest one. What it may take is bounded (``_meter``), whoever wrote it, whatever the row holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from rollmill.columns._meter import MAX_CHARACTERS, MAX_SECONDS, MAX_STEPS, TemplateError, metered
from rollmill.columns._tokens import tokens
from rollmill.columns._values import view
from rollmill.models.offloop import BIG, off_loop

if TYPE_CHECKING:
    import jinja2

GLOBALS = frozenset(
    ("range", "dict", "namespace", "loop", "self", "caller", "varargs", "kwargs", "true", "false", "none")
)
"""Names that mean something in every template, so that no column can have them."""
LONGEST_TEMPLATE = 1_000_000

__all__ = [
    "GLOBALS",
    "MAX_CHARACTERS",
    "MAX_SECONDS",
    "MAX_STEPS",
    "Template",
    "TemplateError",
    "compile_template",
    "tokens",
]


class Template:
    """A compiled template. ``names`` are the columns it uses."""

    def __init__(self, text: str, names: frozenset[str], compiled: jinja2.Template) -> None:
        self.names = names
        self._compiled = compiled
        self._globals = dict(compiled.globals)
        self._hash = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def render(self, row: Mapping[str, Any], row_key: str = "") -> str:
        """The text for a row. ``random`` follows from ``row_key`` and the template. Raises ``TemplateError``."""
        values = {name: view(name, row[name]) for name in self.names if name in row}
        with metered(f"{row_key}\0{self._hash}"):
            return _rendered(self._compiled, {**self._globals, **values})

    async def rendered(self, row: Mapping[str, Any], row_key: str = "") -> str:
        """``render``, off the event loop when the row is big."""
        if any(_is_big(row.get(name)) for name in self.names):
            return await off_loop(self.render, row, row_key)
        return self.render(row, row_key)


def _is_big(value: Any) -> bool:
    """Whether a value is a conversation, or a text that takes a while."""
    return isinstance(value, str | list) and len(value) > (BIG if isinstance(value, str) else 4)


def _rendered(compiled: jinja2.Template, values: dict[str, Any]) -> str:
    try:
        # As ``compiled.new_context`` does it, which walks the global names one by one each time.
        context = compiled.environment.context_class(compiled.environment, values, compiled.name, compiled.blocks)
        return str(compiled.environment.concat(compiled.root_render_func(context)))
    except RecursionError:
        raise TemplateError("the template calls itself too deeply, or a value is nested too deeply") from None
    except _failures() as error:
        raise TemplateError(f"{str(error)[:500] or type(error).__name__}") from None


def _failures() -> tuple[type[Exception], ...]:
    """What a template may raise that is its own fault."""
    from jinja2.exceptions import TemplateError as JinjaError

    return JinjaError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError


@lru_cache(maxsize=1024)
def compile_template(text: str, fence: bool = False) -> Template:
    """The template. With ``fence``, as prompts have it, messages and passages of a rollout stand between marks.

    Raises ``TemplateError`` with the line for what is wrong with it.
    """
    from jinja2 import meta
    from jinja2.exceptions import TemplateSyntaxError

    if len(text) > LONGEST_TEMPLATE:
        raise TemplateError(f"the template has {len(text):,} characters; {LONGEST_TEMPLATE:,} are the most")
    environment = _environment(fence)
    try:
        tree = environment.parse(text)
        names = frozenset(meta.find_undeclared_variables(tree)) - GLOBALS
        return Template(text, names, environment.from_string(tree))
    except TemplateSyntaxError as error:
        raise TemplateError(f"{error.message} (line {error.lineno})") from None
    except (SyntaxError, RecursionError, MemoryError, ValueError, OverflowError) as error:
        raise TemplateError(f"the template cannot be compiled: {str(error)[:200] or type(error).__name__}") from None


@lru_cache(maxsize=2)
def _environment(fence: bool) -> Any:
    from rollmill.columns._sandbox import Environment

    return Environment(fence)
