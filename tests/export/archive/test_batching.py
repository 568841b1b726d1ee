"""An archive with other batches: byte for byte the one that would be packed with them, and it verifies."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from lexport.errors import InputError
from lexport.export.archive.batching import Batches, with_batches
from lexport.export.archive.pack import archive
from lexport.export.archive.profiles import model_config
from lexport.export.archive.verify import verify
from lexport.handlers.model.digests import SIGNATURE

from ...refusals import refused
from ...trust_cases import key_pair, members_of


@pytest.mark.parametrize("variant", ["onnx-fp32", "onnx-int8"])
def test_it_is_the_archive_that_is_packed_with_these_batches(
    run_folder: Path, archive_of: Callable[[str], Path], tmp_path: Path, variant: str
) -> None:
    source = archive_of(variant)
    changed = with_batches(source, tmp_path / "changed.mar", Batches(16, 5))
    packed = archive(
        run_folder, version="1.0", variant=variant, batch_size=16, batch_delay=5, out=tmp_path / "packed"
    )
    assert changed.read_bytes() == packed.read_bytes()
    assert verify(changed).version == "1.0"
    with zipfile.ZipFile(changed) as members:
        settings = yaml.safe_load(members.read("model-config.yaml"))
    assert (settings["batchSize"], settings["maxBatchDelay"]) == (16, 5)
    assert settings.get("deviceType") == ("cpu" if variant == "onnx-int8" else None)


def test_the_copy_of_a_signed_archive_has_no_signature(run_folder: Path, tmp_path: Path) -> None:
    private, _ = key_pair(tmp_path, "ours", 1)
    source = archive(run_folder, version="1.0", variant="onnx-fp32", out=tmp_path / "signed", sign=private)
    assert SIGNATURE in members_of(source)
    changed = with_batches(source, tmp_path / "changed.mar", Batches(1, 1))
    assert SIGNATURE not in members_of(changed)
    assert verify(changed).version == "1.0"


def test_an_archive_that_lexport_did_not_make_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "old.mar"
    with zipfile.ZipFile(path, "w") as members:
        members.writestr("MAR-INF/MANIFEST.json", '{"model": {"modelName": "old"}}')
    with refused(InputError, "LX-LOAD-131", path, "--config FILE"):
        with_batches(path, tmp_path / "changed.mar", Batches(1, 1))
    assert not (tmp_path / "changed.mar").exists()


@pytest.mark.parametrize(("size", "delay"), [(0, 1), (10_001, 1), (1, 0), (1, 60_001), (-1, None)])
def test_batches_that_cannot_be_are_refused(size: int, delay: int | None) -> None:
    with refused(InputError, "LX-LOAD-130", size, "--batch-size", "--batch-delay"):
        model_config("throughput", size, delay)


def test_what_is_not_named_is_the_profiles() -> None:
    assert yaml.safe_load(model_config("latency", batch_delay=7)) == {
        "batchSize": 1,
        "maxBatchDelay": 7,
        "responseTimeout": 60,
        "startupTimeout": 120,
    }
