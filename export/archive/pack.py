"""Pack one variant of a run into a `.mar`: the same run, exports and evidence give the same bytes."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from model_archiver.model_archiver_config import ModelArchiverConfig
from model_archiver.model_archiver_error import ModelArchiverError
from model_archiver.model_packaging_utils import ModelExportUtils

from ...errors import InputError, RefusedError
from ...handlers.engine.devices import CPU_ALONE
from ...handlers.model.digests import DIGESTS, MANIFEST, SIGNATURE
from ...messages.escaping import visible
from ...storage import atomic as files
from ...storage.progress import Say, silent
from ..evidence.evidence import Evidence, VariantEvidence, read_evidence, without_texts
from ..evidence.load import load_evidence
from ..formats.files import GOLDENS, MODEL, REQUIREMENTS, SYNTHETIC, with_name
from .choice import choose_variant
from .format.manifest import VERSION
from .format.reader import EVIDENCE
from .format.writer import Content, HashedFile, digest_of, read_unaltered, write_zip
from .profiles import CONFIG, model_config
from .sbom import SBOM, sbom
from .trust import signature
from .trust.code import kit_code

# Where the server has GPUs, TorchServe would give each worker one.
_ON_CPU = "deviceType: cpu\n"


def archive(
    run: Path,
    *,
    version: str,
    name: str | None = None,
    variant: str = "auto",
    out: Path = Path("model_store"),
    force: bool = False,
    sign: Path | None = None,
    no_texts: bool = False,
    profile: str = "throughput",
    batch_size: int | None = None,
    batch_delay: int | None = None,
    prefer: str | None = None,
    with_load: Path | None = None,
    say: Say = silent,
) -> Path:
    """Pack `variant` of an exported run into `out`/NAME-VERSION.mar and return that path.

    "auto" takes one that passed the gates; see `choose_variant`, also for `prefer`. `sign` is a file with
    an Ed25519 private key, `profile` one of PROFILES; `batch_size` (requests) and `batch_delay` (ms) go before
    it. With `no_texts` no text of the data is packed: golden requests are synthetic, and texts in the evidence are
    replaced by their SHA-256. `with_load` is the results.json of a load test of this variant, which the evidence then
    has. Raises RefusedError for a variant that did not pass or was altered since its export, InputError for a bad
    name, version, profile, preference or key, a load test of another model, or an existing different file without
    `force`, MissingExtra without the package that signs.
    """
    name, chosen, evidence, why = select(run, version=version, name=name, variant=variant, prefer=prefer)
    target = out / f"{name}-{version}.mar"
    load = None if with_load is None else load_evidence(with_load, evidence, chosen)
    members = members_of(
        run,
        chosen,
        without_texts(evidence) if no_texts else evidence,
        name,
        version,
        goldens=SYNTHETIC if no_texts else GOLDENS,
        config=model_config(profile, batch_size, batch_delay),
        sign=sign,
        load=load,
    )
    with files.new_file(target) as handle:
        write_zip(handle, members)
        if target.exists() and not force:
            if not files.same_content(handle, target):
                raise InputError(
                    f"{target} exists and differs. Choose another --version, or replace it with --force.",
                    code="LX-ARCHIVE-017",
                )
            say(f"{target} exists already with the same bytes")
    if why:
        say(why)
    if not no_texts:
        say(
            "The archive has texts of the data, as golden requests and where variants differ most from the trained "
            "model. Use --no-texts to pack none."
        )
    return target


def select(
    run: Path, *, version: str, name: str | None, variant: str, prefer: str | None = None
) -> tuple[str, VariantEvidence, Evidence, str]:
    """Return the name, the variant to pack, the run's evidence, and why this variant if it was not named.

    Raises as `archive` does.
    """
    evidence = read_evidence(run)
    if variant == "auto":
        chosen, why = choose_variant(evidence, prefer)
    elif prefer is not None:
        raise InputError(
            f"--prefer {prefer} chooses a variant, and --variant {variant} names one. Leave one out.",
            code="LX-ARCHIVE-018",
        )
    else:
        chosen, why = evidence.variant(variant), ""
    name = name if name is not None else run.resolve().name
    _check_name(name, version)
    if chosen.refused is not None:
        raise RefusedError(
            f"{chosen.name} is refused by the gate {chosen.refused}.", _worst(chosen), code="LX-ARCHIVE-019"
        )
    return name, chosen, evidence, why


def _worst(variant: VariantEvidence) -> str:
    """Return the texts that differ most, one per line, with the answers of the trained model and of the variant."""
    lines = [
        f"  {one['text'][:80]!r}: {visible(one['trained'])} → {visible(one['variant'])}" for one in variant.worst
    ]
    return "\n".join(["Validation texts that differ most, trained model → variant:", *lines]) if lines else ""


def _check_name(name: str, version: str) -> None:
    try:
        if "\n" in name:  # the library's pattern allows it at the end
            raise ModelArchiverError
        ModelExportUtils.check_model_name_regex_or_exit(name)
    except ModelArchiverError:
        raise InputError(
            f"The model name {name!r} cannot be used: only ASCII letters, digits, '_', '-' and '.' are allowed. "
            "Choose one with --name.",
            code="LX-ARCHIVE-020",
        ) from None
    if not VERSION.fullmatch(version):
        raise InputError(
            f"The version {version!r} cannot be used: letters, digits, '_', '-', '+' and '.' alone.",
            code="LX-ARCHIVE-021",
        )


def members_of(
    run: Path,
    variant: VariantEvidence,
    evidence: Evidence,
    name: str,
    version: str,
    *,
    goldens: str = GOLDENS,
    config: str = "",
    manifest: bool = True,
    sign: Path | None = None,
    load: Mapping[str, Any] | None = None,
) -> dict[str, Content]:
    """Return every member of an archive by name; without `manifest` for another archiver, which adds its own.

    `config` are the lines of its settings, as `model_config` has them; empty: those of the profile `throughput`.
    `load` is what `load_evidence` returns of a load test, if the evidence is to have one.

    What was exported is copied: the files of the variant and of the run as the evidence has their digests.
    """
    exported = {
        file: HashedFile(run / "export" / variant.name / file, digest) for file, digest in variant.digests.items()
    }
    members: dict[str, Content] = {**kit_code()}
    members |= {file: content for file, content in exported.items() if file not in (GOLDENS, SYNTHETIC)}
    members[GOLDENS] = exported[goldens]
    members |= {file: HashedFile(run / file, digest) for file, digest in evidence.run["digests"].items()}
    members[MODEL] = with_name(json.loads(read_unaltered(exported[MODEL])), name, version)
    settings = config or model_config("throughput")
    members[CONFIG] = (settings + _ON_CPU * (variant.precision in CPU_ALONE)).encode()
    if manifest:
        members[MANIFEST] = _manifest(name, version, variant.file, _date(evidence))
    measured = {} if load is None else {"load": load}
    members[EVIDENCE] = files.json_bytes({"variant": variant.name, **asdict(evidence), **measured})
    digests = {member: digest_of(content) for member, content in members.items()}
    packages = dict(line.split("==") for line in read_unaltered(exported[REQUIREMENTS]).decode().splitlines())
    members[SBOM] = sbom(evidence, name, version, variant.name, digests, packages, _date(evidence))
    digests[SBOM] = digest_of(members[SBOM])
    listed = "".join(f"{digests[member]}  {member}\n" for member in sorted(digests)).encode()
    members[DIGESTS] = listed
    if sign is not None:
        members[SIGNATURE] = signature.sign(listed, sign)
    return members


def _date(evidence: Evidence) -> int:
    """Seconds since 1970: SOURCE_DATE_EPOCH (reproducible-builds.org), or when the run was exported."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is None:
        return evidence.created
    if not given.isdecimal():
        raise InputError(
            f"SOURCE_DATE_EPOCH is {given!r}, expected seconds since 1970. Unset it or fix it.", code="LX-ARCHIVE-022"
        )
    return int(given)


def _manifest(name: str, version: str, file: str, date: int) -> bytes:
    config = ModelArchiverConfig(
        model_name=name,
        handler="handler.py",
        version=version,
        serialized_file=file,
        config_file=CONFIG,
    )
    manifest = json.loads(ModelExportUtils.generate_manifest_json(config))
    # The library writes the wall clock.
    manifest["createdOn"] = time.strftime("%d/%m/%Y %H:%M:%S", time.gmtime(date))
    return files.json_bytes(manifest)
