"""A compose.yaml for Docker Compose: the image of the Dockerfile, published on this machine's loopback interface."""

from __future__ import annotations

from typing import Any

from .deployment import HEALTH, INFERENCE, METRICS, SECRETS, STATE, TOKEN, USER, VENV, Deployment, probe
from .text import yaml_text


def compose(deployment: Deployment) -> str:
    """Return the text of a compose.yaml, to lie beside the Dockerfile and a file with the token.

    Raises InputError for a deployment that cannot be.
    """
    deployment.check()
    resources = deployment.resources
    service: dict[str, Any] = {
        "image": deployment.image,
        "build": {"context": ".", "dockerfile": "Dockerfile"},
        "entrypoint": deployment.serve_words(str(VENV / "bin" / "lexport")),
        "user": f"{USER}:{USER}",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "init": True,
        "pids_limit": 512,
        "tmpfs": ["/tmp"],
        "volumes": [{"type": "volume", "source": "state", "target": str(STATE)}],
        "ports": [f"127.0.0.1:{port}:{port}" for port in (INFERENCE, METRICS, HEALTH)],
        "secrets": [{"source": "inference_token", "target": str(SECRETS / TOKEN)}],
        "healthcheck": {
            "test": ["CMD", *probe("/readyz")],
            "interval": "10s",
            "timeout": "5s",
            "retries": 3,
            "start_period": "120s",
        },
        "stop_signal": "SIGTERM",
        "stop_grace_period": f"{deployment.stop_time}s",
        "restart": "unless-stopped",
        "deploy": {
            "resources": {
                "limits": {"cpus": str(resources.cpu_limit), "memory": f"{resources.memory_limit}M"},
                "reservations": {"cpus": f"{resources.cpu:g}", "memory": f"{resources.memory}M"},
            }
        },
        "logging": {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}},
    }
    return yaml_text(
        (
            f"{deployment.title}, made by: lexport generate compose",
            "",
            "Beside it belong the archives, a Dockerfile (lexport generate dockerfile) and a token that user",
            f"{USER} alone can read:",
            f"    (umask 077; openssl rand -hex 32 > {TOKEN}); sudo chown {USER} {TOKEN}",
            "    docker compose config --quiet && docker compose up --build --detach --wait",
            "",
            "In its container the server listens on all interfaces, because the loopback interface there is reached",
            "by nobody else, and tokens are on; the ports are published on 127.0.0.1 of this machine. For other",
            "machines put a proxy before it: lexport generate haproxy.",
            f"The health check asks /readyz; /livez on port {HEALTH} says whether it must be started again.",
            f"Stopped, it lets open requests be answered for {deployment.drain:g} s.",
            "",
            *resources.why,
        ),
        [
            {
                "name": "lexport",
                "services": {"lexport": service},
                "volumes": {"state": {}},
                "secrets": {"inference_token": {"file": f"./{TOKEN}"}},
            }
        ],
    )
