"""The table of words inside an archive, in the precision that it is served in. Nothing of the archive is run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError, import_optional
from ...evaluation.vectors.opening import is_plain, reads
from ...evaluation.vectors.rows import ByteRows, FloatRows, NibbleRows, PackedByteRows, PackedNibbleRows, Rows
from ...evaluation.vectors.table import WordTable
from ...handlers.engine.engines import open_torchscript
from ...handlers.engine.programs import open_program
from ...handlers.model.predictor import ModelFile
from ...handlers.text.files import load_encoder
from ...handlers.text.spec import FIRST_WORD
from .inprocess import checked_members
from .trust.keys import PublicKey

# The table is the innermost part of the embedding: embedding.weight, embedding.table.weight.
_NAME = re.compile(r"(?:^|\.)embedding(?:\.table)*\.(weight|scale)$")
_Tensors = dict[str, npt.NDArray[Any]]


@contextmanager
def archived_words(path: Path, *, trusted: Sequence[PublicKey] | None = None) -> Iterator[WordTable]:
    """Context manager: the table of an archive, which is extracted to a temporary folder meanwhile.

    The file of an ONNX variant's table is mapped. Raises InputError for a bad archive or a model whose words have no
    rows of their own, RefusedError where signature or digests fail verification, SystemProblem if a package is
    missing.
    """
    with checked_members(path, trusted) as folder:
        encoder = load_encoder(folder)
        if not is_plain(encoder):
            raise InputError(
                f"The model of {path} makes the vector of a word of several parts (subwords, characters, hashes or a "
                "language), and an archive does not say of which. Name the run that it was exported from.",
                code="LX-VECTORS-106",
            )
        model = ModelFile(**json.loads((folder / "model.json").read_text(encoding="utf-8")))
        words = encoder.vocabulary
        yield WordTable(path.name, words, _rows(folder / model.file, model, len(words)), reads(encoder))


def _rows(file: Path, model: ModelFile, words: int) -> Rows:
    """Return the rows of the vocabulary of a model file."""
    own = slice(FIRST_WORD, FIRST_WORD + words)
    if model.engine == "onnx":
        tensors = _of_onnx(file)
        stored = _found(tensors, file)[own]
        if stored.dtype != np.int8:
            return FloatRows(stored)
        scale = tensors["scale"][own]
        return NibbleRows(stored, scale, model.vector_bytes // 4) if scale.ndim == 2 else ByteRows(stored, scale)
    tensors, dim = _of_torch(file, model.engine)
    stored = _found(tensors, file)[own]
    if stored.dtype != np.uint8:
        return FloatRows(stored)
    return PackedByteRows(stored) if model.precision.startswith("int8") else PackedNibbleRows(stored, dim)


def _found(tensors: _Tensors, file: Path) -> npt.NDArray[Any]:
    if "weight" not in tensors:
        raise InputError(
            f"{file.name} has no table that lexport knows; expected one by the name embedding.weight. Name the run "
            "that the archive was exported from.",
            code="LX-VECTORS-107",
        )
    return tensors["weight"]


def _of_onnx(file: Path) -> _Tensors:
    """Return the tensors of the table by their last name, those that lie outside of the graph mapped."""
    onnx = import_optional("onnx", "Reading the table of an archive")
    from onnx.numpy_helper import to_array

    found: _Tensors = {}
    for tensor in onnx.load(str(file), load_external_data=False).graph.initializer:
        named = _NAME.search(tensor.name)
        if named is None:
            continue
        outside = {entry.key: entry.value for entry in tensor.external_data}
        if outside:
            kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
            # check_digests has read all members; a location that leaves the folder is no member.
            place = file.parent / Path(outside["location"]).name
            found[named[1]] = np.memmap(place, kind, "r", int(outside.get("offset", 0)), tuple(tensor.dims))
        else:
            found[named[1]] = to_array(tensor)
    return found


def _of_torch(file: Path, engine: str) -> tuple[_Tensors, int]:
    """Return the same of a torch program, and the width of a vector as the program has it."""
    import_optional("torch", "Reading the table of an archive")
    program: Any = open_torchscript(file, "cpu") if engine == "torchscript" else open_program(file, "cpu")
    found: _Tensors = {}
    for name, tensor in program.state_dict().items():
        named = _NAME.search(name)
        if named is not None:
            found[named[1]] = tensor.detach().numpy()
    return found, int(getattr(getattr(program, "embedding", None), "dim", 0))
