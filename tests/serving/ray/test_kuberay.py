"""`lexport generate kuberay`, and the Dockerfile of its nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lexport.errors import InputError
from lexport.serving.generated.files import deployment_file
from lexport.serving.ray.environment import NEEDED

from ...refusals import refused

ARCHIVE = Path(__file__).parents[2] / "export" / "archive" / "kept" / "schema-2.mar"


def documents(**options: Any) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(deployment_file("kuberay", [ARCHIVE], **options)))


def test_pods_and_the_network_policy_follow_the_schemas_of_kubernetes() -> None:
    kubernetes = pytest.importorskip("kubernetes_validate", reason="the package kubernetes-validate has the schemas")
    service, policy = documents(replicas="1-4")
    cluster = service["spec"]["rayClusterConfig"]
    templates = [group["template"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]
    pods = [{"apiVersion": "v1", "kind": "Pod", **template} for template in templates]
    for document in (policy, *pods):
        for version in ("1.30", kubernetes.latest_version()):
            kubernetes.validate({"metadata": {"name": "pod"}, **document}, version, strict=True)
    assert (service["apiVersion"], service["kind"]) == ("ray.io/v1", "RayService")


def test_the_configuration_of_serve_follows_rays_own_schema() -> None:
    schema = pytest.importorskip("ray.serve.schema", reason="the extra ray has the schema")
    service, _ = documents(keys=(Path("team.pub"),))
    config = yaml.safe_load(service["spec"]["serveConfigV2"])
    parsed = schema.ServeDeploySchema.model_validate(config)
    assert [(one.name, one.route_prefix) for one in parsed.applications] == [
        ("lexport-kept", "/predictions/kept"),
        ("lexport", "/"),
    ]
    assert parsed.applications[0].args["keys"] == ["/srv/lexport/keys/team.pub"]


def test_a_range_of_replicas_is_one_of_pods_too() -> None:
    service, _ = documents(replicas="1-4")
    cluster = service["spec"]["rayClusterConfig"]
    [group] = cluster["workerGroupSpecs"]
    assert cluster["enableInTreeAutoscaling"] is True
    assert (group["replicas"], group["minReplicas"], group["maxReplicas"]) == (1, 1, 4)
    args = yaml.safe_load(service["spec"]["serveConfigV2"])["applications"][0]["args"]
    assert (args["least"], args["most"]) == (1, 4)


def test_a_fixed_number_of_replicas_needs_no_autoscaler() -> None:
    service, _ = documents(workers="cpu:3")
    cluster = service["spec"]["rayClusterConfig"]
    [group] = cluster["workerGroupSpecs"]
    assert "enableInTreeAutoscaling" not in cluster
    assert (group["minReplicas"], group["maxReplicas"]) == (3, 3)
    assert cluster["headGroupSpec"]["template"]["spec"]["automountServiceAccountToken"] is False


def test_every_node_has_the_environment_that_replicas_need() -> None:
    service, _ = documents()
    cluster = service["spec"]["rayClusterConfig"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        [container] = group["template"]["spec"]["containers"]
        assert {one["name"]: one["value"] for one in container["env"]} == NEEDED
        assert container["image"].startswith("lexport-serve:")


def test_rays_own_ports_are_closed_to_others() -> None:
    _, policy = documents()
    own, operator, clients = policy["spec"]["ingress"]
    assert own == {"from": [{"podSelector": policy["spec"]["podSelector"]}]}
    assert [one["port"] for one in operator["ports"]] == [8265, 8080]
    assert clients["ports"] == [{"protocol": "TCP", "port": 8080}]


def test_the_image_of_a_node_has_ray_on_its_path() -> None:
    text = deployment_file("dockerfile", [ARCHIVE], engine="ray")
    assert "lexport[ray]==" in text
    assert "ENV PATH=/opt/lexport/bin:$PATH" in text


@pytest.mark.parametrize("kind", ["systemd", "compose", "kubernetes"])
def test_files_of_one_machine_do_not_run_a_cluster(kind: str) -> None:
    with refused(InputError, "LX-RAY-158", kind, "ray"):
        deployment_file(kind, [ARCHIVE], engine="ray")


def test_a_ray_service_runs_no_other_engine() -> None:
    with refused(InputError, "LX-RAY-158", "kuberay", "embedded"):
        deployment_file("kuberay", [ARCHIVE], engine="embedded")
