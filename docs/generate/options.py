"""Write docs/options.md: every option of a recipe, from the dataclasses that hold them."""

from __future__ import annotations

import ast
import inspect
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from lexport.docs.generate.markdown import cell
from lexport.models.recipes import PARTS, GateOptions, TextOptions, TrainingOptions

PAGE = Path(__file__).parents[1] / "options.md"


def page() -> str:
    """Return docs/options.md."""
    lines = [
        "# Options of a recipe",
        "",
        "A recipe is a TOML file ([models](models.md)). One option is changed with `--set SECTION.OPTION=VALUE`:",
        "",
        "    lexport train reviews.csv --set training.learning_rate=0.01 --set text.ngrams=2 --out runs/reviews",
        "",
        "Everything that is wrong in a recipe is said at once. Editors check recipes against the",
        "[JSON Schema](schemas/recipe.schema.json). This page is written by `python docs/generate`.",
    ]
    lines += _section("[text]", TextOptions)
    for section, kinds in PARTS.items():
        for name, kind in kinds.items():
            lines += _section(f'[{section}], name = "{name}"', kind)
    lines += _section("[training]", TrainingOptions)
    lines += _section("[gates]", GateOptions)
    return "\n".join(lines) + "\n"


def _section(title: str, kind: type[Any]) -> list[str]:
    """Return the table of one section."""
    said = described(kind)
    rows = [f"| `{one.name}` | {_type(one)} | {_default(one)} | {cell(said[one.name])} |" for one in fields(kind)]
    head = ["", f"## {title}", "", " ".join((kind.__doc__ or "").split()), ""]
    return head + (["| option | type | default | |", "|--|--|--|--|", *rows] if rows else ["It has no options."])


def described(kind: type[Any]) -> dict[str, str]:
    """Return the text below each field of a dataclass and of those it extends."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__[:-1]):
        body = ast.parse(inspect.cleandoc("\n" + inspect.getsource(base))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, text in zip(body.body, body.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
                found[field.target.id] = ast.literal_eval(text.value)
    return found


def _type(field: Field[Any]) -> str:
    text = str(field.type).replace("|", "or").replace("None", "left out")
    return text.replace("tuple[int, int]", "two numbers").replace("float", "number").replace("int", "whole number")


def _default(field: Field[Any]) -> str:
    if field.default is MISSING:
        return "required"
    return "" if field.default is None else f"`{_toml(field.default)}`"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)
