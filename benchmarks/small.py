"""The small model that benchmarks of serving measure unless they are given a run."""

from __future__ import annotations

from pathlib import Path

from lexport.benchmarks.figures import say
from lexport.export.export import export
from lexport.export.variants import choose
from lexport.models import recipes
from lexport.models.train import train


def trained(folder: Path, data: str) -> Path:
    """A run of the recipe `bag` on `data`, exported to the default variants, in a new folder within `folder`."""
    say(f"training and exporting on {data}")
    export(train(data, folder / "model", recipe=recipes.load("bag")), choose(None), say=say)
    return folder / "model"
