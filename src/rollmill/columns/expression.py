"""A column that follows from others, without a model.

    ExpressionColumnConfig(name="score", expr="{{ quality.useful.score }}", dtype="int")

The cell is what the template writes, as a text, number or truth value. One that writes nothing is null.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from rollmill.columns import Ask, Cell, Column
from rollmill.columns.templates import TemplateError, compile_template

if TYPE_CHECKING:
    import pyarrow as pa

_TRUE = ("true", "yes", "1", "1.0")
_FALSE = ("false", "no", "0", "0.0")


class ExpressionColumnConfig(Column):
    """A value by a template. What is no value of ``dtype`` is a failed cell."""

    expr: str = Field(description="Template of the value.")
    dtype: Literal["int", "float", "str", "bool"] = Field(default="str", description="The value's type.")
    column_type: Literal["expression"] = "expression"

    def _templates(self) -> dict[str, str]:
        return {"expr": self.expr}

    def check(self, names: Collection[str]) -> list[str]:
        empty = [] if self.expr.strip() else [f"column `{self.name}`: expr is empty"]
        return empty + super().check(names)

    async def fill(self, row: Mapping[str, Any], ask: Ask) -> Cell:
        """The row's cell; no model is asked."""
        try:
            text = await compile_template(self.expr).rendered(row, ask.row_key)
        except TemplateError as error:
            return self.problem("template_failed", f"column `{self.name}`: {error}")
        try:
            return Cell(_READ[self.dtype](text))
        except (ValueError, OverflowError):
            shown = text.strip()[:200]
            return self.problem("wrong_type", f"column `{self.name}`: {shown!r} is no {self.dtype}", text)

    def arrow_type(self) -> pa.DataType:
        import pyarrow as pa

        types = {"int": pa.int64(), "float": pa.float64(), "bool": pa.bool_(), "str": pa.large_string()}
        return types[self.dtype]

    def to_arrow(self, value: Any) -> Any:
        return value


def _text(text: str) -> str:
    return text


def _int(text: str) -> int | None:
    """A whole number; ``3.0`` is one, ``3.5`` is none."""
    if not (text := text.strip()):
        return None
    number = int(text) if text.lstrip("+-").isdecimal() else float(text)
    if number != int(number) or abs(number) >= 1 << 63:
        raise ValueError(text)
    return int(number)


def _float(text: str) -> float | None:
    if not (text := text.strip()):
        return None
    if not math.isfinite(number := float(text)):
        raise ValueError(text)
    return number


def _bool(text: str) -> bool | None:
    if not (text := text.strip().lower()):
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise ValueError(text)


_READ: dict[str, Callable[[str], Any]] = {"str": _text, "int": _int, "float": _float, "bool": _bool}
