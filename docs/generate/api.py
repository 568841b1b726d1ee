"""Write docs/api.md: what `import lexport` has, from its docstrings."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import lexport

PAGE = Path(__file__).parents[1] / "api.md"


def page() -> str:
    """Return docs/api.md."""
    names = sorted(name for name in lexport.__all__ if not name.startswith("_"))
    kinds = {name: getattr(lexport, name) for name in names}
    functions = [name for name, value in kinds.items() if not inspect.isclass(value)]
    classes = [name for name, value in kinds.items() if inspect.isclass(value)]
    lines = [
        "# Python API",
        "",
        "What `import lexport` has; [python](python.md) shows it in use. This page is written by",
        "`python docs/generate`.",
        "",
        "Functions: " + ", ".join(f"[`{name}`](#{_anchor(name)})" for name in functions) + ".",
        "",
        "Classes: " + ", ".join(f"[`{name}`](#{_anchor(name)})" for name in classes) + ".",
    ]
    for name in [*functions, *classes]:
        lines += _entry(f"lexport.{name}", kinds[name], "##")
        if inspect.isclass(kinds[name]):
            for member in _members(kinds[name]):
                lines += _entry(f"{name}.{member}", inspect.getattr_static(kinds[name], member), "###")
    return "\n".join(lines) + "\n"


def _members(kind: type[Any]) -> list[str]:
    """Return the public members with a docstring, in the order of the code, its own before those it inherits."""
    found = []
    for base in kind.__mro__:
        if base.__module__.startswith("lexport."):
            found += [name for name, value in vars(base).items() if not name.startswith("_") and _documented(value)]
    return list(dict.fromkeys(found))


def _documented(value: Any) -> bool:
    function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
    return (inspect.isfunction(function) or isinstance(value, property)) and bool(inspect.getdoc(function))


def _entry(name: str, value: Any, level: str) -> list[str]:
    """Return the heading, signature and text of one name."""
    own = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
    lines = ["", f"{level} {name}", ""]
    if not isinstance(value, property):
        shown = _signature(name.rpartition(".")[2], own)
        if shown:
            lines += ["```python", shown, "```", ""]
    return [*lines, inspect.getdoc(own) or ""]


def _signature(name: str, value: Any) -> str:
    """Return a signature as code, one parameter a line where it is long; "" for what takes none of its own."""
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return ""
    parameters = [_plain(one) for one in signature.parameters.values() if one.name != "self"]
    shown = str(signature.replace(parameters=parameters))
    # As the code writes them, without the quotes of annotations that are kept as text.
    shown = re.sub(r"(?<=[:\[|>,] )'([^']+)'", r"\1", shown)
    shown = shown.replace("Ellipsis", "…")
    if len(name + shown) <= 90:
        return name + shown
    parts = [re.sub(r"(?<=: )'([^']+)'", r"\1", str(one)) for one in parameters]
    first_keyword = next((at for at, one in enumerate(parameters) if one.kind is one.KEYWORD_ONLY), None)
    if first_keyword is not None and not any(one.kind is one.VAR_POSITIONAL for one in parameters):
        parts.insert(first_keyword, "*")
    parts = [one.replace("Ellipsis", "…") for one in parts]
    returned = re.sub(r"'([^']+)'", r"\1", shown.rpartition(") -> ")[2]) if ") -> " in shown else ""
    body = "".join(f"    {one},\n" for one in parts)
    return f"{name}(\n{body})" + (f" -> {returned}" if returned else "")


def _plain(parameter: inspect.Parameter) -> inspect.Parameter:
    """Return a parameter whose default, if it is a function or an object, is shown as `…`."""
    default = parameter.default
    if default is parameter.empty or " at 0x" not in repr(default):
        return parameter
    return parameter.replace(default=...)


def _anchor(name: str) -> str:
    return f"lexport{name.lower()}"
