"""What an exit is: files beside an archive's members, and a proof that they answer as the archive does."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar

from ...handlers.model.goldens import Golden
from .evidence import Proof, judged, unproven
from .open_inference import answers_of_all
from .packed import FOLDER, Packed
from .running import Environment, ask, free_ports, served

MODEL_PROGRAM = "lexport_model.py"
"""The program that answers with an archive's own code, which the servers' programs import."""


_README = """\
`evidence.json` says whether all this answered the golden requests as the archive does, and with which versions. The
members of the archive lie here as they were packed: `lexport verify` checks their folder.
"""


class Exit(ABC):
    """A form in which an archive leaves TorchServe."""

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


class ServerExit(Exit):
    """An exit that one server of Python runs."""

    PACKAGE: ClassVar[str]
    """The distribution that runs it, by its name on PyPI."""
    PROGRAM: ClassVar[str]
    """What starts it, by which its proof is named."""
    READY: ClassVar[str] = "/v2/models/{name}/ready"
    """Where it answers 200 once it is ready."""

    @staticmethod
    @abstractmethod
    def command(folder: Path, environment: Environment, port: int) -> tuple[list[str | Path], dict[str, str]]:
        """Return the command that serves the exit in `folder`, absolute, at a port, and the variables it needs."""

    def prove(self, folder: Path, packed: Packed, environment: Environment) -> Sequence[Proof]:
        """Start the server and ask it all goldens, over HTTP."""
        version = environment.version(self.PACKAGE)
        if version is None:
            return [unproven(self.PROGRAM, environment.missing(self.PACKAGE))]
        [port] = free_ports(1)
        command, own = self.command(folder.resolve(), environment, port)
        ready = self.READY.format(name=packed.model.name)
        with tempfile.TemporaryDirectory(prefix="lexport-") as scratch:
            variables = environment.variables(Path(scratch)) | own
            with served(command, port, ready, variables=variables, what=self.PROGRAM):
                goldens, answers = self.answers(packed, port)
        return [judged(self.PROGRAM, packed, goldens, answers, versions={self.PACKAGE: version})]

    def answers(self, packed: Packed, port: int) -> tuple[Sequence[Golden], Sequence[Mapping[str, Any]]]:
        """Ask the server at a port all goldens; return them, once for each answer, and the answers.

        They are asked by the Open Inference Protocol v2. Raises RefusedError for a reply that has no answer.
        """
        path = f"/v2/models/{packed.model.name}/infer"
        return answers_of_all(packed, lambda request: ask(port, path, request))


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
