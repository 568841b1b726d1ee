"""The small model that benchmarks of serving measure unless they are given a run."""

from __future__ import annotations

import argparse
from pathlib import Path

from lexport.benchmarks import report
from lexport.benchmarks.figures import say
from lexport.export.export import export
from lexport.export.formats.variants import choose
from lexport.models import recipes
from lexport.training.train import train


def add_options(parser: argparse.ArgumentParser) -> None:
    """`--run`, `--data` and `--json`."""
    parser.add_argument("--run", type=Path, help="an exported run; without it one is trained on --data")
    parser.add_argument("--data", default="rotten-tomatoes", help="sample set or file to train on")
    report.add_options(parser)


def run_of(options: argparse.Namespace, folder: Path) -> Path:
    """The run of the options, or a new one in `folder`: the recipe `bag`, exported to the default variants."""
    if options.run is not None:
        return Path(options.run)
    say(f"training and exporting on {options.data}")
    export(train(options.data, folder / "model", recipe=recipes.load("bag")), choose(None), say=say)
    return folder / "model"
