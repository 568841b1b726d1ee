"""Ask a served model once, for the command line; programs use `lexport.Client`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..serving.server import running
from ..serving.torchserve import http as api
from ..serving.torchserve.health.ready import read_reports

if TYPE_CHECKING:
    from . import Client


def predict(
    name: str,
    texts: Sequence[str] = (),
    *,
    lang: str | Sequence[str] | None = None,
    images: Sequence[Sequence[float]] | None = None,
    version: str | None = None,
    state_dir: Path | None = None,
    host: str | None = None,
    token_file: Path | None = None,
    timeout: float = 60.0,
) -> list[Any]:
    """Return the model's answers to `texts`, or to `images` of a joint model, one each, in their order, as they are.

    A model that lexport did not make gets one text after the other, each sent as text/plain; its answers are JSON
    values, or strings where they are not JSON.

    `lang` is the language of all texts or of each, for models that have languages. The server is the one of
    `state_dir`, or the one at `host` (`HOST:PORT` of its inference address) with the token of `token_file`.
    `timeout` in seconds. Raises InputError for texts or options that are refused, SystemProblem if the server
    cannot answer.
    """
    from .questions import about_images, about_texts, check_count

    if isinstance(texts, str):
        texts = [texts]
    if images is not None and (texts or lang is not None):
        raise InputError(
            "Texts or a language were given beside images. Ask about one or the other.", code="LX-CLIENT-001"
        )
    with _client(name, version, host, token_file, state_dir, timeout) as client:
        if images is not None or lang is not None:
            question = about_images(images) if images is not None else about_texts(texts, lang=lang)
            answer = client.ask(name, question.body, version=version)
        else:
            question = about_texts(texts)
            own = made_by_lexport(name, state_dir) if host is None else None
            answer = ask_texts(client, name, list(texts), own, version=version)
    found: list[Any] = check_count(name, question, answer)
    return found


def made_by_lexport(name: str, state_dir: Path | None) -> bool:
    """Return whether lexport made a model of our own server.

    Only TorchServe serves others, whose workers of such a model reported that their goldens passed.
    """
    server = running(state_dir)
    if server.own_code:
        return True
    return any(report.get("model") == name and report.get("ready") is True for report in read_reports(server))


def ask_texts(
    client: Client, name: str, texts: list[str], own: bool | None, *, version: str | None = None
) -> list[Any]:
    """Return the answers to texts, one each: in one JSON request from lexport's models (`own`), else text by text.

    If `own` is None (unknown), the answer to the JSON request decides: if it is a refusal or does not have the form
    of lexport's answers, the texts are sent again one by one. Raises a ClientError.
    """
    from . import ModelFailed, RefusedInput
    from .answers import is_own

    refusal: ModelFailed | RefusedInput | None = None
    if own is not False:
        try:
            answers = client.ask(name, {"texts": texts}, version=version)
        except (ModelFailed, RefusedInput) as error:
            if own or error.remedy.startswith("Expected: "):  # lexport's own refusals say what they expect
                raise
            refusal = error
        else:
            is_list = isinstance(answers, list) and len(answers) == len(texts)
            if own or (is_list and all(map(is_own, answers))):
                found: list[Any] = answers
                return found
    try:
        return [client.ask(name, text, version=version) for text in texts]
    except (ModelFailed, RefusedInput) as error:
        raise refusal or error from None


def explain(
    name: str,
    texts: Sequence[str],
    *,
    lang: str | None = None,
    version: str | None = None,
    state_dir: Path | None = None,
    host: str | None = None,
    token_file: Path | None = None,
    timeout: float = 60.0,
) -> list[dict[str, Any]]:
    """Return what each token of each text contributes, asked one text after the other; see `predict`."""
    from .questions import about_texts

    if isinstance(texts, str):
        texts = [texts]
    with _client(name, version, host, token_file, state_dir, timeout) as client:
        bodies = [about_texts(text, lang=lang).body for text in texts]
        return [client.ask(name, body, version=version, explain=True) for body in bodies]


@contextmanager
def _client(
    name: str,
    version: str | None,
    host: str | None,
    token_file: Path | None,
    state_dir: Path | None,
    timeout: float,
) -> Iterator[Client]:
    """Yield a client of our own server, or of the server at `host`.

    For our own server, the errors name its models if `name` is unknown, and the reason if the queue is full.
    """
    # The client asks servers that this package has started, and so imports it.
    from . import Client, QueueFull, UnknownModel

    with Client(host, token_file=token_file, state_dir=state_dir, timeout=timeout) as client:
        try:
            yield client
        except UnknownModel as error:
            if host is None:
                raise UnknownModel(error.cause, f"It serves: {_known(state_dir)}.", error.status) from None
            raise
        except QueueFull as error:
            why = "" if host is not None else _crowded(name, version, state_dir)
            if why:
                raise QueueFull(why, error.remedy, error.status) from None
            raise


def _crowded(name: str, version: str | None, state_dir: Path | None) -> str:
    """Return why a model of our own server has no room for a request; "" if the reason is not known."""
    server = running(state_dir)
    for one in api.describe(server.management_url, server.token("management")):
        if one["modelName"] == name and (one["default"] if version is None else one["modelVersion"] == version):
            workers, waiting = one["workers"], one["jobQueueStatus"]["pendingRequests"]
            ready = sum(worker["status"] == "READY" for worker in workers)
            places = waiting + one["jobQueueStatus"]["remainingCapacity"]
            why = f"its queue of {places:,} (job_queue_size) was full; now {waiting:,} wait for {ready} workers"
            if not ready:
                why = f"none of its {len(workers)} workers runs" if workers else "it has no workers"
            return f"{name} {one['modelVersion']} has no room for the request (503): {why}."
    return ""


def _known(state_dir: Path | None) -> str:
    """Return the models of our own server at this moment."""
    server = running(state_dir)
    descriptions = api.describe(server.management_url, server.token("management"))
    return ", ".join(f"{one['modelName']} {one['modelVersion']}" for one in descriptions) or "nothing"
