"""The kinds of foreign models, in the order in which they are tried."""

from __future__ import annotations

from pathlib import Path

from ...errors import InputError
from .bags.kinds import BareClassifier, TorchServeArchive
from .fasttext.kind import FastTextClassifier
from .gensim import GensimVectors
from .kind import Kind
from .model2vec import Model2Vec
from .scikit.kind import ScikitPipeline
from .scikit.onnx_file import ScikitOnnx
from .scikit.skops import SkopsFile
from .spacy.kind import SpacyPipeline
from .unread import KerasModel, PickledObject, TransformersModel
from .word_vectors import WordVectors

IN_MEMORY: tuple[Kind, ...] = (ScikitPipeline(),)
"""What takes an object in place of a path."""
KINDS: tuple[Kind, ...] = (
    FastTextClassifier(),
    GensimVectors(),
    WordVectors(),
    TorchServeArchive(),
    SkopsFile(),
    ScikitOnnx(),
    SpacyPipeline(),
    BareClassifier(),
    Model2Vec(),
)
"""The first that recognises a path reads it."""
UNREAD: tuple[Kind, ...] = (PickledObject(), KerasModel(), TransformersModel())
"""What none of these recognises, and is known and refused, by its reader."""


def kind_of(path: Path | object) -> Kind:
    """Return the kind of the foreign model at `path`, or of one in memory. Raises InputError if there is none."""
    if not isinstance(path, Path):
        for kind in IN_MEMORY:
            if kind.recognise(path):
                return kind
        raise InputError(
            f"A {type(path).__name__} cannot be brought in; expected a path, or of models in memory "
            f"{'; '.join(kind.NAME for kind in IN_MEMORY)}.",
            code="LX-IMPORT-116",
        )
    if not path.exists():
        raise InputError(
            f"There is no file or folder {path}. Name the model to bring in, such as model.bin.", code="LX-IMPORT-001"
        )
    for kind in (*KINDS, *UNREAD):
        if kind.recognise(path):
            return kind
    known = "; ".join(kind.NAME for kind in KINDS)
    raise InputError(
        f"{path} is not a model that can be brought in, by its content. Known are: {known}. What of other models can "
        "be brought in, docs/import.md says.",
        code="LX-IMPORT-002",
    )
