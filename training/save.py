"""Writing a run: judged on its held-out texts, with a model card."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..data.load import Dataset
from ..errors import InputError
from ..evaluation.diagnostics.advice import Advice
from ..evaluation.diagnostics.warnings import of_answers
from ..evaluation.tasks import judge
from ..handlers.text.encoder import TextEncoder, Tokens
from ..models import run
from ..models.compose import TextModel
from ..models.predict import outputs
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
) -> None:
    """Judge `model` on the held-out parts and fill the empty `folder` with the run called `name`.

    `warn` is told what its answers to the validation texts advise.
    """
    threshold = getattr(recipe.head, "threshold", 0.5)
    answers = {part: outputs(model, encoder, dataset) for part, dataset in held_out.items()}
    for advice in of_answers(recipe, held_out["validation"], answers["validation"], labels, threshold):
        warn(advice)
    metrics = {
        part: judge(recipe.task, dataset, answers[part], labels, threshold) for part, dataset in held_out.items()
    }
    text = card.write_card(name, info, recipe, labels, metrics, encoder.spec)
    run.write(folder, info, model, encoder, labels, metrics, held_out, text)


def check_replaceable(out: Path, *, replace: bool) -> None:
    """Raise InputError if `replace` would do away with a folder that holds other things than a run."""
    if replace and out.is_dir() and any(out.iterdir()) and not (out / "run.json").is_file():
        raise InputError(f"{out} holds other things than a run, so no run takes its place. Choose another folder.")


def unknown_share(tokens: Tokens) -> float:
    """The share of tokens that the model reads as unknown."""
    return float(tokens.unknown.sum() / max(int(tokens.lengths.sum()), 1))
