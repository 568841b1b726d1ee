"""Find the remedy if a worker could not import a module."""

from __future__ import annotations

import re

_MISSING = re.compile(r"ModuleNotFoundError: No module named '([A-Za-z_][\w.]*)'.*")
_STOCK_HANDLER = re.compile(r"\bts/torch_handler/(\w+)\.py")
# What handlers usually import: modules whose packages pip knows by another name, and by the same.
_PACKAGES = {
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
}
_SAME_NAME = frozenset(
    {
        *("captum", "emoji", "gensim", "joblib", "langdetect", "lightgbm", "mmh3", "nltk", "numpy", "onnx"),
        *("onnxruntime", "pandas", "peft", "pyarrow", "pydantic", "regex", "requests", "sacremoses", "safetensors"),
        *("scipy", "sentencepiece", "spacy", "tensorflow", "tiktoken", "tokenizers", "torch", "torchaudio"),
        *("torchtext", "torchvision", "transformers", "unidecode", "xgboost"),
    }
)


def missing_package(trace: str) -> str:
    """Return what to do if a worker could not import a module, in a sentence or two; "" for any other traceback."""
    lines = trace.splitlines()
    match = _MISSING.fullmatch(lines[-1]) if lines else None
    if match is None:
        return ""
    module = match[1].partition(".")[0]
    if module in _PACKAGES or module in _SAME_NAME:
        handler = _STOCK_HANDLER.search(trace)
        by = f"TorchServe's own handler {handler[1]} needs it. " if handler else ""
        return f"{by}Install it where TorchServe runs: pip install {_PACKAGES.get(module, module)}"
    return (
        "If it is a file of the model, pack it into the archive (torch-model-archiver --extra-files); if it is a "
        "package, install it where TorchServe runs, under the name that its project gives for pip."
    )
