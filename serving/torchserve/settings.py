"""TorchServe's settings: what the user's may not open, and what a server adds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from ...errors import RefusedError
from ...export.archive.trust.rule import Trust
from ..plan import Plan
from ..settings.addresses import HTTP, Address
from ..store import Archive

_NO_URL = "(?!)"  # the packaged pattern of allowed_urls, which matches nothing


def check_model_api(settings: Mapping[str, str], trust: Trust) -> None:
    """Raise RefusedError if the user's file lets others run code that was not verified, unless explicitly trusted."""
    if trust.insist and not trust.keys:
        return
    way_out = "Leave the setting out and start the server with its archives" + (
        "." if trust.keys else ", or insist with --trust-code."
    )
    if _is_on(settings, "enable_model_api"):
        raise RefusedError(
            "enable_model_api=true lets anyone with the management token run the code in any folder of this machine "
            f"(POST /models?url=FOLDER), unsigned and whatever allowed_urls says. {way_out}",
            code="LX-SERVE-063",
        )
    opened = "use_env_allowed_urls=true" if _is_on(settings, "use_env_allowed_urls") else ""
    if settings.get("allowed_urls", _NO_URL) != _NO_URL:
        opened = f"allowed_urls={settings['allowed_urls']}"
    if opened:
        raise RefusedError(
            f"{opened} lets anyone with the management token run the code of any workflow that is found there (POST "
            f"/workflows?url=URL), unsigned and with enable_model_api=false too. {way_out}",
            code="LX-SERVE-064",
        )


def _is_on(settings: Mapping[str, str], name: str) -> bool:
    return settings.get(name, "").strip().lower() == "true"


def derive(
    settings: Mapping[str, str],
    endpoints: Mapping[str, Address],
    plan: Plan,
    archives: Sequence[Archive],
    file_names: Sequence[str],
    store: Path,
    limits: Mapping[str, Mapping[str, int]] = MappingProxyType({}),
) -> dict[str, str]:
    """Return one server's settings: its ports, its private store, its models, their workers and `limits` by model."""
    models = {
        archive.name: {
            archive.version: {
                "defaultVersion": True,
                "marName": file_name,
                "minWorkers": plan.workers[archive.name],
                "maxWorkers": plan.workers[archive.name],
                **limits.get(archive.name, {}),
            }
        }
        for archive, file_name in zip(archives, file_names, strict=True)
    }
    # vmargs are for the command that starts Java, not for TorchServe, which would load a snapshot's models instead.
    own = {key: value for key, value in settings.items() if key not in ("vmargs", "model_snapshot")}
    own |= {key: f"http://{endpoints[purpose].host}:{endpoints[purpose].port}" for purpose, key in HTTP.items()}
    return own | {
        "model_store": str(store),
        "workflow_store": str(store),
        "load_models": ",".join(file_names),
        "models": json.dumps(models),
        "number_of_gpu": str(plan.gpus),
    }
