"""Applications for a configuration of Ray Serve: `serve deploy`, and the RayService of KubeRay.

There no `lexport serve` runs, so each application is built from a file that every node has at the same place.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InputError
from ...export.archive.trust.keys import PublicKey, read_public
from ...export.archive.verify import verify
from ..store import read
from ..tokens import accepted, read_token_file
from .orders import ModelOrder, VersionOrder, hashed_tokens

if TYPE_CHECKING:
    from ray.serve import Application

_MODEL = {"archive", "token_file", "keys", "least", "most", "threads", "queue", "largest", "seconds"}


def model(args: dict[str, Any]) -> Application:
    """Return the application of a model, for `route_prefix: /predictions/NAME`.

    `args`: `archive`, the path of a `.mar`; and if they are wanted `token_file`, `keys` (paths of public keys, of
    which one must have signed it), `least` and `most` (replicas), `threads`, `queue`, `largest` (requests of a batch)
    and `seconds`. Raises InputError, RefusedError for an archive that fails verification.
    """
    _check(args, _MODEL, "archive")
    path, keys = Path(args["archive"]), _keys(args)
    verified = verify(path, keys)
    archive = read(path)
    from .deployments import bind_model
    from .replica.application import bring

    bring(verified.digest, path.read_bytes())
    least = int(args.get("least", 1))
    limits = {name: args[name] for name in ("queue", "largest", "seconds") if name in args}
    order = ModelOrder(
        archive.name,
        (VersionOrder(archive.version, verified.digest, **limits),),
        archive.version,
        tokens=_tokens(args),
        keys=keys,
        threads=int(args.get("threads", 1)),
        least=least,
        most=int(args.get("most", least)),
    )
    return bind_model(order)


def front(args: dict[str, Any]) -> Application:
    """Return the application with every other address than the models' own, for `route_prefix: /`.

    `args`: `models`, their names, and `token_file` if requests need a token. Raises InputError.
    """
    _check(args, {"models", "token_file"}, "models")
    from .deployments import bind_front

    return bind_front(sorted(args["models"]), _tokens(args), {})


def _check(args: dict[str, Any], known: set[str], needed: str) -> None:
    unknown = sorted(set(args) - known)
    if unknown or needed not in args:
        raise InputError(
            f"args of an application are {', '.join(args) or 'none'}; expected {needed}, and of the others only "
            f"{', '.join(sorted(known - {needed}))}.",
            code="LX-RAY-159",
        )


def _keys(args: dict[str, Any]) -> tuple[PublicKey, ...]:
    return tuple(read_public(Path(key)) for key in args.get("keys", ()))


def _tokens(args: dict[str, Any]) -> dict[str, Any] | None:
    if "token_file" not in args:
        return None
    return hashed_tokens(accepted(read_token_file(Path(args["token_file"])))["inference"])
