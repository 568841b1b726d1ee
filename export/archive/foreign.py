"""Archives that lexport did not make, described for a person to judge. Nothing in them is loaded, run or unpacked."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ...errors import InputError, RefusedError
from ...handlers.model.digests import DIGESTS
from .format.manifest import read_manifest, read_settings
from .format.pickles import DAMAGED, Pickle, copied, found_pickles
from .format.reader import EVIDENCE, open_archive, read_member
from .format.unpacked import compiled
from .trust.code import own_settings
from .trust.keys import PublicKey
from .trust.rule import configured, signer
from .verify import sha256_of

# What a pickle of tensors imports and no more: `torch.load(..., weights_only=True)` and `torch.jit.load` take these.
_TENSORS = re.compile(
    r"collections\.OrderedDict|_codecs\.encode|builtins\.(set|frozenset|bytearray|complex|dict|list)"
    r"|torch\._utils\._rebuild_(tensor|tensor_v2|tensor_v3|parameter|parameter_with_state|qtensor|sparse_tensor)"
    r"|torch\._tensor\._rebuild_from_type_v2|torch\.nn\.parameter\.Parameter|torch\.(Size|device|Tensor)"
    r"|torch\.(\w+Storage|storage\.\w+Storage)|torch\.(\w+Tensor|b?float\w*|u?int\w*|bool|complex\w+)"
    r"|torch\.jit\._pickle\.\w+|__torch__(\.\w+)+"
    r"|numpy(\._?core\.multiarray\.(_reconstruct|scalar)|\.ndarray|\.dtype|\.dtypes\.\w+)"
)
_NATIVE = (".so", ".pyd", ".dll", ".dylib", ".jar", ".sh", ".exe")
_SHOWN_IMPORTS = 8
_TEXT_BYTES = 64 * 1024
_MOST_CODE = 1 << 20  # bytes of a TorchScript file's code
# In TorchScript's code: operators that reach files, and those of extensions.
_CALLS = re.compile(
    rb"\b(?:torch|ops\.aten)\.(?:save|load\w*|from_file)(?=\()"
    rb"|\bops\.(?!(?:aten|prims?|quantized)\.)\w+\.\w+(?=\()"
)
# Of a requirements file: what takes packages from elsewhere than the usual index.
_ELSEWHERE = re.compile(r"\s*(-|git\+|https?:|file:|\.{0,2}/)|.*@\s*(git\+|https?:|file:)")


@dataclass(frozen=True)
class ForeignArchive:
    """An archive that lexport did not make."""

    path: Path
    """The archive or folder."""
    kind: str
    """`archive` or `folder`."""
    name: str
    """Name of the model in the manifest."""
    version: str
    """Version of the model in the manifest."""
    archiver: str
    """Version of the archiver in the manifest."""
    handler: str
    """A member, or the name of a handler of TorchServe."""
    own_handler: bool
    """Whether the handler is a member."""
    size: int
    """Bytes in total."""
    digest: str
    """SHA-256 of the file; "" for a folder."""
    members: dict[str, int]
    """Bytes of each member."""
    manifest: dict[str, Any]
    """The manifest."""
    settings: dict[str, Any]
    """The settings in the file that the manifest names."""
    requirements: tuple[str, ...]
    """Lines of its requirements file."""
    pickles: tuple[Pickle, ...]
    """Python pickles, and members that can hide one."""
    unsafe: tuple[str, ...]
    """Everything that can run code or reach outside the archive, one sentence each."""
    made_by_lexport: bool = False
    """Always False; it tells the JSON output from that of `Inspection`."""


def is_foreign(members: Sequence[str]) -> bool:
    """Return whether an archive with these members has nothing that only lexport writes."""
    return {EVIDENCE, DIGESTS}.isdisjoint(members)


def describe_foreign(path: Path, trusted: Sequence[PublicKey] | None = None) -> ForeignArchive | None:
    """Describe the archive or no-archive folder at `path` if lexport did not make it; None if lexport did.

    Raises RefusedError if there are `trusted` keys (None: those that LEXPORT_KEYS names), because no key signed it;
    InputError if it cannot be read.
    """
    trusted = configured(trusted)
    with open_archive(path) as archive:
        if not is_foreign(archive.namelist()):
            return None
        try:
            signer(None, b"", trusted)
        except RefusedError as error:
            raise RefusedError(f"{path}: {error}", code=error.code) from None
        return _described(path, archive)


def _described(path: Path, archive: zipfile.ZipFile) -> ForeignArchive:
    manifest = read_manifest(path, archive)
    model = manifest.get("model")
    model = model if isinstance(model, dict) else {}
    unsafe: list[str] = []
    try:
        settings = read_settings(path, archive, manifest)
    except InputError as error:
        settings = {}
        unsafe.append(f"settings that cannot be read: {error.message}")
    members = {one.filename: one.file_size for one in archive.infolist() if not one.is_dir()}
    handler = str(model.get("handler") or "")
    requirements = _requirements(archive, model)
    found = tuple(found_pickles(archive))
    unsafe = [
        *_code(members, handler, compiled(path)),
        *(line for one in found if (line := _pickle(one)) is not None),
        *_programs(archive, found),
        *_settings(manifest, settings),
        *_packages(requirements),
        *unsafe,
    ]
    return ForeignArchive(
        path=path,
        kind="folder" if path.is_dir() else "archive",
        name=str(model.get("modelName") or ""),
        version=str(model.get("modelVersion") or ""),
        archiver=str(manifest.get("archiverVersion") or ""),
        handler=handler,
        own_handler=_file_of(handler) in members,
        size=sum(members.values()) if path.is_dir() else path.stat().st_size,
        digest="" if path.is_dir() else sha256_of(archive),
        members=members,
        manifest=manifest,
        settings=settings,
        requirements=tuple(requirements),
        pickles=found,
        unsafe=tuple(unsafe),
    )


def _file_of(handler: str) -> str:
    """Return the member that a manifest's handler names: "handler.py" of "handler.py:entry"."""
    return handler.partition(":")[0]


def _code(members: dict[str, int], handler: str, left_out: Sequence[str]) -> Iterator[str]:
    file = _file_of(handler)
    python = sorted(name for name in members if name.endswith(".py"))
    if python:
        named = [f"{name} (the handler)" if name == file else name for name in python]
        yield (
            f"Python code that a worker runs with all rights of TorchServe: {_some(named)}; serve it only where you "
            "trust whoever wrote it (--trust-code)"
        )
    if file not in members:
        stock = handler and not file.endswith(".py")
        yield (
            f"the handler {handler[:80]} is TorchServe's own, or missing: it loads the model's files with torch"
            if stock
            else f"the handler {handler[:80]!r} is no member"
        )
    native = sorted(name for name in members if PurePosixPath(name).suffix.lower() in _NATIVE)
    if native:
        yield f"native code or scripts: {_some(native)}"
    nested = sorted(name for name in members if name.lower().endswith((".zip", ".tar", ".tar.gz", ".tgz", ".whl")))
    if nested:
        yield f"archives within it: {_some(nested)}"
    if left_out:
        yield f"compiled Python, which may run in place of its source: {_some(left_out)}"


def _pickle(one: Pickle) -> str | None:
    if one.what:
        return f"{one} can hide a Python pickle"
    others = other_imports(one)
    if not one.complete:
        known = f", among it that of {_some(others)}" if others else ""
        return f"{one.place} is a Python pickle that cannot be read to its end; loading it can run any code{known}"
    return f"{one.place} is a Python pickle; loading it runs code of {_some(others)}" if others else None


def other_imports(one: Pickle) -> list[str]:
    """Return what loading a pickle would import beyond what tensors and plain containers need."""
    return [name for name in one.imports if not _TENSORS.fullmatch(name)]


def _programs(archive: zipfile.ZipFile, found: Sequence[Pickle]) -> Iterator[str]:
    """TorchScript files whose code calls operators that read or write files, or that torch itself does not have."""
    files = {one.place.partition(": ")[0] for one in found if one.place.endswith("/constants.pkl")}
    for file in sorted(files & set(archive.namelist())):
        try:
            with copied(archive, archive.getinfo(file)) as copy, zipfile.ZipFile(copy) as program:
                calls = _calls(program)
        except DAMAGED as error:
            yield f"{file} is TorchScript that cannot be read ({error})"
            continue
        if calls:
            yield f"{file} is TorchScript that calls {_some(calls)}: look at what it reads, writes or needs"


def _calls(program: zipfile.ZipFile) -> list[str]:
    calls: set[str] = set()
    for member in program.infolist():
        if member.filename.endswith(".py"):
            if member.file_size > _MOST_CODE:
                calls.add(f"what is in {member.filename}, too long to look into")
                continue
            calls.update(call.decode() for call in _CALLS.findall(program.read(member)))
    return sorted(calls)


def _settings(manifest: dict[str, Any], settings: dict[str, Any]) -> Iterator[str]:
    runtime = manifest.get("runtime", "python")
    if not str(runtime).lower().startswith("python"):
        yield f"the manifest starts another runtime: {str(runtime)[:80]!r}"
    others = sorted(str(key)[:80] for key in settings if not own_settings(str(key)))
    if others:
        yield f"settings beyond batches, delays and timeouts, which can start other programs: {_some(others)}"


def _requirements(archive: zipfile.ZipFile, model: dict[str, Any]) -> list[str]:
    name = model.get("requirementsFile")
    name = name if isinstance(name, str) else "requirements.txt"
    if name not in archive.namelist():
        return []
    content = read_member(archive, name, _TEXT_BYTES).decode("utf-8", "backslashreplace")
    lines = [line.strip() for line in content.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _packages(requirements: Sequence[str]) -> Iterator[str]:
    if not requirements:
        return
    yield (
        f"packages that TorchServe installs where install_py_dep_per_model is on (it is off here): "
        f"{_some(requirements)}"
    )
    elsewhere = [line for line in requirements if _ELSEWHERE.match(line)]
    if elsewhere:
        yield f"packages from elsewhere than the usual index: {_some(elsewhere)}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN_IMPORTS} more" if len(names) > _SHOWN_IMPORTS else ""
    return ", ".join(name[:120] for name in names[:_SHOWN_IMPORTS]) + more
