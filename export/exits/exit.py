"""What an exit is: files beside an archive's members, and a proof that they answer as the archive does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import ClassVar

from .evidence import Proof
from .packed import FOLDER, Packed
from .running import Environment

MODEL_PROGRAM = "lexport_model.py"
"""The program that answers with an archive's own code, which the servers' programs import."""


_README = """\
`evidence.json` says whether all this answered the golden requests as the archive does, and with which versions. The
members of the archive lie here as they were packed: `lexport verify` checks their folder.
"""


class Exit(ABC):
    """A form in which an archive leaves TorchServe."""

    PACKAGE: ClassVar[str] = ""
    """The distribution that runs it, by its name on PyPI."""

    def place(self, packed: Packed) -> str:
        """Return the folder of the archive's members, relative to that of the exit."""
        return FOLDER

    @abstractmethod
    def files(self, packed: Packed) -> dict[str, bytes]:
        """Return the files beside the members, by path. Raises InputError for a model that this exit cannot carry."""

    @abstractmethod
    def prove(self, folder: Path, packed: Packed, environment: Environment) -> Sequence[Proof]:
        """Have what lies in `folder` answer the goldens and return what was found, a proof for each program.

        Raises SystemProblem for a program that fails, RefusedError for an answer that is none.
        """


def program(name: str) -> bytes:
    """Return a program that exits carry, as it stands in the folder `programs`."""
    return resources.files(__package__).joinpath("programs", name).read_bytes()


def requirements(packed: Packed, *packages: str) -> bytes:
    """Return the lines of a requirements file: `packages`, and what the model's code imports, of any version.

    Servers have limits of their own; the versions that were measured are in the members' requirements.txt.
    """
    needs = [line.partition("==")[0] for line in packed.needs]
    return "".join(f"{one}\n" for one in (*packages, *needs)).encode()


def readme(packed: Packed, title: str, text: str) -> bytes:
    """Return the README.md of an exit."""
    model = packed.model
    # The first line may be a command, which its indentation says.
    body = text.strip("\n")
    return f"# {model.name} {model.version}: {title}\n\n{body}\n\n{_README}".encode()
