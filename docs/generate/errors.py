"""Write docs/errors.md: every error that lexport raises on purpose, from the code that raises it.

    python docs/generate

A message is shown as the code writes it, with the name of a value in braces where a value stands.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lexport.docs.generate.wording import CAUSES, REMEDIES

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "errors.md"
SKIPPED = {"tests", "benchmarks", "docs", "build"}
CODE = re.compile(r"LX-[A-Z]+-[0-9]{3}")

AREAS = {
    "API": "Python",
    "ARCHIVE": "Archives",
    "CLI": "Command line",
    "CLIENT": "Clients",
    "DATA": "Data files",
    "EVAL": "Evaluation",
    "EXPORT": "Export and gates",
    "FILE": "Files and folders",
    "HUB": "Folders for the Hub",
    "HTTP": "Requests to a served model",
    "IMPORT": "Bringing a model in",
    "INSTALL": "Installation",
    "LOAD": "Load tests",
    "MODEL": "Models and runs",
    "PROXY": "Proxies and canaries",
    "RAY": "Ray clusters",
    "RECIPE": "Recipes",
    "REPORT": "Reports",
    "SERVE": "Serving",
    "SYSTEM": "The machine and the command line",
    "TRAIN": "Training",
    "TRUST": "Signatures and trust",
    "UI": "The local page",
    "VECTORS": "Word vectors",
}
"""The title of each area of codes."""

_EXIT = {"InputError": 2, "RefusedError": 1, "SystemProblem": 3, "_PortLost": 3, "Busy": 3, "MissingExtra": 3}


@dataclass(frozen=True)
class Entry:
    """One error of the page."""

    code: str
    exit_code: int
    """Of the command line; for what a served model answers, the HTTP status."""
    message: str
    """The message, with names in braces for values."""
    expected: str = ""
    """What a served model says it expected."""

    @property
    def of_http(self) -> bool:
        """Whether a served model answers this."""
        return self.code.startswith("LX-HTTP-")

    @property
    def cause(self) -> str:
        """What happened: the first sentence."""
        return CAUSES.get(self.code) or _split(self.message)[0]

    @property
    def remedy(self) -> str:
        """What was expected and what to do: the other sentences."""
        sent = f"Send {self.expected}." if self.expected else ""
        return REMEDIES.get(self.code) or sent or _split(self.message)[1]


def entries() -> list[Entry]:
    """Return every error with a code, in the order of the codes."""
    found: list[Entry] = []
    for path in sources():
        source = path.read_text(encoding="utf-8")
        if '"LX-' not in source:
            continue
        tree = ast.parse(source)
        constants = dict(_constants(tree))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                found += _raised(node, constants)
            elif isinstance(node, ast.ClassDef):
                found += _of_class(node)
    return sorted(found, key=lambda entry: entry.code)


def sources() -> list[Path]:
    """Return the package's modules."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).parts
        if parts[0] not in SKIPPED and not any(part.startswith(".") for part in parts):
            found.append(path)
    return found


def page() -> str:
    """Return docs/errors.md."""
    lines = [
        "# Errors",
        "",
        "Every error that lexport raises on purpose has a code that never changes its meaning. The command line",
        "prints it before the message, in Python it is `error.code`:",
        "",
        "    error[LX-DATA-001]: …",
        "",
        "A served model puts the code of what it refuses into its answer, beside `error` and `expected`.",
        "A name in braces stands for a value. The exit code is 1 where something was refused (a gate, an objective,",
        "a verification), 2 for input that cannot be used, 3 where the machine stands in the way. This page is",
        "written by `python docs/generate`, from the code.",
    ]
    every = entries()
    for area, title in sorted(AREAS.items(), key=lambda item: item[1]):
        own = [entry for entry in every if entry.code.split("-")[1] == area]
        number = "status" if area == "HTTP" else "exit"
        lines += ["", f"## {title}", "", f"| code | {number} | what happened | what to do |", "|--|--|--|--|"]
        lines += [
            f"| <a id='{entry.code}'></a>`{entry.code}` | {entry.exit_code} | {_cell(entry.cause)} | "
            f"{_cell(entry.remedy)} |"
            for entry in own
        ]
    return "\n".join(lines) + "\n"


def _raised(node: ast.Call, constants: Mapping[str, str]) -> Iterator[Entry]:
    """Yield the error that a call makes, if it has a code."""
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    code = next((one.value for one in node.keywords if one.arg == "code"), None)
    if name == "Refusal" and isinstance(code, ast.Constant):
        status, told, *others = node.args
        assert isinstance(status, ast.Constant)
        sent = "a body of one of the forms in http.md"
        if others and getattr(others[0], "id", "") != "EXPECTED":
            sent = _text(others[0], constants)
        yield Entry(str(code.value), int(str(status.value)), _text(told, constants), sent)
    elif isinstance(code, ast.Constant) and CODE.fullmatch(str(code.value)):
        yield Entry(str(code.value), _EXIT.get(name, 2), _text(node.args[0], constants))
    elif name == "_say":  # of __main__, with the exit code
        named = next((one.value for one in node.keywords if one.arg == "name"), None)
        if isinstance(named, ast.Constant) and CODE.fullmatch(str(named.value)):
            shown = _text(node.args[0], constants)
            assert isinstance(node.args[1], ast.Constant)
            yield Entry(str(named.value), int(str(node.args[1].value)), shown[:1].upper() + shown[1:])


def _of_class(node: ast.ClassDef) -> Iterator[Entry]:
    """Yield the error of a class that has one code for all of its messages; its docstring stands for them."""
    for statement in node.body:
        if not isinstance(statement, ast.Assign) or getattr(statement.targets[0], "id", "") != "code":
            continue
        code = ast.literal_eval(statement.value)
        exit_code = 3 if "SystemProblem" in {getattr(base, "id", "") for base in node.bases} else 2
        if CODE.fullmatch(code):
            summary = (ast.get_docstring(node) or "").partition("\n\n")[0]
            yield Entry(code, exit_code, " ".join(summary.split()))


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the names that stand for one text in the whole module."""
    assigned: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            assigned.setdefault(node.targets[0].id, []).append(node.value)
    for name, values in assigned.items():
        if len(values) == 1 and _is_text(values[0]):
            yield name, _text(values[0], {})


def _text(node: ast.expr, constants: Mapping[str, str]) -> str:
    """Return a message as a text with names in braces."""
    match node:
        case ast.Constant(value=str(value)):
            return value
        case ast.JoinedStr(values=values):
            return "".join(_text(one, constants) for one in values)
        case ast.FormattedValue(value=value):
            return _value(value, constants)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _text(left, constants) + _text(right, constants)
        case ast.BoolOp(values=[first, *_]):
            return _text(first, constants)
        case ast.IfExp(body=body, orelse=other):
            return f"{_text(body, constants)} Or: {_text(other, constants)}"
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="format")) if name in constants:
            return re.sub(r"{(\w+)[^}]*}", r"{\1}", constants[name])
        case _:
            return _value(node, constants)


def _value(node: ast.expr, constants: Mapping[str, str]) -> str:
    """Return what stands for a value in a message: its name in braces, or the text that it always is."""
    match node:
        case ast.Name(id=name) if name in constants:
            return constants[name]
        case ast.Call(func=ast.Name(id="did_you_mean")):
            return ""  # a guess at what was meant, if there is one
        case ast.IfExp(body=body, orelse=other) if _is_text(body) and _is_text(other):
            texts = [text for text in (_text(body, constants), _text(other, constants)) if text]
            return "/".join(texts)
        case ast.Constant(value=value) | ast.Subscript(value=ast.Constant(value=value)):
            return str(value)
    return f"{{{_name(node)}}}"


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _name(node: ast.expr) -> str:
    """Return the most telling name in an expression."""
    match node:
        case ast.Name(id=name):
            return name.strip("_").lower()
        case ast.Attribute(attr=name):
            return name.strip("_").lower()
        case ast.Call(func=ast.Attribute(value=ast.Constant()), args=[inner, *_]):
            return _name(inner)
        case ast.Call(func=ast.Name(id="map"), args=[_, inner]):
            return _name(inner)
        case ast.Call(func=ast.Name(), args=[inner, *_]):
            return _name(inner)
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=str(name)), *_]):
            return name
        case ast.Call(func=function):
            return _name(function)
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            return name
        case ast.Subscript(value=value) | ast.Starred(value=value):
            return _name(value)
        case ast.ListComp(generators=[first, *_]) | ast.GeneratorExp(generators=[first, *_]):
            return _name(first.iter)
        case ast.BinOp(left=left) | ast.BoolOp(values=[left, *_]) | ast.UnaryOp(operand=left):
            return _name(left)
        case ast.IfExp(body=body):
            return _name(body)
        case _:
            return "…"


def _split(message: str) -> tuple[str, str]:
    """Return the first sentence of a message and the rest."""
    found = re.match(r"(.+?)([.;])\s+(?=[A-Za-z{`-])(.*)", message, re.DOTALL)
    return (f"{found[1]}.", found[3][:1].upper() + found[3][1:]) if found else (message, "")


def _cell(text: str) -> str:
    """Return a text as a cell of a Markdown table."""
    return re.sub(r"([\\_<|])", r"\\\1", " ".join(text.split()))
