"""A model repository for Triton, on its ONNX Runtime backend or its Python backend."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import InputError
from ...handlers.model.goldens import Golden
from .evidence import Proof
from .exit import MODEL_PROGRAM, Exit, program, readme, requirements
from .packed import FOLDER, Packed
from .running import Environment
from .triton_config import PYTHON, Tensor, graph_config, python_config
from .triton_proof import config_proof, graph_proof, server_proof

BACKENDS = ("auto", "onnxruntime", PYTHON)
REPOSITORY = "repository"
_MOST_WARMED = 16
_TEXT = """
    tritonserver --model-repository=repository

`repository/{name}/{number}` is version {version} of the model, on Triton's {backend} backend. Another version goes
beside it, as another number; `config.pbtxt` serves the newest. Triton answers the Open Inference Protocol v2:

    curl --json '{{"inputs": [{{"name": "{first}", "shape": [1, 1], "datatype": "BYTES", "data": ["a text"]}}]}}' \\
        http://127.0.0.1:8000/v2/models/{name}/infer

{tensors} Requests are answered together, {batch} texts at most. It is ready after it has answered golden requests.
It listens on every interface and asks for no token: put something before it that does.
"""
_GRAPH = "The tensors are those of the graph. Nothing but the graph is run."
_CODE = (
    "The tensors are those of lexport's servers. The Python that Triton brings needs the packages of "
    "requirements.txt."
)


@dataclass(frozen=True)
class Triton(Exit):
    """A repository with one model of one version."""

    backend: str = "auto"
    """One of BACKENDS; auto takes ONNX Runtime for a model that takes texts, else Python."""
    number: int | None = None
    """The version as Triton counts, a positive number; None for the first number of the archive's version."""

    def __post_init__(self) -> None:
        """Raise InputError for another backend, or a number that Triton does not know."""
        if self.backend not in BACKENDS:
            raise InputError(
                f"--backend is {self.backend!r}. Choose one of {', '.join(BACKENDS)}.", code="LX-EXPORT-110"
            )
        if self.number is not None and self.number < 1:
            raise InputError(
                f"--number is {self.number}, and Triton counts versions from 1. Choose a positive number.",
                code="LX-EXPORT-111",
            )

    def place(self, packed: Packed) -> str:
        """Return the folder of the version, or with code the folder `model` in it."""
        version = f"{REPOSITORY}/{packed.model.name}/{self._number(packed)}"
        return version if self._runs_graph(packed) else f"{version}/{FOLDER}"

    def files(self, packed: Packed) -> dict[str, bytes]:
        """Return config.pbtxt, the labels, samples to warm up with and, for the Python backend, model.py."""
        name = packed.model.name
        model = f"{REPOSITORY}/{name}"
        samples = [golden for golden in packed.goldens if golden.image is None][:_MOST_WARMED]
        make = graph_config if self._runs_graph(packed) else python_config
        config = make(packed, len(samples))
        first = config.inputs[0].name
        found = {f"{model}/config.pbtxt": config.text().encode()}
        for number, golden in enumerate(samples, 1):
            found |= {f"{model}/warmup/{file}": content for file, content in _warmup(config.inputs, number, golden)}
        if packed.gives_scores:
            found[f"{model}/labels.txt"] = "".join(f"{_line(label)}\n" for label in packed.labels).encode()
        number = self._number(packed)
        if not self._runs_graph(packed):
            found[f"{model}/{number}/model.py"] = program("triton_model.py")
            found[f"{model}/{number}/{MODEL_PROGRAM}"] = program(MODEL_PROGRAM)
            found["requirements.txt"] = requirements(packed)
        text = _TEXT.format(
            name=name,
            number=number,
            version=packed.model.version,
            backend="ONNX Runtime" if self._runs_graph(packed) else "Python",
            first=first,
            tensors=_GRAPH if self._runs_graph(packed) else _CODE,
            batch=config.batch,
        )
        return found | {"README.md": readme(packed, "Triton", text)}

    def prove(self, folder: Path, packed: Packed, environment: Environment) -> Sequence[Proof]:
        """Check the configuration, and ask a server, or for a graph without one the same engine, all goldens."""
        repository = folder / REPOSITORY
        model = repository / packed.model.name
        proofs = [config_proof(model / "config.pbtxt", environment)]
        if self._runs_graph(packed):
            config = graph_config(packed)
            return [*proofs, graph_proof(repository, packed, config, environment)]
        return [*proofs, server_proof(repository, packed, environment)]

    def _runs_graph(self, packed: Packed) -> bool:
        if self.backend == "auto":
            return packed.takes_text and not packed.takes_images
        if self.backend == "onnxruntime" and not packed.takes_text:
            raise InputError(
                f"{packed.model.variant} takes ids, which clients would have to make. Expected a variant whose graph "
                "takes texts, such as onnx-int8-text, for --backend onnxruntime; else take --backend python.",
                code="LX-EXPORT-112",
            )
        return self.backend == "onnxruntime"

    def _number(self, packed: Packed) -> int:
        if self.number is not None:
            return self.number
        found = re.search(r"[1-9][0-9]{0,8}", packed.model.version)
        return int(found[0]) if found else 1


def _warmup(inputs: Sequence[Tensor], number: int, golden: Golden) -> list[tuple[str, bytes]]:
    values = {"text": golden.text, "lang": golden.lang or ""}
    return [(one.sample(number), _string(values[one.holds])) for one in inputs if one.holds in values]


def _string(text: str) -> bytes:
    """Return a string as Triton reads it from a file: after its length in bytes."""
    return struct.pack("<I", len(text.encode())) + text.encode()


def _line(label: str) -> str:
    return " ".join(label.splitlines())
