"""Write a run: evaluate it on its held-out texts and add a model card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..data.load import Dataset
from ..data.part_record import PartRecord
from ..errors import InputError
from ..evaluation.diagnostics.advice import Advice
from ..evaluation.diagnostics.warnings import prediction_warnings
from ..evaluation.tasks import task_of
from ..handlers.text.encoder import TextEncoder
from ..models import run
from ..models.compose import TextModel
from ..models.corpus import LookedUpTexts
from ..models.predict import LookedUp, outputs
from ..models.recipes import Recipe
from . import card


def save(
    folder: Path,
    name: str,
    info: run.RunInfo,
    recipe: Recipe,
    model: TextModel,
    encoder: TextEncoder,
    labels: list[str],
    held_out: dict[str, Dataset],
    warn: Callable[[Advice], None] = lambda advice: None,
    tokens: Mapping[str, LookedUp] | None = None,
    parts: PartRecord | None = None,
    judged: dict[str, dict[str, Any]] | None = None,
) -> None:
    """Evaluate `model` on the held-out parts and write the run called `name` to the empty `folder`.

    `warn` is called with each warning about the predictions for the validation texts. `tokens`: the texts of the
    parts, if `encoder` has already looked them up. `parts`: the parts of all texts, if they are not the default ones.
    `judged`: the metrics of a model that was not trained on these texts, if `model` was; its own ones are "final".
    """
    task = task_of(recipe.task, labels, getattr(recipe.head, "threshold", 0.5))
    looked_up = tokens or {}
    answers = {part: outputs(model, encoder, dataset, looked_up.get(part)) for part, dataset in held_out.items()}
    for advice in prediction_warnings(recipe, task, held_out["validation"], answers["validation"]):
        warn(advice)
        # `expand` hands on what the training before it said.
        others = [one for one in info.warnings if one["code"] != advice.code]
        info = replace(info, warnings=[*others, advice.to_json()])
    metrics: dict[str, Any] = {part: task.metrics(dataset, answers[part]) for part, dataset in held_out.items()}
    if judged is not None:
        metrics = {**judged, "final": metrics}
    text = card.write_card(name, info, recipe, task, metrics, encoder.spec)
    run.write(folder, info, model, encoder, labels, metrics, held_out, text, parts)


def check_replaceable(out: Path, *, replace: bool) -> None:
    """Raise InputError if `replace` would delete a folder that is not a run."""
    if replace and out.is_dir() and any(out.iterdir()) and not (out / "run.json").is_file():
        raise InputError(
            f"{out} holds files that are not a run, so it is not replaced. Choose another folder.",
            code="LX-TRAIN-023",
        )


def unknown_share(tokens: LookedUpTexts) -> float:
    """Return the share of tokens that the model reads as unknown, 0 to 1."""
    return float(tokens.unknown.sum() / max(int(tokens.lengths.sum()), 1))
