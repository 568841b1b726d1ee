"""Pages of mapped files are there before a request asks for them."""

from __future__ import annotations

import mmap
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lexport.handlers.engine import prefault as pages
from lexport.handlers.engine.prefault import prefault
from lexport.handlers.worker import load_checked

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


@pytest.mark.parametrize("variant", ["torchscript-int8", "torchscript-fp32", "onnx-int8"])
def test_a_loaded_models_table_is_mapped_and_in_memory(
    archive_of: Callable[[str], Path], tmp_path: Path, variant: str
) -> None:
    with zipfile.ZipFile(archive_of(variant)) as packed:
        packed.extractall(tmp_path)
    weights = tmp_path / ("model.onnx.data" if variant.startswith("onnx") else "model.safetensors")
    assert resident(weights) == 0
    predictor, _ = load_checked(tmp_path, threads=1, device="cpu")
    assert resident(weights) >= weights.stat().st_size
    assert predictor.predict(["the goal"])[0]["tokens"] == 2
