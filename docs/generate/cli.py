"""Write docs/cli.md: every command with its arguments and options, from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from lexport.cli.app import app
from lexport.docs.generate.markdown import cell

PAGE = Path(__file__).parents[1] / "cli.md"


def page() -> str:
    """Return docs/cli.md."""
    group: Any = get_command(app)
    lines = [
        "# Command line",
        "",
        "`lexport COMMAND --help` says the same in a terminal. Exit codes: 0 done, 1 refused (a gate, an objective,",
        "a verification), 2 wrong usage or input, 3 the machine, 130 interrupted; [errors](errors.md) have codes of",
        "their own. Every command takes `--quiet` (`-q`: results and errors alone) and `--verbose` (`-v`: times",
        "with the progress, and the traceback of an error). With `--json` an error is a line of JSON on stderr.",
        "`lexport` alone shows the runs and archives of this folder and what can be done next;",
        "`lexport --install-completion` has your shell complete commands and options. This page is written by",
        "`python docs/generate`.",
        "",
        "| command | |",
        "|--|--|",
    ]
    commands = dict(_commands(group))
    lines += [
        f"| [`lexport {name}`](#lexport-{name.replace(' ', '-')}) | {cell(_first(command))} |"
        for name, command in commands.items()
    ]
    for name, command in commands.items():
        lines += ["", f"## `lexport {name}`", "", command.help.strip(), ""]
        usage = [f"lexport {name}"]
        for one in command.params:
            if one.param_type_name == "argument":
                usage.append(one.metavar)
        lines += [f"    {' '.join(usage)} [OPTIONS]", "", "| | | default |", "|--|--|--|"]
        for one in command.params:
            if not one.hidden and one.name not in ("help", "quiet", "verbose"):
                lines.append(f"| {_names(one)} | {cell(one.help or '')} | {_default(one)} |")
    return "\n".join(lines) + "\n"


def _commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every command that is not hidden with its name; that of a group stands before those in it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{before}{name} ")
        elif not command.hidden:
            yield f"{before}{name}", command


def _first(command: Any) -> str:
    return " ".join(str(command.help).partition("\n\n")[0].split())


def _names(parameter: Any) -> str:
    """Return how a parameter is written, with its value."""
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar}`"
    value = f" {parameter.metavar}" if parameter.metavar and isinstance(parameter.metavar, str) else ""
    names = [*parameter.opts, *parameter.secondary_opts]
    repeated = ", may be repeated" if parameter.multiple else ""
    return ", ".join(f"`{name}{value}`" for name in names) + repeated


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    default = parameter.default
    if default is None or default is False or default == "" or callable(default):
        return ""
    if isinstance(default, (list, tuple)):
        return ", ".join(f"`{one}`" for one in default)
    return f"`{getattr(default, 'value', default)}`"
