"""Open an exported variant from a run's folder as a worker opens it."""

from __future__ import annotations

from pathlib import Path

from ...evaluation.tasks import TASKS
from ...handlers.engine.engines import open_engine, open_text_engine
from ...handlers.model.predictor import IdsIn, ModelFile, Predictor
from ...handlers.model.textin import TextIn
from ...handlers.text.encoder import TextEncoder, load_encoder
from ...handlers.text.vocabulary import INDEX, INDEXED_FROM, index_of
from ...models.heads import Joint
from ...models.run import Run
from ..formats.variants import Variant


def open_variant(run: Run, variant: Variant, folder: Path, threads: int = 1) -> Predictor:
    """Open the variant on the CPU as a worker does."""
    joint = isinstance(run.model.head, Joint)
    model = ModelFile(
        run.folder.name,
        "0",
        variant.name,
        variant.engine,
        variant.precision,
        variant.file,
        run.model.PARALLEL,
        task=TASKS[run.recipe.task].ANSWERS,
        threshold=run.threshold,
        image_file=variant.image_file if joint else None,
        image_values=run.info.data["image_values"],
        vector_bytes=_vector_bytes(run, variant),
        takes=variant.takes,
    )
    file, tower = folder / variant.file, None
    if joint:
        tower = open_engine(variant.engine, folder / variant.image_file, threads=threads, device="cpu", feed="image")
    if variant.takes == "text":
        text_engine = open_text_engine(file, threads=threads, device="cpu")
        return TextIn(model, run.encoder.spec, run.labels, text_engine, tower)
    engine = open_engine(variant.engine, file, threads=threads, device="cpu")
    return IdsIn(model, _encoder(run, folder), run.labels, engine, tower)


def _vector_bytes(run: Run, variant: Variant) -> int:
    """Return the bytes of an id's float32 vector; 0 for torch's bags, which sum rows without forming vectors."""
    return 0 if variant.engine != "onnx" and not run.model.PARALLEL else 4 * run.model.embedding.dim


def _encoder(run: Run, folder: Path) -> TextEncoder:
    """Return the run's encoder as a worker has it: of many words by an index, which is written into `folder`."""
    words = run.encoder.vocabulary
    if len(words) < INDEXED_FROM:
        return run.encoder
    (folder / INDEX).write_bytes(index_of(run.encoder.spec, words))
    return load_encoder(run.folder, folder / INDEX)
