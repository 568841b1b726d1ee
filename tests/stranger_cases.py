"""Archives as other people make them: packed by torch-model-archiver, with handlers and answers of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ANSWERS = '''
"""The shapes of answers that handlers give: TorchServe's own text classifier's, or another that the text names."""
import logging

SHAPES = {
    "bare": lambda label, score: label,
    "list": lambda label, score: [{"label": label, "score": score}],
    "odd": lambda label, score: {"rows": [1, 2]},
}

class Topics:
    def initialize(self, context):
        logging.getLogger().setLevel(logging.WARNING)

    def handle(self, data, context):
        return [self.answer(item.get("data") or item.get("body")) for item in data]

    def answer(self, text):
        text = text.decode() if isinstance(text, (bytes, bytearray)) else text
        first, _, rest = text.partition(" ")
        label = "sport" if "goal" in text else "kitchen"
        if first in SHAPES:
            return SHAPES[first](label, 0.75)
        return {name: 0.75 if name == label else 0.25 for name in ("sport", "kitchen")}
'''


def stock_archive(folder: Path, name: str, *options: str, handler: str = "handler.py", source: str = ANSWERS) -> Path:
    """What torch-model-archiver makes of a handler's source in `folder`: a .mar, or a folder (no-archive)."""
    folder.mkdir(parents=True, exist_ok=True)
    if handler.endswith(".py"):
        (folder / handler).write_text(source, encoding="utf-8")
    command = [str(Path(sys.executable).with_name("torch-model-archiver")), "--model-name", name, "--version", "1.0"]
    command += ["--handler", handler, *options]
    stage = folder / "stage"  # emptied by the archiver
    stage.mkdir()
    subprocess.run(command, cwd=folder, env=os.environ | {"TMPDIR": str(stage)}, check=True, timeout=60)
    made = folder / f"{name}.mar"
    return made if made.is_file() else folder / name
