"""Asking a served model once, for the command line; programs use `lexport.Client`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..serving.torchserve import http as api
from ..serving.torchserve.server import running

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
    """The model's answers to `texts`, or to `images` of a joint model, one each, in their order, as they are.

    `lang` is the language of all texts or of each, for models that have languages. The server is the one of
    `state_dir`, or the one at `host` (`HOST:PORT` of its inference address) with the token of `token_file`.
    `timeout` in seconds. Raises InputError for texts or options that are refused, SystemProblem if the server
    cannot answer.
    """
    from .questions import about_images, about_texts, check_count

    if isinstance(texts, str):
        texts = [texts]
    if images is not None and (texts or lang is not None):
        raise InputError("Texts or a language were given beside images. Ask about one or the other.")
    question = about_images(images) if images is not None else about_texts(texts, lang=lang)
    with _client(host, token_file, state_dir, timeout) as client:
        answer = client.ask(name, question.body, version=version)
    found: list[Any] = check_count(name, question, answer)
    return found


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
    """What each token of each text contributes, asked one text after the other; see `predict`."""
    from .questions import about_texts

    if isinstance(texts, str):
        texts = [texts]
    with _client(host, token_file, state_dir, timeout) as client:
        bodies = [about_texts(text, lang=lang).body for text in texts]
        return [client.ask(name, body, version=version, explain=True) for body in bodies]


@contextmanager
def _client(host: str | None, token_file: Path | None, state_dir: Path | None, timeout: float) -> Iterator[Client]:
    """A client of our own server or of another; that a model is not there says which are, where that is known."""
    # The client asks servers that this package has started, and so imports it.
    from . import Client, UnknownModel

    with Client(host, token_file=token_file, state_dir=state_dir, timeout=timeout) as client:
        try:
            yield client
        except UnknownModel as error:
            if host is None:
                raise UnknownModel(error.cause, f"It serves: {_known(state_dir)}.", error.status) from None
            raise


def _known(state_dir: Path | None) -> str:
    """The models of our own server, as they are now."""
    server = running(state_dir)
    descriptions = api.describe(server.management_url, server.token("management"))
    return ", ".join(f"{one['modelName']} {one['modelVersion']}" for one in descriptions) or "nothing"
