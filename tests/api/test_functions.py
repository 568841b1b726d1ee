"""`import lexport`: what it shows, and that every command has its function or method on docs/python.md."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

import lexport
from lexport.cli.app import app

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
COMMANDS = set(getattr(get_command(app), "commands", {}))
ROW = re.compile(r"^\| `lexport (?P<command>[\w-]+)(?:[^`|]|\\\|)*` \| (?P<code>.*?) \|", re.MULTILINE)
ROWS = {found["command"]: found["code"] for found in ROW.finditer(PAGE.read_text(encoding="utf-8"))}
OWNERS = {"run": lexport.Run, "archive": lexport.Archive, "server": lexport.Server, "store": lexport.Store}


def test_every_command_is_on_the_page_and_nothing_else() -> None:
    assert sorted(ROWS) == sorted(COMMANDS)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_the_page_names_functions_and_methods_that_there_are(command: str) -> None:
    calls = re.findall(r"`(lexport|run|archive|server|store)\.(\w+)", ROWS[command])
    assert calls, ROWS[command]
    for owner, name in calls:
        assert callable(getattr(OWNERS.get(owner, lexport), name))


def test_dir_lists_what_the_stub_lists_and_all_of_it_is_there() -> None:
    stub = (PAGE.parents[1] / "__init__.pyi").read_text(encoding="utf-8")
    names = re.findall(r"import (\w+) as \1$", stub, re.MULTILINE)
    assert sorted(lexport.__all__) == sorted(names) == sorted(dir(lexport))
    for name in names:
        assert getattr(lexport, name) is not None


def test_every_public_function_and_method_has_a_docstring() -> None:
    for name in lexport.__all__:
        found = getattr(lexport, name)
        if isinstance(found, type):
            own = [value for key, value in vars(found).items() if not key.startswith("_") and callable(value)]
            assert all(value.__doc__ for value in own), name
        assert name == "__version__" or found.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="No lexport attribute trian"):
        getattr(lexport, "trian")  # noqa: B009


def test_importing_lexport_imports_nothing_heavy() -> None:
    program = (
        "import sys, lexport\nassert not {'numpy', 'typer', 'httpx', 'torch'} & sys.modules.keys()\n"
        "lexport.serve, lexport.load, lexport.verify, lexport.Client\nassert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
