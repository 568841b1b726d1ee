"""Push an archive to a registry as an artefact, and pull one into a store."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....errors import RefusedError
from ....export.archive.format.budgets import MAX_BYTES
from ....export.archive.trust.keys import PublicKey
from ....export.archive.trust.rule import configured
from ....export.archive.verify import Verified, verify
from ....storage.atomic import new_file
from ....storage.progress import Say, silent
from ....storage.strict_json import parse_json
from ..adding import Added, admit
from ..contents import digest_of, scan
from ..find import find_archive, split_model
from ..listing import Measured, verified_with_figures
from .reference import Reference, parse
from .registry import MANIFEST_TYPE, Registry

ARTIFACT_TYPE = "application/vnd.lexport.archive.v1"
LAYER_TYPE = "application/vnd.lexport.archive.v1+zip"
TITLE = "org.opencontainers.image.title"
VERSION = "org.opencontainers.image.version"
OURS = "vnd.lexport.archive."
"""What the names of lexport's own annotations begin with."""

# The empty JSON object, which takes the place of a configuration.
_EMPTY = b"{}"
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Pushed:
    """An archive that is in a registry now."""

    reference: str
    """With its tag."""
    digest: str
    """`sha256:…` of the manifest: with it, this very archive is pulled."""
    archive: Path
    size: int
    """Bytes of the archive."""
    new: bool
    """False if the tag named the same before."""

    def __str__(self) -> str:
        """Return a line for people."""
        return f"{self.archive} is {'now' if self.new else 'already'} {self.reference}, {self.digest}"


def push(
    wanted: str,
    reference: str,
    *,
    store: Path,
    trusted: Sequence[PublicKey] | None = None,
    plain_http: bool | None = None,
    credentials: str | None = None,
    force: bool = False,
    say: Say = silent,
) -> Pushed:
    """Send an archive, as `find_archive` finds it on this machine, to a registry under a tag.

    It is verified first. The same archive makes the same manifest. `plain_http` and `credentials` are those of
    `Registry`. Raises RefusedError for an archive that fails verification, and for a tag that names something else,
    unless `force` is given; InputError for what is not there and for a reference without a tag; SystemProblem for a
    registry that cannot be reached or refuses.
    """
    target = parse(reference, tagged=True)
    split_model(wanted)
    path = find_archive(wanted, store=store)
    verified, measured = verified_with_figures(path, configured(trusted))
    size = path.stat().st_size
    manifest = _manifest(verified, measured, size)
    digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    with Registry(target, plain_http=plain_http, credentials=credentials) as registry:
        before = registry.tagged()
        if before not in ("", digest) and not force:
            raise RefusedError(
                f"{target} names {before} already, and {wanted} would be {digest}. Give another tag, or move this "
                "one with --force.",
                code="LX-SERVE-161",
            )
        if before != digest:
            say(f"Sending {path}, {size:,} bytes")
            registry.upload(path, f"sha256:{verified.digest}", size)
            registry.upload(_EMPTY, f"sha256:{hashlib.sha256(_EMPTY).hexdigest()}", len(_EMPTY))
            registry.tag(manifest)
    pushed = Pushed(str(target), digest, path, size, new=before != digest)
    say(str(pushed))
    return pushed


def pull(
    reference: str,
    *,
    store: Path,
    trusted: Sequence[PublicKey] | None = None,
    plain_http: bool | None = None,
    credentials: str | None = None,
    command: str = "lexport store pull",
    say: Say = silent,
) -> Added:
    """Add an archive of a registry to a store, which is made if it is missing.

    The bytes are held against the digest in the manifest, then verified as `add` does. An archive that the store has
    is not sent again. Raises as `add` does; RefusedError too for an artefact that is no archive or was altered,
    InputError for one that is not there, SystemProblem for a registry that cannot be reached or refuses.
    """
    asked = parse(reference)
    with Registry(asked, plain_http=plain_http, credentials=credentials) as registry:
        digest, size = _layer(asked, registry.manifest())
        added = _present(store, digest, trusted)
        if added is None:
            say(f"Pulling {asked}, {size:,} bytes")

            def write(copy: Path) -> None:
                with new_file(copy) as handle:
                    registry.download(digest, size, handle)

            added = admit(store, write, asked, trusted=trusted, command=command)
    say(str(added))
    return added


def _manifest(verified: Verified, measured: Measured | None, size: int) -> bytes:
    """Return the manifest of an archive: the same bytes whenever and wherever it is made."""
    annotations = {
        VERSION: verified.version,
        f"{OURS}name": verified.name,
        f"{OURS}variant": verified.variant,
        f"{OURS}signed-by": verified.fingerprint or "",
    }
    if measured is not None:
        annotations |= {
            f"{OURS}metric": measured.metric,
            f"{OURS}value": f"{measured.value:.4f}",
            f"{OURS}gates": measured.gates,
            f"{OURS}p95-ms": f"{measured.p95_ms:.3f}",
        }
    values = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": ARTIFACT_TYPE,
        "config": {
            "mediaType": _EMPTY_TYPE,
            "digest": f"sha256:{hashlib.sha256(_EMPTY).hexdigest()}",
            "size": len(_EMPTY),
        },
        "layers": [
            {
                "mediaType": LAYER_TYPE,
                "digest": f"sha256:{verified.digest}",
                "size": size,
                "annotations": {TITLE: f"{verified.name}-{verified.version}.mar"},
            }
        ],
        "annotations": {key: value for key, value in sorted(annotations.items()) if value},
    }
    return json.dumps(values, separators=(",", ":")).encode()


def _layer(reference: Reference, manifest: bytes) -> tuple[str, int]:
    """Return the digest and the bytes of the archive that a manifest names. Raises RefusedError if it names none."""
    try:
        values: Any = parse_json(manifest)
        kind = values.get("artifactType") or values["config"]["mediaType"]
        if kind != ARTIFACT_TYPE:
            raise ValueError(f"its type is {str(kind)[:100]!r}")
        [layer] = values["layers"]
        digest, size = layer["digest"], layer["size"]
        if not (_DIGEST.fullmatch(digest) and type(size) is int and 0 < size <= MAX_BYTES):
            raise ValueError(f"its layer has the digest {str(digest)[:100]!r} and the size {str(size)[:30]!r}")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise RefusedError(
            f"{reference} is not an archive of lexport ({type(error).__name__}: {str(error)[:200]}). Expected an "
            f"artefact of the type {ARTIFACT_TYPE} with one layer, as lexport store push makes it.",
            code="LX-SERVE-169",
        ) from None
    return digest, size


def _present(store: Path, digest: str, trusted: Sequence[PublicKey] | None) -> Added | None:
    """Return the store's archive with this digest, verified; None if there is none."""
    for one in scan(store).archives if store.is_dir() else ():
        if one.path.is_file() and f"sha256:{digest_of(one.path)}" == digest:
            found = verify(one.path, trusted)
            return Added(one.path, found.name, found.version, found.digest, one.path.stat().st_size, new=False)
    return None
