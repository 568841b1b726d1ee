"""What a replica does, without Ray: orders taken in place, and the embedded engine's answers."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lexport.errors import RefusedError, SystemProblem
from lexport.export.archive.inprocess import load_archive
from lexport.export.archive.pack import archive
from lexport.serving.canary.rule import Rule
from lexport.serving.embedded.http import Request
from lexport.serving.ray.orders import ModelOrder, VersionOrder, hashed_tokens
from lexport.serving.ray.replica.answering import Answering
from lexport.serving.ray.replica.asgi import Asgi
from lexport.serving.ray.replica.front import Front
from lexport.serving.ray.replica.node_archives import NodeArchives
from lexport.serving.tokens import Accepted

from ...refusals import refused

BODY = json.dumps({"text": "goal rain"}).encode()


@pytest.fixture(scope="module")
def versions(
    archive_of: Callable[[str], Path], run_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    """Two versions of a model."""
    second = archive(run_folder, version="2.0", variant="onnx-fp32", out=tmp_path_factory.mktemp("second"))
    return [archive_of("onnx-int8"), Path(str(getattr(second, "path", second)))]


@pytest.fixture
def node(versions: list[Path], tmp_path: Path) -> NodeArchives:
    held = {digest(path): path for path in versions}
    return NodeArchives(tmp_path, lambda wanted: [held[wanted].read_bytes()] if wanted in held else None)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def first(paths: list[Path], **changes: Any) -> ModelOrder:
    own = (VersionOrder("1.0", digest(paths[0])),)
    return ModelOrder(**{"name": "topics", "versions": own, "default": "1.0", **changes})


def both(paths: list[Path], **changes: Any) -> ModelOrder:
    own = (VersionOrder("1.0", digest(paths[0])), VersionOrder("2.0", digest(paths[1])))
    return first(paths, **{"versions": own, **changes})


async def ask(
    app: Asgi, path: str = "/predictions/topics", body: bytes = BODY, method: str = "POST", **headers: str
) -> tuple[int, dict[bytes, bytes], bytes]:
    """Ask as an ASGI server does, the body in two parts."""
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }
    parts = [
        {"type": "http.request", "body": body[:3], "more_body": True},
        {"type": "http.request", "body": body[3:], "more_body": False},
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        return parts.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start, content = sent
    return start["status"], dict(start["headers"]), content["body"]


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())  # type: ignore[arg-type]


def test_answers_are_those_of_the_archive(versions: list[Path], node: NodeArchives) -> None:
    async def test() -> None:
        answering = Answering(node.open)
        await answering.take(first(versions))
        status, headers, body = await ask(Asgi(answering))
        with load_archive(versions[0]) as loaded:
            assert [(status, body)] == loaded.request([(BODY, "application/json")])
        assert headers[b"lexport-version"] == b"1.0"
        assert headers[b"content-length"] == b"%d" % len(body)
        assert answering.count()["counts"]["1.0"]["statistics"]["statuses"] == {"200": 1}

    run(test)


def test_a_new_version_and_another_default_are_taken_while_requests_are_answered(
    versions: list[Path], node: NodeArchives
) -> None:
    async def test() -> None:
        answering = Answering(node.open)
        app = Asgi(answering)
        await answering.take(first(versions))
        seen: Counter[bytes] = Counter()
        stop = asyncio.Event()

        async def go_on() -> None:
            while not stop.is_set():
                status, headers, _ = await ask(app)
                assert status == 200
                seen[headers[b"lexport-version"]] += 1

        asking = [asyncio.ensure_future(go_on()) for _ in range(4)]
        await answering.take(both(versions))
        await answering.take(both(versions, default="2.0"))
        await answering.take(both(versions, default="2.0", versions=both(versions).versions[1:]))
        stop.set()
        await asyncio.gather(*asking)
        assert set(seen) <= {b"1.0", b"2.0"}
        assert (await ask(app))[1][b"lexport-version"] == b"2.0"
        assert (await ask(app, "/predictions/topics/1.0"))[0] == 404
        assert answering.count()["versions"] == ["2.0"]

    run(test)


def test_what_was_counted_stays_when_limits_change_and_the_archive_does_not(
    versions: list[Path], node: NodeArchives
) -> None:
    async def test() -> None:
        answering = Answering(node.open)
        await answering.take(first(versions))
        await ask(Asgi(answering))
        await answering.take(first(versions, versions=(replace(first(versions).versions[0], queue=7),)))
        assert answering.models.ask("topics").queue.most == 7
        assert answering.count()["counts"]["1.0"]["statistics"]["statuses"] == {"200": 1}

    run(test)


def test_a_canary_gets_its_share_and_is_counted(versions: list[Path], node: NodeArchives) -> None:
    async def test() -> None:
        answering = Answering(node.open)
        app = Asgi(answering)
        await answering.take(both(versions, canary=("c1", Rule("topics", "2.0", 0.25))))
        seen = Counter([(await ask(app))[1][b"lexport-version"] for _ in range(100)])
        assert 20 <= seen[b"2.0"] <= 30
        tally = answering.count()["canaries"]["c1"]
        assert tally["canary"]["statuses"] == {"200": seen[b"2.0"]}
        # The same canary goes on counting where something else changes.
        await answering.take(both(versions, canary=("c1", Rule("topics", "2.0", 0.25)), limits={"body": 1_000}))
        assert answering.count()["canaries"]["c1"] == tally
        await answering.take(both(versions))
        assert answering.count()["canaries"] == {}

    run(test)


def test_an_order_that_cannot_be_taken_leaves_the_former_one(versions: list[Path], node: NodeArchives) -> None:
    async def test() -> None:
        answering = Answering(node.open)
        app = Asgi(answering)
        await answering.take(first(versions))
        lost = (*first(versions).versions, VersionOrder("2.0", "0" * 64))
        with refused(SystemProblem, "LX-RAY-113", "000000"):
            await answering.take(first(versions, versions=lost, default="2.0"))
        wrong = (VersionOrder("3.0", digest(versions[1])),)
        with refused(RefusedError, "LX-RAY-115"):
            await answering.take(first(versions, versions=wrong, default="3.0"))
        assert answering.order == first(versions)
        assert (await ask(app))[1][b"lexport-version"] == b"1.0"

    run(test)


def test_tokens_limits_and_other_refusals_are_the_embedded_engines(versions: list[Path], node: NodeArchives) -> None:
    async def test() -> None:
        answering = Answering(node.open)
        app = Asgi(answering)
        tokens = hashed_tokens(Accepted("the-right-token"))
        await answering.take(first(versions, tokens=tokens, limits={"body": 100}))
        right: dict[str, Any] = {"authorization": "Bearer the-right-token"}
        assert (await ask(app))[0] == 400
        assert (await ask(app, **right))[0] == 200
        status, _, body = await ask(app, body=b"x" * 101, **right)
        assert (status, json.loads(body)["code"]) == (413, "LX-HTTP-108")
        status, _, body = await ask(app, body=b"{", content_type="application/json", **right)
        assert status == 400
        assert b"LX-HTTP" in body
        assert (await ask(app, "/predictions/other", **right))[0] == 404
        assert answering.count()["refused"] == {"LX-HTTP-108": 1}

    run(test)


def test_a_full_queue_is_said_so(versions: list[Path], node: NodeArchives) -> None:
    async def test() -> None:
        answering = Answering(node.open)
        await answering.take(first(versions, versions=(replace(first(versions).versions[0], queue=2),)))
        answers = await asyncio.gather(*(ask(Asgi(answering)) for _ in range(6)))
        statuses = Counter(status for status, _, _ in answers)
        assert set(statuses) == {200, 429}
        assert answering.count()["refused"] == {"LX-HTTP-117": statuses[429]}

    run(test)


def test_the_front_hands_on_what_concerns_a_model_and_answers_the_rest(
    versions: list[Path], node: NodeArchives
) -> None:
    async def test() -> None:
        answering = Answering(node.open)
        await answering.take(first(versions))
        asked = []

        async def hand_on(name: str, method: str, target: str, fields: Any, body: bytes) -> Any:
            asked.append((name, target))
            from lexport.serving.ray.replica.asgi import handle, headers_of

            request = Request(method, target, fields)
            request.body = body
            response = await handle(answering, request)
            return response.status, headers_of(response), response.body

        front = Front(hand_on)
        front.take(["topics"], None, {})
        app = Asgi(front)
        assert (await ask(app, "/ping", method="GET"))[0] == 200
        assert (await ask(app, "/predictions/other"))[0] == 404
        assert asked == []
        status, _, body = await ask(app, "/explanations/topics")
        assert status == 200
        assert json.loads(body)["method"] == "additive"
        assert (await ask(app, "/v2/models/topics/ready", method="GET"))[0] == 200
        assert json.loads((await ask(app, "/v2/health/ready", method="GET"))[2]) == {"ready": True}
        index = json.loads((await ask(app, "/v2/repository/index", method="POST"))[2])
        assert [one["name"] for one in index] == ["topics"]
        assert (await ask(app, "/invocations"))[0] == 200
        assert asked[-1] == ("topics", "/predictions/topics")
        front.take(["topics"], hashed_tokens(Accepted("the-right-token")), {})
        assert (await ask(app, "/explanations/topics"))[0] == 400

    run(test)
