"""What the console command says of errors that no command foresaw, and how it prints."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lexport
from lexport.__main__ import run
from lexport.cli import catalog
from lexport.cli.options import bar, say_to, show
from lexport.errors import InputError, RefusedError
from lexport.messages import last_words
from lexport.messages.output import output
from lexport.reports import status_tables
from lexport.reports import tables as screens

from ..hostile import EVIL, check
from ..refusals import refused
from .conftest import Result

Command = Callable[..., Result]


def fails_with(monkeypatch: pytest.MonkeyPatch, raise_: Callable[[], object]) -> None:
    monkeypatch.setattr(catalog, "print_line", lambda _: raise_())


def memory_error() -> None:
    raise MemoryError


@pytest.mark.parametrize(
    ("raise_", "words"),
    [
        (memory_error, "error[LX-SYSTEM-002]: there is not enough memory. Use a machine"),
        (lambda: np.empty(2**55), "error[LX-SYSTEM-002]: there is not enough memory (Unable to allocate 256. PiB"),
        (lambda: torch.empty(2**60), "error[LX-SYSTEM-002]: there is not enough memory ("),
    ],
)
def test_lack_of_memory_is_one_line_and_a_problem_of_the_machine(
    lexport: Command, monkeypatch: pytest.MonkeyPatch, raise_: Callable[[], object], words: str
) -> None:
    fails_with(monkeypatch, raise_)
    result = lexport("recipes")
    assert result.code == 3
    assert result.line.startswith(words)
    assert "more, end other programs, or give less at once" in result.line


@pytest.mark.parametrize(
    "raise_",
    [
        lambda: json.loads("[" * 100_000),
        lambda: json.loads(EVIL),
        lambda: "\ud800".encode(),
        lambda: b"\xff\n".decode(),
    ],
)
def test_what_damaged_input_raises_is_one_line(
    lexport: Command, monkeypatch: pytest.MonkeyPatch, raise_: Callable[[], object]
) -> None:
    fails_with(monkeypatch, raise_)
    result = lexport("recipes")
    assert result.code == 2
    assert result.line.startswith("error[LX-SYSTEM-003]: what was read is damaged or nested too deeply (")
    check(result.err)


@pytest.mark.parametrize("error", [ValueError, KeyError, RuntimeError, AssertionError])
def test_other_errors_are_bugs_and_keep_their_traceback(monkeypatch: pytest.MonkeyPatch, error: type) -> None:
    def bug() -> None:
        raise error(EVIL)

    fails_with(monkeypatch, bug)
    with pytest.raises(error):
        run(["recipes"])


def test_the_traceback_of_a_bug_shows_codes() -> None:
    program = (
        "import sys; from lexport import __main__; from lexport.cli import catalog\n"
        f"def fails(value): raise ValueError({EVIL!r})\n"
        "catalog.print_line = fails; sys.argv = ['lexport', 'recipes']; __main__.main()"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("Traceback (most recent call last):")
    assert r"ValueError: x\x1b[2J" in ended.stderr
    assert not set(ended.stderr) & {"\x1b", "\r", "\x9b", "\u202e"}


def test_a_recursion_of_our_own_without_an_end_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    scope: dict[str, Any] = {}
    exec(compile("def again(): return again()", str(catalog.__file__), "exec"), scope)
    fails_with(monkeypatch, scope["again"])
    with pytest.raises(RecursionError):
        run(["recipes"])


def test_lines_below_an_error_are_indented(lexport: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise RefusedError(f"It failed: {EVIL}", f"Traceback:\n{EVIL}", code="LX-TEST-001")

    fails_with(monkeypatch, refuse)
    result = lexport("recipes")
    assert result.code == 1
    first, *below = result.err.splitlines()
    assert first.startswith(r"error[LX-TEST-001]: It failed: x\x1b[2J")
    assert below
    assert all(line.startswith("    ") for line in below)
    check(result.err)


def test_with_json_an_error_is_a_line_of_json_and_what_comes_after_two_dashes_is_a_text(lexport: Command) -> None:
    result = lexport("inspect", EVIL, "--json")
    assert (result.code, result.out) == (2, "")
    check(result.err)
    said = json.loads(result.err)
    assert said.keys() == {"time", "level", "message", "code", "exit_code"}
    assert (said["level"], said["code"], said["exit_code"]) == ("error", "LX-ARCHIVE-069", 2)
    assert said["message"].startswith("There is no archive x")
    assert json.loads(lexport("inspect", "--json").err)["code"] == "LX-SYSTEM-004"
    assert not last_words.is_json()  # it holds for that command line alone
    assert lexport("run", "absent.mar", "--", "--json").err.startswith("error[LX-")


def test_a_verbose_error_has_its_traceback_below(lexport: Command) -> None:
    first, *below = lexport("inspect", EVIL, "-v").err.splitlines()
    assert first.startswith("error[LX-ARCHIVE-069]: ")
    assert below[0] == "    Traceback (most recent call last):"
    assert below[-1].startswith("    lexport.errors.InputError: There is no archive x")
    check("\n".join(below))
    assert "Traceback" in json.loads(lexport("inspect", "absent.mar", "--verbose", "--json").err)["details"]
    assert "Traceback" not in lexport("inspect", "absent.mar").err


def test_quiet_commands_print_no_progress_and_verbose_ones_its_times(capfd: pytest.CaptureFixture[str]) -> None:
    try:
        output.quiet = True
        say_to(as_json=False)("working")
        with bar("training") as progress:
            progress(1, 2, "x")
        assert "".join(capfd.readouterr()) == ""
        output.reset()
        output.verbose = True
        say_to(as_json=False)("working")
        assert re.fullmatch(r"\[ +[0-9]+\.[0-9] s\] working\n", capfd.readouterr().out)
    finally:
        output.reset()


def test_lines_printed_beside_a_bar_go_where_they_belong(tmp_path: Path) -> None:
    """A line is printed above the bar of the same terminal; in a file it stands alone."""
    program = (
        "from lexport.cli.options import bar, print_line\n"
        "with bar('training') as progress:\n"
        "    progress(1, 2, 'epoch 1')\n"
        "    print_line('a note')\n"
        "    progress(2, 2, 'epoch 2')\n"
    )
    command = [sys.executable, "-c", program]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "80"}
    terminal, theirs = os.openpty()
    with (tmp_path / "out").open("w+") as file:
        subprocess.run(command, stdout=file, stderr=theirs, env=environment, check=True)
        file.seek(0)
        assert file.read() == "a note\n"
    subprocess.run(command, stdout=theirs, stderr=theirs, env=environment, check=True)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # the end of a terminal
        while more := os.read(terminal, 65536):
            shown += more
    os.close(terminal)
    # The line of the bar is erased before the note takes its place.
    assert re.search(rb"\x1b\[2K(\x1b\[[0-9;?]*[a-zA-Z])*a note\r?\n", shown), shown


def test_progress_stays_on_its_line(capfd: pytest.CaptureFixture[str]) -> None:
    for as_json in (False, True):
        say_to(as_json)(f"working on {EVIL}")
        shown = "".join(capfd.readouterr())
        assert shown.count("\n") == 1
        check(shown)
    with bar("training") as progress:
        progress(1, 2, EVIL)
    check("".join(capfd.readouterr()))


def test_every_screen_shows_codes(capfd: pytest.CaptureFixture[str]) -> None:
    worker = {"id": EVIL, "pid": 1, "device": EVIL, "threads": 1, "state": EVIL, "memory_bytes": 0}
    figures = {"requests": 1, "p50_seconds": None, "p99_seconds": None, "unknown_share": None, "recent": None}
    queue = {"queue_waiting": 0, "queue_free": 1}
    models = [
        {"name": EVIL, "version": EVIL, "variant": EVIL, "default": True, "workers": [worker], **figures, **queue}
    ]
    line = {"time": EVIL, "file": EVIL, "kind": EVIL, "line": EVIL}
    server = {"engine": EVIL, "uptime_seconds": 1.0, "total_memory_bytes": 1, "last_error": line, "problems": [EVIL]}
    values = {"healthy": True, "inference_url": EVIL, "pid": 1, "models": models, **server}
    finding = {"subject": EVIL, "state": "problem", "found": EVIL, "remedy": EVIL}
    show(status_tables.status(values))
    show(status_tables.look(EVIL, values, EVIL, EVIL))
    show(status_tables.entry(line, everything=True))
    show(screens.findings([finding]))
    show(screens.titled(f"x {'signed by ' * 40}{EVIL}", screens.new_table(EVIL)))
    shown = capfd.readouterr().out
    assert shown.count(r"\x1b[2J") >= 9
    check(shown)


def test_a_value_of_the_wrong_kind_is_an_error_that_names_it() -> None:
    answers: list[Any] = [{}, {"label": "good", "score": "much"}, {"labels": 3}, {"vector": ["x"]}, "text", None]
    for wrong in answers:
        with (
            refused(InputError, "LX-REPORT-003", "films", "--json"),
            screens.reading("The answer of films", InputError),
        ):
            screens.answers(["text"], [wrong])


def test_commands_print_through_the_functions_that_write_codes() -> None:
    """Whoever prints elsewhere would have to see to it again."""
    root = Path(lexport.__file__).parent
    printing = {"print", "typer.echo", "Console", "rich.print", "sys.stdout.write", "sys.stderr.write"}
    allowed = {"cli/options.py", "__main__.py", "handlers/runtime/metrics.py", "loadtest/driver/hosts.py"}
    sources = [root / name for name in ("commands", "export", "serving", "models", "client", "loadtest", "handlers")]
    files = [*root.glob("*.py"), *(file for folder in sources for file in folder.rglob("*.py"))]
    # Programs of an exit's folder stand alone.
    files = [file for file in files if "programs" not in file.parts]
    assert len(files) > 100
    for file in files:
        if file.relative_to(root).as_posix() in allowed:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            assert name not in printing, f"{file}, line {getattr(node, 'lineno', 0)}"
