"""Check values from outside against a dataclass: every problem at once, and its JSON Schema.

pydantic does the checking, strictly: a whole number may stand for a float, a list for a tuple, and nothing else is
converted. Dataclasses keep their own checks of ranges in `__post_init__`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from difflib import get_close_matches
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

_Kind = TypeVar("_Kind")
_LONGEST = 60  # characters of a value that are shown


class Invalid(ValueError):
    """Values that cannot be used, with a line for each problem."""

    def __init__(self, problems: Sequence[str]) -> None:
        """Keep `problems`, at least one."""
        super().__init__("; ".join([*(one.rstrip(".") for one in problems[:-1]), problems[-1]]))
        self.problems = list(problems)


def raise_any(problems: Sequence[str]) -> None:
    """Raise Invalid if there are `problems`."""
    if problems:
        raise Invalid(problems)


def problems_of(error: ValueError) -> list[str]:
    """Return the problems that an error lists, or its message."""
    return error.problems if isinstance(error, Invalid) else [str(error)]


def build(kind: type[_Kind], values: Any) -> _Kind:
    """Return an instance of the dataclass `kind` with these values, as TOML or JSON has them.

    Raises Invalid with every unknown name, every value of another type, and what `kind` itself does not accept.
    """
    from pydantic import ValidationError

    if not isinstance(values, Mapping):
        raise Invalid([f"{_shown(values)} is not an object"])
    try:
        checked = _adapter(kind).validate_json(json.dumps(values, default=repr))  # type: ignore[arg-type]
    except ValidationError as error:
        raise Invalid(_lines(kind, values, error)) from None
    try:
        return kind(**checked)
    except ValueError as error:
        raise Invalid(problems_of(error)) from None


def json_schema(kind: type[Any], documented: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the JSON Schema of the dataclass `kind`; `documented` are the descriptions of its fields."""
    schema, texts = _adapter(kind).json_schema(), documented or {}  # type: ignore[arg-type]
    for name, value in schema.get("properties", {}).items():
        if name in texts:
            value["description"] = texts[name]
    return schema


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[dict[str, Any]]:
    """Return a checker of dictionaries with the fields of a dataclass; what it returns has the given ones only."""
    from typing import NotRequired, Required

    from pydantic import ConfigDict, Field, TypeAdapter, with_config
    from typing_extensions import TypedDict

    hints, members = get_type_hints(kind), dict[str, Any]()
    for one in fields(kind):
        if one.default is MISSING and one.default_factory is MISSING:
            members[one.name] = Required[hints[one.name]]
        else:
            default: Any = one.default_factory() if one.default_factory is not MISSING else one.default
            shown = Field(json_schema_extra={"default": default})
            members[one.name] = NotRequired[Annotated[hints[one.name], shown]]
    given = with_config(ConfigDict(extra="forbid", strict=True))(TypedDict(kind.__name__, members))  # type: ignore[operator]
    return TypeAdapter(given)


def _lines(kind: type[Any], values: Mapping[str, Any], error: ValidationError) -> list[str]:
    """Return a line for each field that an error of pydantic is about, the unknown ones first and in one line."""
    known = [one.name for one in fields(kind)]
    unknown = [name for name in values if name not in known]
    found = [_unknown(unknown, known)] if unknown else []
    hints = get_type_hints(kind)
    for one in error.errors(include_url=False):
        if not one["loc"]:  # of the whole: half of a pair of surrogates, or values nested too deep
            return [f"it cannot be read: {one['msg']}"]
        name, *inside = map(str, one["loc"])
        if name in unknown:
            continue
        where = ".".join([name, *inside])
        if name in values and _is_plain(hints[name]):
            found.append(f"{name} is {_shown(values[name])}; {_expected(hints[name])} was expected")
        elif one["type"] == "missing":
            found.append(f"{where} is missing")
        else:
            found.append(f"{where} is {_shown(one['input'])}; {one['msg'].removeprefix('Input should be ')}")
    return list(dict.fromkeys(found))


def _unknown(unknown: Sequence[str], known: Sequence[str]) -> str:
    near = {name: get_close_matches(name, known, 1) for name in unknown}
    named = [f"{name} (did you mean {close[0]}?)" if close else name for name, close in near.items()]
    return f"unknown options: {', '.join(named)}; known are: {', '.join(known)}"


def _is_plain(hint: Any) -> bool:
    """Return whether a field's type has no members of its own worth naming."""
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    return all(kind in (int, float, str, bool, type(None)) or get_origin(kind) is tuple for kind in kinds)


def _expected(hint: Any) -> str:
    return str(hint) if get_args(hint) else str(hint.__name__)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
