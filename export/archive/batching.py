"""An archive again with other batches: its settings are changed, and nothing else of it."""

from __future__ import annotations

import hashlib
import json
import uuid
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import InputError
from ...handlers.model.digests import DIGESTS, SIGNATURE, read_digests
from ...storage.atomic import json_bytes, new_file
from .format.layout import write
from .format.reader import EVIDENCE, blocks, open_archive, read_member
from .profiles import CONFIG, model_config
from .sbom import SBOM


@dataclass(frozen=True)
class Batches:
    """How requests are put together."""

    size: int
    """Requests in a batch, at most."""
    delay: int
    """ms for which TorchServe waits for more of them."""


def with_batches(source: Path, target: Path, batches: Batches) -> Path:
    """Write an archive that lexport made again to `target`, with other batches, and return that path.

    Its digests and its bill of materials follow, so that it verifies; the copy has no signature, since nobody has
    signed these settings. Raises InputError for an archive that lexport did not make, or that cannot be read, and for
    batches that cannot be.
    """
    content = model_config("throughput", batches.size, batches.delay)
    with open_archive(source) as archive:
        names = set(archive.namelist())
        if not {EVIDENCE, DIGESTS, CONFIG} <= names:
            raise InputError(
                f"{source} was not made by lexport, so its settings are not changed. Give it batches in a "
                "config.properties: lexport serve MAR --config FILE",
                code="LX-LOAD-131",
            )
        device = "".join(
            f"{line}\n"
            for line in read_member(archive, CONFIG).decode().splitlines()
            if line.startswith("deviceType")
        )
        changed = {CONFIG: (content + device).encode()}
        listed = read_digests(read_member(archive, DIGESTS).decode())
        listed[CONFIG] = hashlib.sha256(changed[CONFIG]).hexdigest()
        if SBOM in names:  # an earlier lexport packed none
            changed[SBOM] = _with_digest(read_member(archive, SBOM), listed)
            listed[SBOM] = hashlib.sha256(changed[SBOM]).hexdigest()
        changed[DIGESTS] = "".join(f"{listed[name]}  {name}\n" for name in sorted(listed)).encode()
        kept = {one.filename: one for one in archive.infolist() if not one.is_dir() and one.filename != SIGNATURE}
        with new_file(target) as handle:
            write(handle, (_member(archive, member, changed.get(name)) for name, member in sorted(kept.items())))
    return target


def _member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, changed: bytes | None
) -> tuple[str, int, Iterator[bytes]]:
    """Return the name, size and content of a member, as `layout.write` takes them."""
    if changed is not None:
        return member.filename, len(changed), iter([changed])
    return member.filename, member.file_size, blocks(archive, member)


def _with_digest(content: bytes, listed: dict[str, str]) -> bytes:
    """Return the bill of materials with the new digest of the settings, and the serial number that follows of it."""
    bill = json.loads(content)
    for component in bill["components"]:
        if component["bom-ref"] == f"member:{CONFIG}":
            component["hashes"] = [{"alg": "SHA-256", "content": listed[CONFIG]}]
    others = "".join(f"{listed[name]}  {name}\n" for name in sorted(listed) if name != SBOM)
    bill["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, others)}"
    return json_bytes(bill)
