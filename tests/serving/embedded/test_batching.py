"""Batches: what arrived while the engine was busy, in order; full queues, late items, gone clients, failures."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from lexport.errors import InputError
from lexport.export.archive.inprocess import LoadedArchive, load_archive
from lexport.handlers.request.refusals import Refusal
from lexport.serving.embedded.batching import Batcher, Turns
from lexport.serving.embedded.http import Response

from ...refusals import refused
from .http.clients import Answer, ask, connected, run, serving

KEPT = Path(__file__).resolve().parents[2] / "export" / "archive" / "kept" / "schema-2.mar"


class Doubling:
    """An engine that keeps its batches, and takes some time for each."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.batches: list[list[int]] = []

    def __call__(self, items: Sequence[int]) -> list[int | Exception]:
        self.batches.append(list(items))
        time.sleep(self.seconds)
        return [ValueError("13") if item == 13 else 2 * item for item in items]


def answering(engine: Doubling) -> Callable[[Sequence[bytes]], list[Response | Exception]]:
    """The same engine for bodies, with responses."""

    def answer(bodies: Sequence[bytes]) -> list[Response | Exception]:
        return [Response(200, b"%d" % one) for one in engine(list(map(int, bodies))) if isinstance(one, int)]

    return answer


def post(number: int) -> bytes:
    body = b"%d" % number
    return b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def test_what_is_submitted_in_one_turn_of_the_loop_is_one_batch() -> None:
    engine = Doubling()

    async def main() -> None:
        batcher = Batcher(engine)
        futures = [batcher.submit(number) for number in range(5)]
        assert engine.batches == []
        assert await asyncio.gather(*futures) == [0, 2, 4, 6, 8]
        assert await batcher.submit(5) == 10

    run(main())
    assert engine.batches == [[0, 1, 2, 3, 4], [5]]


class Slow(Doubling):
    """An engine that takes its time for each item of a batch."""

    def __init__(self, name: str, seconds: float, order: list[str]) -> None:
        super().__init__()
        self.name, self.each, self.order = name, seconds, order

    def __call__(self, items: Sequence[int]) -> list[int | Exception]:
        self.order.append(self.name)
        time.sleep(self.each * len(items))
        return super().__call__(items)


def test_of_several_batchers_the_quick_one_has_the_first_turn() -> None:
    order: list[str] = []

    async def main() -> None:
        turns = Turns()
        slow, quick = (Batcher(Slow(name, each, order), turns=turns) for name, each in (("slow", 0.02), ("quick", 0)))
        await asyncio.gather(slow.submit(1), quick.submit(1))  # what they take is not known yet
        await asyncio.gather(slow.submit(1), quick.submit(1))

    run(main())
    assert order == ["slow", "quick", "quick", "slow"]


def test_a_slow_batch_is_cut_while_another_batcher_is_asked_and_whole_otherwise() -> None:
    slow, quick = Slow("slow", 0.002, []), Doubling()

    async def main() -> None:
        turns = Turns()
        first, second = Batcher(slow, turns=turns), Batcher(quick, turns=turns)
        await first.submit(0)
        await asyncio.gather(*[first.submit(number) for number in range(20, 40)])
        assert [len(batch) for batch in slow.batches] == [1, 20]
        asked = [first.submit(number) for number in range(20, 40)]
        assert await second.submit(7) == 14
        assert len(slow.batches) <= 3  # one turn at most came before it
        assert await asyncio.gather(*asked) == [2 * number for number in range(20, 40)]
        assert max(len(batch) for batch in slow.batches[2:]) <= 5  # 10 ms of it

    run(main())
    assert [one for batch in slow.batches[2:] for one in batch] == list(range(20, 40))


def test_each_of_two_busy_batchers_has_a_batch_in_every_turn() -> None:
    order: list[str] = []

    async def main() -> None:
        turns = Turns()
        both = [Batcher(Slow(name, each, order), turns=turns) for name, each in (("slow", 0.004), ("quick", 0.001))]
        for batcher in both:
            await batcher.submit(0)
        order.clear()
        await asyncio.gather(*[batcher.submit(number) for batcher in both for number in range(20, 50)])

    run(main())
    shared = order[: 2 * min(order.count("slow"), order.count("quick"))]
    assert shared == ["quick", "slow"] * (len(shared) // 2)


def test_items_that_come_one_in_a_turn_are_gathered_until_none_comes_for_some_turns() -> None:
    engine = Doubling()

    async def main() -> None:
        batcher = Batcher(engine, largest=4)
        futures = []
        for number in range(3):
            futures.append(batcher.submit(number, turns=3))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert engine.batches == []
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert engine.batches == [[0, 1, 2]]
        futures += [batcher.submit(number, turns=1_000) for number in range(3, 8)]  # a full batch waits for none
        await asyncio.sleep(0)
        assert engine.batches[1:] == [[3, 4, 5, 6]]
        assert await asyncio.gather(*futures) == [2 * number for number in range(8)]

    run(main())
    assert engine.batches[2:] == [[7]]


def test_whoever_fails_to_take_an_answer_costs_no_other_theirs() -> None:
    async def main() -> None:
        batcher = Batcher(Doubling())
        first, broken, last = (batcher.submit(number) for number in (1, 2, 3))
        broken.add_done_callback(lambda later: 1 / 0)
        assert [await first, await last] == [2, 6]
        assert await batcher.submit(4) == 8

    run(main())


def test_a_batch_has_a_largest_size_and_the_loop_its_turn_between_two() -> None:
    engine = Doubling()
    seen: list[int] = []

    async def main() -> None:
        batcher = Batcher(engine, largest=2)
        asyncio.get_running_loop().call_soon(lambda: seen.append(len(engine.batches)))
        futures = [batcher.submit(number) for number in range(5)]
        for _ in range(4):
            asyncio.get_running_loop().call_soon(lambda: seen.append(len(engine.batches)))
            await asyncio.sleep(0)
        assert await asyncio.gather(*futures) == [0, 2, 4, 6, 8]

    run(main())
    assert engine.batches == [[0, 1], [2, 3], [4]]
    assert seen == [0, 1, 2, 3, 3]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_what_arrives_while_the_engine_is_busy_is_the_next_batch(loop: str) -> None:
    """Twenty clients ask while the engine works for the first: they are the next batch."""
    engine = Doubling(0.1)

    async def main() -> None:
        batcher = Batcher(answering(engine))
        async with serving(lambda request: batcher.submit(request.body)) as server, AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(connected(server)) for _ in range(21)]
            for number, client in enumerate(clients, 20):
                client.send(post(number))
            answers = [await client.answer() for client in clients]
            assert [answer.body for answer in answers] == [b"%d" % (2 * number) for number in range(20, 41)]

    run(main(), loop)
    assert len(engine.batches) <= 4
    assert max(map(len, engine.batches)) >= 17


def test_an_item_that_fails_leaves_the_others_alone() -> None:
    async def main() -> list[object]:
        batcher = Batcher(Doubling())
        futures = [batcher.submit(number) for number in (1, 13, 2)]
        return await asyncio.gather(*futures, return_exceptions=True)

    first, failed, last = run(main())
    assert (first, last) == (2, 4)
    assert isinstance(failed, ValueError)


def _raising(items: Sequence[int]) -> list[int | Exception]:
    raise MemoryError("no memory")


def _forgetful(items: Sequence[int]) -> list[int | Exception]:
    return [0]


@pytest.mark.parametrize(("engine", "error"), [(_raising, MemoryError), (_forgetful, RuntimeError)])
def test_an_engine_that_fails_fails_its_batch_and_answers_the_next(
    engine: Callable[[Sequence[int]], list[int | Exception]], error: type[Exception]
) -> None:
    async def main() -> None:
        batcher = Batcher(engine)
        for _ in range(2):
            futures = [batcher.submit(number) for number in range(3)]
            found = await asyncio.gather(*futures, return_exceptions=True)
            assert [type(one) for one in found] == [error] * 3
        assert batcher.counts.batches == 2

    run(main())


def test_a_full_queue_refuses_by_name() -> None:
    async def main() -> None:
        batcher = Batcher(Doubling(), largest=2, queue=3)
        futures = [batcher.submit(number) for number in range(3)]
        with refused(Refusal, "LX-HTTP-117", "3") as caught:
            batcher.submit(3)
        assert caught.value.status == 429
        assert batcher.counts.full == 1
        assert await asyncio.gather(*futures) == [0, 2, 4]
        assert await batcher.submit(3) == 6

    run(main())


def test_what_waits_too_long_is_refused_by_name_and_not_computed() -> None:
    engine = Doubling(0.06)

    async def main() -> None:
        batcher = Batcher(engine, largest=1, seconds=0.1)
        found = await asyncio.gather(*[batcher.submit(number) for number in range(5)], return_exceptions=True)
        assert found[:2] == [0, 2]
        for late in found[3:]:
            assert isinstance(late, Refusal)
            assert (late.status, late.body["code"]) == (503, "LX-HTTP-118")
            assert "longer than 0.1 s" in str(late)
        assert batcher.counts.late == 5 - len(engine.batches)

    run(main())
    assert len(engine.batches) <= 3


def test_what_nobody_waits_for_is_left_out() -> None:
    engine = Doubling()

    async def main() -> None:
        batcher = Batcher(engine)
        futures = [batcher.submit(number) for number in range(4)]
        futures[1].cancel()
        futures[3].cancel()
        assert await futures[2] == 4
        assert len(batcher) == 0
        assert batcher.counts.gone == 2
        assert (batcher.counts.batches, batcher.counts.items) == (1, 2)
        # A batch of nobody is none.
        batcher.submit(4).cancel()
        await asyncio.sleep(0)
        assert batcher.counts.batches == 1

    run(main())
    assert engine.batches == [[0, 2]]


@pytest.mark.parametrize("limits", [{"largest": 0}, {"queue": -1}, {"seconds": 0}])
def test_a_limit_of_nothing_is_refused_by_name(limits: dict[str, Any]) -> None:
    async def main() -> None:
        [(name, value)] = limits.items()
        with refused(InputError, "LX-SERVE-102", name, value):
            Batcher(Doubling(), **limits)

    run(main())


def test_a_client_is_told_of_a_full_queue_and_when_to_come_again() -> None:
    async def main() -> None:
        batcher = Batcher(answering(Doubling()), largest=1, queue=2)
        async with serving(lambda request: batcher.submit(request.body)) as server, connected(server) as client:
            client.send(b"".join(map(post, range(10))))
            answers: list[Answer] = [await client.answer() for _ in range(10)]
        refused = [answer for answer in answers if answer.status == 429]
        assert {answer.status for answer in answers} == {200, 429}
        assert {answer.code for answer in refused} == {"LX-HTTP-117"}
        assert {answer.headers["retry-after"] for answer in refused} == {"1"}
        assert server.counts.refused["LX-HTTP-117"] == len(refused) == batcher.counts.full

    run(main())


def test_what_a_gone_client_asked_is_not_computed() -> None:
    engine = Doubling(0.05)

    async def main() -> None:
        batcher = Batcher(answering(engine), largest=1)
        async with serving(lambda request: batcher.submit(request.body)) as server, connected(server) as other:
            async with connected(server) as gone:
                gone.send(b"".join(map(post, range(20, 35))))
                await asyncio.sleep(0.01)
            other.send(post(100))
            assert (await other.answer()).body == b"200"
        assert batcher.counts.gone >= 4

    run(main())


def test_an_archives_answers_are_those_of_the_same_archive_in_process() -> None:
    """Texts and a bad request, one by one in process, and all at once over HTTP."""
    bodies = [json.dumps({"text": f"goal {word} soup"}).encode() for word in ("match", "rain", "", "pan " * 300)]
    bodies.insert(2, b'{"text": 1}')

    def engine(loaded: LoadedArchive) -> Callable[[Sequence[bytes]], list[Response | Exception]]:
        def answer(items: Sequence[bytes]) -> list[Response | Exception]:
            found = loaded.request([(body, "application/json") for body in items])
            return [Response(status, body) for status, body in found]

        return answer

    with load_archive(KEPT) as loaded:
        expected = [loaded.request([(body, "application/json")])[0] for body in bodies]

        async def main() -> None:
            batcher = Batcher(engine(loaded))
            async with serving(lambda request: batcher.submit(request.body)) as server:
                posts = [b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(b) + b for b in bodies]
                found = await asyncio.gather(*[ask(server, post) for post in posts])
                assert [(answer.status, answer.body) for answer in found] == expected
                async with connected(server) as client:
                    client.send(b"".join(posts))
                    found = [await client.answer() for _ in posts]
                    assert [(answer.status, answer.body) for answer in found] == expected
            assert batcher.counts.items == 2 * len(bodies)
            assert batcher.counts.batches < batcher.counts.items

        run(main())
    assert [status for status, _ in expected] == [200, 200, 400, 200, 200]
