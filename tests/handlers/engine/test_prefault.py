"""Pages of mapped files are there before a request asks for them."""

from __future__ import annotations

import mmap
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lexport.export.archive.pack import archive
from lexport.export.export import export
from lexport.export.formats import safetensors
from lexport.export.formats.variants import choose
from lexport.handlers.engine import prefault as pages
from lexport.handlers.engine.prefault import prefault
from lexport.handlers.worker import load_checked
from lexport.models.run import open_run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells what is mapped")

MANY = 4 << 20


def resident(file: Path) -> int:
    """Bytes of a file that this process has in memory, by the kernel's own account."""
    total, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if line.split()[0].endswith(":"):
            if inside and line.startswith("Rss:"):
                total += 1024 * int(line.split()[1])
        else:
            inside = line.endswith(str(file.resolve()))
    return total


@pytest.mark.parametrize("advice", [pages._POPULATE, 9999], ids=["a kernel that knows how", "an older one"])
def test_every_page_of_a_folders_mapped_files_is_brought_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, advice: int
) -> None:
    monkeypatch.setattr(pages, "_POPULATE", advice)
    inside, outside = tmp_path / "in side" / "table", tmp_path / "in side.other"
    inside.parent.mkdir()
    for file in (inside, outside):
        file.write_bytes(bytes(MANY))
    with inside.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ):
        other = np.memmap(outside, np.uint8, "r")
        before = resident(outside)
        assert resident(inside) < MANY
        assert prefault(inside.parent) == MANY
        assert resident(inside) == MANY
        assert resident(outside) == before < MANY
        del other
    assert prefault(inside.parent) == 0


@pytest.mark.parametrize(
    ("variant", "file"),
    [
        ("torchscript-int8", "model.safetensors"),
        ("torchscript-fp32", "model.safetensors"),
        ("onnx-int8", "model.onnx.data"),
    ],
)
def test_a_loaded_models_table_is_mapped_and_in_memory(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variant: str, file: str
) -> None:
    monkeypatch.setattr(safetensors, "INSIDE", 0)
    run = tmp_path / "topics"
    shutil.copytree(run_folder, run, ignore=shutil.ignore_patterns("export"))
    export(open_run(run), choose(variant))
    with zipfile.ZipFile(archive(run, version="1.0", variant=variant, out=tmp_path)) as packed:
        packed.extractall(folder := tmp_path / "opened")
    weights = folder / file
    assert resident(weights) == 0
    predictor, _ = load_checked(folder, threads=1, device="cpu")
    assert resident(weights) >= weights.stat().st_size
    assert predictor.predict(["the goal"])[0]["tokens"] == 2
