"""A column of data that a model writes, in the shape that is asked for.

    LLMStructuredColumnConfig(name="digest", model_alias="writer", prompt="…", output_format=Digest)

``output_format`` is a pydantic class or a JSON schema. A reply that does not fit is shown to the model once, with what
is wrong with it; when the second does not fit either, the cell is null, and its problem has the reply and the error.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, Field, PlainValidator

from rollmill.columns._json import to_json
from rollmill.columns._llm import Conversation, LLMColumn
from rollmill.columns._repair import repaired
from rollmill.columns._schema import OutputFormat, checked, schema_of, wrong_in

if TYPE_CHECKING:
    import pyarrow as pa


class LLMStructuredColumnConfig(LLMColumn):
    """Data by a model. A pydantic class is saved as its JSON schema; its own validators run as long as it is there."""

    output_format: Annotated[dict[str, Any] | type[BaseModel], PlainValidator(schema_of)] = Field(
        description="A pydantic class, or a JSON schema."
    )
    column_type: Literal["llm-structured"] = "llm-structured"

    @property
    def _schema(self) -> OutputFormat:
        return schema_of(self.output_format)

    def check(self, names: Collection[str]) -> list[str]:
        mistakes = super().check(names)
        if wrong := wrong_in(self._schema):
            mistakes.append(f"column `{self.name}`, output_format: {wrong}")
        return mistakes

    def _reply_schema(self) -> dict[str, Any]:
        return dict(self._schema)

    async def _value(self, talk: Conversation, beside: None) -> Any:
        schema = self._schema
        return await repaired(talk, schema.get("type"), lambda value: checked(value, schema), schema)

    def arrow_type(self) -> pa.DataType | None:
        """The type the schema fixes, a struct mostly; text that is JSON where it leaves a field open."""
        found = self._schema.arrow_type
        return super().arrow_type() if found is None else found

    def _holds(self, value: Any, kind: pa.DataType) -> bool:
        return self._schema.arrow_type is None or super()._holds(value, kind)

    def to_arrow(self, value: Any) -> Any:
        return to_json(value) if value is not None and self._schema.arrow_type is None else value


__all__ = ["LLMStructuredColumnConfig", "OutputFormat"]
