"""Compare the archive's members with `MAR-INF/DIGESTS` before any of them is loaded."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

DIGESTS = "MAR-INF/DIGESTS"
MANIFEST = "MAR-INF/MANIFEST.json"
# Signs DIGESTS, so it cannot be listed there. Only `lexport verify` checks it: a worker has no keys.
SIGNATURE = "MAR-INF/SIGNATURE.json"


def read_digests(content: str) -> dict[str, str]:
    """Return member name → hex SHA-256, from lines as `sha256sum` writes them. Raises ValueError."""
    digests: dict[str, str] = {}
    for number, line in enumerate(content.splitlines(), 1):
        digest, separator, name = line.partition("  ")
        if not separator or len(digest) != 64 or not name:
            raise ValueError(f"{DIGESTS}, line {number} is not `sha256  name`: {line[:80]!r}")
        if name in digests:
            raise ValueError(f"{DIGESTS}, line {number} lists {name[:80]!r} a second time")
        digests[name] = digest
    return digests


def check_digests(folder: Path) -> None:
    """Raise ValueError naming every member that is absent, altered or not listed."""
    path = folder / DIGESTS
    if not path.is_file():
        raise ValueError(f"{DIGESTS} is missing: this archive was not packed by lexport, or was repacked.")
    listed = read_digests(path.read_text(encoding="utf-8"))
    present = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    present -= {DIGESTS, SIGNATURE}
    # Python compiled handler.py when TorchServe imported it.
    present = {name for name in present if not name.startswith("__pycache__/handler.")}
    problems = [f"{name} is missing" for name in sorted(listed.keys() - present)]
    problems += [f"{name} is not listed" for name in sorted(present - listed.keys() - {MANIFEST})]
    if MANIFEST in present - listed.keys() and "model.json" in present:
        problems += manifest_problems((folder / MANIFEST).read_bytes(), (folder / "model.json").read_bytes())
    for name in sorted(listed.keys() & present):
        with (folder / name).open("rb") as handle:
            if hashlib.file_digest(handle, "sha256").hexdigest() != listed[name]:
                problems.append(f"{name} was altered")
    if problems:
        raise ValueError(f"The archive does not match its digests: {'; '.join(problems)}.")


def manifest_problems(manifest: bytes, model: bytes) -> list[str]:
    """Return the differences between a manifest that DIGESTS does not list and the one that `model.json` requires.

    `torch-model-archiver` writes the manifest itself: its date and its version are not known before, all else is.
    """
    try:
        found, asks = json.loads(manifest), json.loads(model)
        expected = {
            "modelName": asks["name"],
            "modelVersion": asks["version"],
            "serializedFile": asks["file"],
            "handler": "handler.py",
            "configFile": "model-config.yaml",
        }
        if found["runtime"] == "python" and found["model"] == expected:
            return []
        differing = [key for key, value in expected.items() if found["model"].get(key) != value]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return [f"{MANIFEST} or model.json is damaged"]
    what = ", ".join(f"{key} {found['model'].get(key)!r} instead of {expected[key]!r}" for key in differing)
    return [f"{MANIFEST} has {what or 'more than it should'}: pack with the command that `lexport handler` printed"]
