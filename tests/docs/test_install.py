"""README.md and docs/install.md: their commands exist, extras are the project's, sizes are what was measured."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from lexport.cli.app import app
from lexport.messages.extras import CPU_WHEELS

from ..package.test_extras import OPTIONAL, PROJECT, installed

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
INSTALL = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
# The ways out of TorchServe.
EXITS = (ROOT / "docs" / "migrate.md").read_text(encoding="utf-8").partition("## What becomes")[0]


def commands() -> list[str]:
    """The lines of lexport in README.md, and the ways out of TorchServe."""
    lines = re.findall(r"^    (lexport .*?)(?: +#.*)?$", README, re.MULTILINE)
    return sorted({*lines, *re.findall(r"^\|.*\| `(lexport [^`]*)`", EXITS, re.MULTILINE)})


@pytest.mark.parametrize("line", commands())
def test_every_command_is_one_of_ours_with_options_that_it_has(line: str) -> None:
    _, name, *arguments = shlex.split(line)
    command: Any = get_command(app)
    command.commands[name].make_context(name, arguments)


def test_every_extra_of_a_pip_line_is_one_of_ours() -> None:
    named = {
        extra
        for page in (README, *(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")))
        for extras in re.findall(r"pip install \"(?:lexport|\.|\./lexport)\[([a-z,]+)\]\"", page)
        for extra in extras.split(",")
    }
    assert named <= OPTIONAL.keys()
    assert named >= {"serve", "train", "torchserve", "loadtest", "all"}


def test_every_size_is_what_was_measured() -> None:
    rows = re.findall(
        r"^\|.*`pip install (?:lexport|\"lexport\[([a-z]+)\]\")`.*\| ([\d,]+) \|$", INSTALL, re.MULTILINE
    )
    assert {extra for extra, _ in rows} == {"", "serve", "loadtest", "train", "torchserve", "all"}
    for extra, megabytes in rows:
        found = installed(extra)
        if "nvidia-cublas" not in found:  # a CUDA build of torch
            assert sum(found.values()) / 1e6 == pytest.approx(float(megabytes.replace(",", "")), rel=0.15), extra


def test_who_installs_torch_reads_how_to_get_the_cpu_build() -> None:
    lines = re.findall(r"^    pip install .*\[(?:train|torchserve|all)\].*$", README, re.MULTILINE)
    assert len(lines) == 3
    assert all(line.endswith(f"--extra-index-url {CPU_WHEELS}") for line in lines)
    assert CPU_WHEELS in INSTALL


def test_the_pythons_are_those_that_pip_takes() -> None:
    assert PROJECT["requires-python"] == ">=3.11,<3.14"
    assert "Python 3.11, 3.12 and 3.13" in INSTALL
    classified = [line for line in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", line)]
    assert [line.rpartition(" ")[2] for line in classified] == ["3.11", "3.12", "3.13"]
