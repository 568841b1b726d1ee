"""The settings of a user's config.properties that `lexport serve` keeps, and a line on each that it does not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...errors import InputError
from ..store import Archive

# Settings of a model in `models`, by TorchServe's names, with what they may be at least.
_LIMITS = {"batchSize": 1, "maxBatchDelay": 0, "responseTimeout": 1, "startupTimeout": 1}
_DEFAULTS = {"default_response_timeout": "responseTimeout", "default_startup_timeout": "startupTimeout"}
_TIMEOUTS = "TorchServe takes the timeouts of an archive with a settings file from that file, else 120 s"
_MAX = 2**31 - 1
_MAX_WORKERS = 9_999
_ENTRY = {*_LIMITS, "defaultVersion", "marName", "minWorkers", "maxWorkers"}

# Settings that the command sets itself, with why.
_REPLACED = {
    "model_store": "a server has a private store with the archives that it is given",
    "workflow_store": "a server has a private store with the archives that it is given",
    "load_models": "the command line says which archives are served",
    "number_of_gpu": "--workers gpu:N says how many",
    "python": "workers run on the Python that lexport runs on",
}

# Settings that open what is closed by default, by the values that leave it closed, with what they let happen.
_LOOSE = {
    "allowed_urls": ({"(?!)"}, "anyone with the management token can have workflows fetched from these URLs and run"),
    "use_env_allowed_urls": ({"", "false"}, "an environment variable says which URLs workflows are fetched from"),
    "enable_model_api": ({"", "false"}, "anyone with the management token can load any folder's code"),
    "install_py_dep_per_model": ({"", "false"}, "pip installs what an archive's requirements.txt names, and runs it"),
    "enable_envvars_config": ({"", "false"}, "environment variables named TS_… override these settings"),
    "cors_allowed_origin": ({""}, "web pages from there can ask this server from a visitor's browser"),
    "decode_input_request": ({"", "false"}, "TorchServe decodes bodies itself, and logs those that it cannot"),
    "system_metrics_cmd": ({""}, "TorchServe runs this command every minute where system metrics are on"),
    "cpu_launcher_enable": ({"", "false"}, "workers are started by another program, with cpu_launcher_args"),
    "enable_grpc_ssl": (
        {"", "false"},
        "only gRPC is encrypted, with the files of certificate_file and private_key_file",
    ),
}


@dataclass(frozen=True)
class UserSettings:
    """The settings that are kept from the user's file."""

    limits: dict[str, dict[str, int]] = field(default_factory=dict)
    """Limits of each model, by TorchServe's names."""
    workers: dict[str, int] = field(default_factory=dict)
    """Number of workers by model."""
    lines: tuple[str, ...] = ()
    """A sentence on each setting that is dropped, and on each that is kept although it opens something."""


def read_user_settings(own: Mapping[str, str], archives: Sequence[Archive], *, count: int | None) -> UserSettings:
    """Read the user's `own` settings for a TorchServe with these archives.

    `count` are the workers of --workers, if any. Raises as `read_model_settings` does.
    """
    found = read_model_settings(own, archives, count=count)
    lines = replaced(own) + list(found.lines)
    for name, (closed, what) in _LOOSE.items():
        value = own.get(name, "").strip()
        if name in own and value.lower() not in closed:
            lines.append(f"{name}={value} is kept: {what}.")
    return UserSettings(found.limits, found.workers, tuple(lines))


def replaced(own: Mapping[str, str]) -> list[str]:
    """Return a line on each of the user's settings that the command sets itself."""
    return [f"{name} of the settings is not used: {why}." for name, why in _REPLACED.items() if own.get(name)]


def read_model_settings(own: Mapping[str, str], archives: Sequence[Archive], *, count: int | None) -> UserSettings:
    """Read what the user's `own` settings say of the archives that are served; `count` are the workers of --workers.

    Batch sizes, delays, timeouts and workers come from `models`, or from the `model_snapshot` that TorchServe writes,
    and from `default_workers_per_model`. Raises InputError for JSON or numbers that TorchServe could not use.
    """
    lines: list[str] = []
    models = _models(own)
    default = _default_workers(own)
    limits: dict[str, dict[str, int]] = {}
    workers: dict[str, int] = {}
    for archive in archives:
        entry = _entry(archive, models)
        limits[archive.name], obeyed = _limits(archive, entry)
        lines += obeyed
        unknown = sorted(entry.keys() - _ENTRY)
        if unknown:
            lines.append(
                f"{archive}: {', '.join(unknown)} in the settings' models is not used; the archive can set it."
            )
        wanted, more = _workers(archive, entry, default)
        if wanted is not None and count is not None and wanted != count:
            lines.append(f"{archive}: {wanted} workers in the settings are not used: --workers says {count}.")
        else:
            if wanted is not None:
                workers[archive.name] = wanted
            lines += more
        lines += [
            f"{name}={own[name]} does not reach {archive}: {_TIMEOUTS}."
            for name, its in _DEFAULTS.items()
            if own.get(name) and archive.setting_names is not None and its not in archive.setting_names
        ]
    served = {archive.name for archive in archives}
    if others := sorted(models.keys() - served):
        lines.append(f"The settings' models {', '.join(others)} are not used: they are not among those served.")
    return UserSettings({name: found for name, found in limits.items() if found}, workers, tuple(lines))


def _models(own: Mapping[str, str]) -> dict[str, Any]:
    """Return the models of the user's file: name → version → settings."""
    found: dict[str, Any] = {}
    for name in ("model_snapshot", "models"):
        if not own.get(name):
            continue
        try:
            value = json.loads(own[name])
            value = value["models"] if name == "model_snapshot" else value
            if not all(isinstance(one, dict) for versions in value.values() for one in versions.values()):
                raise TypeError
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise InputError(
                f"{name} of the settings is not JSON of models: {own[name][:80]!r}. Expected such as "
                '{"NAME": {"1.0": {"batchSize": 8, "maxBatchDelay": 50, "minWorkers": 2}}}.',
                code="LX-SERVE-044",
            ) from None
        found |= value
    return found


def _entry(archive: Archive, models: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of an archive's version; of another version if there is one only."""
    versions = models.get(archive.name, {})
    if archive.version in versions:
        found: dict[str, Any] = versions[archive.version]
        return found
    return dict(*versions.values()) if len(versions) == 1 else {}


def _limits(archive: Archive, entry: Mapping[str, Any]) -> tuple[dict[str, int], list[str]]:
    """Return the limits that TorchServe would take from the settings, and lines on those that it takes from the
    archive.
    """
    found = {name: _number(name, entry[name], least) for name, least in _LIMITS.items() if name in entry}
    if archive.setting_names is None:
        return found, []
    lines = []
    for name, value in list(found.items()):
        if name in archive.setting_names:
            why = f"the archive's own settings file has {name}, which TorchServe obeys"
        elif name in _DEFAULTS.values():
            why = _TIMEOUTS
        else:
            continue
        del found[name]
        lines.append(f"{archive}: {name} {value} in the settings is not used: {why}.")
    return found, lines


def _default_workers(own: Mapping[str, str]) -> int | None:
    value = own.get("default_workers_per_model", "").strip()
    if not value:
        return None
    return _number("default_workers_per_model", int(value) if value.isdecimal() else value, 0, _MAX_WORKERS)


def _workers(archive: Archive, entry: Mapping[str, Any], default: int | None) -> tuple[int | None, list[str]]:
    """Return the workers in the settings, None if there are none, and lines on what differs from TorchServe."""
    named = {
        name: _number(name, entry[name], 0, _MAX_WORKERS) for name in ("minWorkers", "maxWorkers") if name in entry
    }
    wanted = named.get("minWorkers", default)
    if wanted is None:
        return None, []
    if archive.workers is not None:
        same = archive.workers == max(1, wanted)
        line = f"{archive}: {wanted} workers in the settings are not used: the archive fixes {archive.workers}."
        return None, [] if same or "minWorkers" not in named else [line]
    lines = []
    if named.get("maxWorkers", wanted) > wanted:
        lines.append(
            f"{archive}: maxWorkers {named['maxWorkers']} in the settings is not used: minWorkers run, "
            f"{max(1, wanted)}, as TorchServe starts no more by itself."
        )
    if wanted == 0:
        lines.append(f"{archive}: minWorkers 0 in the settings is not used: a model is served by one at least.")
    return max(1, wanted), lines


def _number(name: str, value: Any, least: int, most: int = _MAX) -> int:
    if type(value) is not int or not least <= value <= most:
        raise InputError(
            f"{name} of the settings is {str(value)[:80]!r}. Expected a whole number from {least} to {most:,}.",
            code="LX-SERVE-045",
        )
    return value
