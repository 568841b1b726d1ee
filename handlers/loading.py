"""Opening an extracted archive: the predictor that its `model.json` asks for."""

from __future__ import annotations

import json
from pathlib import Path

from .devices import check_device
from .engines import ImageEngine, open_engine, open_text_engine
from .predictor import IdsIn, ModelFile, Predictor
from .text import load_encoder, load_spec
from .textin import TextIn


def load(folder: Path, *, threads: int = 1, device: str = "cpu") -> Predictor:
    """Open an extracted archive. Raises ValueError or RuntimeError with the reason."""
    model = ModelFile(**json.loads((folder / "model.json").read_text(encoding="utf-8")))
    check_device(model.variant, model.precision, device)
    labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    return _open(folder, model, labels, threads if model.parallel else 1, device)


def _open(folder: Path, model: ModelFile, labels: list[str], threads: int, device: str) -> Predictor:
    tower: ImageEngine | None = None
    if model.image_file is not None:
        file = folder / model.image_file
        tower = open_engine(model.engine, file, threads=threads, device=device, feed="image")
    if model.takes == "text":
        # Its vocabulary is in the graph; a second one in Python would be memory for nothing.
        text_engine = open_text_engine(folder / model.file, threads=threads, device=device)
        return TextIn(model, load_spec(folder), labels, text_engine, tower)
    encoder = load_encoder(folder)
    engine = open_engine(model.engine, folder / model.file, threads=threads, device=device)
    return IdsIn(model, encoder, labels, engine, tower)
