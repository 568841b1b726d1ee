"""Pages of HTML and drawings of SVG from the files in `templates/`: the one place where text becomes markup.

Whatever a template shows is escaped there: characters that are not seen become codes (`messages.escaping.visible`),
then signs of markup become entities.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..messages.escaping import visible
from ..storage import atomic as files

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Cell:
    """A cell of a table with a style: `good`, `bad`, `soft`, `strong`, or `long` for a text that may wrap."""

    text: str
    style: str


@dataclass(frozen=True)
class Figure:
    """A drawing with a title above and a caption below."""

    title: str
    drawing: Markup
    caption: str


def check(target: Path, *, option: str = "--out") -> None:
    """Check, before the work, that a page can be written to `target`, which `option` names. Raises InputError."""
    if target.suffix.lower() not in (".html", ".htm"):
        raise InputError(
            f"{option} {target} is not the name of a page; expected one that ends in .html. Change its ending.",
            code="LX-REPORT-001",
        )
    if target.is_dir():
        raise InputError(
            f"{option} {target} is a folder. Name a file in it, such as {target / 'report.html'}.",
            code="LX-REPORT-002",
        )
    if not os.path.lexists(target):
        files.check_folder(target)


def render(template: str, **values: Any) -> str:
    """Return a template of `templates/`, filled with `values`. Raises jinja2's UndefinedError if one is missing."""
    return _environment().get_template(template).render(values)


def render_part(template: str, **values: Any) -> Markup:
    """Return the same as markup, which another template takes as it is."""
    from markupsafe import Markup

    return Markup(render(template, **values))


@cache
def _environment() -> Environment:
    # Imported here, because every command imports this room and few write a page.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    def shown(value: object) -> object:
        return value if isinstance(value, Markup) else visible(value)

    environment = Environment(
        autoescape=True,
        finalize=shown,
        keep_trailing_newline=True,
        loader=FileSystemLoader(TEMPLATES),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["px"] = "{:.1f}".format
    environment.filters["thousands"] = "{:,}".format
    return environment
