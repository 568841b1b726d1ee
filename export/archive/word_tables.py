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

from ...errors import InputError, LexportError, RefusedError, import_optional
from ...evaluation.vectors.opening import is_plain, reads
from ...evaluation.vectors.rows import (
    LEVELS,
    ByteRows,
    FloatRows,
    NibbleRows,
    PackedByteRows,
    PackedNibbleRows,
    Rows,
)
from ...evaluation.vectors.table import WordTable
from ...handlers.engine.engines import open_torchscript
from ...handlers.engine.programs import open_program
from ...handlers.engine.tensors import TENSORS, map_tensors
from ...handlers.model.predictor import ModelFile
from ...handlers.text.files import load_encoder
from ...handlers.text.spec import FIRST_WORD
from .inprocess import checked_members
from .trust.keys import PublicKey

# The table is the innermost part of the embedding: embedding.weight, embedding.table.weight.
_TABLE = re.compile(r"(?:^|\.)embedding(?:\.table)*\.weight$")
_Tensor = npt.NDArray[Any]
_Found = tuple[_Tensor | None, _Tensor | None]


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
        words, file = encoder.vocabulary, folder / model.file
        try:
            found = (_of_onnx if model.engine == "onnx" else _of_torch)(file, model.engine, encoder.spec.rows)
            rows = _rows(*found, slice(FIRST_WORD, FIRST_WORD + len(words)), model)
        except LexportError:
            raise
        except Exception as error:  # protobuf's and torch's have no common parent
            raise RefusedError(
                f"{path}: its table cannot be read: {type(error).__name__}: {error}. Make the archive again.",
                code="LX-VECTORS-116",
            ) from error
        if rows is None:
            raise InputError(
                f"{path} has no table of {encoder.spec.rows:,} rows that lexport knows. Name the run that it was "
                "exported from.",
                code="LX-VECTORS-107",
            )
        yield WordTable(path.name, words, rows, reads(encoder))


def _rows(stored: _Tensor | None, scale: _Tensor | None, own: slice, model: ModelFile) -> Rows | None:
    """Return the rows `own` of a table in the form that they are stored in; None without a table or its scales."""
    if stored is None:
        return None
    stored = stored[own]
    if stored.dtype == np.uint8:
        return PackedByteRows(stored) if model.precision == "int8" else PackedNibbleRows(stored, _width(stored))
    if stored.dtype != np.int8:
        return FloatRows(stored)
    if scale is None:
        return None
    if scale.shape[1] == 2:
        return NibbleRows(stored, scale[own], model.vector_bytes // 4)
    return ByteRows(stored, scale[own, 0])


def _width(packed: _Tensor) -> int:
    """Return the width of vectors in packed half bytes, of which an odd one has its last component twice."""
    last = packed[:, -5]
    return int(2 * (packed.shape[1] - 4) - bool(((last & LEVELS) == (last >> 4)).all()))


def _of_onnx(file: Path, engine: str, rows: int) -> _Found:
    """Return the table and its scales, those that lie outside of the graph mapped."""
    onnx = import_optional("onnx", "Reading the table of an archive")
    from onnx.numpy_helper import to_array

    def read(tensor: Any) -> _Tensor:
        outside = {entry.key: entry.value for entry in tensor.external_data}
        if not outside:
            found: _Tensor = to_array(tensor)
            return found
        kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        # What lies beside the graph is a member, and members have been checked; any other place is not read.
        place = file.parent / Path(outside["location"]).name
        return np.memmap(place, kind, "r", int(outside.get("offset", 0)), tuple(tensor.dims))

    every = onnx.load(str(file), load_external_data=False).graph.initializer
    # The exporter may fold a scale into another shape, and then names it for that.
    wide = [tensor for tensor in every if len(tensor.dims) == 2 and tensor.dims[0] == rows]
    table = next((read(one) for one in wide if _TABLE.search(one.name)), None)
    scale = next((read(one) for one in wide if not _TABLE.search(one.name) and one.dims[1] <= 2), None)
    return table, scale


def _of_torch(file: Path, engine: str, rows: int) -> _Found:
    """Return the table of a torch program, mapped where it lies beside the program; its scales are in the rows."""
    beside = file.with_suffix(TENSORS)
    if beside.exists():
        return next((array for array in map_tensors(beside).values() if len(array) == rows), None), None
    import_optional("torch", "Reading the table of an archive")
    program: Any = open_torchscript(file, "cpu") if engine == "torchscript" else open_program(file, "cpu")
    # A frozen program has its table among the constants of its graph.
    constants = program.graph.findAllNodes("prim::Constant") if engine == "torchscript" else []
    tensors = [node.t("value") for node in constants if node.hasAttribute("value") and node.kindOf("value") == "t"]
    for tensor in (*program.state_dict().values(), *tensors):
        if tensor.dim() == 2 and tensor.size(0) == rows:
            return tensor.detach().numpy(), None
    return None, None
