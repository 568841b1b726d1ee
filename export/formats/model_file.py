"""What `model.json` says of a variant."""

from __future__ import annotations

from ...evaluation.tasks import TASKS
from ...handlers.model.predictor import ModelFile
from ...models.heads import Joint
from ...models.run import Run
from .variants import Variant


def model_file(run: Run, variant: Variant) -> ModelFile:
    """Return what `model.json` says of the run's variant, with any name and version: an archive has its own."""
    joint = isinstance(run.model.head, Joint)
    return ModelFile(
        "run",
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


def _vector_bytes(run: Run, variant: Variant) -> int:
    """Return the bytes of an id's float32 vector; 0 for torch's bags, which sum rows without forming vectors."""
    return 0 if variant.engine != "onnx" and not run.model.PARALLEL else 4 * run.model.embedding.dim
