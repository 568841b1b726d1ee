"""A folder that BentoML serves and builds: a service, and the file that says what belongs to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from ...errors import RefusedError
from ...handlers.model.goldens import Golden
from .exit import MODEL_PROGRAM, ServerExit, program, readme, requirements
from .packed import FOLDER, Packed
from .running import Environment, ask

_TEXT = """
    pip install -r requirements.txt
    bentoml serve service:Service
    curl --json '{"requests": [{"text": "a text"}]}' http://127.0.0.1:3000/predict

A request is what lexport's servers take as JSON: `{"text": …}`, with `"lang"` beside it for a model with languages,
or `{"image": [0.5, …]}`; `"top_k"` and `"threshold"` too. Where one is refused, its answer is `error` and `expected`.
`bentoml build` packs the folder, `bentoml containerize` makes an image of that.
"""
_BUILD = f"""\
service: "service:Service"
include:
  - "*.py"
  - "{FOLDER}/**"
python:
  requirements_txt: requirements.txt
"""


class BentoML(ServerExit):
    """A service of BentoML."""

    PACKAGE: ClassVar[str] = "bentoml"
    PROGRAM: ClassVar[str] = "bentoml serve"
    READY: ClassVar[str] = "/readyz"

    def files(self, packed: Packed) -> dict[str, bytes]:
        """Return the service and its bentofile.yaml."""
        return {
            MODEL_PROGRAM: program(MODEL_PROGRAM),
            "service.py": program("service.py"),
            "bentofile.yaml": _BUILD.encode(),
            "requirements.txt": requirements(packed, "bentoml"),
            "README.md": readme(packed, "BentoML", _TEXT),
        }

    @staticmethod
    def command(folder: Path, environment: Environment, port: int) -> tuple[list[str | Path], dict[str, str]]:
        """Return the command that serves `folder` on the loopback interface, and what has it report to nobody."""
        command: list[str | Path] = [environment.python, "-m", "bentoml", "serve", "service:Service"]
        command += ["--working-dir", folder, "--host", "127.0.0.1", "--port", str(port)]
        return command, {"BENTOML_DO_NOT_TRACK": "True"}

    def answers(self, packed: Packed, port: int) -> tuple[Sequence[Golden], Sequence[Mapping[str, Any]]]:
        """Ask the service all goldens, each by itself and all in batches. Raises RefusedError."""
        asked = [[golden] for golden in packed.goldens]
        asked += [list(packed.goldens[first : first + 64]) for first in range(0, len(packed.goldens), 64)]
        return [golden for some in asked for golden in some], [one for some in asked for one in _ask(port, some)]


def _ask(port: int, goldens: Sequence[Golden]) -> list[Any]:
    status, answer = ask(port, "/predict", {"requests": [_request(golden) for golden in goldens]})
    if status != 200 or not isinstance(answer, list):
        raise RefusedError(
            f"The service answered goldens with the status {status}: {str(answer)[:300]}. Nothing was written; see "
            "whether the archive itself answers them, with: lexport run",
            code="LX-EXPORT-106",
        )
    return answer


def _request(golden: Golden) -> dict[str, Any]:
    if golden.image is not None:
        return {"image": golden.image}
    return {"text": golden.text} | ({"lang": golden.lang} if golden.lang is not None else {})
