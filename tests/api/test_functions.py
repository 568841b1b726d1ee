"""`lexport.api` is equal to the command line: a function behind every command, named on docs/python.md."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lexport import api
from lexport.cli.app import app

PAGE = Path(__file__).parent.parent / "docs" / "python.md"
COMMANDS = {command.callback.__name__: command.callback for command in app.registered_commands if command.callback}
ROW = re.compile(r"^\| `lexport (?P<command>\w+)(?:[^`|]|\\\|)*` \| (?P<code>.*?) \|", re.MULTILINE)
# By command, the words in the code of the page's second column.
ROWS = {
    found["command"]: re.findall(r"[A-Za-z_]+", " ".join(re.findall(r"`([^`]*)`", found["code"])))
    for found in ROW.finditer(PAGE.read_text(encoding="utf-8"))
}


def used(command: Callable[..., Any]) -> Iterator[object]:
    """What a command takes from the rest of lexport: what it imports, and attributes of modules it imports."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(command)))
    names: dict[str, object] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module("." * node.level + (node.module or ""), "lexport.cli")
            for one in node.names:
                if not hasattr(module, one.name):
                    importlib.import_module(f"{module.__name__}.{one.name}")
                names[one.asname or one.name] = getattr(module, one.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in names:
            yield getattr(names[node.value.id], node.attr)
    yield from names.values()


def test_every_command_is_on_the_page_and_nothing_else() -> None:
    assert sorted(ROWS) == sorted(COMMANDS)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_the_page_names_the_very_function_that_the_command_calls(command: str) -> None:
    named = [name for name in ROWS[command] if name in api.__all__]
    called = list(used(COMMANDS[command]))
    assert any(getattr(api, name) is one for name in named for one in called), (named, called)


def test_every_function_is_on_the_page() -> None:
    assert set(api.__all__) <= set(
        re.findall(r"[A-Za-z_]+", " ".join(re.findall(r"`([^`\n]*)`", PAGE.read_text("utf-8"))))
    )


def test_what_a_type_checker_sees_is_what_there_is() -> None:
    tree = ast.parse(inspect.getsource(api))
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        one.name: node.module or ""
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for one in node.names
        if one.asname == one.name
    }
    assert seen == api._MODULES
    for name, module in seen.items():
        found = getattr(importlib.import_module(f"lexport.{module}"), name)
        assert getattr(api, name) is found


def test_an_unknown_name_is_an_attribute_error_that_lists_those_there_are() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'trian'; it has: .*\btrain\b"):
        getattr(api, "trian")  # noqa: B009
    with pytest.raises(ImportError):
        exec("from lexport.api import trian")


def test_serving_from_python_does_not_wait_for_torch() -> None:
    program = (
        "import sys\nfrom lexport import api\nassert not {'numpy', 'typer'} & sys.modules.keys()\n"
        "api.serve, api.predict, api.status, api.stop, api.verify\nassert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
