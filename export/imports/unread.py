"""Models that are known and cannot be brought in, each with the reason and a way that leads to a run."""

from __future__ import annotations

import json
import pickletools
import zipfile
import zlib
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...storage.compression import shown
from ...storage.pickled.names import PLAIN
from .kind import Imported, ImportOptions, Kind, beginning

_PICKLE = b"\x80"
_LONGEST_JSON = 1 << 20
# Some way into a pickle: the class of what is saved is among the first things that it names.
_BEGINNING = 1 << 14
_ANY_WRAPPER = 47  # zlib's sign for its own and for gzip's headers alike
_HDF5 = b"\x89HDF\r\n\x1a\n"
_LEARN = "lexport train DATA --teacher ANSWERS"


class PickledObject(Kind):
    """A pickle of an object, as pickle, joblib and cloudpickle write it, compressed or not."""

    NAME = "a pickle of an object"

    def recognise(self, path: Path) -> bool:
        """Return whether the file is a pickle that names something else than plain containers."""
        return path.is_file() and _first_name(path) is not None

    def read(self, path: Path, options: ImportOptions) -> Imported:
        """Raise InputError that names the object."""
        name = _first_name(path) or ""
        if name.partition(".")[0] in ("sklearn", "joblib"):
            remedy = (
                "Load the pipeline where you trust it, and pass it in memory: lexport.import_model(pipeline, …); or "
                "save it with skops.io.dump and name that file."
            )
        else:
            remedy = (
                "Save its weights as plain tensors, with torch.save(model.state_dict(), …) or as ONNX, and name that "
                "file; or have a run learn its answers: " + _LEARN
            )
        raise InputError(
            f"{shown(path)} is a pickle that names {shown(name)}, an object of a program. Loading it could run any "
            f"program, so it is not read. {remedy}",
            code="LX-IMPORT-360",
        )


def _first_name(path: Path) -> str | None:
    """Return what a pickle names first that is no plain container; None for another file. Raises nothing."""
    start = beginning(path, _BEGINNING)
    if not start.startswith(_PICKLE):
        try:
            start = zlib.decompressobj(_ANY_WRAPPER).decompress(start, _BEGINNING)
        except zlib.error:
            return None
    if not start.startswith(_PICKLE):
        return None
    strings: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(start):
            if opcode.name == "GLOBAL":
                name = str(argument).replace(" ", ".")
            elif opcode.name == "STACK_GLOBAL" and len(strings) > 1:
                name = ".".join(strings[-2:])
            else:
                strings += [argument] if isinstance(argument, str) else []
                continue
            if name not in PLAIN:
                return name
    except Exception:  # the beginning of a pickle ends anywhere
        return None
    return None


class KerasModel(Kind):
    """A model of Keras or TensorFlow: .h5, .keras, or a folder of SavedModel."""

    NAME = "a model of Keras or TensorFlow"

    def recognise(self, path: Path) -> bool:
        """Return whether it is an HDF5 file, a zip with Keras's weights, or a folder with a saved_model.pb."""
        if path.is_dir():
            return (path / "saved_model.pb").is_file() or (path / "keras_metadata.pb").is_file()
        if beginning(path, len(_HDF5)) == _HDF5:
            return True
        try:
            with zipfile.ZipFile(path) as archive:
                return "model.weights.h5" in archive.namelist()
        except (OSError, zipfile.BadZipFile, ValueError):
            return False

    def read(self, path: Path, options: ImportOptions) -> Imported:
        """Raise InputError: its graph is a program of TensorFlow's."""
        raise InputError(
            f"{shown(path)} is {self.NAME}, whose layers and text code only TensorFlow runs; expected a file that "
            "says its weights alone. If it is an Embedding, its mean and one Dense, export it from the rows of words "
            "to the scores as ONNX, model.export('model.onnx', format='onnx'), and name that file with --vocabulary "
            f"and --labels. Otherwise have a run learn its answers: {_LEARN}",
            code="LX-IMPORT-361",
        )


class TransformersModel(Kind):
    """A folder of Hugging Face's transformers or sentence-transformers."""

    NAME = "a folder of transformers"

    def recognise(self, path: Path) -> bool:
        """Return whether the folder has a config.json that names a transformer, or modules.json."""
        return is_transformer(path) or (path / "modules.json").is_file()

    def read(self, path: Path, options: ImportOptions) -> Imported:
        """Raise InputError that names the model."""
        config = _config(path)
        names = config.get("architectures")
        what = names[0] if isinstance(names, list) and names else config.get("model_type", "sentence-transformers")
        raise InputError(
            f"{shown(path)} is a model of transformers, {shown(str(what))}, whose vector of a word depends on all "
            "words around it; a run has one vector for each word. Export it with optimum and serve it as it is, or "
            f"have a run learn its answers: {_LEARN}",
            code="LX-IMPORT-362",
        )


def is_transformer(path: Path) -> bool:
    """Return whether the config.json of a folder names a model of transformers."""
    return bool(_config(path).get("model_type", "model2vec") != "model2vec")


def _config(path: Path) -> dict[str, Any]:
    """Return the config.json of a folder; nothing where there is none."""
    try:
        found = json.loads(beginning(path / "config.json", _LONGEST_JSON))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
