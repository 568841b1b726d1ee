from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lexport.errors import InputError, MissingExtra
from lexport.serving import serve
from lexport.serving.ray.replicas import parse_replicas, worker_set

from ...refusals import refused
from ..conftest import MakeArchive


def test_a_range_is_parsed() -> None:
    assert parse_replicas("1-4") == (1, 4)
    assert parse_replicas(" 2-2 ") == (2, 2)


@pytest.mark.parametrize("text", ["", "4", "4-1", "0-2", "1-", "a-b", "1-4-5", "1-100000"])
def test_another_range_is_refused(text: str) -> None:
    with refused(InputError, "LX-RAY-153", repr(text)):
        parse_replicas(text)


@pytest.mark.parametrize(
    ("workers", "replicas", "expected"),
    [
        ("cpu", None, ("cpu:1x1", 0)),
        ("cpu:3", None, ("cpu:3x1", 0)),
        ("cpu:3x2", None, ("cpu:3x2", 0)),
        ("cpu", "1-4", ("cpu:1x1", 4)),
    ],
)
def test_options_say_how_many_replicas_a_model_has(
    workers: str, replicas: str | None, expected: tuple[str, int]
) -> None:
    assert worker_set(workers, replicas) == expected


def test_replicas_on_a_gpu_are_refused() -> None:
    with refused(InputError, "LX-RAY-154", "gpu:1"):
        worker_set("gpu:1", None)


def test_a_fixed_number_and_a_range_are_refused() -> None:
    with refused(InputError, "LX-RAY-155", "cpu:2", "1-4"):
        worker_set("cpu:2", "1-4")


@pytest.mark.parametrize("engine", ["torchserve", "embedded"])
@pytest.mark.parametrize(
    ("options", "named"), [({"address": "10.0.0.1:6379"}, "--address"), ({"replicas": "1-4"}, "--replicas")]
)
def test_options_of_a_cluster_are_refused_by_other_engines(
    engine: str, options: dict[str, str], named: str, tmp_path: Path, make_archive: MakeArchive
) -> None:
    with refused(InputError, "LX-RAY-156", named, engine):
        serve([make_archive(tmp_path, "m")], engine=engine, state_dir=tmp_path / "state", **options)  # type: ignore[arg-type]


def test_without_ray_the_command_that_installs_it_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, make_archive: MakeArchive
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra) as caught:
        serve([make_archive(tmp_path, "m")], engine="ray", state_dir=tmp_path / "state")
    assert 'pip install "lexport[ray]"' in str(caught.value)
