"""A trained run as a predictor, with torch in this process."""

from __future__ import annotations

from functools import partial

import torch

from ..handlers.model.predictor import IdsIn, ModelFile
from ..handlers.text.encoder import Ids
from ..models.heads import Joint
from ..models.predict import image_outputs
from ..models.run import Run
from .metrics import Outputs
from .tasks import TASKS


def predictor_of(run: Run) -> IdsIn:
    """Return the trained model as a predictor like those of archives: the same text code, the same answers."""
    model, joint = run.model, isinstance(run.model.head, Joint)

    def answer(ids: Ids) -> Outputs:
        with torch.inference_mode():
            found: Outputs = model.head.answer(model(torch.from_numpy(ids))).numpy()
        return found

    file = ModelFile(
        run.folder.name if run.folder.name.isprintable() else "run",
        "0",
        "trained",
        "torch",
        "fp32",
        "weights.safetensors",
        model.PARALLEL,
        task=TASKS[run.recipe.task].ANSWERS,
        threshold=run.threshold,
        image_file="weights.safetensors" if joint else None,
        image_values=int(run.info.data["image_values"]) if joint else 0,
    )
    return IdsIn(file, run.encoder, run.labels, answer, partial(image_outputs, model) if joint else None)
