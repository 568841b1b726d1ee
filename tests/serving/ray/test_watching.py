from __future__ import annotations

from typing import Any

from lexport.serving.ray.control.watching import Watching


def node(identity: str, *, alive: bool = True) -> dict[str, Any]:
    return {"identity": identity, "address": f"10.0.0.{identity}", "alive": alive, "head": identity == "1"}


def replica(name: str, on: str = "1", requests: int = 0, waiting: int = 0, **more: Any) -> dict[str, Any]:
    counts = {"1.0": {"requests": requests, "waiting": waiting}}
    told = {"model": "topics", "replica": name, "node": on, "pid": 7, "versions": ["1.0"], "counts": counts}
    return {**told, "statuses": {"404": 1}, "refused": {}, "canaries": {}, **more}


def watching(told: list[str] | None = None) -> Watching:
    return Watching(([] if told is None else told).append)


def test_the_replicas_of_a_model_are_its_workers() -> None:
    found = watching()
    found.take({"replicas": [replica("b", "2"), replica("a"), replica("c", model="other")], "nodes": [node("1")]})
    workers = found.workers("topics", "1.0")
    assert [(one.ready, one.node) for one in workers] == [(True, "10.0.0.1"), (True, "")]
    assert [one.ready for one in found.workers("topics", "2.0")] == [False, False]
    assert found.workers("unknown", "1.0") == []


def test_what_waits_is_added_up() -> None:
    found = watching()
    found.take({"replicas": [replica("a", waiting=2), replica("b", waiting=3)], "nodes": []})
    assert found.waiting("topics", "1.0") == 5
    assert found.waiting("topics", "2.0") == 0


def test_counters_do_not_fall_when_a_replica_ends() -> None:
    found = watching()
    found.take({"replicas": [replica("a", requests=5, waiting=2), replica("b", requests=7)], "nodes": []})
    found.take({"replicas": [replica("b", requests=8)], "nodes": []})
    total = found.counting.total
    assert total["models"]["topics 1.0"] == {"requests": 13, "waiting": 0}
    assert total["statuses"] == {"404": 2}


def test_a_replica_that_was_missed_once_is_not_counted_twice() -> None:
    found = watching()
    for replicas in ([replica("a", requests=5)], [], [replica("a", requests=6)]):
        found.take({"replicas": replicas, "nodes": []})
    assert found.counting.total["models"]["topics 1.0"]["requests"] == 6


def test_of_many_replicas_that_have_ended_all_are_counted() -> None:
    found = watching()
    for number in range(250):
        found.take({"replicas": [replica(str(number), requests=1)], "nodes": []})
    assert found.counting.total["models"]["topics 1.0"]["requests"] == 250


def test_a_node_that_is_gone_is_told_until_it_is_back() -> None:
    told: list[str] = []
    found = watching(told)
    found.take({"replicas": [], "nodes": [node("1"), node("2")]})
    assert (found.problem, told) == ("", [])
    found.take({"replicas": [], "nodes": [node("1"), node("2", alive=False)]})
    assert "10.0.0.2" in found.problem
    assert told == ["The node 10.0.0.2 is gone from the cluster."]
    found.take({"replicas": [], "nodes": [node("1"), node("2")]})
    assert found.problem == ""


def test_of_a_lost_cluster_no_replica_is_known() -> None:
    found = watching()
    found.take({"replicas": [replica("a", requests=5)], "nodes": [node("1")]})
    found.lose()
    assert found.workers("topics", "1.0") == []
    assert found.counting.total["models"]["topics 1.0"]["requests"] == 5
