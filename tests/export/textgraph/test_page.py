"""docs/text-in.md: its scripts are run as they stand there, and print what the archive's own handler answers."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from lexport.export.archive.inprocess import load_archive

PAGE = Path(__file__).parents[3] / "docs" / "text-in.md"
TEXTS = ["the goal and the referee", "", "butter\tQXZVKJ, sugar!", "ΟΔΥΣΣΕΥΣ İ 很好 👩\u200d👧", "rain " * 1100] * 7


def script(kind: str) -> str:
    """The one block of a language in the page."""
    [found] = re.findall(rf"^```{kind}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return str(found)


def printed(command: Sequence[str | Path], folder: Path, cwd: Path) -> list[list[str]]:
    done = subprocess.run(
        [*command, folder, *TEXTS],
        cwd=cwd,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [line.split("\t", 4) for line in done.stdout.split("\n")[:-1]]


def expected(mar: Path) -> list[list[str]]:
    with load_archive(mar) as archived:
        answers = archived.predict(TEXTS)
    return [
        [one["label"], f"{one['score']:.4f}", str(one["tokens"]), str(one["unknown"]), text]
        for one, text in zip(answers, TEXTS, strict=True)
    ]


def same(found: list[list[str]], wanted: list[list[str]]) -> None:
    assert [[label, *rest] for label, _, *rest in found] == [[label, *rest] for label, _, *rest in wanted]
    for (_, score, *_), (_, answered, *_) in zip(found, wanted, strict=True):
        # Printed to four places, and the last bit may round another way.
        assert float(score) == pytest.approx(float(answered), abs=1.01e-4)


@pytest.mark.parametrize("variant", ["onnx-fp32-text", "onnx-int8-text"])
def test_the_python_script_answers_as_the_handler(
    run_folder: Path, archive_of: Callable[[str], Path], tmp_path: Path, variant: str
) -> None:
    # Two files in a folder of their own are all it needs.
    for file in ("model.onnx", "model.onnx.data"):
        shutil.copy(run_folder / "export" / variant / file, tmp_path)
    (tmp_path / "predict.py").write_text(script("python"), encoding="utf-8")
    found = printed([sys.executable, "-I", tmp_path / "predict.py"], tmp_path, tmp_path)
    same(found, expected(archive_of(variant)))


@pytest.mark.long
def test_the_node_script_answers_as_the_handler(run_folder: Path, archive_of: Callable[[str], Path]) -> None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node.js and npm are not on this machine")
    # 300 MB, which pytest's folders would keep for three runs.
    with TemporaryDirectory() as name:
        here = Path(name)
        install = [npm, "install", "onnxruntime-node", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(install, cwd=here, capture_output=True, text=True, timeout=400, check=False)
        if done.returncode:
            pytest.skip(f"npm could not install onnxruntime-node: {done.stderr.strip()[-300:]}")
        (here / "predict.mjs").write_text(script("js"), encoding="utf-8")
        found = printed([node, here / "predict.mjs"], run_folder / "export" / "onnx-int8-text", here)
    same(found, expected(archive_of("onnx-int8-text")))
