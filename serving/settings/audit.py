"""Audit a config.properties of TorchServe, lexport's own or anybody's: what it leaves open, and how to close it."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from packaging.version import InvalidVersion, Version

from ...errors import InputError
from .properties import entries
from .rules import advisories, code, limits, reach
from .rules.settings_file import DANGER, NOTE, OK, SettingFinding, SettingsFile

__all__ = ["DANGER", "NOTE", "OK", "SettingFinding", "audit", "is_dangerous"]

LAST = "0.12.0"
"""The last TorchServe that was released."""
_MAX_BYTES = 1 << 20
_RULES = (
    *(reach.addresses, reach.grpc, reach.encryption, reach.tokens, reach.cors),
    *(code.model_api, code.allowed_urls, code.environment, code.installs, code.models, code.plugins, code.java),
    *(code.file_itself, limits.sizes, limits.privacy, limits.values, limits.names, advisories.advisories),
)
_ORDER = (DANGER, NOTE, OK)


def audit(path: Path, torchserve: str | None = None) -> list[SettingFinding]:
    """Return what a config.properties leaves open, dangers first, notes then, and what is closed last.

    `torchserve` is the version that will read it; None is the installed one, or else the last one, 0.12.0. A setting
    that the file does not have is judged by what TorchServe takes for it. Nothing is run or fetched, and nothing but
    the file and the permissions of folders that it names is looked at.

    Raises InputError if the file cannot be read, or for what is no version.
    """
    text = _read(path)
    file = SettingsFile(tuple(entries(text)), _version(torchserve), path)
    found = [finding for rule in _RULES for finding in rule(file)]
    # A value from the environment is not known; a note says so.
    unknown = {name for name in file.values if file.variables(name)}
    judged = [one for one in found if one.level == NOTE or one.setting not in unknown]
    return sorted(judged, key=lambda finding: _ORDER.index(finding.level))


def is_dangerous(findings: list[SettingFinding]) -> bool:
    """Return whether one of the findings is a danger."""
    return any(finding.level == DANGER for finding in findings)


def _read(path: Path) -> str:
    """Return the text of a file as Java reads it, in Latin-1, which every file is."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"The settings {path} cannot be read: {error.strerror}. Expected a config.properties of TorchServe.",
            code="LX-SERVE-130",
        ) from None
    if len(content) > _MAX_BYTES or b"\0" in content:
        raise InputError(
            f"{path} is not a file of settings: it has NUL bytes, or more than {_MAX_BYTES:,}. Expected a "
            "config.properties of TorchServe.",
            code="LX-SERVE-131",
        )
    return content.decode("latin-1")


def _version(torchserve: str | None) -> Version:
    if torchserve is None:
        try:
            torchserve = metadata.version("torchserve")
        except metadata.PackageNotFoundError:
            torchserve = LAST
    try:
        return Version(torchserve)
    except InvalidVersion:
        raise InputError(
            f"{torchserve!r} is not a version of TorchServe. Expected such as {LAST}.", code="LX-SERVE-132"
        ) from None
