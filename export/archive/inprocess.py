"""Load an archive in this process, without Java, and check it as a TorchServe worker does, with lexport's handlers.

The handlers inside the archive are only for TorchServe's workers; they are not trusted here.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import InputError, RefusedError, SystemProblem, import_problem
from ...handlers.handler import PACKAGES
from ...handlers.model.digests import DIGESTS, SIGNATURE
from .format.reader import check_schemas, extracted
from .trust.keys import PublicKey
from .trust.rule import configured, signer

if TYPE_CHECKING:
    from ...handlers.worker import Worker

# What handlers/engine/engines.py sets for ONNX Runtime.
_TELEMETRY = "ORT_DISABLE_TELEMETRY"


class Context:
    """The parts of TorchServe's context that the handler needs: its folder, and statuses and types per request."""

    def __init__(self, folder: Path, gpu: int | None = None) -> None:
        """`folder` holds the extracted archive; `gpu`: the device it is loaded onto, None for the CPU."""
        self.system_properties: dict[str, Any] = {"model_dir": str(folder), "gpu_id": gpu}
        self.headers: list[dict[str, str]] = []
        self.statuses: dict[int, int] = {}

    def get_all_request_header(self, idx: int) -> dict[str, str]:
        """Return the request's headers."""
        return self.headers[idx]

    def set_response_content_type(self, idx: int, value: str) -> None:
        """Do nothing: there is no transport here."""

    def set_response_header(self, idx: int, key: str, value: str) -> None:
        """Do nothing."""

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        """Record a status that is not 200."""
        self.statuses[idx] = code


class LoadedArchive:
    """A loaded archive that answers texts and raw requests."""

    def __init__(self, worker: Worker, context: Context, path: Path = Path("the archive")) -> None:
        """Wrap a `worker` made with `context`; errors name `path`."""
        self.worker = worker
        self._context = context
        self._path = path

    @property
    def folder(self) -> Path:
        """Folder where the archive is extracted while it is open."""
        return Path(self._context.system_properties["model_dir"])

    def read(self, member: str) -> Any:
        """Return a member's JSON value. Raises InputError if the member is missing or not JSON."""
        try:
            return json.loads((self.folder / member).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(
                f"{self._path} has no {member}: it was not made by `lexport archive`.", code="LX-ARCHIVE-006"
            ) from None
        except (ValueError, RecursionError):
            raise InputError(
                f"{self._path}: {member} is not JSON. Make the archive again.", code="LX-ARCHIVE-007"
            ) from None

    def request(self, bodies: Sequence[tuple[bytes, str]], *, explain: bool = False) -> list[tuple[int, bytes]]:
        """Answer one batch of (body, content type) as (status, body), or explain each."""
        asked = {"explain": "True"} if explain else {}
        self._context.headers = [{"content-type": kind} | asked for _, kind in bodies]
        self._context.statuses = {}
        results = self.worker.handle([{"body": body} for body, _ in bodies], self._context)
        return [(self._context.statuses.get(position, 200), result) for position, result in enumerate(results)]

    def predict(self, texts: Sequence[str], languages: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Return one answer per text, through the same JSON that a client would send and get.

        `languages` names each text's language, for models that have languages. Raises InputError with the
        worker's own words if it refuses.
        """

        def body(chosen: slice) -> dict[str, Any]:
            own = {} if languages is None else {"lang": list(languages[chosen])}
            return {"texts": list(texts[chosen])} | own

        return self._predict(len(texts), body, "texts")

    def explain(self, texts: Sequence[str], language: str | None = None) -> list[dict[str, Any]]:
        """Return an explanation of each text, as `/explanations` gives it. Raises InputError as `predict` does."""
        found = []
        for text in texts:
            own = {} if language is None else {"lang": language}
            body = json.dumps({"text": text} | own).encode()
            [(status, answer)] = self.request([(body, "application/json")], explain=True)
            value = json.loads(answer)
            if status != 200:
                raise InputError(
                    f"The model gave no explanation: {value['error']} Expected: {value['expected']}",
                    code="LX-ARCHIVE-008",
                )
            found.append(value)
        return found

    def predict_images(self, images: Sequence[Sequence[float]]) -> list[dict[str, Any]]:
        """Return one answer per image of a joint model, through the same JSON. Raises as `predict` does."""

        def body(chosen: slice) -> dict[str, Any]:
            return {"images": [[float(value) for value in image] for image in images[chosen]]}

        return self._predict(len(images), body, "images")

    def _predict(self, count: int, body: Callable[[slice], dict[str, Any]], what: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        size = 256
        while len(found) < count:
            sent = json.dumps(body(slice(len(found), len(found) + size))).encode()
            [(status, answer)] = self.request([(sent, "application/json")])
            value = json.loads(answer)
            if status == 413 and size > 1:  # many labels make long answers
                size //= 2
            elif status != 200:
                raise InputError(
                    f"The model refused the {what}: {value['error']} Expected: {value['expected']}",
                    code="LX-ARCHIVE-009",
                )
            else:
                found += value
        return found


@contextmanager
def load_archive(path: Path, *, trusted: Sequence[PublicKey] | None = None) -> Iterator[LoadedArchive]:
    """Extract, check and load an archive with lexport's own handlers; temporary files are removed afterwards.

    No code of the archive is imported. With `trusted` keys (None: those that LEXPORT_KEYS names) one of them
    must have signed what was extracted. Raises InputError for a bad archive or a newer one, RefusedError where
    signature, digests or goldens fail verification, SystemProblem if a package is missing.
    """
    with checked_members(path, trusted) as folder:
        context = Context(folder)
        with _process_kept():
            yield LoadedArchive(open_worker(path, context), context, path)


@contextmanager
def checked_members(path: Path, trusted: Sequence[PublicKey] | None = None) -> Iterator[Path]:
    """Context manager: a temporary folder with an archive's members, signature and digests checked; none is loaded.

    Raises as `load_archive` does.
    """
    trusted = configured(trusted)
    with extracted(path) as folder:
        try:
            signer(_bytes(folder / SIGNATURE), _bytes(folder / DIGESTS) or b"", trusted)
        except RefusedError as error:
            raise RefusedError(f"{path}: {error}", code=error.code) from None
        check_schemas(path)
        yield folder


def _bytes(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None


def open_worker(path: Path, context: Context) -> Worker:
    """Return the worker of an archive, `path` in errors, that is extracted in the folder of `context`.

    Raises as `load_archive` does.
    """
    try:
        from ...handlers.worker import Worker

        return Worker(context)
    except ImportError as error:
        problem = import_problem(error, f"The model of {path}")
        if problem is not None:
            raise problem from error
        package = (error.name or "").partition(".")[0]
        if package not in PACKAGES:
            raise
        raise SystemProblem(
            f"{path} cannot be loaded, {package} cannot be imported: {error}. Install it with: pip install {package}",
            code="LX-ARCHIVE-011",
        ) from error
    except RecursionError as error:
        raise RefusedError(f"{path} failed verification: it is nested too deep.", code="LX-ARCHIVE-012") from error
    except (RuntimeError, OSError) as error:
        raise SystemProblem(f"{path} cannot be loaded: {error}", code="LX-ARCHIVE-013") from error
    except Exception as error:  # ONNX Runtime's have no common parent
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise RefusedError(f"{path} failed verification: {kind}{error}", code="LX-ARCHIVE-014") from error


@contextmanager
def _process_kept() -> Iterator[None]:
    """Restore what engines set for a worker: an environment variable, and torch's threads and precision."""
    before = os.environ.get(_TELEMETRY)
    torch = sys.modules.get("torch")
    threads, tf32 = (torch.get_num_threads(), torch.backends.cudnn.allow_tf32) if torch else (None, None)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_TELEMETRY, None)
        if torch:
            torch.backends.cudnn.allow_tf32 = tf32
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
