"""The addresses of a server's endpoints."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ...errors import InputError

HIGHEST_PORT = 65534  # TorchServe refuses 65535
HTTP = {"inference": "inference_address", "management": "management_address", "metrics": "metrics_address"}
"""The setting of each HTTP endpoint, by purpose."""
GRPC_INFERENCE, GRPC_MANAGEMENT = "gRPC inference", "gRPC management"
GRPC = {GRPC_INFERENCE: "grpc_inference", GRPC_MANAGEMENT: "grpc_management"}
"""The beginning of the settings of each gRPC endpoint, by purpose."""
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
    for offset, (purpose, key) in enumerate(HTTP.items()):
        match = _ADDRESS.fullmatch(settings[key].strip())
        if not match or int(match[2] or 8080) > HIGHEST_PORT:
            raise InputError(
                f"{key}={settings[key]} is not an address lexport serves on. Expected http://HOST:PORT; for TLS "
                "put a reverse proxy in front.",
                code="LX-SERVE-060",
            )
        own = int(match[2] or 8080 + offset)
        endpoints[purpose] = Address(match[1], own if port is None else port and port + offset)
    for purpose, key in GRPC.items():
        number = settings[f"{key}_port"].strip()
        if not re.fullmatch(r"[0-9]{1,5}", number) or int(number) > HIGHEST_PORT:
            raise InputError(
                f"{key}_port={number} is not a port. Expected 0 (any free one) to {HIGHEST_PORT}.",
                code="LX-SERVE-061",
            )
        endpoints[purpose] = Address(settings[f"{key}_address"].strip(), int(number))
    return endpoints


def option_address(text: str, option: str) -> Address:
    """Parse the address that is given to an option, `8083` or `0.0.0.0:8083`. Raises InputError."""
    match = re.fullmatch(r"(?:([A-Za-z0-9.-]+):)?([0-9]{1,5})", text.strip())
    if not match or int(match[2]) > HIGHEST_PORT:
        raise InputError(
            f"{option} {text!r} is not understood. Expected PORT or ADDRESS:PORT, such as 8083 or 0.0.0.0:8083.",
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
