"""Makes the small archive that is kept of this release's schema: `python tests/export/archive/kept/make.py`.

One model of three topics, onnx-int8, nine words and 64 buckets of eight numbers each: what a later release must
still verify, run and serve. Data, training and date are fixed, so that every member comes out the same again on the
same machine but for those that hold what was measured: evidence, model card (seconds of training) and bill of
materials. Most of it is the handler. An archive of a released schema is never made anew; a new schema gets a
file of its own.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from pathlib import Path

from lexport.export.archive.pack import archive
from lexport.export.evidence.evidence import Evidence
from lexport.export.export import export
from lexport.export.formats.variants import choose
from lexport.models import recipes
from lexport.training.train import train

HERE = Path(__file__).parent
WORDS = {
    "sport": "match goal team".split(),
    "kitchen": "pan oven butter".split(),
    "weather": "rain storm fog".split(),
}
DATE = 1_735_689_600  # 2025-01-01


def write_rows(path: Path) -> None:
    """A CSV of 240 made-up texts on three topics."""
    draw = random.Random(1)
    lines = ["text,label"]
    for row in range(240):
        label = draw.choice(sorted(WORDS))
        words = [draw.choice(WORDS[label]) for _ in range(draw.randint(2, 5))]
        lines.append(f"{' '.join(words)} row{row},{label}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Train, export and pack; prints the archive's path and size."""
    os.environ["SOURCE_DATE_EPOCH"] = str(DATE)
    recipe = recipes.load("bag").changed("text", buckets=64).changed("embedding", dim=8)
    with tempfile.TemporaryDirectory() as folder:
        data, run = Path(folder, "topics.csv"), Path(folder, "kept")
        write_rows(data)
        export(train(str(data), run, recipe=recipe, seed=0), choose("onnx-int8"))
        version = f"{Evidence.schema}.0"
        made = archive(run, version=version, variant="onnx-int8", out=Path(folder))
        target = HERE / f"schema-{Evidence.schema}.mar"
        target.write_bytes(made.read_bytes())
    sys.stdout.write(f"{target}: {target.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
