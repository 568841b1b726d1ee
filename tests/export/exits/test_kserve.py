"""KServe's files: an InferenceService with an image, resources and a share, and the server in that image."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from lexport.errors import InputError
from lexport.export.archive.format.reader import extract
from lexport.export.exits.kserve import Amounts, KServe, service_name
from lexport.export.exits.packed import read_packed
from lexport.export.exits.writing import write_exit

from ...refusals import refused

ArchiveOf = Callable[[str], Path]
AMOUNTS = Amounts(cpu=0.5, cpu_limit=2, memory=400, memory_limit=800, why=("measured", "so"))


def service_of(mar: Path, out: Path, chosen: KServe) -> dict[str, Any]:
    write_exit(mar, "kserve", chosen, out, python=Path(sys.executable))
    found: dict[str, Any] = yaml.safe_load((out / "inferenceservice.yaml").read_text(encoding="utf-8"))
    return found


def test_the_service_runs_the_image_with_what_it_is_given(archive_of: ArchiveOf, tmp_path: Path) -> None:
    service = service_of(archive_of("onnx-fp32"), tmp_path / "out", KServe(AMOUNTS))
    assert (service["apiVersion"], service["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
    [container] = service["spec"]["predictor"]["containers"]
    assert container["name"] == "kserve-container"
    assert container["image"] == "topics-kserve:1.0"
    assert container["resources"] == {
        "requests": {"cpu": "0.5", "memory": "400Mi"},
        "limits": {"cpu": "2", "memory": "800Mi"},
    }
    assert container["readinessProbe"]["httpGet"]["path"] == "/v2/models/topics/ready"
    assert "canaryTrafficPercent" not in service["spec"]["predictor"]
    text = (tmp_path / "out" / "inferenceservice.yaml").read_text(encoding="utf-8")
    assert text.startswith("# measured\n# so\n")


@pytest.mark.parametrize("version", ["1.0", "1e3", "0o17", "12345e67", "y", "1.0+build.7"])
def test_a_version_is_a_text_for_every_reader_of_yaml(version: str, archive_of: ArchiveOf, tmp_path: Path) -> None:
    """PyYAML takes 1e3 for a text without quotation marks; Kubernetes takes it for a number, and refuses the file."""
    extract(archive_of("onnx-fp32"), tmp_path)
    packed = read_packed(tmp_path)
    packed = replace(packed, model=replace(packed.model, version=version))
    text = KServe(AMOUNTS, image="registry/topics:7").files(packed)["inferenceservice.yaml"].decode()
    assert f"lexport/version: '{version}'\n" in text
    assert yaml.safe_load(text)["metadata"]["annotations"]["lexport/version"] == version


def test_a_canary_gets_its_share_and_the_image_its_name(archive_of: ArchiveOf, tmp_path: Path) -> None:
    chosen = KServe(AMOUNTS, image="registry/topics:7", canary=10)
    predictor = service_of(archive_of("onnx-fp32"), tmp_path / "out", chosen)["spec"]["predictor"]
    assert predictor["canaryTrafficPercent"] == 10
    assert predictor["containers"][0]["image"] == "registry/topics:7"
    assert "10 % of the requests" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_the_image_has_the_server_and_no_rights(archive_of: ArchiveOf, tmp_path: Path) -> None:
    service_of(archive_of("onnx-fp32"), tmp_path / "out", KServe(AMOUNTS))
    lines = (tmp_path / "out" / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert 'ENTRYPOINT ["python", "/app/server.py"]' in lines
    assert "USER 1000" in lines
    needs = (tmp_path / "out" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert needs == ["kserve", "mmh3", "numpy", "onnxruntime", "regex"]


def test_its_container_follows_the_schema_of_kubernetes(archive_of: ArchiveOf, tmp_path: Path) -> None:
    kubernetes = pytest.importorskip("kubernetes_validate", reason="the package kubernetes-validate has the schemas")
    predictor = service_of(archive_of("onnx-fp32"), tmp_path / "out", KServe(AMOUNTS))["spec"]["predictor"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "it"}}
    kubernetes.validate(pod | {"spec": {"containers": predictor["containers"]}}, "1.30", strict=True)


@pytest.mark.parametrize(
    ("name", "expected"), [("Reviews", "reviews"), ("my_model.v2", "my-model-v2"), ("a" * 80, "a" * 50), ("-a-", "a")]
)
def test_the_service_has_a_name_that_kubernetes_allows(name: str, expected: str) -> None:
    assert service_name(name) == expected


def test_what_cannot_be_is_refused() -> None:
    with refused(InputError, "LX-EXPORT-108", 101):
        KServe(AMOUNTS, canary=101)
    with refused(InputError, "LX-EXPORT-109", "2024"):
        service_name("2024")
