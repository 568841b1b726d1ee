"""A server of KServe with an image to build of it, and the InferenceService that runs it in a cluster."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import yaml

from ...errors import InputError
from .exit import MODEL_PROGRAM, ServerExit, program, readme, requirements
from .packed import Packed
from .running import Environment

_TEXT = """
    docker build --tag {image} .
    docker push {image}
    kubectl apply --filename inferenceservice.yaml

`inferenceservice.yaml` runs it in a cluster with KServe{canary}. Without a cluster:

    pip install -r requirements.txt
    python server.py --http_port 8080 --enable_grpc=false
    curl --json '{{"instances": ["a text"]}}' http://127.0.0.1:8080/v1/models/{name}:predict

It listens on every interface and asks for no token, as KServe's servers do: its gateway is before it. An instance of
protocol v1 is a text or an object as lexport's servers take it, such as `{{"text": …, "lang": …}}`. The tensors of
protocol v2 are those of lexport's servers, at `/v2/models/{name}/infer`.
"""
_CANARY = (
    " and gives this revision {share} % of the requests, the one before it the others; raise `canaryTrafficPercent`, "
    "or remove it to give it all"
)
_DOCKERFILE = """\
FROM python:3.11-slim
COPY requirements.txt /app/
RUN pip install --no-cache-dir -r /app/requirements.txt
COPY . /app/
USER 1000
ENTRYPOINT ["python", "/app/server.py"]
"""


# What Kubernetes' reader of YAML takes for a number or for true, and PyYAML for text: versions such as 1e3 and 0o17.
_NO_TEXT = re.compile(r"[-+.]?[0-9].*|[yYnN]")


class _Dumper(yaml.SafeDumper):
    """Writes texts so that every reader of YAML takes them for texts."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "'" if _NO_TEXT.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


@dataclass(frozen=True)
class Amounts:
    """What a server is given in a cluster."""

    cpu: float
    """Cores that it needs."""
    cpu_limit: int
    """Cores that it may take at most."""
    memory: int
    """MiB that it needs."""
    memory_limit: int
    """MiB that it may take at most."""
    why: tuple[str, ...]
    """Lines that say how the figures were computed."""


@dataclass(frozen=True)
class KServe(ServerExit):
    """A custom predictor of KServe."""

    PACKAGE: ClassVar[str] = "kserve"
    PROGRAM: ClassVar[str] = "python server.py"

    amounts: Amounts
    """Processors and memory."""
    image: str | None = None
    """Name of the image; None for NAME-kserve:VERSION."""
    canary: int | None = None
    """Percent of the requests that this revision gets; None for all."""

    def __post_init__(self) -> None:
        """Raise InputError for a share that is none."""
        if self.canary is not None and not 0 <= self.canary <= 100:
            raise InputError(
                f"--canary is {self.canary}, expected a share from 0 to 100 %. Without it this revision gets all.",
                code="LX-EXPORT-108",
            )

    def files(self, packed: Packed) -> dict[str, bytes]:
        """Return the server, its Dockerfile and the InferenceService."""
        name = packed.model.name
        image = self.image or f"{name.lower()}-kserve:{packed.model.version.replace('+', '-')}"
        canary = _CANARY.format(share=self.canary) if self.canary is not None else ""
        return {
            MODEL_PROGRAM: program(MODEL_PROGRAM),
            "server.py": program("server.py"),
            "Dockerfile": _DOCKERFILE.encode(),
            "inferenceservice.yaml": self._service(packed, image),
            "requirements.txt": requirements(packed, "kserve"),
            "README.md": readme(packed, "KServe", _TEXT.format(image=image, name=name, canary=canary)),
        }

    @staticmethod
    def command(folder: Path, environment: Environment, port: int) -> tuple[list[str | Path], dict[str, str]]:
        """Return the command that serves `folder` over HTTP; it needs no variables."""
        options = ["--http_port", str(port), "--enable_grpc", "false", "--workers", "1"]
        return [environment.python, folder / "server.py", *options], {}

    def _service(self, packed: Packed, image: str) -> bytes:
        amounts = self.amounts
        path = f"/v2/models/{packed.model.name}/ready"
        container = {
            "name": "kserve-container",
            "image": image,
            "args": ["--http_port=8080", "--enable_grpc=false", "--workers=1"],
            "ports": [{"containerPort": 8080, "protocol": "TCP"}],
            "env": [{"name": "OMP_NUM_THREADS", "value": "1"}],
            "resources": {
                "requests": {"cpu": f"{amounts.cpu:g}", "memory": f"{amounts.memory}Mi"},
                "limits": {"cpu": f"{amounts.cpu_limit}", "memory": f"{amounts.memory_limit}Mi"},
            },
            "readinessProbe": {"httpGet": {"path": path, "port": 8080}},
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "runAsNonRoot": True,
                "runAsUser": 1000,
            },
        }
        share = {} if self.canary is None else {"canaryTrafficPercent": self.canary}
        service = {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {
                "name": service_name(packed.model.name),
                "annotations": {
                    "lexport/version": packed.model.version,
                    "lexport/variant": packed.model.variant,
                },
            },
            "spec": {"predictor": {**share, "minReplicas": 1, "containers": [container]}},
        }
        comments = "".join(f"# {line}\n" for line in amounts.why)
        return (comments + yaml.dump(service, Dumper=_Dumper, sort_keys=False, width=110)).encode()


def service_name(name: str) -> str:
    """Return the name of a model as Kubernetes allows it: small letters, digits and hyphens, a letter first.

    Raises InputError where nothing of it is left.
    """
    found = "".join(sign if sign.isalnum() else "-" for sign in name.lower()).strip("-")[:50].strip("-")
    if not found or not found[0].isalpha():
        raise InputError(
            f"The model's name {name!r} makes no name of a Kubernetes service, which begins with a letter. Archive "
            "it under another --name.",
            code="LX-EXPORT-109",
        )
    return found
