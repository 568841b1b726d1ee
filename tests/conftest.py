"""Fixtures that several test files share: one small trained run, its exports and archives, made once a worker."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from lexport.export.archive import archive
from lexport.export.export import export
from lexport.export.variants import choose
from lexport.models import recipes
from lexport.models.run import Run, open_run
from lexport.models.train import train

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Under nohup and in some runners' background jobs Ctrl-C is ignored, and with it every test of it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

TOPICS = {
    "sport": "match goal team player league coach referee stadium season cup".split(),
    "kitchen": "pan oven butter recipe flour sugar knife salt soup bread".split(),
    "weather": "rain storm wind cloud sun snow frost heat fog thunder".split(),
}
FILLER = "the a of and with some very today about near".split()


def write_rows(path: Path, rows: int = 600, seed: int = 1) -> Path:
    """A CSV of made-up but learnable texts on three topics; a tenth of their words occur once only."""
    draw = random.Random(seed)
    lines = ["text,label"]
    for row in range(rows):
        label = draw.choice(sorted(TOPICS))
        words = [draw.choice(TOPICS[label] if draw.random() < 0.5 else FILLER) for _ in range(draw.randint(3, 14))]
        if draw.random() < 0.5:
            words.insert(draw.randrange(len(words)), f"rare{row}")
        lines.append(f"{' '.join(words)},{label}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tiny_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rows(tmp_path_factory.mktemp("data") / "topics.csv")


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory, tiny_csv: Path) -> Path:
    """A run trained on `tiny_csv` and exported to every variant. Tests only read it."""
    recipe = recipes.load("bag").changed("text", buckets=4096).changed("embedding", dim=16)
    folder = tmp_path_factory.mktemp("runs") / "topics"
    run = train(str(tiny_csv), folder, recipe=recipe, seed=0)
    export(run, choose(None))
    return folder


@pytest.fixture(scope="session")
def trained_run(run_folder: Path) -> Run:
    return open_run(run_folder)


@pytest.fixture(scope="session")
def archive_of(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The archive `topics-1.0.mar` of a variant by name, packed once."""
    made: dict[str, Path] = {}

    def pack(variant: str) -> Path:
        if variant not in made:
            out = tmp_path_factory.mktemp(f"store-{variant}")
            made[variant] = archive(run_folder, version="1.0", variant=variant, out=out)
        return made[variant]

    return pack
