"""Archives of TorchServe, and TorchScript, ONNX and files of weights alone, as kinds that can be brought in."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from ....errors import InputError
from ....handlers.model.digests import MANIFEST
from ....storage.atomic import sha256_file
from ....storage.compression import shown
from ....storage.pickled.tensors import is_torch_file, read_torch
from ....storage.zips import members_of
from ...archive.foreign import is_foreign
from ...archive.format.manifest import read_manifest
from ...archive.format.reader import blocks, open_archive, read_member
from ..kind import Imported, ImportOptions, Kind, beginning
from .bag import Ask, as_imported, find_mode, find_weights
from .files import LONGEST, read_file, read_names
from .programs import check_onnx, is_torchscript, open_onnx, open_torchscript
from .reading import read_reading

_ENDINGS = (".json", ".txt", ".pt", ".pth", ".pkl", ".pickle")
_VOCABULARIES = [
    "tokenizer.json",
    *(f"{name}{end}" for name in ("source_vocab", "vocab", "vocabulary") for end in _ENDINGS),
]
_NAMES = "index_to_name.json"


@dataclass(frozen=True)
class _Parts:
    """The files of one classifier: the model, and content and name of the two beside it."""

    model: Path
    file: str
    vocabulary: tuple[bytes, str]
    labels: tuple[bytes, str]


class TorchServeArchive(Kind):
    """An archive that torch-model-archiver packed of an embedding bag with a linear layer."""

    NAME = "an archive of TorchServe with a text classifier (embedding bag and linear layer)"

    def recognise(self, path: Path) -> bool:
        """Return whether it is a zip with a manifest of TorchServe's and nothing that only lexport writes."""
        names = members_of(path)
        return MANIFEST in names and is_foreign(names)

    def read(self, path: Path, options: ImportOptions) -> Imported:
        """Return the classifier; its handler is not run. Raises InputError for what is no such model."""
        with _unpacked(path, options) as (parts, handler):
            note = f"the handler {shown(handler)} is a program and is not run"
            return _imported(parts, options, [note])


@contextmanager
def _unpacked(path: Path, options: ImportOptions) -> Iterator[tuple[_Parts, str]]:
    """Context manager: the parts of an archive, the model in a temporary file. Raises InputError."""
    with open_archive(path) as archive, tempfile.TemporaryDirectory(prefix="lexport-import-") as folder:
        manifest = read_manifest(path, archive)
        described = manifest.get("model")
        described = described if isinstance(described, dict) else {}
        serialized, members = described.get("serializedFile"), archive.namelist()
        if not isinstance(serialized, str) or serialized not in members:
            raise InputError(
                f"{path} names the model file {shown(json.dumps(serialized))}, which is no member. An archive "
                "without weights of its own cannot be brought in.",
                code="LX-IMPORT-098",
            )
        read = partial(_beside, path, archive, members)
        parts = _Parts(
            Path(folder) / "model",
            serialized,
            read(options.vocabulary, _VOCABULARIES, "--vocabulary"),
            read(options.labels, [_NAMES], "--labels"),
        )
        with parts.model.open("wb") as handle:
            for block in blocks(archive, archive.getinfo(serialized)):
                handle.write(block)
        yield parts, str(described.get("handler") or "")


def _beside(
    path: Path,
    archive: zipfile.ZipFile,
    members: Sequence[str],
    given: Path | None,
    names: Sequence[str],
    option: str,
) -> tuple[bytes, str]:
    """Return the content and name of the file that an option gives, or of the first member of such a name."""
    if given is not None:
        return read_file(given, "LX-IMPORT-099"), given.name
    for name in names:
        if name in members:
            return read_member(archive, name, LONGEST), name
    others = ", ".join(shown(one) for one in members if PurePosixPath(one).suffix != ".py")
    raise InputError(
        f"{path} has none of {', '.join(names[:3])}{' …' * (len(names) > 3)}; it has {others}. Name the file with "
        f"{option}, unpacked.",
        code="LX-IMPORT-100",
    )


class BareClassifier(Kind):
    """A TorchScript or ONNX file, or one of torch.save with the weights, and files of its vocabulary and labels."""

    NAME = "a text classifier (embedding bag and linear layer) as TorchScript, ONNX or weights of torch.save"

    def recognise(self, path: Path) -> bool:
        """Return whether it is a file of torch.save or torch.jit.save, or called .onnx."""
        return path.is_file() and (path.suffix.lower() == ".onnx" or _is_torch(path))

    def read(self, path: Path, options: ImportOptions) -> Imported:
        """Return the classifier. Raises InputError for other models, and without the two files beside it."""
        if path.suffix.lower() == ".onnx":
            check_onnx(path, path.name)
        if options.vocabulary is None or options.labels is None:
            raise InputError(
                f"{path} says nothing of words and labels. Name the file with the row of each word, --vocabulary, "
                "and that with the labels in the order of the outputs, --labels.",
                code="LX-IMPORT-101",
            )
        parts = _Parts(
            path,
            path.name,
            (read_file(options.vocabulary, "LX-IMPORT-102"), options.vocabulary.name),
            (read_file(options.labels, "LX-IMPORT-103"), options.labels.name),
        )
        return _imported(parts, options, [])


def _is_torch(path: Path) -> bool:
    if not is_torch_file(beginning(path, 4)):
        return False
    return any(name.partition("/")[2] == "data.pkl" for name in members_of(path))


def _imported(parts: _Parts, options: ImportOptions, notes: list[str]) -> Imported:
    reading = read_reading(*parts.vocabulary, options)
    labels = read_names(*parts.labels)
    digest = sha256_file(parts.model)
    ask: Ask | None = None
    if is_torchscript(parts.model):
        arrays, ask = open_torchscript(parts.model, parts.file)
        notes.append(
            f"{shown(parts.file)} is TorchScript (SHA-256 {digest}) that computes on tensors alone, so it is asked"
        )
    elif _is_torch(parts.model):
        value = read_torch(parts.model, parts.file)
        arrays = {str(name): one for name, one in value.items()} if isinstance(value, dict) else {}
        arrays = {name: one for name, one in arrays.items() if isinstance(one, np.ndarray)}
        notes.append(
            f"{shown(parts.file)} has weights alone; that vectors are pooled by their mean is taken for granted"
        )
    else:
        arrays, ask = open_onnx(parts.model, parts.file)
    weights = find_weights(arrays, reading.least, len(labels), parts.file)
    mode = "mean" if ask is None else find_mode(weights, ask, parts.file)
    facts = {"model": parts.file, "model_digest": digest, "asked": ask is not None}
    asked = ask or partial(weights.logits, mode=mode)
    return as_imported(weights, mode, reading, labels, asked, facts, notes)
