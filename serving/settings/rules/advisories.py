"""The published weaknesses of TorchServe whose conditions are a version and settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from packaging.version import Version

from .code import allowed_urls
from .reach import open_to_others
from .settings_file import DANGER, OK, SettingFinding, SettingsFile


@dataclass(frozen=True)
class Advisory:
    """A weakness, the versions that have it, and the settings that it needs."""

    number: str
    first: Version
    fixed: Version
    danger: str
    fix: str
    exposed: Callable[[SettingsFile], bool] = lambda file: True
    """Whether the settings of a file leave it open."""


def _fetches_anything(file: SettingsFile) -> bool:
    """Return whether any URL is allowed and the management port can be reached by others, or asks for no token."""
    opened = any(finding.level == DANGER for finding in allowed_urls(file))
    return opened and (open_to_others(file, "management") or not file.has_tokens())


ADVISORIES = (
    Advisory(
        "CVE-2023-43654",
        Version("0.1.0"),
        # 0.8.2 only warns; what the advisory tells users to set is what counts.
        Version("99"),
        "ShellTorch: whoever reaches the management port has any URL fetched, its files written and its code run",
        "allowed_urls=(?!) and management_address=http://127.0.0.1:8081",
        _fetches_anything,
    ),
    Advisory(
        "CVE-2022-1471",
        Version("0.1.0"),
        Version("0.8.2"),
        "SnakeYAML before 2.0 makes any Java object of a YAML file: a workflow's or a model's settings run code in "
        "TorchServe itself",
        "TorchServe 0.12.0",
    ),
    Advisory(
        "CVE-2023-48299",
        Version("0.1.0"),
        Version("0.9.0"),
        "an archive or workflow with a name such as ../../x writes files anywhere that TorchServe may write",
        "TorchServe 0.12.0",
    ),
    Advisory(
        "CVE-2024-35198",
        Version("0.4.2"),
        Version("0.11.0"),
        "a URL with .. in it gets past allowed_urls: the archive is fetched, and then loaded by its name",
        "TorchServe 0.12.0",
    ),
    Advisory(
        "CVE-2024-35199",
        Version("0.3.0"),
        Version("0.11.0"),
        "gRPC (7070 and 7071, management too) listens on every interface, and no setting changes that",
        "TorchServe 0.12.0",
    ),
)


def advisories(file: SettingsFile) -> Iterator[SettingFinding]:
    """Yield each advisory, as a danger where the version has the weakness and the settings leave it open."""
    for one in ADVISORIES:
        has_it = one.first <= file.version < one.fixed
        if has_it and one.exposed(file):
            yield SettingFinding(one.number, DANGER, f"TorchServe {file.version}", one.danger, one.fix)
        else:
            why = "these settings close it" if has_it else f"fixed in {one.fixed}"
            yield SettingFinding(one.number, OK, f"TorchServe {file.version}: {why}")
