"""The options of `train`, `evaluate` and `score` that say how data files are read and their rows cleaned."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar

import typer

if TYPE_CHECKING:
    from ..data.load import Reading

P = ParamSpec("P")
R = TypeVar("R")

_FILES: dict[str, tuple[Any, Any]] = {
    "delimiter": (
        Annotated[str | None, typer.Option(help="Between cells: a character, or tab.", show_default="found")],
        None,
    ),
    "quoting": (
        Annotated[
            str | None,
            typer.Option(help='csv: cells in "…"; none: a quote is a character.', show_default="found"),
        ],
        None,
    ),
    "encoding": (Annotated[str | None, typer.Option(help="Such as cp1252.", show_default="found")], None),
    "no_header": (Annotated[bool, typer.Option("--no-header", help="The first row is data.")], False),
    "columns": (
        Annotated[
            str | None,
            typer.Option(help="Names of the columns of a file without a header: text,label.", show_default="found"),
        ],
        None,
    ),
    "skip_bad_rows": (
        Annotated[int, typer.Option(metavar="N", help="Leave out up to N rows that cannot be read.", min=0)],
        0,
    ),
}
_ROWS: dict[str, tuple[Any, Any]] = {
    "label_separator": (
        Annotated[str | None, typer.Option(help="Between several labels of a text.", show_default="found")],
        None,
    ),
    "map_label": (
        Annotated[
            list[str] | None,
            typer.Option("--map-label", metavar="OLD=NEW", help="Rename a label; OLD= removes it; may be repeated."),
        ],
        None,
    ),
    "drop_unlabelled": (
        Annotated[bool, typer.Option("--drop-unlabelled", help="Leave out texts without label.")],
        False,
    ),
    "duplicates": (Annotated[str, typer.Option(help="Equal rows: drop or keep.")], "drop"),
    "conflicts": (Annotated[str, typer.Option(help="Texts under two labels: drop, keep or vote.")], "drop"),
}
NAMES = (*_FILES, *_ROWS)
"""The parameters of the options."""


def one_or_all(data: list[str]) -> str | list[str]:
    """Return the only name in `data`, which may be that of a sample set, else all of them."""
    return data[0] if len(data) == 1 else data


def takes_reading(command: Callable[P, R]) -> Callable[..., R]:
    """Return `command` with all options in place of its parameter `reading`, which it is called with."""
    return _takes(command, _FILES | _ROWS)


def takes_file_reading(command: Callable[P, R]) -> Callable[..., R]:
    """Return `command` with those options that do not clean rows in place of its parameter `reading`."""
    return _takes(command, _FILES)


def _takes(command: Callable[P, R], options: dict[str, tuple[Any, Any]]) -> Callable[..., R]:
    signature = inspect.signature(command, eval_str=True)
    given = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
        for name, (annotation, default) in options.items()
    ]
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        own = parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        parameters += given if parameter.name == "reading" else [own]

    @functools.wraps(command)
    def wrapper(**values: Any) -> R:
        read = {name: values.pop(name) for name in options}
        return command(**values, reading=reading_of(**read))  # type: ignore[call-arg,arg-type]

    wrapper.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapper


def reading_of(
    *, no_header: bool, columns: str | None, map_label: list[str] | None = None, **options: Any
) -> Reading:
    """Return how files are read, from the values of the options."""
    from ..data.reading.options import Reading, parse_label_map

    return Reading(
        header=False if no_header else None,
        names=None if columns is None else tuple(name.strip() for name in columns.split(",")),
        map_labels=parse_label_map(map_label or []),
        **options,
    )
