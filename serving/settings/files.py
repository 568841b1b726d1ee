"""Settings files: the packaged `config.properties`, and the user's over it."""

from __future__ import annotations

from pathlib import Path

from ...errors import InputError
from .properties import parse

PACKAGED = Path(__file__).resolve().parents[2] / "config.properties"


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
