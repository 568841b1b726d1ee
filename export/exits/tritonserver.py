"""Finding a tritonserver: one on the PATH, as in NVIDIA's images, or that in the wheel of nvidia-pytriton."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .running import Environment, run
from .triton_config import PYTHON

NAME = "tritonserver"
# The wheel's place, the minor version of Python, and the folder of its library.
_WHEEL = """
import importlib.util, sys, sysconfig
found = importlib.util.find_spec("pytriton")
print(found.submodule_search_locations[0] if found else "")
print(sys.version_info.minor)
print(sysconfig.get_config_var("LIBDIR") or "")
"""


@dataclass(frozen=True)
class Server:
    """A tritonserver that can be started."""

    command: tuple[str, ...]
    """The program and its options, without a repository and ports."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What its environment must have."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """The package that it is from."""

    def serving(self, repository: Path, port: int) -> list[str]:
        """Return the command that serves a repository over HTTP, at a port of the loopback interface alone."""
        options = [f"--model-repository={repository}", "--http-address=127.0.0.1", f"--http-port={port}"]
        return [*self.command, *options, "--allow-grpc=false", "--allow-metrics=false"]


def on_path(backend: str) -> Server | None:
    """Return the tritonserver on the PATH; None if there is none, or none with this backend."""
    found = shutil.which(NAME)
    if found is None or not (Path(found).resolve().parents[1] / "backends" / backend).is_dir():
        return None
    return Server((found,))


def of_wheel(environment: Environment, scratch: Path) -> Server | None:
    """Return the server in nvidia-pytriton's wheel, with its Python backend put together in the folder `scratch`.

    None where the wheel is not installed, or has no backend for the environment's Python.
    """
    command: list[str | Path] = [environment.python, "-c", _WHEEL]
    said = run(command, cwd=scratch, variables=environment.variables(scratch), what="python").split("\n")
    wheel, minor, library = Path(said[0]), said[1], said[2]
    stub = wheel / NAME / "python_backend_stubs" / f"3.{minor}" / "triton_python_backend_stub"
    if not said[0] or not stub.is_file():
        return None
    # The wheel has a stub for each version of Python, and the backend looks for one beside itself.
    backends = scratch / "backends"
    shutil.copytree(wheel / NAME / "backends", backends, symlinks=True)
    shutil.copy(stub, backends / PYTHON)
    return Server(
        (str(wheel / NAME / "bin" / NAME), f"--backend-directory={backends}"),
        {"LD_LIBRARY_PATH": os.pathsep.join([library, str(wheel.parent / "nvidia_pytriton.libs")])},
        {"nvidia-pytriton": environment.version("nvidia-pytriton") or ""},
    )
