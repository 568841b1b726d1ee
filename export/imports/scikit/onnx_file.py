"""ONNX files that skl2onnx wrote of a pipeline of scikit-learn: read from the graph, and asked with ONNX Runtime."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import InputError
from ....evaluation.metrics import Outputs
from ....handlers.engine.engines import open_session
from ....storage.compression import shown
from ..bags.programs import check_onnx
from ..kind import Before, Imported, ImportOptions, Kind
from .graph import ScikitGraph, takes_texts
from .kind import imported, softmax
from .steps import LinearPipeline

_WITHIN = 1e-5
_TOGETHER = 64  # texts
# Of which the tokenizer is.
_DOMAINS = frozenset({"com.microsoft"})
_NOTE = (
    "the graph is brought in as it answers, which is not always as the pipeline did that skl2onnx converted: words "
    "are runs of {tokens}"
)


class ScikitOnnx(Kind):
    """An ONNX file that takes texts, as skl2onnx writes a pipeline."""

    NAME = "an ONNX file of skl2onnx with a pipeline of scikit-learn (TF-IDF or counts, linear classifier)"

    def recognise(self, path: Path) -> bool:
        """Return whether it is called .onnx and has an input of texts."""
        if path.suffix.lower() != ".onnx" or not path.is_file():
            return False
        import onnx

        try:
            return takes_texts(onnx.load_model(str(path), load_external_data=False))
        except Exception:  # of protobuf, for a file that is none
            return False

    def read(self, path: Path, options: ImportOptions) -> Imported:
        """Return the pipeline as a run has it; before, ONNX Runtime runs the file. Raises InputError."""
        model = check_onnx(path, path.name, _DOMAINS)
        pipeline = ScikitGraph(model, path.name).pipeline()
        return imported(
            pipeline, _asking(path, model, pipeline), [_NOTE.format(tokens=pipeline.tokens)], within=_WITHIN
        )


def _asking(path: Path, model: Any, pipeline: LinearPipeline) -> Before:
    """Return what ONNX Runtime answers. Raises InputError for a file that it does not run."""
    from onnx import helper

    for node in model.graph.node:
        # By code point; the locale that it would take, en_US.UTF-8, is not on every machine.
        if node.op_type == "StringNormalizer":
            kept = [one for one in node.attribute if one.name != "locale"]
            del node.attribute[:]
            node.attribute.extend([*kept, helper.make_attribute("locale", "C.UTF-8")])
    try:
        with tempfile.TemporaryDirectory(prefix="lexport-import-") as folder:
            file = Path(folder) / "model.onnx"
            file.write_bytes(model.SerializeToString())
            session = open_session(file, 1, "cpu")
    except Exception as error:
        raise InputError(
            f"{shown(path.name)} is not run by onnxruntime ({shown(_first_line(error))}). Convert the pipeline "
            "again, for an older opset.",
            code="LX-IMPORT-374",
        ) from None
    given = session.get_inputs()[0]

    def answer(texts: Sequence[str]) -> Outputs:
        parts = [_ask(texts[first : first + _TOGETHER]) for first in range(0, len(texts), _TOGETHER)]
        return np.concatenate(parts)

    def _ask(texts: Sequence[str]) -> Outputs:
        rows = np.array(list(texts), object)
        feed = rows[:, None] if len(given.shape or []) == 2 else rows
        try:
            labels, scores = session.run(None, {given.name: feed})[:2]
        except Exception as error:
            raise InputError(
                f"{shown(path.name)} does not answer {len(texts)} texts ({shown(_first_line(error))}). Leave out of "
                "--texts what has no words, or convert the pipeline again.",
                code="LX-IMPORT-375",
            ) from None
        table = _table(scores, pipeline.labels)
        found: Outputs = table.astype(np.float32) if pipeline.probable else softmax(table)
        _check_labels(path, np.asarray(labels).reshape(-1).tolist(), found, pipeline.labels)
        return found

    return answer


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _table(scores: Any, labels: Sequence[str]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return scores, a tensor or a dictionary for each text, as float64 [texts, labels]."""
    if isinstance(scores, list):
        scores = [[one[key] for label in labels for key in one if str(key) == label] for one in scores]
    found = np.asarray(scores, np.float64)
    if found.ndim == 1 or found.shape[1] == 1:
        one = found.reshape(-1)
        found = np.stack([np.zeros_like(one), one], axis=1)
    return found


def _check_labels(path: Path, given: Sequence[object], scores: Outputs, labels: Sequence[str]) -> None:
    """Raise InputError where the file names another label than that of the highest score."""
    best = scores.max(axis=1)
    for row, label in enumerate(given):
        if scores[row, labels.index(str(label))] < best[row] - _WITHIN:
            raise InputError(
                f"{shown(path.name)} answers a text with {shown(str(label))}, whose score "
                f"{scores[row, labels.index(str(label))]:.4f} is not its highest, {best[row]:.4f}; a run names the "
                "label of the highest. Bring in the pipeline itself: lexport.import_model(pipeline, …).",
                code="LX-IMPORT-376",
            )
