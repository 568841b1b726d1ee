"""Proving a model repository: its configuration against Triton's schema, and its answers."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import RefusedError, SystemProblem
from ...handlers.engine.engines import open_session
from .evidence import Proof, judged, unproven
from .open_inference import answers_of_all
from .packed import Packed
from .running import Environment, ask, free_ports, run, served
from .triton_config import ONNX, PYTHON, Config
from .tritonserver import NAME, Server, of_wheel, on_path

_CONFIG, _GRAPH = "config.pbtxt", "onnxruntime"
_SCHEMA = """
import sys
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2
text_format.Parse(open(sys.argv[1], encoding="utf-8").read(), model_config_pb2.ModelConfig())
"""
_NO_SERVER = (
    "No tritonserver is on the PATH, and none for this Python in nvidia-pytriton beside {python}. Name an "
    "interpreter that has it with --python, after: pip install 'nvidia-pytriton<0.6' 'numpy<2' mmh3 onnxruntime regex"
)
_IN_THE_ENGINE = (
    "There is no Triton with its ONNX Runtime backend here. The graph was run by ONNX Runtime itself, with the "
    "tensors that config.pbtxt names, in their types and shapes."
)


def config_proof(config: Path, environment: Environment) -> Proof:
    """Read a configuration with Triton's schema, which tritonclient has. Raises RefusedError if it does not fit."""
    version = environment.version("tritonclient")
    if version is None:
        return unproven(_CONFIG, environment.missing("tritonclient[grpc]"))
    with tempfile.TemporaryDirectory(prefix="lexport-") as scratch:
        command: list[str | Path] = [environment.python, "-c", _SCHEMA, config.resolve()]
        try:
            run(command, cwd=Path(scratch), variables=environment.variables(Path(scratch)), what=_CONFIG)
        except SystemProblem as error:
            raise RefusedError(
                f"{_CONFIG} is not what the schema of tritonclient {version} allows. Nothing was written; install a "
                "newer tritonclient beside --python, or name another.",
                error.below,
                code="LX-EXPORT-113",
            ) from error
    return Proof(_CONFIG, proven=True, versions={"tritonclient": version}, why="It fits Triton's schema.")


def graph_proof(repository: Path, packed: Packed, config: Config, environment: Environment) -> Proof:
    """Ask a Triton with the ONNX Runtime backend all texts; without one, that engine itself."""
    server = on_path(ONNX)
    if server is not None:
        return _asked(repository, packed, environment, server, of_graph=True)
    [version] = [folder for folder in (repository / packed.model.name).iterdir() if folder.name.isdecimal()]
    session = open_session(version / packed.model.file, 1, "cpu")
    for kind, found, named in (
        ("input", session.get_inputs(), config.inputs),
        ("output", session.get_outputs(), config.outputs),
    ):
        _check_tensors(kind, {one.name: (one.type, len(one.shape)) for one in found}, named)
    names = [one.name for one in config.outputs]
    shapes = {one.name: [] if one.flat else [one.size] for one in config.outputs}

    def send(request: Mapping[str, Any]) -> tuple[int, Any]:
        given = {one["name"]: np.array(one["data"], object) for one in _of_graph(request)["inputs"]}
        found = dict(zip(names, session.run(names, given), strict=True))
        count = len(given["texts"])
        for name, values in found.items():
            if list(values.shape) != [count, *shapes[name]]:
                return 500, f"{name} has the shape {list(values.shape)}, config.pbtxt says {[count, *shapes[name]]}"
        return 200, {"outputs": [{"name": name, "data": values.ravel().tolist()} for name, values in found.items()]}

    import onnxruntime

    goldens, answers = answers_of_all(packed, send, texts_alone=True)
    versions = {"onnxruntime": str(onnxruntime.__version__)}
    return judged(_GRAPH, packed, goldens, answers, why=_IN_THE_ENGINE, versions=versions)


def _check_tensors(kind: str, found: Mapping[str, tuple[str, int]], named: Any) -> None:
    """Compare names, types and numbers of axes of a graph with those of the configuration. Raises RefusedError."""
    types = {"BYTES": "tensor(string)", "FP32": "tensor(float)", "INT64": "tensor(int64)", "BOOL": "tensor(bool)"}
    expected = {one.name: (types[one.datatype], 1 if one.flat else 2) for one in named}
    differing = [name for name in expected if found.get(name) != expected[name]]
    if kind == "input":
        differing += sorted(found.keys() - expected.keys())
    if differing:
        raise RefusedError(
            f"{_CONFIG} has another {kind} {differing[0]} than the graph, {expected.get(differing[0])} instead of "
            f"{found.get(differing[0])}. Nothing was written. Make the archive again, or take --backend python.",
            code="LX-EXPORT-114",
        )


def server_proof(repository: Path, packed: Packed, environment: Environment) -> Proof:
    """Ask a Triton with the Python backend all goldens: one on the PATH, or that of nvidia-pytriton's wheel."""
    with tempfile.TemporaryDirectory(prefix="lexport-") as scratch:
        server = on_path(PYTHON) or of_wheel(environment, Path(scratch))
        if server is None:
            return unproven(NAME, _NO_SERVER.format(python=environment.python))
        return _asked(repository, packed, environment, server)


def _asked(
    repository: Path, packed: Packed, environment: Environment, server: Server, *, of_graph: bool = False
) -> Proof:
    [port] = free_ports(1)
    path = f"/v2/models/{packed.model.name}"

    def send(request: Mapping[str, Any]) -> tuple[int, Any]:
        return ask(port, f"{path}/infer", _of_graph(request, axes=2) if of_graph else _with_lang(request))

    command = server.serving(repository.resolve(), port)
    with tempfile.TemporaryDirectory(prefix="lexport-") as scratch:
        variables = environment.variables(Path(scratch)) | dict(server.variables)
        with served(command, port, f"{path}/ready", variables=variables, what=NAME):
            goldens, answers = answers_of_all(packed, send, texts_alone=of_graph)
            about = ask(port, "/v2")[1]
    versions = {**server.versions, NAME: str(about.get("version", ""))}
    return judged(NAME, packed, goldens, answers, versions=versions)


def _with_lang(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request with the languages as a tensor beside the texts, as config.pbtxt has them."""
    language = request.get("parameters", {}).get("lang")
    inputs = list(request["inputs"])
    if language is not None:
        inputs.append({**inputs[0], "name": "lang", "data": [language] * len(inputs[0]["data"])})
    return {"inputs": inputs}


def _of_graph(request: Mapping[str, Any], axes: int = 1) -> dict[str, Any]:
    """Return a request for texts with the names, and the number of axes, of the graph's inputs."""
    names = {"text": "texts", "lang": "languages"}
    found = [{**one, "name": names[one["name"]]} for one in _with_lang(request)["inputs"]]
    return {"inputs": [{**one, "shape": one["shape"][:axes]} for one in found]}
