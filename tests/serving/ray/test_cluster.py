"""A real Ray cluster of two nodes: what is asked of it, changed under load, and killed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from lexport.errors import SystemProblem
from lexport.export.archive.inprocess import load_archive
from lexport.export.formats.files import GOLDENS
from lexport.serving import serve, stop
from lexport.serving.canary.rule import Rule
from lexport.serving.ray.cluster import Cluster
from lexport.serving.ray.orders import ModelOrder, VersionOrder, hashed_tokens
from lexport.serving.tokens import Accepted

from ...refusals import refused
from .conftest import Load, add_node, ask, until

pytest.importorskip("ray", reason="clusters need the extra ray")
pytestmark = [
    pytest.mark.long,
    # Of Ray itself: what pydantic will remove, and a setting whose place is not yet another one.
    pytest.mark.filterwarnings("ignore:Using extra keyword arguments on `Field`:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The `metrics_interval_s` field:DeprecationWarning"),
]

PATH = "/predictions/topics"


@pytest.fixture(scope="module")
def cluster(nodes: Any, port: int) -> Iterator[Cluster]:
    found = Cluster.connect(nodes.address, port=port)
    yield found
    found.close()


@pytest.fixture
def order(cluster: Cluster, paths: list[Path]) -> ModelOrder:
    """Version 1.0 on two replicas, in force."""
    first, second = (cluster.put(path) for path in paths)
    found = ModelOrder("topics", (VersionOrder("1.0", first), VersionOrder("2.0", second)), "1.0", least=2, most=2)
    cluster.apply(found)
    return found


def goldens(path: Path) -> list[tuple[bytes, bytes]]:
    """Bodies and answers of an archive's goldens, each sent alone."""
    with load_archive(path) as loaded:
        cases = map(json.loads, (loaded.folder / GOLDENS).read_text(encoding="utf-8").splitlines())
        bodies = [json.dumps({"text": case["text"]}).encode() for case in cases]
        return [(body, loaded.request([(body, "application/json")])[0][1]) for body in bodies]


def test_goldens_sent_alone_are_answered_as_by_the_embedded_engine_to_the_byte(
    cluster: Cluster, order: ModelOrder, paths: list[Path], tmp_path: Path
) -> None:
    server = serve([paths[0]], engine="embedded", port=0, state_dir=tmp_path / "state")
    try:
        for body, expected in goldens(paths[0]):
            own = {"Authorization": f"Bearer {server.token()}", "X-Request-Id": "one"}
            theirs = ask(server.inference_url, PATH, body, **own)
            found = ask(cluster.inference_url, PATH, body, **{"X-Request-Id": "one"})
            assert found[2] == theirs[2] == expected
            del theirs[1]["date"], found[1]["date"]
            assert (found[0], found[1]) == (theirs[0], theirs[1])
    finally:
        stop(tmp_path / "state")


def test_everything_but_predictions_is_answered_by_the_front(cluster: Cluster, order: ModelOrder) -> None:
    status, _, body = ask(cluster.inference_url, "/explanations/topics")
    assert status == 200, body
    assert ask(cluster.inference_url, "/v2/models/topics/infer", b"{}")[0] == 400
    assert ask(cluster.inference_url, "/predictions/other")[0] == 404
    assert json.loads(ask(cluster.inference_url, "/v2/repository/index")[2])[0]["name"] == "topics"


def test_a_canary_gets_its_share_and_both_sides_are_counted(cluster: Cluster, order: ModelOrder) -> None:
    cluster.apply(replace(order, canary=("c1", Rule("topics", "2.0", 0.25))))
    with Load(cluster.inference_url, PATH) as load:
        until(lambda: sum(load.outcomes.values()) > 1_000)
    assert set(load.outcomes) == {"200"}
    share = load.versions["2.0"] / sum(load.versions.values())
    assert 0.2 < share < 0.3

    def counted() -> int:
        tallies = [one.canaries.get("c1", {}) for one in cluster.counts()]
        return sum(sum(tally["canary"]["statuses"].values()) for tally in tallies if tally)

    until(lambda: counted() == load.versions["2.0"])


def test_another_default_and_tokens_are_taken_in_place_under_load(cluster: Cluster, order: ModelOrder) -> None:
    before = {(one.replica, one.pid) for one in cluster.counts()}
    with Load(cluster.inference_url, PATH) as load:
        until(lambda: load.versions["1.0"] > 200)
        cluster.apply(replace(order, default="2.0"))
        until(lambda: load.versions["2.0"] > 200)
        cluster.apply(order)
    assert set(load.outcomes) == {"200"}
    assert {(one.replica, one.pid) for one in cluster.counts()} == before
    cluster.apply(replace(order, tokens=hashed_tokens(Accepted("the-right-token"))))
    assert ask(cluster.inference_url, PATH)[0] == 400
    assert ask(cluster.inference_url, PATH, Authorization="Bearer the-right-token")[0] == 200
    assert ask(cluster.inference_url, "/ping")[0] == 400
    cluster.apply(order)


def test_an_order_that_no_replica_can_take_leaves_the_former_one(
    cluster: Cluster, order: ModelOrder, tmp_path: Path
) -> None:
    bad = replace(order, versions=(order.versions[0], VersionOrder("2.0", "0" * 64)))
    with refused(SystemProblem, "LX-RAY-107", "topics", "000000"):
        cluster.apply(bad)
    assert cluster.orders()["topics"] == order
    until(lambda: {one.versions for one in cluster.counts()} == {("1.0", "2.0")})
    assert ask(cluster.inference_url, PATH)[0] == 200


def test_an_archive_that_is_altered_in_the_cluster_is_refused_on_the_node(
    cluster: Cluster, order: ModelOrder
) -> None:
    import ray

    from lexport.serving.ray.replica.application import actor

    digest = "f" * 64
    ray.get(actor().begin.remote(digest))
    ray.get(actor().add.remote(digest, 0, b"something else", 1))
    with refused(SystemProblem, "LX-RAY-107", "other", "SHA-256", "ffffff"):
        cluster.apply(replace(order, name="other", versions=(VersionOrder("1.0", digest),), least=1, most=1))
    assert "other" not in cluster.orders()


def test_the_actor_with_the_archives_may_be_killed(cluster: Cluster, order: ModelOrder) -> None:
    import ray

    from lexport.serving.ray.replica.application import actor

    ray.kill(actor(), no_restart=False)
    digests = {one.digest for one in order.versions}
    until(lambda: all(ray.get(actor().find.remote(digest)) for digest in digests))  # replicas give them back


def test_replicas_are_added_under_load(cluster: Cluster, order: ModelOrder) -> None:
    cluster.apply(replace(order, least=1, most=3, target=0.05))
    with Load(cluster.inference_url, PATH, clients=16) as load:
        until(lambda: len({one.replica for one in cluster.counts() if one.model == "topics"}) == 3)
    assert set(load.outcomes) == {"200"}


def test_a_node_is_killed_under_load(cluster: Cluster, order: ModelOrder, nodes: Any) -> None:
    [worker] = nodes.worker_nodes
    until(lambda: len({one.node for one in cluster.counts()}) == 2)
    with Load(cluster.inference_url, PATH) as load:
        until(lambda: sum(load.outcomes.values()) > 500)
        nodes.remove_node(worker, allow_graceful=False)
        seen = sum(load.outcomes.values())
        until(lambda: sum(load.outcomes.values()) > seen + 500)
        until(lambda: len([one for one in cluster.counts() if one.model == "topics"]) == 2, 120)
        until(lambda: len({one.node for one in cluster.counts()}) == 1)
    check(load)
    add_node(nodes, num_cpus=4)


def test_a_replica_is_killed_under_load(cluster: Cluster, order: ModelOrder) -> None:
    until(lambda: len(cluster.counts()) == 2)
    victim = cluster.counts()[0]
    with Load(cluster.inference_url, PATH) as load:
        until(lambda: sum(load.outcomes.values()) > 500)
        os.kill(victim.pid, signal.SIGKILL)
        until(lambda: not psutil.pid_exists(victim.pid))
        until(lambda: len({one.pid for one in cluster.counts()} - {victim.pid}) == 2, 120)
    check(load)


def test_a_model_that_is_removed_is_not_found(cluster: Cluster, order: ModelOrder) -> None:
    cluster.remove("topics")
    assert until(lambda: ask(cluster.inference_url, PATH)[0] == 404)
    assert cluster.orders() == {}


def check(load: Load) -> None:
    """What may become of requests while replicas die: answers, an HTTP status, or a connection that is closed."""
    assert set(load.outcomes) <= {"200", "500", "503", "ConnectionResetError", "RemoteDisconnected"}
    assert load.outcomes["200"] > 0.97 * sum(load.outcomes.values()), load.outcomes
