"""Open an extracted archive: make the predictor that its `model.json` describes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..engine.devices import check_device
from ..engine.engines import ImageEngine, open_engine, open_text_engine
from ..text.files import load_encoder, load_spec
from ..text.vocabulary import INDEX
from .predictor import IdsIn, ModelFile, Predictor
from .textin import TextIn


def load(folder: Path, *, threads: int = 1, device: str = "cpu") -> Predictor:
    """Open an extracted archive. Raises ValueError or RuntimeError with the reason."""
    model = ModelFile(**json.loads((folder / "model.json").read_text(encoding="utf-8")))
    return open_model(model, folder, folder, threads=threads, device=device)


def open_model(model: ModelFile, folder: Path, text: Path, *, threads: int, device: str) -> Predictor:
    """Open the files of a model in `folder`, with text spec, vocabulary and labels in the folder `text`.

    Raises as `load` does.
    """
    check_device(model.variant, model.precision, device)
    labels = json.loads((text / "labels.json").read_text(encoding="utf-8"))
    engine, tower = _open_engines(folder, model, threads if model.parallel else 1, device)
    if model.takes == "text":
        # The graph contains the vocabulary; a second one in Python would waste memory.
        return TextIn(model, load_spec(text), labels, engine, tower)
    return IdsIn(model, load_encoder(text, folder / INDEX), labels, engine, tower)


def reopen(predictor: Predictor, folder: Path, *, threads: int, device: str) -> None:
    """Replace the engines of a `parallel` predictor by engines with another number of threads, from the same files.

    The old engines answer until the new ones are open. After an error, which is raised as in `load`, they stay.
    """
    predictor.swap_engines(*_open_engines(folder, predictor.model, threads, device))


def _open_engines(folder: Path, model: ModelFile, threads: int, device: str) -> tuple[Any, ImageEngine | None]:
    """Return the engine for texts or their ids, whichever the model takes, and the one for images."""
    file, tower = folder / model.file, None
    if model.image_file is not None:
        images = folder / model.image_file
        tower = open_engine(model.engine, images, threads=threads, device=device, feed="image")
    if model.takes == "text":
        return open_text_engine(file, threads=threads, device=device), tower
    return open_engine(model.engine, file, threads=threads, device=device), tower
