"""Text of templates and of YAML: nothing is missing without an error, and every value is written as data."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **values: Any) -> str:
    """Return a template of `templates/`, filled with `values`. Raises jinja2's UndefinedError if one is missing."""
    return _environment().get_template(template).render(values)


def yaml_text(comments: Iterable[str], documents: Sequence[Mapping[str, Any]]) -> str:
    """Return YAML documents in their own order of keys, with lines of comments above the first."""
    head = "".join(f"# {line}".rstrip() + "\n" for line in comments)
    text = "---\n".join(
        yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110) for document in documents
    )
    return f"{head}\n{text}"


class Block(str):
    """A text of several lines that YAML is to show line by line."""


class _Dumper(yaml.SafeDumper):
    """Writes out what occurs twice, where PyYAML would write an anchor."""

    def ignore_aliases(self, data: Any) -> bool:
        """Return True."""
        return True


def _represent_block(dumper: yaml.SafeDumper, text: Block) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="|")


_Dumper.add_representer(Block, _represent_block)


@cache
def _environment() -> Environment:
    # Imported here, because few commands write a file.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        autoescape=False,  # the filters below quote for the language at hand
        keep_trailing_newline=True,
        loader=FileSystemLoader(TEMPLATES),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    # Not jinja2's own, which writes < and & for HTML.
    environment.filters["json"] = lambda value: json.dumps(value, ensure_ascii=False)
    return environment
