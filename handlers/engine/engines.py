"""The engines that run an exported model: ONNX Runtime, TorchScript, and torch on a program of torch.export.

All take one tensor, the ids of texts (int64, batch first) or images (float32 [batch, values]), and return float32
[batch, outputs]. A text-in model, which only ONNX Runtime runs, takes the texts themselves. Each engine imports its
library only when it is opened, so a worker loads one.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..text.encoder import Ids
from .operators import check_torchscript
from .programs import open_program
from .tensors import TENSORS, put_tables

Scores = npt.NDArray[np.float32]
Images = npt.NDArray[np.float32]
Engine = Callable[[Ids], Scores]
ImageEngine = Callable[[Images], Scores]


@dataclass(frozen=True)
class Counts:
    """Token counts of texts."""

    lengths: Ids
    """Number of tokens of each text, int64 [texts]."""
    unknown: Ids
    """Number of unknown tokens of each text, int64 [texts]."""
    truncated: npt.NDArray[np.bool_]
    """Whether each text was cut, bool [texts]."""

    @classmethod
    def joined(cls, parts: Sequence[Counts]) -> Counts:
        """Return the counts of several batches of texts, one after the other."""
        return cls(
            np.concatenate([part.lengths for part in parts]),
            np.concatenate([part.unknown for part in parts]),
            np.concatenate([part.truncated for part in parts]),
        )

    def take(self, places: Ids) -> Counts:
        """Return the counts of the texts at `places`, int64 [chosen], in that order."""
        return Counts(self.lengths[places], self.unknown[places], self.truncated[places])


# Called with texts, and a language for each if the model has languages.
TextEngine = Callable[[Sequence[str], Sequence[str] | None], tuple[Counts, Scores]]


def open_engine(
    engine: str, file: Path, *, threads: int, device: str, feed: str = "ids"
) -> Callable[[npt.NDArray[Any]], Scores]:
    """Open a model file with `threads` intra-op threads on `device` ("cpu" or "cuda:0").

    `feed` is the name of its input: "ids" makes an Engine, "image" (a joint model's other tower) an ImageEngine.
    Raises ValueError for an unknown engine, RuntimeError where the device is not there.
    """
    if engine not in OPENERS:
        raise ValueError(f"model.json names the engine {engine!r}; known are {', '.join(OPENERS)}.")
    return OPENERS[engine](file, threads, device, feed)


def open_text_engine(file: Path, *, threads: int, device: str) -> TextEngine:
    """Open a text-in model. Raises RuntimeError where the device is not there."""
    session = open_session(file, threads, device)
    wanted = [session.get_outputs()[0].name, "tokens", "unknown", "truncated"]

    def run(texts: Sequence[str], languages: Sequence[str] | None) -> tuple[Counts, Scores]:
        feeds = {"texts": np.array(texts, object)}
        if languages is not None:
            feeds["languages"] = np.array(languages, object)
        outputs, tokens, unknown, truncated = session.run(wanted, feeds)
        return Counts(tokens, unknown, truncated), outputs

    return run


def _open_onnx(file: Path, threads: int, device: str, feed: str) -> Callable[[npt.NDArray[Any]], Scores]:
    session = open_session(file, threads, device)

    def run(values: npt.NDArray[Any]) -> Scores:
        scores: Scores = session.run(["scores"], {feed: values})[0]
        return scores

    return run


def open_session(file: Path, threads: int, device: str) -> Any:
    """Return an ONNX Runtime session of a graph file. Raises RuntimeError where the device is not there."""
    # Since 1.29 ONNX Runtime reports names and hashes of models to its makers unless this is set before its import.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    providers: list[Any] = ["CPUExecutionProvider"]
    if device != "cpu":
        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            raise RuntimeError(
                f"This worker was given {device}, but the installed onnxruntime has no CUDA provider. "
                "Install onnxruntime-gpu, serve a torchscript variant, or use cpu workers."
            )
        # CUDA's libraries may be installed by pip, in a folder that the loader does not search.
        onnxruntime.preload_dlls()
        # TF32 keeps 10 of a product's 23 bits: too few for the goldens of an fp32 variant.
        on_device = {"device_id": int(device.partition(":")[2]), "use_tf32": 0}
        providers.insert(0, ("CUDAExecutionProvider", on_device))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Idle threads that spin take the cores from the other workers and from TorchServe's frontend.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(file), options, providers=providers)
    if device != "cpu" and session.get_providers()[0] != "CUDAExecutionProvider":
        raise RuntimeError(f"onnxruntime could not use {device} and fell back to the CPU.")
    return session


def _open_torchscript(file: Path, threads: int, device: str, feed: str) -> Callable[[npt.NDArray[Any]], Scores]:
    return _open_torch(open_torchscript, file, threads, device)


def _open_program(file: Path, threads: int, device: str, feed: str) -> Callable[[npt.NDArray[Any]], Scores]:
    return _open_torch(open_program, file, threads, device)


def _open_torch(
    open_model: Callable[[Path, str], Any], file: Path, threads: int, device: str
) -> Callable[[npt.NDArray[Any]], Scores]:
    import torch

    if device != "cpu" and not torch.cuda.is_available():
        raise RuntimeError(
            f"This worker was given {device}, but torch sees no CUDA device (torch {torch.__version__}). "
            "Install a CUDA build of torch or use cpu workers."
        )
    # As for onnxruntime; torch has it off for matrices and on for convolutions.
    torch.backends.cudnn.allow_tf32 = False
    return TorchEngine(open_model(file, device), threads, device)


@dataclass(frozen=True)
class TorchEngine:
    """A torch model that is called with one array."""

    model: Any
    """The opened model."""
    threads: int
    """Number of intra-op threads."""
    device: str
    """Where it is: "cpu" or "cuda:0"."""

    def __call__(self, values: npt.NDArray[Any]) -> Scores:
        """Return the outputs, float32 [batch, outputs]."""
        import torch

        # Torch has one setting for the process, and with OpenMP one for each calling thread.
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        with torch.inference_mode():
            scores: Scores = self.model(torch.from_numpy(values).to(self.device)).cpu().numpy()
        return scores


def open_torchscript(file: Path, device: str) -> Any:
    """Return a TorchScript program with its tables in place, in evaluation mode.

    Raises ValueError as its check does.
    """
    import torch

    check_torchscript(file)
    with warnings.catch_warnings():
        # TorchScript is deprecated since torch 2.13; it is what TorchServe's users have.
        warnings.simplefilter("ignore", DeprecationWarning)
        model = torch.jit.load(str(file), map_location=device)  # type: ignore[no-untyped-call]
        put_tables(model, file.with_suffix(TENSORS), device)
    model.eval()
    return model


OPENERS: dict[str, Callable[[Path, int, str, str], Callable[[npt.NDArray[Any]], Scores]]] = {
    "onnx": _open_onnx,
    "torchscript": _open_torchscript,
    "pt2": _open_program,
}
"""What opens a model file of each engine, given the threads, the device and the name of the input."""
