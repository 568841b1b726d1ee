"""TorchServe's settings: the packaged `config.properties`, the user's file over it, and what a server adds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ...errors import InputError, RefusedError
from ...export.archive.trust.rule import Trust
from ..plan import Plan
from ..properties import parse
from ..store import Archive

PACKAGED = Path(__file__).resolve().parents[2] / "config.properties"

HIGHEST_PORT = 65534  # TorchServe refuses 65535
_NO_URL = "(?!)"  # the packaged pattern of allowed_urls, which matches nothing
_HTTP = {"inference": "inference_address", "management": "management_address", "metrics": "metrics_address"}
_GRPC = {"gRPC inference": "grpc_inference", "gRPC management": "grpc_management"}
_ADDRESS = re.compile(r"http://([^:/]+)(?::([0-9]{1,5}))?/?")


@dataclass(frozen=True)
class Address:
    """The address of one of TorchServe's five endpoints; port 0 means any free port."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """The URL a client on this machine uses."""
        return f"http://{'127.0.0.1' if self.host == '0.0.0.0' else self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host == "localhost" or self.host.startswith("127.")


def read_settings(config: Path | None = None) -> dict[str, str]:
    """Return the packaged settings, overridden by those of the user's file `config`.

    Raises InputError if the file cannot be read or asks for what lexport does not manage.
    """
    return parse(PACKAGED.read_text(encoding="utf-8")) | own_settings(config)


def own_settings(config: Path | None) -> dict[str, str]:
    """Return only the settings of the user's file; none without a file.

    Raises InputError as `read_settings` does.
    """
    if config is None:
        return {}
    try:
        own = parse(config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"Cannot read the settings {config}: {error}. Expected a properties file.", code="LX-SERVE-057"
        ) from None
    if own.get("plugins_path"):
        raise InputError(
            f"{config} sets plugins_path, which lexport does not load. Use torchserve itself.", code="LX-SERVE-058"
        )
    if own.get("metrics_config"):
        # The server runs in its state folder, where a relative path would mean something else.
        own["metrics_config"] = str(config.resolve().parent / own["metrics_config"])
    return own


def addresses(settings: Mapping[str, str], port: int | None) -> dict[str, Address]:
    """Return the five endpoints by purpose: inference, management, metrics, gRPC inference, gRPC management.

    `port` None keeps the ports of the settings, 0 makes all HTTP ports 0 (any free one), any other number is the
    inference port, with management and metrics on the two that follow. Raises InputError for what is no address.
    """
    if port is not None and not 0 <= port <= HIGHEST_PORT - 2:
        raise InputError(
            f"--port {port} is not possible: expected 1 to {HIGHEST_PORT - 2}, so that the next two ports exist "
            "too, or 0 for any free ones.",
            code="LX-SERVE-059",
        )
    endpoints = {}
    for offset, (purpose, key) in enumerate(_HTTP.items()):
        match = _ADDRESS.fullmatch(settings[key].strip())
        if not match or int(match[2] or 8080) > HIGHEST_PORT:
            raise InputError(
                f"{key}={settings[key]} is not an address lexport serves on. Expected http://HOST:PORT; for TLS "
                "put a reverse proxy in front.",
                code="LX-SERVE-060",
            )
        own = int(match[2] or 8080 + offset)
        endpoints[purpose] = Address(match[1], own if port is None else port and port + offset)
    for purpose, key in _GRPC.items():
        number = settings[f"{key}_port"].strip()
        if not re.fullmatch(r"[0-9]{1,5}", number) or int(number) > HIGHEST_PORT:
            raise InputError(
                f"{key}_port={number} is not a port. Expected 0 (any free one) to {HIGHEST_PORT}.",
                code="LX-SERVE-061",
            )
        endpoints[purpose] = Address(settings[f"{key}_address"].strip(), int(number))
    return endpoints


def health_address(text: str) -> Address:
    """Parse the address for probes, `8083` or `0.0.0.0:8083`; port 0 is any free port. Raises InputError."""
    match = re.fullmatch(r"(?:([A-Za-z0-9.-]+):)?([0-9]{1,5})", text.strip())
    if not match or int(match[2]) > HIGHEST_PORT:
        raise InputError(
            f"--health {text!r} is not understood. Expected PORT or ADDRESS:PORT, such as 8083 or 0.0.0.0:8083.",
            code="LX-SERVE-062",
        )
    return Address(match[1] or "127.0.0.1", int(match[2]))


def warn_if_open(settings: Mapping[str, str], endpoints: Mapping[str, Address], say: Callable[[str], None]) -> None:
    """Print a line for each endpoint or check that is closed by default and that the user's file has opened."""
    reachable = [
        f"{purpose} on {endpoint.host}:{endpoint.port}"
        for purpose, endpoint in endpoints.items()
        if not endpoint.is_local
    ]
    if reachable:
        say(f"Other machines can reach this server, unencrypted: {', '.join(reachable)}.")
    if settings.get("disable_token_authorization", "").lower() == "true":
        say("Token authorization is off: anyone who can reach a port can use it.")


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
    own |= {key: f"http://{endpoints[purpose].host}:{endpoints[purpose].port}" for purpose, key in _HTTP.items()}
    return own | {
        "model_store": str(store),
        "workflow_store": str(store),
        "load_models": ",".join(file_names),
        "models": json.dumps(models),
        "number_of_gpu": str(plan.gpus),
    }
