"""Rules on who can reach a server and what is asked of them: addresses, TLS, tokens, CORS."""

from __future__ import annotations

import ipaddress
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from packaging.version import Version

from .catalogue import PORTS
from .settings_file import FIRST_WITH_TOKENS, SettingFinding, SettingsFile

# As TorchServe's ConfigManager reads an address.
_ADDRESS = re.compile(r"(?:(https|http)://([^:^/]+)(?::([0-9]+))?)|unix:/.*", re.IGNORECASE)
_GRPC_ADDRESS = Version("0.11.0")  # the first that has grpc_…_address
_DAY = 1440  # minutes
_PROXY = "keep it at 127.0.0.1 and put a proxy with TLS before it: lexport generate haproxy"
_WHO = {
    "inference": "any machine that reaches it can send requests, and tokens and texts cross the network unencrypted",
    "management": "any machine that reaches it can try to scale, describe and load models",
    "metrics": "no token is asked here: any machine that reaches it reads the names and figures of the models",
}


def is_local(host: str) -> bool:
    """Return whether only this machine can reach an address: a loopback IP, or localhost."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def open_to_others(file: SettingsFile, purpose: str) -> bool:
    """Return whether the HTTP address of a purpose can be reached from other machines."""
    found = _ADDRESS.fullmatch(file.get(f"{purpose}_address"))
    return found is not None and found[2] is not None and not is_local(found[2])


def _is_https(file: SettingsFile, purpose: str) -> bool:
    return file.get(f"{purpose}_address").lower().startswith("https://")


def addresses(file: SettingsFile) -> Iterator[SettingFinding]:
    """Yield what each HTTP address means."""
    for purpose, port in PORTS.items():
        name = f"{purpose}_address"
        found = _ADDRESS.fullmatch(file.get(name))
        if found is None or int((found[3] or "0")[:6]) > 65534:
            yield file.note(
                name, "TorchServe cannot read this address and does not start", f"{name}=http://127.0.0.1:{port}"
            )
        elif not open_to_others(file, purpose):
            yield file.ok(name)
        elif purpose == "inference" and _is_https(file, purpose) and file.has_tokens():
            yield file.note(
                name,
                "other machines reach TorchServe itself, which has no timeouts for its clients",
                _PROXY,
            )
        elif purpose == "metrics":
            yield file.note(name, _WHO[purpose], "keep it at 127.0.0.1, or let a firewall admit Prometheus alone")
        else:
            way_out = _PROXY if purpose == "inference" else f"{name}=http://127.0.0.1:{port}"
            yield file.danger(name, _WHO[purpose], way_out)


def grpc(file: SettingsFile) -> Iterator[SettingFinding]:
    """Yield what the gRPC addresses mean; TorchServe before 0.11.0 has no setting for them (CVE-2024-35199)."""
    if file.version < _GRPC_ADDRESS:
        return
    for purpose in ("inference", "management"):
        name = f"grpc_{purpose}_address"
        if is_local(file.get(name)):
            yield file.ok(name)
        elif purpose == "inference" and file.is_on("enable_grpc_ssl") and file.has_tokens():
            yield file.note(
                name, "other machines reach TorchServe's gRPC, encrypted", f"{name}=127.0.0.1 if none has to"
            )
        else:
            what = _WHO[purpose] + (" and bring archives in" if purpose == "management" else "")
            yield file.danger(name, f"over gRPC {what}", f"{name}=127.0.0.1")


def encryption(file: SettingsFile) -> Iterator[SettingFinding]:
    """Yield what is wrong with certificates, where an address is to be encrypted."""
    encrypted = [purpose for purpose in PORTS if _is_https(file, purpose)]
    pair = ("private_key_file", "certificate_file")
    if encrypted and not file.get("keystore") and not all(file.get(name) for name in pair):
        yield file.danger(
            "certificate_file",
            f"{', '.join(encrypted)} is https without a certificate: TorchServe makes one up at each start, so "
            "clients cannot tell it from an impostor",
            "certificate_file and private_key_file, or keystore",
        )
    if file.is_on("enable_grpc_ssl") and not all(file.get(name) for name in pair):
        yield file.note(
            "enable_grpc_ssl",
            "there is no certificate_file and private_key_file for it, and TorchServe does not start",
            "set both, or enable_grpc_ssl=false",
        )
    if file.get("keystore") and file.get("keystore_pass") in ("", "changeit"):
        yield file.note(
            "keystore_pass",
            "it is the password that everybody knows: who can read the keystore has the key",
            "give the keystore a password of its own",
        )
    elif "keystore_pass" in file.values and _readable_by_others(file.path):
        yield file.danger(
            "keystore_pass", "every user of this machine can read the password in this file", "chmod 600 FILE"
        )


def tokens(file: SettingsFile) -> Iterator[SettingFinding]:
    """Yield whether requests need a token, and how long it lives."""
    name = "disable_token_authorization"
    if file.version < FIRST_WITH_TOKENS:
        yield file.danger(
            name,
            f"TorchServe {file.version} asks for no token unless a plugin does: anyone who reaches a port can use it",
            "TorchServe 0.12.0, which asks for tokens",
        )
        return
    if file.is_on(name):
        yield file.danger(
            name, "anyone who reaches a port can use it, this machine's other users too", f"{name}=false"
        )
        return
    yield file.ok(name)
    name = "token_expiration_min"
    try:
        minutes = float(file.get(name))
    except ValueError:
        minutes = 60.0  # as TorchServe does
    if minutes >= _DAY:
        yield file.ok(name)
    elif name in file.values:
        yield file.note(
            name,
            f"{minutes:g} minutes after the start all requests are refused, until somebody asks for new tokens",
            "renew them in time (GET /token at the management address), or set a longer time",
        )
    else:
        yield file.danger(
            name,
            "60 minutes after the start all requests are refused, until somebody asks for new tokens",
            f"{name}=5256000 (ten years), or renew them in time",
        )


def cors(file: SettingsFile) -> Iterator[SettingFinding]:
    """Yield whether web pages of other sites may ask this server from a visitor's browser."""
    name = "cors_allowed_origin"
    origin = file.get(name)
    if not origin:
        yield file.ok(name)
    elif origin.strip() == "*" and not file.has_tokens():
        yield file.danger(
            name,
            "any web page can ask this server from the browser of whoever reaches it, also at 127.0.0.1, without a "
            "token",
            "leave it out, or name your own site",
        )
    else:
        pages = "any site" if origin.strip() == "*" else origin
        yield file.note(
            name,
            f"web pages of {pages} can ask this server from a visitor's browser, if they have a token",
            "leave it out, or name your own site",
        )


def _readable_by_others(path: Path | None) -> bool:
    try:
        return path is not None and bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
    except OSError:
        return False
