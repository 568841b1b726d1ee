"""`lexport.load`, `serve` and the other commands, but for `train`, that are not methods of a run or an archive."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..storage.progress import Say, silent
from .packages import names_missing_packages
from .paths import StrPath, source_of, with_paths

if TYPE_CHECKING:
    from ..data.reading.options import Reading
    from ..data.samples import Sample
    from ..export.archive.diff import Comparison
    from ..export.archive.foreign import ForeignArchive
    from ..export.archive.inspect import Inspection
    from ..export.archive.recorded import AgainstRecording
    from ..export.archive.trust.keys import PublicKey
    from ..export.archive.verify import Verified
    from ..loadtest.record import RecordingSummary
    from ..models.recipes import Recipe
    from ..serving.proxies.configuration import Proxy
    from .archive import Archive
    from .doctor import Finding, SettingFinding
    from .run import Run
    from .server import Server
    from .store import Store

Keys = Sequence[StrPath] | None


@names_missing_packages
def load(
    source: StrPath, *, keys: Keys = None, token_file: StrPath | None = None, model: str | None = None
) -> Run | Archive | Server:
    """Return what answers at `source`: a run folder, a `.mar`, or a running server at http://HOST:PORT.

    `keys` are files with public keys, one of which must have signed an archive (None: those of LEXPORT_KEYS).
    `model` is the model that is asked of a server, unless its address names one
    (http://HOST:PORT/predictions/NAME), and `token_file` the server's token. Raises InputError for anything else.
    """
    given = str(source)
    if given.startswith(("http://", "https://")):
        from .server import of_address

        return of_address(given, model=model, token_file=token_file)
    path = Path(source)
    if (path / "run.json").is_file():
        from .run import of_folder

        return of_folder(path)
    if path.is_file():
        from .archive import Archive

        return Archive(path, trusted=read_keys(keys))
    raise InputError(
        f"{given} is not a run folder, an archive or the address of a server. Expected for example runs/reviews, "
        "reviews-1.0.mar or http://127.0.0.1:8080.",
        code="LX-API-004",
    )


@names_missing_packages
def import_model(
    path: StrPath | object,
    *,
    texts: StrPath | Sequence[StrPath],
    out: StrPath,
    reading: Reading | None = None,
    label_prefix: str = "__label__",
    vocabulary: StrPath | None = None,
    labels: StrPath | None = None,
    tokenizer: str = "basic_english",
    **options: Any,
) -> Run | Archive | Server:
    """Bring in the foreign model at `path` and return it: a run, or an archive if `out` is called NAME-VERSION.mar.

    In place of a path it may be a fitted pipeline of scikit-learn.

    Both answer `texts`, data as `train` takes them, whose labels are not read; it is written only if the answers are
    the same. `label_prefix` is left out of the names of labels. Of a model that says nothing of them, `vocabulary`
    and `labels` are files with the row of each word, or a tokenizer.json, and with the labels in the order of the
    outputs, and `tokenizer` names how texts are split. The other options are those of `lexport import`, such as
    `variant`. Raises InputError for a model that cannot be brought in, with the reason, and RefusedError if the
    answers differ.
    """
    from ..data.reading.options import USUAL_READING
    from ..export.imports.kind import ImportOptions
    from ..export.imports.packing import import_model

    asked, how = (
        source_of(texts) or [],
        ImportOptions(label_prefix, _path(vocabulary), _path(labels), tokenizer),
    )
    source = Path(path) if isinstance(path, (str, os.PathLike)) else path
    return load(import_model(source, Path(out), asked, reading=reading or USUAL_READING, options=how, **options))


@names_missing_packages
def serve(
    archives: Archive | StrPath | Sequence[Archive | StrPath] = (),
    *,
    model_store: StrPath | None = None,
    state_dir: StrPath | None = None,
    config: StrPath | None = None,
    token_file: StrPath | None = None,
    keys: Keys = None,
    say: Say = silent,
    **options: Any,
) -> Server:
    """Start TorchServe with archives, or with the newest of each name in `model_store`, and return once it is ready.

    With `with` the server is stopped at the end. The options are those of `lexport serve`: `workers="cpu:2"`,
    `port=0` for any free ports, `trust_code=True` for an archive that lexport did not make, and so on. Raises
    InputError, RefusedError for archives that fail verification, SystemProblem for a port in use or a worker that
    cannot start.
    """
    from .. import serving
    from .archive import Archive
    from .server import of_started

    several = [archives] if isinstance(archives, (str, Path, Archive)) else list(archives)
    started = serving.serve(
        [one.path if isinstance(one, Archive) else Path(one) for one in several],
        model_store=_path(model_store),
        state_dir=_path(state_dir),
        config=_path(config),
        token_file=_path(token_file),
        trusted=read_keys(keys),
        say=say,
        **options,
    )
    return of_started(started, own=True)


def server(state_dir: StrPath | None = None) -> Server:
    """Return the server that runs on this machine. Raises SystemProblem if there is none."""
    from .. import serving
    from .server import of_started

    return of_started(serving.running(_path(state_dir)))


def store(folder: StrPath = "model_store", *, keys: Keys = None, state_dir: StrPath | None = None) -> Store:
    """Return the store in a folder, to list its archives, add, remove, push and pull some.

    `keys` are files with public keys, one of which must have signed what is added or pulled (None: those of
    LEXPORT_KEYS). `state_dir` is the folder of the server whose models are not removed.
    """
    from .store import Store

    return Store(folder, trusted=read_keys(keys), state_dir=state_dir)


@names_missing_packages
def verify(archive: StrPath, *, keys: Keys = None) -> Verified:
    """Check an archive's members, digests, evidence and signature. Raises RefusedError with all problems."""
    from ..export.archive.verify import verify

    return verify(Path(archive), read_keys(keys))


@names_missing_packages
def inspect(archive: StrPath, *, keys: Keys = None) -> Inspection | ForeignArchive:
    """Verify an archive and return its evidence, members and model card.

    For an archive that lexport did not make, return its members, handler, pickles and unsafe content.
    """
    from ..export.archive.foreign import describe_foreign
    from ..export.archive.inspect import inspect

    trusted = read_keys(keys)
    return describe_foreign(Path(archive), trusted) or inspect(Path(archive), trusted)


@names_missing_packages
def record(
    source: StrPath, texts: StrPath | Sequence[str], out: StrPath, *, keys: Keys = None, **options: Any
) -> RecordingSummary:
    """Record a model's answers to `texts` in the file `out`, to compare an archive with it: `diff(out, archive)`.

    `source` is an archive, the URL of a served model, or its name on this machine's server; the options are those of
    `lexport record`.
    """
    from ..loadtest.record import record

    given = Path(texts) if isinstance(texts, (str, Path)) else texts
    return record(str(source), given, Path(out), trusted=read_keys(keys), **with_paths(options))


@names_missing_packages
def diff(
    before: StrPath, after: StrPath, *, texts: StrPath | None = None, keys: Keys = None
) -> Comparison | AgainstRecording:
    """Return the changes from an archive, or from a recording (`record`), to another archive.

    `texts` are those of a recording that was made without them.
    """
    from ..export.archive.diff import compare
    from ..export.archive.recorded import compare_recording
    from ..export.archive.recordings import is_recording

    if is_recording(Path(before)):
        return compare_recording(Path(before), Path(after), texts=_path(texts), trusted=read_keys(keys))
    return compare(Path(before), Path(after), trusted=read_keys(keys))


@names_missing_packages
def from_hub(folder: StrPath, *, out: StrPath, replace: bool = False, keys: Keys = None) -> Run | Archive:
    """Make the run or the archive of a folder that `to_hub` wrote, each file checked by its digest, and return it.

    Raises InputError if a file is missing or `out` is there, RefusedError if a file is not the one that was pushed.
    """
    from ..export.hub.pull import pull
    from .archive import Archive
    from .run import of_folder

    trusted = read_keys(keys)
    target, record = pull(Path(folder), Path(out), replace=replace, trusted=trusted)
    return Archive(target, trusted=trusted) if record.version else of_folder(target)


@names_missing_packages
def archiver_inputs(run: Run | StrPath, *, version: str, out: StrPath, **options: Any) -> list[str]:
    """Write an archive's members as files and return the `torch-model-archiver` command that packs them."""
    from ..export.archive.archiver_inputs import write_archiver_inputs
    from .run import Run

    return write_archiver_inputs(
        run.folder if isinstance(run, Run) else Path(run), version=version, out=Path(out), **options
    )


@names_missing_packages
def recipes() -> dict[str, Recipe]:
    """Return the shipped recipes by name; `.changed("embedding", dim=100)` makes another one."""
    from ..models import recipes as shipped

    return {name: shipped.load(name) for name in shipped.names()}


def samples() -> dict[str, Sample]:
    """Return the sample sets by the name that `train` takes as data: what they are, their columns and packages."""
    from ..data.samples import SAMPLES

    return dict(SAMPLES)


@names_missing_packages
def doctor(*, state_dir: StrPath | None = None, say: Say = silent) -> list[Finding]:
    """Check Java, ports, torch, engines, memory and GPU; each finding has its remedy."""
    from .doctor import examine

    return examine(state_dir=_path(state_dir), say=say)


@names_missing_packages
def audit(config: StrPath, *, torchserve: str | None = None) -> list[SettingFinding]:
    """Return what a config.properties leaves open, dangers first, each with what can happen and how to close it.

    `torchserve` is the version that will read the file, None the installed one. Raises InputError if the file cannot
    be read.
    """
    from .doctor import audit

    return audit(Path(config), torchserve)


@names_missing_packages
def generate(kind: str, archives: Sequence[StrPath] = (), **options: Any) -> str:
    """Return the text of a file that runs or watches a server, as `lexport generate` writes it.

    `kind` is `systemd`, `dockerfile`, `compose`, `kubernetes`, `prometheus`, `grafana` or `alerts`. `archives` are
    those to serve; for `alerts` those whose evidence says how many unknown words are usual. The options have the
    command's names, `from_loadtest` is `loadtest`, `p99` is `p99_ms` in milliseconds, and `keys` are files. Raises
    InputError for what cannot be written, SystemProblem if no server runs in `state_dir`.
    """
    from ..serving.generated import files
    from ..serving.generated.watching import Scrape

    given: dict[str, Any] = {
        name: Path(value) if name in ("model_store", "state_dir", "loadtest", "program") and value else value
        for name, value in options.items()
    }
    if "keys" in given:
        given["keys"] = tuple(Path(key) for key in given["keys"])
    paths = [Path(archive) for archive in archives]
    if kind == "grafana":
        return files.dashboard_file()
    if kind == "prometheus":
        state_dir = given.pop("state_dir", None)
        return files.scrape_file(Scrape(**{"targets": (), **given}), state_dir)
    if kind == "alerts":
        return files.alerts_file(paths, **given)
    return files.deployment_file(kind, paths, **given)


def proxy_configuration(kind: str, proxy: Proxy) -> str:
    """Return the configuration of haproxy or nginx that protects a server."""
    from ..serving.proxies.configuration import proxy_configuration

    return proxy_configuration(kind, proxy)


@names_missing_packages
def demo(out: StrPath = "lexport-demo", *, duration: float = 10.0) -> None:
    """Run the whole chain on real data and print what happens."""
    from .demo import run_demo

    run_demo(Path(out), duration=duration, say=print, show=print, progress=silent)


def _path(value: StrPath | None) -> Path | None:
    return None if value is None else Path(value)


def read_keys(keys: Keys) -> list[PublicKey] | None:
    """Return the public keys of files; None for those of LEXPORT_KEYS. Raises InputError for a file without one."""
    from ..export.archive.trust.keys import read_public

    return None if keys is None else [read_public(Path(key)) for key in keys]
