"""Manifests for Kubernetes: Deployment, Service, NetworkPolicy, PodDisruptionBudget, ServiceAccount."""

from __future__ import annotations

from typing import Any

from .deployment import GRACE, HEALTH, INFERENCE, METRICS, SECRETS, STATE, TOKEN, USER, VENV, Deployment
from .text import yaml_text

_NAME = "lexport"
_LABELS = {"app.kubernetes.io/name": _NAME}
_LEAVE = 5  # seconds until no proxy of the cluster sends requests to a pod that ends
_MIB = 1 << 20


def manifests(deployment: Deployment) -> str:
    """Return the manifests as YAML documents. Raises InputError for a deployment that cannot be."""
    deployment.check()
    return yaml_text(
        (
            f"{deployment.title}, made by: lexport generate kubernetes",
            "",
            "The image is that of lexport generate dockerfile, where the cluster finds it. The token is made",
            "once and mounted; it is in no manifest:",
            f"    (umask 077; openssl rand -hex 32 > {TOKEN})",
            f"    kubectl create secret generic {_NAME}-token --from-file={TOKEN}",
            "    kubectl apply --filename FILE",
            "",
            "In its pod the server listens on all interfaces, because a Service reaches no loopback interface, and",
            "tokens are on. Management stays on the loopback interface. Predictions are for pods with the label",
            f"{_NAME}-client: 'true' and metrics, which ask for no token, for the namespace named monitoring: change",
            "the NetworkPolicy to your names. For clients outside of the cluster put TLS before it (an Ingress or",
            "lexport generate haproxy).",
            "",
            f"A pod that ends is taken out of the Service for {_LEAVE} s, lets open requests be answered for "
            f"{deployment.drain:g} s,",
            f"and has {GRACE} s for the rest.",
            "",
            *deployment.resources.why,
        ),
        [
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": metadata(),
                "automountServiceAccountToken": False,
            },
            _deployment(deployment),
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": metadata(),
                "spec": {
                    "selector": _LABELS,
                    "ports": [_service_port("inference", INFERENCE), _service_port("metrics", METRICS)],
                },
            },
            _network_policy(),
            {
                "apiVersion": "policy/v1",
                "kind": "PodDisruptionBudget",
                "metadata": metadata(),
                "spec": {"maxUnavailable": 1, "selector": {"matchLabels": _LABELS}},
            },
        ],
    )


def metadata(name: str = _NAME, labels: dict[str, str] = _LABELS) -> dict[str, Any]:
    """Return name and labels of an object."""
    return {"name": name, "labels": labels}


def clients(name: str = _NAME) -> dict[str, Any]:
    """Return who may ask for predictions, as a NetworkPolicy names them."""
    return {"podSelector": {"matchLabels": {f"{name}-client": "true"}}}


def _service_port(name: str, port: int) -> dict[str, Any]:
    return {"name": name, "port": port, "targetPort": name}


def _deployment(deployment: Deployment) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(),
        "spec": {
            "replicas": deployment.replicas,
            "selector": {"matchLabels": _LABELS},
            # A new pod is ready before an old one ends.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": _LABELS},
                "spec": {
                    "serviceAccountName": _NAME,
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "terminationGracePeriodSeconds": _LEAVE + deployment.stop_time,
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": USER,
                        "runAsGroup": USER,
                        "fsGroup": USER,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [_container(deployment)],
                    "volumes": [
                        # Root's, and readable by the pod's own group alone.
                        {"name": "token", "secret": {"secretName": f"{_NAME}-token", "defaultMode": 0o440}},
                        {"name": "state", "emptyDir": {"sizeLimit": f"{_disk(deployment)}Mi"}},
                        {"name": "temporary", "emptyDir": {"sizeLimit": "64Mi"}},
                    ],
                },
            },
        },
    }


def _container(deployment: Deployment) -> dict[str, Any]:
    resources = deployment.resources
    return {
        "name": _NAME,
        "image": deployment.image,
        "command": deployment.serve_words(str(VENV / "bin" / "lexport")),
        "ports": [
            {"name": name, "containerPort": port}
            for name, port in (("inference", INFERENCE), ("metrics", METRICS), ("health", HEALTH))
        ],
        "startupProbe": _probe("/livez", 5, 60),
        "livenessProbe": _probe("/livez", 10, 3),
        "readinessProbe": _probe("/readyz", 5, 1),
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(_LEAVE)]}}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": {
            "requests": {"cpu": f"{round(resources.cpu * 1000)}m", "memory": f"{resources.memory}Mi"},
            "limits": {"cpu": str(resources.cpu_limit), "memory": f"{resources.memory_limit}Mi"},
        },
        "volumeMounts": [
            {"name": "token", "mountPath": str(SECRETS), "readOnly": True},
            {"name": "state", "mountPath": str(STATE)},
            {"name": "temporary", "mountPath": "/tmp"},
        ],
    }


def _disk(deployment: Deployment) -> int:
    """Return MiB for the state: each archive packed and unpacked, again while it is replaced, and logs."""
    return 1024 + 4 * -(-sum(model.size for model in deployment.models) // _MIB)


def _probe(path: str, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": "health"},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _network_policy() -> dict[str, Any]:
    prometheus = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(),
        "spec": {
            "podSelector": {"matchLabels": _LABELS},
            "policyTypes": ["Ingress", "Egress"],
            # Probes come from the pod's own node, which a policy always lets in.
            "ingress": [
                {"from": [clients()], "ports": [{"protocol": "TCP", "port": "inference"}]},
                {"from": [prometheus], "ports": [{"protocol": "TCP", "port": "metrics"}]},
            ],
            # It asks nobody.
            "egress": [],
        },
    }
