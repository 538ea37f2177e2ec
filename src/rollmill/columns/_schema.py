"""JSON schemas: those of pydantic classes, whether they are sound, whether a value fits, what Arrow type they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from rollmill.columns._json import to_json
from rollmill.columns._repair import Misfit
from rollmill.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

_DEEPEST = 20
_MOST_ERRORS = 5
_INT64 = 1 << 63


class OutputFormat(dict[str, Any]):
    """A JSON schema, and the pydantic class it is of while that is at hand."""

    model: type[BaseModel] | None = None

    @cached_property
    def arrow_type(self) -> pa.DataType | None:
        """``arrow_of`` it, found out once: every cell of a column asks."""
        return arrow_of(self)


def schema_of(value: Any) -> OutputFormat:
    """The schema of a pydantic class, or the schema itself. Raises ``ConfigError`` for anything else."""
    if isinstance(value, OutputFormat):
        return value
    if isinstance(value, type) and issubclass(value, BaseModel):
        schema = OutputFormat(_closed(value.model_json_schema()))
        schema.model = value
        return schema
    if isinstance(value, Mapping):
        return OutputFormat(value)
    raise ConfigError(f"output_format is a {type(value).__name__}; give a pydantic class or a JSON schema")


def _closed(schema: Any) -> Any:
    """A class's schema with the fields of its objects as the only ones: servers then let the model write no others."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: value if name in ("default", "examples") else _closed(value) for name, value in schema.items()}
    return {"additionalProperties": False, **closed} if isinstance(schema.get("properties"), dict) else closed


def wrong_in(schema: Mapping[str, Any]) -> str | None:
    """What is wrong with a schema; None when it is sound and all it refers to is in it."""
    from jsonschema import SchemaError
    from jsonschema.validators import validator_for

    if not schema:
        return "the schema is empty and would take anything; say what the reply has to hold"
    try:
        validator_for(schema).check_schema(dict(schema))
    except SchemaError as error:
        return f"no JSON schema: {error.message[:300]} (at {_path(error.absolute_path)})"
    outside = [ref for ref in _references(schema, 0) if not ref.startswith("#")]
    lost = [ref for ref in _references(schema, 0) if ref.startswith("#") and _target(schema, ref) is None]
    if outside:
        return f"the schema refers to {outside[0]!r}; nothing is fetched, so put it under `$defs`"
    return f"the schema refers to {lost[0]!r}, which is not in it" if lost else None


def _references(value: Any, depth: int) -> Iterator[str]:
    if depth > 100:
        return
    if isinstance(value, Mapping):
        if isinstance(ref := value.get("$ref"), str):
            yield ref
        for item in value.values():
            yield from _references(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item, depth + 1)


def _target(schema: Mapping[str, Any], ref: str) -> Any:
    found: Any = schema
    for part in ref.removeprefix("#").split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, Mapping) or name not in found:
            return None
        found = found[name]
    return found


def checked(value: Any, schema: OutputFormat) -> Any:
    """The value when it fits, with a class's defaults filled in. Raises ``Misfit`` with all that is wrong."""
    found = _by_class(value, schema.model) if schema.model is not None else _by_schema(value, schema)
    if too_large := next(_too_large(found), None):
        raise Misfit(f"the number {too_large} is too large")
    return found


def _by_class(value: Any, model: type[BaseModel]) -> Any:
    try:
        return model.model_validate_json(to_json(value)).model_dump(mode="json")
    except ValidationError as error:
        found = [f"{_path(each['loc'])}: {each['msg']}" for each in error.errors(include_url=False)]
        raise Misfit("; ".join(found[:_MOST_ERRORS])) from None


def _by_schema(value: Any, schema: Mapping[str, Any]) -> Any:
    from jsonschema.exceptions import best_match

    try:
        errors = list(_validator(to_json(schema)).iter_errors(value))
    except RecursionError:
        raise Misfit("the value is nested too deeply") from None
    if errors:
        best = best_match(iter(errors))
        shown = dict.fromkeys(f"{_path(each.absolute_path)}: {each.message[:300]}" for each in [best, *errors])
        raise Misfit("; ".join(list(shown)[:_MOST_ERRORS]))
    return _known(value, schema, schema)


def _known(value: Any, schema: Any, root: Mapping[str, Any]) -> Any:
    """The value without fields that nobody asked for, where the schema names fields and says nothing of others."""
    schema = _resolved(schema, root)
    if isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        return [_known(item, schema["items"], root) for item in value]
    if isinstance(value, dict) and _is_closed(schema):
        return {name: _known(value[name], each, root) for name, each in schema["properties"].items() if name in value}
    return int(value) if isinstance(value, float) and schema.get("type") == "integer" else value


def _resolved(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema behind references and optional ones; an empty one where it is open."""
    for _ in range(_DEEPEST):
        if not isinstance(schema, Mapping):
            return {}
        if isinstance(ref := schema.get("$ref"), str):
            schema = _target(root, ref)
        elif (choices := schema.get("anyOf") or schema.get("oneOf")) is not None:
            real = [each for each in choices if not (isinstance(each, Mapping) and each.get("type") == "null")]
            schema = real[0] if len(real) == 1 else None
        else:
            return schema
    return {}


def _is_closed(schema: Mapping[str, Any]) -> bool:
    """Whether an object has the fields that its schema names and no others."""
    named = isinstance(schema.get("properties"), Mapping) and bool(schema["properties"])
    open_ends = ("patternProperties", "allOf", "if", "dependentSchemas")
    return named and schema.get("additionalProperties", False) is False and not any(end in schema for end in open_ends)


@lru_cache(maxsize=64)
def _validator(schema_text: str) -> Any:
    """A validator that fetches nothing: what a schema refers to is in it."""
    import json

    from jsonschema.validators import validator_for
    from referencing import Registry

    schema = json.loads(schema_text)
    return validator_for(schema)(schema, registry=Registry())


def _path(parts: Any) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".") or "the value"


def _too_large(value: Any) -> Iterator[int]:
    """The whole numbers that no column of numbers holds."""
    if isinstance(value, int) and not -_INT64 <= value < _INT64:
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _too_large(item)


def arrow_of(schema: Mapping[str, Any]) -> pa.DataType | None:
    """The Arrow type of values that fit; None where the schema leaves a field or its type open."""
    return _arrow(schema, schema, 0)


def _arrow(schema: Any, root: Mapping[str, Any], depth: int) -> pa.DataType | None:
    import pyarrow as pa

    schema = _resolved(schema, root) if depth <= _DEEPEST else {}
    kind = _kind(schema)
    if kind == "object":
        return _struct(schema, root, depth)
    if kind == "array":
        item = _arrow(schema.get("items"), root, depth + 1)
        return None if item is None or "prefixItems" in schema else pa.large_list(item)
    plain = {"string": pa.large_string(), "integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}
    return plain.get(kind)


def _kind(schema: Mapping[str, Any]) -> str:
    """The one type besides null, that of the texts of an ``enum`` included; an empty string when there is none."""
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else [kind for kind in kinds if kind != "null"]
    if not kinds:
        values = schema.get("enum", [schema["const"]] if "const" in schema else [])
        kinds = ["string"] if values and all(isinstance(value, str) for value in values) else []
    return str(kinds[0]) if len(kinds) == 1 else ""


def _struct(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> pa.DataType | None:
    import pyarrow as pa

    if not _is_closed(schema):
        return None
    types = {name: _arrow(each, root, depth + 1) for name, each in schema["properties"].items()}
    return None if None in types.values() else pa.struct(list(types.items()))
