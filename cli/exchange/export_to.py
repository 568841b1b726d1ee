"""The commands that write an archive in the form of another server or program: export-to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..options import Archive, Json, Keys, TrustCode, app, emit, print_line, say_to, show, trusted_keys

export_to = typer.Typer(
    name="export-to",
    help="Write an archive for another server or program: a folder, MLflow, MLServer, BentoML, KServe, Triton.",
    no_args_is_help=True,
)
app.add_typer(export_to)

Out = Annotated[Path, typer.Option(metavar="DIR", help="The folder to make.")]
Python = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="A Python beside which its packages are installed, to prove it.",
        show_default="this one",
    ),
]


def _add(kind: str, summary: str) -> None:
    """Add the command of an exit that has no options of its own."""

    @export_to.command(kind, help=summary)
    def write(
        mar: Archive,
        out: Out,
        python: Python = None,
        key: Keys = None,
        trust_code: TrustCode = False,
        as_json: Json = False,
    ) -> None:
        _write(kind, mar, out, python, key, trust_code, as_json)


_add("folder", "Write a folder with the model and programs in Python, Node and C++ that need ONNX Runtime alone.")
_add("mlflow", "Write a model of MLflow, for mlflow models predict and serve.")
_add("mlserver", "Write a folder that MLServer serves.")
_add("bentoml", "Write a service of BentoML.")


@export_to.command()
def kserve(
    mar: Archive,
    out: Out,
    image: Annotated[str | None, typer.Option(help="Name of the image.", show_default="NAME-kserve:VERSION")] = None,
    canary: Annotated[
        int | None, typer.Option(metavar="PERCENT", help="Share of the requests.", show_default="all of them")
    ] = None,
    from_loadtest: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Take cores and memory from results.json of lexport loadtest.",
            show_default="stated defaults",
        ),
    ] = None,
    python: Python = None,
    key: Keys = None,
    trust_code: TrustCode = False,
    as_json: Json = False,
) -> None:
    """Write a server of KServe, its Dockerfile and its InferenceService."""
    _write(
        "kserve",
        mar,
        out,
        python,
        key,
        trust_code,
        as_json,
        image=image,
        canary=canary,
        loadtest=from_loadtest,
    )


@export_to.command()
def triton(
    mar: Archive,
    out: Out,
    backend: Annotated[
        str, typer.Option(help="onnxruntime, python, or auto: onnxruntime where the model file takes texts.")
    ] = "auto",
    number: Annotated[
        int | None,
        typer.Option(help="The version as Triton counts.", show_default="the first number of the archive's version"),
    ] = None,
    python: Python = None,
    key: Keys = None,
    trust_code: TrustCode = False,
    as_json: Json = False,
) -> None:
    """Write a model repository for Triton."""
    _write("triton", mar, out, python, key, trust_code, as_json, backend=backend, number=number)


def _write(
    kind: str,
    mar: Path,
    out: Path,
    python: Path | None,
    key: list[Path] | None,
    trust_code: bool,
    as_json: bool,
    **options: Any,
) -> None:
    from dataclasses import asdict

    from ...api.archive import Archive as ArchiveFile
    from ...reports.exits import proofs

    written = ArchiveFile(mar, trusted=trusted_keys(key)).export_to(
        kind, out, python=python, trust_code=trust_code, say=say_to(as_json), **options
    )
    if as_json:
        return emit({**asdict(written), "proven": written.proven})
    show(proofs([asdict(one) for one in written.proofs]))
    print_line(f"{out}: {written.archive.name} {written.archive.version}. README.md there says how it is run.")
    return None
