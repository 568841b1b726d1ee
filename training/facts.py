"""What is said and kept of a training: its summary, `run.json`, and what its weights depend on."""

from __future__ import annotations

import json
import time
from typing import Any

import torch

from ..data.load import Dataset
from ..data.splits import Splits
from ..handlers.text.encoder import TextEncoder
from ..handlers.text.spec import Layout
from ..models import recipes, run
from .device import Device
from .distributed import ProcessGroup
from .fit import Fit
from .prepare import Prepared


def identity_of(
    recipe: recipes.Recipe,
    seed: int,
    prepared: Prepared,
    labels: list[str],
    start: run.Run | None,
    device: Device,
    group: ProcessGroup,
    left_out: dict[str, int],
    taught: dict[str, Any] | None,
) -> dict[str, Any]:
    """Return everything that the weights depend on, as JSON can hold it. All of it must be equal to resume."""
    values = {
        "recipe": recipe.to_json(),
        "seed": seed,
        "data": prepared.dataset.digest,
        "parts": None if prepared.record is None else prepared.record.digest,
        "labels": labels,
        "teacher": None if taught is None else taught["digest"],
        "from": None if start is None else start.digest,
        "device": device.torch_device.type,
        "threads": device.threads,
        "processes": group.size,
        "torch": torch.__version__,
        **({"left_out": left_out} if left_out else {}),
    }
    identity: dict[str, Any] = json.loads(json.dumps(values))
    return identity


def info_of(
    recipe: recipes.Recipe,
    seed: int,
    prepared: Prepared,
    untested: list[str],
    unknown: float,
    fit_result: Fit,
    start: run.Run | None,
    left_out: dict[str, int],
    warnings: list[dict[str, Any]],
) -> run.RunInfo:
    """Return the content of `run.json`."""
    dataset, parts, record, _ = prepared
    return run.RunInfo(
        recipe=recipe.to_json(),
        seed=seed,
        data={
            "name": dataset.name,
            "digest": dataset.digest,
            "split": {"by": prepared.how, "own": record is not None and record.complete},
            "dropped": dataset.dropped | left_out,
            "train": len(parts.train.texts),
            "validation": len(parts.validation.texts),
            "test": len(parts.test.texts),
            "unknown_share": unknown,
            "untested_labels": untested,
            "image_values": 0 if dataset.images is None else dataset.images.shape[1],
        },
        parameters=sum(parameter.numel() for parameter in fit_result.model.parameters()),
        training={
            "epochs": len(fit_result.losses),
            "best_epoch": fit_result.best_epoch,
            "validation_losses": fit_result.losses,
            "seconds": round(fit_result.seconds, 1),
            **fit_result.details,
        },
        versions=run.versions(),
        created=int(time.time()),
        history=[] if start is None else [*start.info.history, {"trained_from": start.digest}],
        warnings=warnings,
    )


def summary(
    dataset: Dataset,
    parts: Splits,
    encoder: TextEncoder,
    recipe: recipes.Recipe,
    labels: list[str],
    unknown: float,
) -> str:
    """Return the line that a training begins with: its data and its words."""
    known = {
        Layout.HASHES: f"{getattr(recipe.embedding, 'buckets', 0):,} buckets for any word",
        Layout.CHARACTERS: f"{encoder.spec.characters - 2:,} characters",
    }.get(recipe.inputs, f"{len(encoder.vocabulary):,} {'words' if encoder.spec.tokenizer is None else 'tokens'}")
    sizes: dict[str, Any] = {name: len(getattr(parts, name)) for name in ("train", "validation", "test")}
    return (
        f"{dataset.name}: {sizes['train']:,} training texts, {sizes['validation']:,} validation texts, "
        f"{sizes['test']:,} test texts; {f'{len(labels)} labels; ' if labels else ''}{known}; "
        f"{unknown:.1%} of the validation tokens are unknown"
    )
