"""JSON Schema in tests. Importing a validator takes seconds, which every test worker would pay for one of them."""

from __future__ import annotations

from typing import Any


def problems(schema: Any, value: Any) -> list[str]:
    """Return what is wrong with a value by a schema, a message each."""
    from jsonschema import Draft202012Validator

    return [error.message for error in Draft202012Validator(schema).iter_errors(value)]


def check(schema: Any) -> None:
    """Raise jsonschema's SchemaError if this is no schema."""
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(schema)
