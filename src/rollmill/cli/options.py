"""Kinds of option values that more than one command takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class FormatName(click.ParamType):  # type: ignore[type-arg]
    """The name of a rollout format, or ``auto``. The names are looked up only when one is given or completed."""

    name = "format"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        known = _known()
        if value not in known:
            self.fail(f"no rollout format is called {value!r}; known are {', '.join(known)}", param, ctx)
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(name) for name in _known() if name.startswith(incomplete)]


def _known() -> list[str]:
    from rollmill.formats import format_names

    return ["auto", *format_names()]
