"""Both engines answer TorchServe's operations alike: status, headers, body. Each difference has a reason.

The answers of a model are the same bytes; refusals are the same JSON; of what management tells, names and types are
the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lexport.serving import Server, serve, stop

from .contract import Answer, Case, asked, changes, difference, everywhere, questions, reads

ENGINES = ("torchserve", "embedded")

NO_WORKFLOWS = "there are no workflows"
NO_TOKEN_API = "there is no token API, which lexport's TorchServe refuses to everybody too"
ASTERISK = "`OPTIONS *` asks about the server, and TorchServe fails with 500, or knows no such path"
MAINTAINED = "TorchServe's own answer is a 500 for what is the client's mistake"
OWN_HANDLER = "lexport's handler answers, so that another one cannot be named"
NOT_A_DESCRIPTION = "TorchServe takes set-default for part of the path of a description"
HEADERS = "the model's own headers are on its answers alone"
SHORTER = "TorchServe's message goes on about sequences, which are not served"

# By request and TorchServe's status.
DIFFERENCES = {
    "inference OPTIONS *: 500": ASTERISK,
    "management OPTIONS *: 500": ASTERISK,
    "metrics OPTIONS *: 404": ASTERISK,
    "management GET /token?type=inference: 400": NO_TOKEN_API,
    "management GET /models/NAME?customized=true: 200": HEADERS,
    "management GET /models/NAME/VERSION?customized=true: 200": HEADERS,
    "management GET /models/NAME/VERSION/set-default: 200": NOT_A_DESCRIPTION,
    "management POST /models?url=FILE&model_name=ten&handler=x.py: 500": OWN_HANDLER,
    "management POST /models: 500": MAINTAINED,
    "management PUT /models/two?min_worker=-1: 500": MAINTAINED,
    "inference POST /predictions/NAME: 503": SHORTER,
}


def servers(archive: Path, folder: Path, *options: str) -> Iterator[dict[str, Server]]:
    config = folder / "own.properties"
    config.write_text("".join(f"{option}\n" for option in options))
    started: dict[str, Server] = {}
    try:
        for engine in ENGINES:
            started[engine] = serve(
                [archive], engine=engine, state_dir=folder / engine[:2], port=0, config=config, workers="cpu:1",
                trust_code=True,
            )  # fmt: skip
        yield started
    finally:
        for server in started.values():
            stop(server.state_dir)


@pytest.fixture(scope="module")
def closed(
    archive_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Server]]:
    yield from servers(archive_of("onnx-int8"), tmp_path_factory.mktemp("closed"))


@pytest.fixture(scope="module")
def opened(
    archive_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Server]]:
    yield from servers(archive_of("onnx-int8"), tmp_path_factory.mktemp("opened"), "enable_model_api=true")


def compared(both: dict[str, Server], cases: list[Case]) -> tuple[list[Answer], list[str]]:
    """TorchServe's answers, and what differs and is not listed, or is listed and does not differ."""
    ours, theirs = (asked(both[engine], cases) for engine in reversed(ENGINES))
    found = []
    for case, one, other in zip(cases, theirs, ours, strict=True):
        differs, listed = difference(case, one, other), f"{case}: {one.status}" in DIFFERENCES
        if bool(differs) != listed:
            found.append(f"{case}: {one.status}: {differs or 'is listed, and does not differ'}")
    return theirs, found


def test_what_is_asked_of_a_model_and_what_looks_at_models(closed: dict[str, Server]) -> None:
    answers, found = compared(closed, [*everywhere(), *questions(), *reads()])
    assert found == []
    assert sum(200 <= answer.status < 300 for answer in answers) >= 60


def test_models_cannot_be_changed_where_the_model_api_is_off(closed: dict[str, Server]) -> None:
    cases = [case for case in changes() if case.method in ("POST", "DELETE") and "models" in case.target[:8]]
    answers, found = compared(closed, cases)
    assert found == []
    assert {answer.status for answer in answers} == {405, 404}


@pytest.mark.long
def test_what_changes_models(opened: dict[str, Server]) -> None:
    cases = changes()
    answers, found = compared(opened, cases)
    assert found == []
    assert sum(200 <= answer.status < 300 for answer in answers) >= 40
