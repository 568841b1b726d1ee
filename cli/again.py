"""The options of the current command line, to repeat a command with them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import typer
from typer.core import TyperOption


def given_options(context: typer.Context, without: Collection[str]) -> tuple[tuple[str, str | None], ...]:
    """Return the options on the command line, names and values (None for a flag), except the parameters `without`."""
    found: list[tuple[str, str | None]] = []
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        given = source is not None and source.name == "COMMANDLINE" and name not in without
        if not isinstance(parameter, TyperOption) or not given:
            continue
        value: Any = context.params[name]
        option = next(one for one in parameter.opts if one.startswith("--"))
        if parameter.is_flag:
            found += [(option, None)] if value else []
        else:
            found += [(option, str(one)) for one in (value if parameter.multiple else [value])]
    return tuple(found)
