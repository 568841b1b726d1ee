"""The bill of materials of an archive: model, data, weights, and the packages that a worker needs.

CycloneDX 1.6 (ECMA-424) in JSON, as scanners of software and of models read it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any

from ...storage.atomic import json_bytes
from ...version import __version__
from ..evidence.evidence import Evidence

SBOM = "MAR-INF/SBOM.cdx.json"


def sbom(
    evidence: Evidence,
    name: str,
    version: str,
    variant: str,
    digests: Mapping[str, str],
    needs: Mapping[str, str],
    date: int,
) -> bytes:
    """Return the content of the member MAR-INF/SBOM.cdx.json.

    digests: of every other member but DIGESTS, hex SHA-256 by name. needs: the packages of a worker with their
    versions. date: seconds since 1970. The serial number is a function of the digests: the same archive has the same
    bytes.
    """
    serial = uuid.uuid5(uuid.NAMESPACE_OID, "".join(f"{digests[member]}  {member}\n" for member in sorted(digests)))
    files = [_file(member, digest) for member, digest in sorted(digests.items())]
    libraries = [_library(package, its_version) for package, its_version in needs.items()]
    return json_bytes(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": f"urn:uuid:{serial}",
            "version": 1,
            "metadata": {
                "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(date)),
                "tools": {"components": [{"type": "application", "name": "lexport", "version": __version__}]},
                "component": _model(evidence, name, version, variant),
            },
            "components": [_data(evidence), _weights(evidence), *libraries, *files],
            "dependencies": [
                {"ref": "model", "dependsOn": ["data", "weights", *(one["bom-ref"] for one in libraries)]},
                {"ref": "weights", "dependsOn": ["data"]},
            ],
        }
    )


def _model(evidence: Evidence, name: str, version: str, variant: str) -> dict[str, Any]:
    from ...evaluation.tasks import task_of  # which needs numpy; this module is also imported to read archives

    own, run = evidence.variant(variant), evidence.run
    metric, purpose = run["metric"], task_of(run["task"]).PURPOSE
    return {
        "type": "machine-learning-model",
        "bom-ref": "model",
        "name": name,
        "version": version,
        "description": f"{purpose}, recipe {run['recipe']}, variant {variant}",
        "modelCard": {
            "modelParameters": {"task": purpose, "datasets": [{"ref": "data"}]},
            "quantitativeAnalysis": {
                "performanceMetrics": [{"type": metric, "value": str(own.test[metric]), "slice": "test texts"}]
            },
        },
    }


def _data(evidence: Evidence) -> dict[str, Any]:
    data = evidence.run["data"]
    return {
        "type": "data",
        "bom-ref": "data",
        "name": str(data["name"]),
        "description": "the labelled texts, after cleaning",
        "hashes": [_hash(data["digest"])],
        "data": [{"type": "dataset", "name": str(data["name"])}],
    }


def _weights(evidence: Evidence) -> dict[str, Any]:
    return {
        "type": "file",
        "bom-ref": "weights",
        "name": "weights.safetensors",
        "description": "the trained weights that were exported; they lie in the run folder, not in the archive",
        "hashes": [_hash(evidence.run["weights"])],
    }


def _library(package: str, version: str) -> dict[str, Any]:
    reference = f"pkg:pypi/{package}@{version.replace('+', '%2B')}"
    return {"type": "library", "bom-ref": reference, "name": package, "version": version, "purl": reference}


def _file(member: str, digest: str) -> dict[str, Any]:
    return {"type": "file", "bom-ref": f"member:{member}", "name": member, "hashes": [_hash(digest)]}


def _hash(digest: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": digest}
