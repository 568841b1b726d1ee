"""Write docs/cli.md: every command with its arguments and options, from the commands themselves."""

from __future__ import annotations

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
        "their own. This page is written by `python docs/generate`.",
        "",
        "| command | |",
        "|--|--|",
    ]
    commands: dict[str, Any] = {}
    for name in group.list_commands(None):
        command = group.commands[name]
        members = getattr(command, "commands", None)
        commands |= {name: command} if members is None else {f"{name} {key}": one for key, one in members.items()}
    commands = {name: command for name, command in commands.items() if not command.hidden}
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
            if not one.hidden and one.name != "help":
                lines.append(f"| {_names(one)} | {cell(one.help or '')} | {_default(one)} |")
    return "\n".join(lines) + "\n"


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
