"""Rules on limits and privacy, and on settings that do not mean what they seem to: typing errors, repeated keys."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Iterator

from .catalogue import BOOLEANS, KNOWN, READ_AS
from .settings_file import SettingFinding, SettingsFile

_LARGE, _HUGE = 1 << 26, 1 << 28  # bytes of a request
_LONG_QUEUE = 10_000


def sizes(file: SettingsFile) -> Iterator[SettingFinding]:
    """Yield what a request and an answer may take of the memory."""
    for name in ("max_request_size", "max_response_size"):
        size = _number(file, name)
        if size is None:
            continue
        what = (
            f"TorchServe keeps a body of {size:,} bytes in memory for each open request, before it looks at the token"
            if name == "max_request_size"
            else f"a model may answer {size:,} bytes, which TorchServe keeps in memory"
        )
        if size > _HUGE and name == "max_request_size":
            yield file.danger(name, f"{what}: a few of them end the server", f"{name}=6553500")
        elif size > _LARGE:
            yield file.note(name, what, f"{name}=6553500")
        else:
            yield file.ok(name)
    if file.is_on("prefer_direct_buffer"):
        yield file.note(
            "prefer_direct_buffer",
            "bodies lie outside of Java's heap, where -Xmx does not limit them",
            "prefer_direct_buffer=false, or -XX:MaxDirectMemorySize in vmargs",
        )
    queue = _number(file, "job_queue_size")
    if queue is not None and queue > _LONG_QUEUE:
        yield file.note(
            "job_queue_size",
            f"{queue:,} requests may wait in memory for each model, and clients wait as long",
            "job_queue_size=1000",
        )
    if not file.is_on("limit_max_image_pixels"):
        yield file.note(
            "limit_max_image_pixels",
            "a small image file may unpack to any size in a handler of images",
            "limit_max_image_pixels=true",
        )


def privacy(file: SettingsFile) -> Iterator[SettingFinding]:
    """Yield what workers see and what is logged."""
    if file.is_on("decode_input_request"):
        yield file.note(
            "decode_input_request",
            "TorchServe's workers decode bodies themselves, and log a traceback for each that they cannot",
            "decode_input_request=false, if the handlers take bytes, as lexport's do",
        )
    else:
        yield file.ok("decode_input_request")
    if not file.get("blacklist_env_vars"):
        yield file.note(
            "blacklist_env_vars",
            "handlers see every environment variable that TorchServe is started with, keys and passwords too",
            "start it without them, as lexport serve does, or blacklist_env_vars=.*(KEY|SECRET|PASSWORD).*",
        )
    if not file.is_on("disable_system_metrics"):
        yield file.note(
            "disable_system_metrics",
            "a Python process is started every minute for figures of the machine",
            "disable_system_metrics=true, and a node exporter",
        )
    if file.is_on("debug"):
        yield file.note("debug", "each model has one worker", "leave it out")


def values(file: SettingsFile) -> Iterator[SettingFinding]:
    """Yield the values that TorchServe cannot read, or that come from somewhere else."""
    for name, value in file.values.items():
        if variables := file.variables(name):
            yield file.note(
                name,
                f"the value comes from the environment ({', '.join(variables)}), and is not judged here",
                "write it out",
            )
        elif name in READ_AS and not READ_AS[name][0](value):
            what = "TorchServe takes this for false" if name in BOOLEANS else "TorchServe cannot read this, and fails"
            if name == "token_expiration_min":
                what = "TorchServe takes this for 60"
            yield file.note(name, f"{value!r}: {what}", f"expected {READ_AS[name][1]}")
    for name in ("models", "model_snapshot"):
        if name in file.values and not file.variables(name) and not _is_json(file.values[name]):
            yield file.note(name, "this is no JSON of models, and TorchServe does not start", "docs/serving.md")


def names(file: SettingsFile) -> Iterator[SettingFinding]:
    """Yield the names that mean nothing, and those that are there more than once."""
    for name, count in Counter(entry.key for entry in file.entries).items():
        if count > 1:
            lines = ", ".join(str(entry.line) for entry in file.entries if entry.key == name)
            yield file.note(name, f"it is there {count} times (lines {lines}), and the last one counts", "keep one")
        if name not in KNOWN:
            near = difflib.get_close_matches(name, KNOWN, 1, 0.75)
            fix = f"was {near[0]} meant?" if near else "leave it out"
            yield file.note(name, "TorchServe has no such setting, and ignores it", fix)


def _number(file: SettingsFile, name: str) -> int | None:
    """Return a whole number, None for what TorchServe cannot read."""
    value = file.get(name)
    return int(value) if READ_AS[name][0](value) else None


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
