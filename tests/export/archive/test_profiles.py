"""The two profiles: what they say to TorchServe, and that nothing else of an archive differs."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import yaml

from lexport.errors import InputError
from lexport.export.archive.inprocess import load_archive
from lexport.export.archive.pack import archive
from lexport.export.archive.profiles import PROFILES, model_config

from ...refusals import refused


@pytest.mark.parametrize(("profile", "batch"), [("throughput", 64), ("latency", 1)])
def test_a_profile_is_written_for_torchserve(profile: str, batch: int) -> None:
    settings = yaml.safe_load(model_config(profile))
    assert (settings["batchSize"], settings["maxBatchDelay"]) == (batch, 1)


def test_another_profile_is_refused_with_those_there_are() -> None:
    with refused(InputError, "LX-ARCHIVE-023", "'fast'", "throughput, latency"):
        model_config("fast")


def test_profiles_differ_in_their_settings_alone_and_answer_alike(run_folder: Path, tmp_path: Path) -> None:
    members, answers = {}, {}
    for profile in PROFILES:
        path = archive(run_folder, version="1.0", variant="onnx-int8", profile=profile, out=tmp_path / profile)
        with zipfile.ZipFile(path) as packed:
            members[profile] = {name: packed.read(name) for name in packed.namelist()}
        with load_archive(path) as archived:
            answers[profile] = archived.predict(["the goal", "rain"])
    assert answers["throughput"] == answers["latency"]
    differing = {name for name, content in members["throughput"].items() if members["latency"][name] != content}
    assert "model-config.yaml" in differing
    # What lists the digest of that file differs with it.
    assert differing <= {"model-config.yaml", "MAR-INF/DIGESTS", "MAR-INF/SBOM.cdx.json"}
