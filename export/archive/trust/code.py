"""Whose code a TorchServe worker may run.

A worker imports what an archive brings. That is handed over only if it is this kit's own, byte for byte, or an
earlier kit's, or if a configured key signed it, or if the user insists (`--trust-code`). Whether an archive is used
at all is in `rule.py`.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath

from ....errors import RefusedError
from ....handlers.model.digests import DIGESTS
from ..format.manifest import read_manifest, read_settings
from ..format.pickles import declared
from ..format.reader import open_archive, read_member
from ..verify import verify
from .rule import Trust

HANDLER = "handler.py"
PACKAGE = "lexport_handlers"

# `code_digest` of archives that earlier versions packed. When handlers/ changes after a release, its digest is added
# here and an archive of that release is kept in tests/export/archive/kept/, which the tests hold against this list.
# Such code runs on ONNX models alone: see `_opened_unchecked`. To get the digest:
#     python -c "import sys; from pathlib import Path; from lexport.export.archive import code; \
#         print(code.code_digest(code.packed_code(Path(sys.argv[1]))))" ARCHIVE
EARLIER: Mapping[str, str] = {
    # tests/export/archive/kept/schema-1.mar
    "1c071413993f06b7883130d1751945201229da08a5132e8f847150a2325e2da4": "an earlier lexport (schema 1)",
    # tests/export/archive/kept/schema-2.mar
    "96f02818a73967ea1092ed90f88b281c3903ed95651ca868c5462b4fea7adeee": "an earlier lexport (schema 2)",
}

# Members that Python does not import, by the ends of their names; all others count as code.
_DATA = frozenset(
    {".data", ".index", ".json", ".jsonl", ".md", ".onnx", ".pt", ".pt2", ".safetensors", ".txt", ".yaml"}
)

# What our profiles write (profiles.py, archive.py). Other settings start other programs (torchrun, useVenv), run the
# handler in several processes (parallelType, deviceIds), or reach the handler itself.
_SETTINGS = frozenset({"batchSize", "maxBatchDelay", "responseTimeout", "startupTimeout", "deviceType"})
_MANIFEST = {"runtime": "python", "handler": HANDLER, "configFile": "model-config.yaml"}
_MODEL = frozenset({"modelName", "modelVersion", "serializedFile", "handler", "configFile"})

_MOST_NAMED = 8


def kit_code() -> dict[str, bytes]:
    """Return the code that this version packs into archives, by the member's name."""
    code = _python_files(resources.files("lexport.handlers"), PACKAGE)
    code[HANDLER] = code.pop(f"{PACKAGE}/{HANDLER}")
    return dict(sorted(code.items()))


def _python_files(folder: Traversable, name: str) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name != "__pycache__":
            files |= _python_files(entry, f"{name}/{entry.name}")
        elif entry.name.endswith(".py"):
            files[f"{name}/{entry.name}"] = entry.read_bytes()
    return files


def packed_code(path: Path) -> dict[str, bytes]:
    """Return every member of an archive that Python could import, by name. Raises InputError."""
    with open_archive(path) as archive:
        return {name: read_member(archive, name) for name in archive.namelist() if _is_code(name)}


def code_digest(code: Mapping[str, bytes]) -> str:
    """Return the hex SHA-256 over the sorted names and digests of `code`."""
    lines = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(code.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def accept(path: Path, trust: Trust) -> str:
    """Verify the archive at `path` and say why its code may run, in a few words.

    Archives with DIGESTS are verified as a whole. Raises RefusedError for one that failed verification, that no
    configured key signed, or whose code is neither known nor insisted on; InputError for one that cannot be read.
    """
    with open_archive(path) as archive:
        digested = DIGESTS in archive.namelist()
    if trust.keys or digested:
        verified = verify(path, trust.keys)
        if trust.keys:
            return f"signed by {verified.signer} ({verified.fingerprint})"
    code = packed_code(path)
    problems = _differences(code, kit_code())
    earlier = EARLIER.get(code_digest(code)) if problems else None
    if earlier:
        problems = []
    with open_archive(path) as archive:
        problems += _other_starts(path, archive)
        if earlier:
            problems += _opened_unchecked(archive)
    if not problems:
        return f"the code of {earlier}" if earlier else "this lexport's own code"
    if trust.insist:
        return "--trust-code"
    more = f"; and {len(problems) - _MOST_NAMED} more" if len(problems) > _MOST_NAMED else ""
    raise RefusedError(
        f"{path} would run code in TorchServe that is not this lexport's: {'; '.join(problems[:_MOST_NAMED])}{more}. "
        "If you made it from a run, archive the run again. See what is in it with: lexport inspect. If you trust "
        "whoever made it, serve it with --trust-code, or have it signed (lexport archive --sign KEY) and name the "
        "public key with --key.",
        code="LX-TRUST-001",
    )


def own_settings(name: str) -> bool:
    """Return whether lexport writes this setting to archives: batch size and delay, timeouts, the device."""
    return name in _SETTINGS


def _is_code(name: str) -> bool:
    pure = PurePosixPath(name)
    return not (name.endswith("/") or name == DIGESTS or pure.suffix.lower() in _DATA)


def _differences(code: Mapping[str, bytes], own: Mapping[str, bytes]) -> list[str]:
    problems = [f"{name!r} is not part of it" for name in sorted(code.keys() - own.keys())]
    if f"{PACKAGE}/__init__.py" not in code:  # made by somebody else
        problems.append("lexport's own handler is missing")
    else:
        problems += [f"{name!r} is missing" for name in sorted(own.keys() - code.keys())]
    return problems + [f"{name!r} differs" for name in sorted(code.keys() & own.keys()) if code[name] != own[name]]


def _opened_unchecked(archive: zipfile.ZipFile) -> list[str]:
    """Return what an earlier kit's worker would open without the checks of its operators that today's makes."""
    engine, _ = declared(archive)
    return [] if engine == "onnx" else [f"an earlier worker does not check files of the engine {engine[:80]!r}"]


def _other_starts(path: Path, archive: zipfile.ZipFile) -> list[str]:
    """Return what manifest and settings ask of TorchServe beyond running our handler. Raises InputError."""
    manifest = read_manifest(path, archive)
    model = manifest.get("model")
    model = model if isinstance(model, dict) else {}
    found = {"runtime": manifest.get("runtime")} | {key: model.get(key) for key in ("handler", "configFile")}
    problems = [
        f"the manifest's {key} is {str(value)[:80]!r}, expected {_MANIFEST[key]!r}"
        for key, value in found.items()
        if value != _MANIFEST[key]
    ]
    problems += [f"the manifest has {key[:80]!r}" for key in sorted(model.keys() - _MODEL)]
    settings = map(str, read_settings(path, archive, manifest))
    return problems + [f"the settings have {key[:80]!r}" for key in sorted(set(settings) - _SETTINGS)]
