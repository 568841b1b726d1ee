"""One server in production: what it serves, where its files are, and the command line that starts it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ...errors import InputError
from ...messages.extras import CPU_WHEELS
from ...version import __version__
from ..engines import TITLES
from ..plan import parse_workers
from .models import Model
from .resources import Resources

INFERENCE, MANAGEMENT, METRICS, HEALTH = 8080, 8081, 8082, 8083
"""Ports."""
USER = 10001
"""The number of the user and group that a container runs as."""
GRACE = 20
"""Seconds that ending takes at most once requests are answered; usually 2 or 3."""
MODELS = PurePosixPath("/srv/lexport/models")
KEYS = PurePosixPath("/srv/lexport/keys")
CONFIG = PurePosixPath("/srv/lexport/config.properties")
STATE = PurePosixPath("/var/lib/lexport")
TOKEN = "inference.token"
SECRETS = PurePosixPath("/run/secrets/lexport")
VENV = PurePosixPath("/opt/lexport")
SETTINGS = {
    "inference_address": f"http://0.0.0.0:{INFERENCE}",
    "metrics_address": f"http://0.0.0.0:{METRICS}",
}
"""What a container changes of the packaged settings: its own loopback interface is reached by nobody else."""
_VERSION = re.compile(r"3\.1[123]\.[0-9]{1,2}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._/:@-]{0,254}")


@dataclass(frozen=True)
class Deployment:
    """A server to write files for."""

    engine: str
    models: tuple[Model, ...]
    resources: Resources
    drain: float = 10.0
    """Seconds that open requests have when the server is stopped."""
    keys: tuple[Path, ...] = ()
    """Public keys, one of which must have signed each archive."""
    trust_code: bool = False
    """Whether archives that lexport did not make may run their code."""
    image: str = f"lexport-serve:{__version__}"
    """The name of the container image."""
    python: str = "3.12.12"
    """The version of the Python that the image is made from."""
    digest: str | None = None
    """The digest of that image."""
    replicas: int = 2
    """How many such servers Kubernetes keeps."""
    most: int = 0
    """Replicas of each model on a Ray cluster at most, if their number changes with the load."""

    def check(self) -> None:
        """Raise InputError for what cannot be deployed like this."""
        others = [str(model) for model in self.models if not model.made_by_lexport]
        if others and (self.engine != "torchserve" or not self.trust_code):
            way_out = "--engine torchserve --trust-code" if self.engine != "torchserve" else "--trust-code"
            raise InputError(
                f"{', '.join(others)} was not made by lexport, and {TITLES[self.engine]} would not start with it. "
                f"Expected lexport's own archives, or insist with: {way_out}",
                code="LX-SERVE-136",
            )
        if parse_workers(self.resources.workers)[0] == "gpu":
            raise InputError(
                f"--workers {self.resources.workers}: generated files give a server no GPU. Expected such as cpu:2, "
                "or add the device to a file for CPU workers yourself (docs/gpu.md).",
                code="LX-SERVE-143",
            )
        if not _VERSION.fullmatch(self.python):
            raise InputError(
                f"--python {self.python!r} is not a version to pin. Expected a whole one of 3.11, 3.12 or 3.13, such "
                "as 3.12.12.",
                code="LX-SERVE-137",
            )
        if self.digest is not None and not _DIGEST.fullmatch(self.digest):
            raise InputError(
                f"--digest {self.digest!r} is not the digest of an image. Expected sha256: and 64 digits from 0 to "
                "f, as docker buildx imagetools inspect shows.",
                code="LX-SERVE-138",
            )
        if not _IMAGE.fullmatch(self.image):
            raise InputError(
                f"--image {self.image!r} is not the name of an image. Expected such as registry.example.com/"
                f"reviews:{__version__}.",
                code="LX-SERVE-139",
            )
        if self.replicas < 1:
            raise InputError(f"--replicas {self.replicas} is too few. Expected 1 or more.", code="LX-SERVE-140")
        names = [path.name for path in (*(model.path for model in self.models), *self.keys)]
        if unfit := [name for name in names if not re.fullmatch(r"[A-Za-z0-9_+][A-Za-z0-9._+-]*", name)]:
            raise InputError(
                f"The file name {unfit[0]!r} means something else in a generated file. Expected letters, digits and "
                ". _ - + alone: rename it.",
                code="LX-SERVE-141",
            )
        if len(set(names)) < len(names):
            raise InputError(
                f"Two files have the same name ({', '.join(sorted(names))}), for one folder. Rename one.",
                code="LX-SERVE-142",
            )

    @property
    def title(self) -> str:
        """Engine and models in words."""
        return f"{TITLES[self.engine]} with {', '.join(map(str, self.models))}"

    @property
    def base(self) -> str:
        """The image of Python, by version and, where one is given, digest."""
        return f"python:{self.python}-slim-bookworm" + (f"@{self.digest}" if self.digest else "")

    @property
    def requirements(self) -> tuple[str, ...]:
        """What pip installs in an image."""
        extras = {"embedded": "serve", "ray": "ray", "torchserve": "torchserve"}
        extra = extras[self.engine] + (",sign" if self.keys else "")
        index = () if self.engine != "torchserve" else ("--extra-index-url", CPU_WHEELS)
        return (*index, f"lexport[{extra}]=={__version__}")

    @property
    def range(self) -> tuple[int, int]:
        """Replicas of each model on a Ray cluster, at least and at most."""
        least = parse_workers(self.resources.workers)[1] or 1
        return least, max(least, self.most)

    @property
    def stop_time(self) -> int:
        """Seconds from SIGTERM to the end at most."""
        return int(self.drain) + GRACE

    def serve_words(self, program: str) -> list[str]:
        """Return the words of the command that serves in a container, where `program` is lexport."""
        files = [str(MODELS / model.path.name) for model in self.models]
        keys = [str(KEYS / key.name) for key in self.keys]
        return [
            program,
            *self.options(files, keys, token=str(SECRETS / TOKEN), health=f"0.0.0.0:{HEALTH}"),
            *("--config", str(CONFIG), "--log-format", "json"),
        ]

    def options(self, files: list[str], keys: list[str], *, token: str, health: str) -> list[str]:
        """Return `serve` and its options, as every kind of file has them."""
        words = ["serve", *files, "--engine", self.engine, "--workers", self.resources.workers, "--foreground"]
        words += [word for key in keys for word in ("--key", key)]
        words += ["--trust-code"] if self.trust_code else []
        words += ["--token-file", token, "--health", health, "--drain", f"{self.drain:g}"]
        return [*words, "--state-dir", str(STATE / "state")]


def probe(path: str) -> list[str]:
    """Return the words of a command that fails unless a probe is answered 200; an image of Python has no curl."""
    url = f"http://127.0.0.1:{HEALTH}{path}"
    return [str(VENV / "bin" / "python"), "-c", f"import urllib.request; urllib.request.urlopen('{url}', timeout=4)"]
