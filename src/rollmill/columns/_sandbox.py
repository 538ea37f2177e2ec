"""The one place that knows Jinja: an environment in which a template can read plain data, and nothing else.

Templates come from config files and walk over rollouts, which may hold anything. So attributes and methods are those
on a list and never Python's own, there is no loader and nothing to include, and a compiled template counts what it
does (``_meter``): loops, concatenations and literals are rewritten to pass through a function that counts.
"""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Iterable, Mapping
from typing import Any, cast

from jinja2 import StrictUndefined, nodes, pass_context
from jinja2.exceptions import TemplateSyntaxError
from jinja2.runtime import LoopContext, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from rollmill.columns import _bounded, _rollouts
from rollmill.columns._meter import TemplateError, meter
from rollmill.columns._values import Sparse

_REFUSED = (
    (nodes.Include, "include"),
    (nodes.Import, "import"),
    (nodes.FromImport, "import"),
    (nodes.Extends, "extends"),
    (nodes.Block, "block"),
    (nodes.ScopedEvalContextModifier, "autoescape"),
)


class Missing(StrictUndefined, _bounded.Absent):
    """A name that is not there: an error wherever it is used, with the nearest name that is."""

    @property
    def _undefined_message(self) -> str:
        if self._undefined_hint:
            return self._undefined_hint
        name, obj = str(self._undefined_name)[:80], self._undefined_obj
        if isinstance(obj, Mapping):
            return f"there is no `{name}` in it{_near(name, [*obj, *getattr(obj, 'hidden', ())])}"
        if isinstance(obj, list | tuple):
            return f"there is no item {name}: the list has {len(obj)}"
        if isinstance(obj, str | int | float | None.__class__):
            return f"there is no `{name}` in a {type(obj).__name__}"
        return f"there is nothing called `{name}`"


def _near(name: str, names: Iterable[Any]) -> str:
    names = [str(each)[:80] for each in names][:1000]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f". Did you mean `{near[0]}`?" if near else f"; it has {', '.join(names[:20]) or 'nothing'}"


class Environment(ImmutableSandboxedEnvironment):
    """Compiles templates. ``fence`` puts messages and passages of rollouts between marks."""

    intercepted_binops = frozenset(_bounded.OPERATORS)
    concat = staticmethod(_bounded.written)

    def __init__(self, fence: bool) -> None:
        finalize = _bounded.for_prompt if fence else _bounded.printed
        super().__init__(undefined=Missing, autoescape=False, optimized=False, finalize=finalize, cache_size=0)
        own = {name: self.filters[name] for name in _bounded.JINJA_FILTERS}
        self.filters = {**own, **_bounded.FILTERS, **_rollouts.FILTERS, "random": _drawn}
        self.globals = {"range": _bounded.small_range, "dict": _bounded.mapping, "namespace": Namespace}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for kind, word in _REFUSED:
            if (found := tree.find(kind)) is not None:
                raise TemplateSyntaxError(f"`{word}` is not available in templates here", found.lineno)
        self._check_names(tree)
        return _Counting().visit(tree)  # type: ignore[no-any-return]

    def _check_names(self, tree: nodes.Template) -> None:
        for kind, known, word in ((nodes.Filter, self.filters, "filter"), (nodes.Test, self.tests, "test")):
            for node in tree.find_all(kind):
                if node.name not in known or node.name.startswith("_"):
                    names = [name for name in known if not name.startswith("_")]
                    raise TemplateSyntaxError(f"there is no {word} `{node.name}`{_near(node.name, names)}", node.lineno)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """``obj.attribute``: a method on the list, else an item of that name; never an attribute of Python's."""
        found = _attribute(obj, attribute)
        return self.getitem(obj, attribute) if found is _NONE else found

    def getitem(self, obj: Any, argument: Any) -> Any:
        """``obj[argument]``: an item of a list, text or mapping."""
        meter().step()
        if isinstance(obj, Undefined):
            return obj[argument]
        if isinstance(argument, str) and argument.startswith("__"):
            raise TemplateError(f"`{argument[:80]}` is no data; templates read data only")
        if isinstance(obj, Sparse) and argument not in obj and argument in obj.hidden:
            return obj.hidden[argument]
        if isinstance(obj, str | list | tuple | range | Mapping):
            try:
                return obj[argument]
            except (TypeError, LookupError):
                pass
        return self.undefined(obj=obj, name=argument)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        for value in (left, right):
            if isinstance(value, Undefined):
                str(value)
        return _bounded.binop(operator, left, right)

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        meter().step()
        return super().call(__context, __obj, *args, **kwargs)

    def _filter_test_common(self, *args: Any, **kwargs: Any) -> Any:
        meter().step()
        return super()._filter_test_common(*args, **kwargs)


@pass_context
def _drawn(_: Any, items: Any) -> Any:
    """One of the items. Asking for the context keeps the compiler from drawing once for all rows."""
    return _bounded.drawn(items)


_NONE = object()


def _attribute(obj: Any, name: str) -> Any:
    """A method of data, or a name of a loop, namespace or date; ``_NONE`` for all others."""
    if isinstance(obj, str):
        return _method(obj, name, _bounded.STRING_METHODS)
    if isinstance(obj, Mapping):
        return _listed(obj, name)
    if isinstance(obj, list | tuple):
        return _method(obj, name, _bounded.LIST_METHODS | frozenset(getattr(obj, "_fields", ())))
    if isinstance(obj, LoopContext):
        return getattr(obj, name) if name in _bounded.LOOP_NAMES else _NONE
    if isinstance(obj, Namespace):
        return getattr(obj, name, _NONE)
    if isinstance(obj, datetime.date | datetime.time) and name in _bounded.DATE_NAMES:
        return getattr(obj, name, _NONE)
    return _NONE


def _method(obj: Any, name: str, allowed: frozenset[str]) -> Any:
    if name not in allowed:
        return _NONE
    if name in _bounded.GROWING and isinstance(obj, str):
        return lambda *args, **kwargs: _bounded.GROWING[name](obj, *args, **kwargs)
    return getattr(obj, name)


def _listed(obj: Mapping[str, Any], name: str) -> Any:
    """A mapping's method; its views as lists, which templates can index and print."""
    if name not in _bounded.MAPPING_METHODS:
        return _NONE
    return obj.get if name == "get" else lambda: list(getattr(obj, name)())


class _Counting(NodeTransformer):
    """Rewrites what can grow so that it passes through a filter that counts."""

    def visit_For(self, node: nodes.For) -> nodes.For:
        if node.recursive:
            raise TemplateSyntaxError("recursive loops are not available in templates here", node.lineno)
        characters = sum(len(data.data) for part in node.body for data in part.find_all(nodes.TemplateData))
        node.iter = _filtered(node.iter, "_each", nodes.Const(characters))
        self.generic_visit(node)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:
        self.generic_visit(node)
        return _filtered(nodes.List(node.nodes, lineno=node.lineno), "_joined")

    def visit_List(self, node: nodes.List) -> nodes.Filter:
        self.generic_visit(node)
        return _filtered(node, "_weighed")

    def visit_Dict(self, node: nodes.Dict) -> nodes.Filter:
        self.generic_visit(node)
        return _filtered(node, "_weighed")

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Expr:
        self.generic_visit(node)
        return _filtered(node, "_weighed") if node.ctx == "load" else node

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Getattr:
        self.generic_visit(node)
        if node.attr.startswith("_"):
            raise TemplateSyntaxError(f"`{node.attr}` is no data; templates read data only", node.lineno)
        if node.attr in ("format", "format_map"):
            raise TemplateSyntaxError("write \"{{ '%.2f' | format(number) }}\" for `.format`", node.lineno)
        return node


def _filtered(node: nodes.Node, name: str, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(cast(nodes.Expr, node), name, list(args), [], None, None, lineno=node.lineno)
