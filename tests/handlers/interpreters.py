"""Python environments in which some packages are really not installed, made of links in a moment."""

from __future__ import annotations

import os
import re
import sysconfig
import venv
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

HERE = Path(sysconfig.get_path("purelib"))


def environment(folder: Path, entries: Iterable[Path]) -> Path:
    """The interpreter of a new virtual environment that has these files and folders of this one's packages."""
    venv.EnvBuilder(with_pip=False).create(folder)
    [packages] = folder.glob("lib/python*/site-packages")
    for entry in entries:
        (packages / entry.name).symlink_to(entry)
    return folder / "bin" / "python"


def all_but(folder: Path, missing: str) -> Path:
    """The interpreter of an environment with everything that is installed here except `missing`."""
    gone = owned([missing])
    # A .pth file brings what lies elsewhere: a checkout, in an editable installation.
    return environment(folder, (path for path in HERE.iterdir() if path not in gone and path.suffix != ".pth"))


def only(folder: Path, packages: Iterable[str]) -> Path:
    """The interpreter of an environment with these packages, what they need in turn, and nothing else."""
    return environment(folder, owned(needed(packages)))


def needed(packages: Iterable[str]) -> set[str]:
    """Packages with all that they require, extras left out, as far as it is installed here."""
    found: set[str] = set()
    waiting = list(packages)
    while waiting:
        name = waiting.pop().lower()
        try:
            requirements = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # of another platform
        if name not in found:
            found.add(name)
            waiting += [re.match(r"[\w.-]+", one)[0] for one in requirements if "extra ==" not in one]  # type: ignore[index]
    return found


def owned(packages: Iterable[str]) -> set[Path]:
    """What these packages have in the folder of packages that each lies in."""
    return {
        Path(str(distribution.locate_file(name)))
        for distribution in map(metadata.distribution, packages)
        for name in {file.parts[0] for file in distribution.files or []} - {os.pardir, "__pycache__"}
    }
