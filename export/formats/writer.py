"""Write the folder of a variant: every file that an archive copies of it, before anything is measured."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

from ...evaluation.tasks import TASKS
from ...evaluation.trained import predictor_of
from ...handlers.model.loading import open_model, reopen
from ...handlers.model.predictor import ModelFile, Predictor
from ...handlers.text.batch import Batch
from ...handlers.text.spec import TextSpec
from ...handlers.text.vocabulary import INDEX, INDEXED_FROM, index_of
from ...models.run import Run, versions
from ...storage import atomic as files
from ...storage.memory import peak_memory
from ..textgraph import make_text_in
from .files import MODEL, REQUIREMENTS, without_name
from .goldens import GoldenRequest, answers, golden_lines
from .model_file import model_file
from .variants import FORMATS, Variant

_PACKAGES = ("mmh3", "numpy", "regex")
_TOKENIZERS = "tokenizers"


@dataclass(frozen=True)
class WrittenVariant:
    """A variant whose folder is complete, opened once, which its golden requests needed."""

    variant: Variant
    """What it is."""
    folder: Path
    """Where its files are."""
    digests: Mapping[str, str]
    """The hex SHA-256 of each file by name, sorted."""
    predictor: Predictor
    """The opened variant, on the CPU and one thread."""
    peak_memory: int | None
    """Bytes of memory to open it and answer the first batch; None if the system does not tell."""

    def on_threads(self, threads: int) -> Predictor:
        """Return the variant on engines with so many threads, as a worker opens them when its share changes."""
        predictor = copy(self.predictor)
        reopen(predictor, self.folder, threads=threads, device="cpu")
        return predictor


class VariantWriter:
    """Writes the folders of a run's variants. What they have in common is made once."""

    def __init__(self, run: Run, folder: Path, goldens: Mapping[str, Sequence[GoldenRequest]], first: Batch) -> None:
        """Let the trained model answer the `goldens`, which are requests by the name of their file.

        folder: where the folders of the variants are made. first: the texts that each variant answers first.
        """
        self._run, self._folder, self._first = run, folder, first
        trained = predictor_of(run)
        self._goldens = {name: (requests, answers(trained, requests)) for name, requests in goldens.items()}
        self._index: Path | None = None

    def write(self, variant: Variant) -> WrittenVariant:
        """Write all files of a variant into a new folder, opening it once. Raises RuntimeError if a shape froze."""
        folder = self._folder / variant.name
        folder.mkdir()
        self._write_model(variant, folder)
        model = model_file(self._run, variant)
        (folder / MODEL).write_bytes(without_name(asdict(model)))
        (folder / REQUIREMENTS).write_text(_requirements(variant, self._run.encoder.spec), encoding="utf-8")
        listed = variant.takes == "ids" and self._run.encoder.spec.tokenizer is None
        if listed and len(self._run.encoder.vocabulary) >= INDEXED_FROM:
            self._write_index(folder)
        predictor, memory = peak_memory(lambda: self._opened_and_warm(model, folder))
        for name, (requests, trained) in self._goldens.items():
            (folder / name).write_bytes(golden_lines(requests, trained, answers(predictor, requests)))
        digests = {file.name: files.sha256_file(file) for file in sorted(folder.iterdir())}
        return WrittenVariant(variant, folder, digests, predictor, memory)

    def _write_model(self, variant: Variant, folder: Path) -> None:
        """Write the model files, from those of a simpler form if that was written before: ids-in, or plain int8."""
        run, quantize_file = self._run, FORMATS[variant.engine].quantize_file
        ids_in = self._folder / replace(variant, takes="ids").name
        plain = self._folder / replace(variant, takes="ids", dense=False).name
        if variant.takes == "text" and ids_in.is_dir():
            _copy_model(ids_in, folder)
        elif variant.dense and quantize_file is not None and plain.is_dir():
            _copy_model(plain, folder)
            quantize_file(folder / variant.file, run.model)
        else:
            variant.write(run.model, run.encoder.spec.inputs, folder)
        if variant.takes == "text":
            served = TASKS[run.recipe.task].ANSWERS
            make_text_in(folder / variant.file, run.encoder, served, run.labels, run.threshold)

    def _write_index(self, folder: Path) -> None:
        """Write the index of the words; every variant has the same."""
        if self._index is None:
            self._index = folder / INDEX
            self._index.write_bytes(index_of(self._run.encoder.spec, self._run.encoder.vocabulary))
        else:
            shutil.copyfile(self._index, folder / INDEX)

    def _opened_and_warm(self, model: ModelFile, folder: Path) -> Predictor:
        """Return the variant, opened as a worker opens it, after its first batch."""
        predictor = open_model(model, folder, self._run.folder, threads=1, device="cpu")
        predictor.raw_outputs(self._first)
        return predictor


def _copy_model(source: Path, folder: Path) -> None:
    """Copy the files of an ONNX model."""
    for file in source.glob("*.onnx*"):
        shutil.copyfile(file, folder / file.name)


def _requirements(variant: Variant, spec: TextSpec) -> str:
    """Return the content of `requirements.txt`, with the versions of this process."""
    found = versions()
    needed = [*_PACKAGES, FORMATS[variant.engine].package]
    if spec.tokenizer is not None:
        found |= {_TOKENIZERS: version(_TOKENIZERS)}
        needed.append(_TOKENIZERS)
    return "".join(f"{one}=={found[one]}\n" for one in sorted(needed))
