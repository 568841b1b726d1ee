"""The RayService of KubeRay: a Ray cluster on Kubernetes with the models, and what protects it."""

from __future__ import annotations

import importlib.metadata
import math
from typing import Any

from ..ray.environment import NEEDED
from .deployment import INFERENCE, KEYS, MODELS, SECRETS, TOKEN, USER, VENV, Deployment
from .kubernetes import clients, metadata
from .text import Block, yaml_text

_NAME = "lexport-ray"
_LABELS = {"app.kubernetes.io/part-of": _NAME}
_AGENT, _DASHBOARD, _GCS, _CLIENT = 52365, 8265, 6379, 10001
_HEAD = {"cpu": "1", "memory": "2Gi"}
_LEAST_STORE = 128  # MiB; Ray takes 75 at least
_MIB = 1 << 20


def ray_service(deployment: Deployment) -> str:
    """Return a RayService and a NetworkPolicy as YAML documents.

    Raises InputError for a deployment that cannot be.
    """
    deployment.check()
    least, most = deployment.range
    ray = _version("ray")
    scaling = "their number is fixed." if most == least else f"Ray adds some, up to {most}, while they are busy."
    return yaml_text(
        (
            f"{deployment.title}, made by: lexport generate kuberay",
            "",
            "KubeRay's operator must run in the cluster. The image is that of",
            "    lexport generate dockerfile --engine ray",
            f"with Ray {ray}, where the cluster finds it. The token is made once and mounted; it is in no manifest:",
            f"    (umask 077; openssl rand -hex 32 > {TOKEN})",
            f"    kubectl create secret generic {_NAME}-token --from-file={TOKEN}",
            "    kubectl apply --filename FILE",
            "",
            f"Predictions are at the Service {_NAME}-serve-svc, port {INFERENCE}, for pods with the label",
            "lexport-client: 'true'. Ray's own ports run what they are sent: they ask for a token that the operator",
            "makes (KubeRay 1.5 or later), and the NetworkPolicy lets in none but the pods of this Ray cluster, and",
            "the operator where it has its usual label.",
            "",
            f"Each model has {least} replica{'s' * (least > 1)}; {scaling}",
            "One pod of workers has room for one replica of each model. The head has none.",
            "A changed list of archives is another image: give it another name, and KubeRay makes a second cluster",
            "and removes the first once the second answers.",
            "",
            *deployment.resources.why,
        ),
        [_service(deployment, ray, least, most), _network_policy()],
    )


def _version(package: str) -> str:
    """Return the installed version of a package; the least that lexport takes where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "2.60.0"


def _service(deployment: Deployment, ray: str, least: int, most: int) -> dict[str, Any]:
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": metadata(_NAME, _LABELS),
        "spec": {
            "serveConfigV2": Block(yaml_text((), [serve_config(deployment)]).lstrip("\n")),
            # The head has no replica of a model.
            "excludeHeadPodFromServeSvc": True,
            "rayClusterConfig": {
                "rayVersion": ray,
                # The operator makes a token for Ray's own ports.
                "authOptions": {"mode": "token"},
                **({"enableInTreeAutoscaling": True} if most > least else {}),
                "headGroupSpec": {
                    "rayStartParams": {"num-cpus": "0", "dashboard-host": "0.0.0.0"},
                    # Ray's autoscaler asks Kubernetes for pods.
                    "template": _template(
                        "ray-head", deployment, _HEAD, _HEAD, (_GCS, _DASHBOARD, _CLIENT), account=most > least
                    ),
                },
                "workerGroupSpecs": [
                    {
                        "groupName": "workers",
                        "replicas": least,
                        "minReplicas": least,
                        "maxReplicas": most,
                        "rayStartParams": {
                            # One replica of each model, whatever the limit of the container is.
                            "num-cpus": str(len(deployment.models)),
                            "object-store-memory": str(_store(deployment) * _MIB),
                        },
                        "template": _template("ray-worker", deployment, *_resources(deployment), (INFERENCE,)),
                    }
                ],
            },
        },
    }


def serve_config(deployment: Deployment) -> dict[str, Any]:
    """Return the configuration of Ray Serve: an application for each model, and the front."""
    least, most = deployment.range
    token = {"token_file": str(SECRETS / TOKEN)}
    keys = {"keys": [str(KEYS / key.name) for key in deployment.keys]} if deployment.keys else {}
    models = [
        {
            "name": f"lexport-{one.name}",
            "route_prefix": f"/predictions/{one.name}",
            "import_path": "lexport.serving.ray.builder:model",
            "args": {"archive": str(MODELS / one.path.name), **token, **keys, "least": least, "most": most},
        }
        for one in deployment.models
    ]
    front = {
        "name": "lexport",
        "route_prefix": "/",
        "import_path": "lexport.serving.ray.builder:front",
        "args": {"models": [one.name for one in deployment.models], **token},
    }
    return {
        "proxy_location": "EveryNode",
        "http_options": {"host": "0.0.0.0", "port": INFERENCE},
        "applications": [*models, front],
    }


def _template(
    name: str,
    deployment: Deployment,
    requests: dict[str, str],
    limits: dict[str, str],
    ports: tuple[int, ...],
    *,
    account: bool = False,
) -> dict[str, Any]:
    names = {_GCS: "gcs", _DASHBOARD: "dashboard", _CLIENT: "client", INFERENCE: "serve"}
    worker = INFERENCE in ports
    return {
        "metadata": {"labels": _LABELS},
        "spec": {
            "automountServiceAccountToken": account,
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": name,
                    "image": deployment.image,
                    "env": [{"name": key, "value": value} for key, value in NEEDED.items()],
                    "ports": [{"name": names[port], "containerPort": port} for port in ports],
                    # KubeRay's own probes call wget, which an image of Python does not have.
                    "livenessProbe": _probe((_AGENT, "/api/healthz"), failures=10),
                    "readinessProbe": _probe(
                        (_AGENT, "/api/healthz"),
                        *([(INFERENCE, "/-/healthz")] if worker else []),
                        failures=1 if worker else 10,
                    ),
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                    "resources": {"requests": requests, "limits": limits},
                    "volumeMounts": [
                        {"name": "token", "mountPath": str(SECRETS), "readOnly": True},
                        {"name": "temporary", "mountPath": "/tmp"},
                    ],
                }
            ],
            "volumes": [
                # Root's, and readable by the pod's own group alone.
                {"name": "token", "secret": {"secretName": f"{_NAME}-token", "defaultMode": 0o440}},
                # Ray's logs and sockets, and the archives unpacked.
                {"name": "temporary", "emptyDir": {"sizeLimit": f"{2048 + 4 * _size(deployment)}Mi"}},
            ],
        },
    }


def _probe(*addresses: tuple[int, str], failures: int) -> dict[str, Any]:
    asked = "; ".join(f"u('http://127.0.0.1:{port}{path}', timeout=4)" for port, path in addresses)
    program = f"from urllib.request import urlopen as u; {asked}"
    return {
        "exec": {"command": [str(VENV / "bin" / "python"), "-c", program]},
        "initialDelaySeconds": 10,
        "periodSeconds": 5,
        "timeoutSeconds": 10,
        "failureThreshold": failures,
    }


def _resources(deployment: Deployment) -> tuple[dict[str, str], dict[str, str]]:
    """Return requests and limits of a pod of workers, whose object store is a part of its memory."""
    found, store = deployment.resources, _store(deployment)
    cpu = max(float(len(deployment.models)), found.cpu / deployment.range[0])
    return (
        {"cpu": f"{round(cpu * 1000)}m", "memory": f"{found.memory + store}Mi"},
        {"cpu": str(math.ceil(1.5 * cpu)), "memory": f"{found.memory_limit + 2 * store}Mi"},
    )


def _store(deployment: Deployment) -> int:
    """Return MiB of a node's object store: archives travel through it."""
    return _LEAST_STORE + 2 * _size(deployment)


def _size(deployment: Deployment) -> int:
    return -(-sum(model.size for model in deployment.models) // _MIB)


def _network_policy() -> dict[str, Any]:
    own = {"podSelector": {"matchLabels": _LABELS}}
    operator = {
        "namespaceSelector": {},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "kuberay-operator"}},
    }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(_NAME, _LABELS),
        "spec": {
            "podSelector": {"matchLabels": _LABELS},
            "policyTypes": ["Ingress"],
            "ingress": [
                {"from": [own]},
                {
                    "from": [operator],
                    "ports": [{"protocol": "TCP", "port": port} for port in (_DASHBOARD, INFERENCE)],
                },
                {"from": [clients()], "ports": [{"protocol": "TCP", "port": INFERENCE}]},
            ],
        },
    }
