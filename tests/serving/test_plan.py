from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.errors import InputError, SystemProblem
from lexport.serving.plan import MAX_BY_DEFAULT, check_devices, find_gpus, parse_threads, parse_workers, plan
from lexport.serving.store import Archive

from ..refusals import refused


def archives(*own: int | None) -> list[Archive]:
    return [
        Archive(Path(f"m{n}.mar"), f"m{n}", "1.0", made_by_lexport=True, workers=count, most_workers=count or 0)
        for n, count in enumerate(own)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("cpu", ("cpu", None)), ("cpu:2", ("cpu", 2)), (" GPU:1 ", ("gpu", 1)), ("cpu:64", ("cpu", 64))],
)
def test_parse_workers(text: str, expected: tuple[str, int | None]) -> None:
    assert parse_workers(text) == expected


@pytest.mark.parametrize(("text", "threads"), [("cpu", None), ("cpu:2", None), ("cpu:2x1", 1), (" GPU:1X16 ", 16)])
def test_threads_of_each_worker_may_be_named(text: str, threads: int | None) -> None:
    assert parse_threads(text) == threads
    assert parse_workers(text) == parse_workers(text.lower().partition("x")[0])
    planned = plan(archives(None, None), text, cores=8, gpus=1)
    assert planned.threads == threads or threads is None
    # The same threads are divided again when workers are added.
    assert planned.cores == (threads * planned.total if threads else 8)


@pytest.mark.parametrize("text", ["cpu:2x0", "cpux2", "cpu:x2", "cpu:2x", "cpu:2x1000"])
def test_other_threads_are_refused(text: str) -> None:
    with refused(InputError, "LX-SERVE-014", text, "cpu:2x1"):
        parse_workers(text)


@pytest.mark.parametrize("text", ["", "2", "cpu:0", "cpu:-1", "cpu:x", "tpu:1", "cpu:1,cpu:2", "cpu:", "cpu:٣"])
def test_other_workers_are_refused_with_an_example(text: str) -> None:
    with refused(InputError, "LX-SERVE-014", "cpu:2", "gpu:1"):
        parse_workers(text)


@given(
    st.lists(st.none() | st.integers(1, 9), min_size=1, max_size=20),
    st.none() | st.integers(1, 20),
    st.integers(1, 256),
)
def test_threads_never_exceed_the_cores(own: list[int | None], number: int | None, cores: int) -> None:
    planned = number or max(1, min(MAX_BY_DEFAULT, cores // len(own)))
    own = [count and min(count, planned) for count in own]
    worker_plan = plan(archives(*own), f"cpu:{number}" if number else "cpu", cores=cores, gpus=0)
    assert worker_plan.total == sum(worker_plan.workers.values())
    assert all(count >= 1 for count in worker_plan.workers.values())
    assert worker_plan.threads >= 1
    assert worker_plan.total * worker_plan.threads <= max(cores, worker_plan.total)
    # Nothing is left idle that one more thread for each worker could use.
    assert worker_plan.total * (worker_plan.threads + 1) > cores
    for archive in archives(*own):
        if archive.workers:
            assert worker_plan.workers[archive.name] == archive.workers
        elif number:
            assert worker_plan.workers[archive.name] == number


@pytest.mark.parametrize(
    ("workers", "planned"), [("cpu:2", 2), ("cpu", 4), ("gpu", 1)], ids=["given", "automatic", "gpu"]
)
def test_an_archive_that_asks_for_more_workers_is_refused_with_both_numbers(workers: str, planned: int) -> None:
    greedy = Archive(Path("m.mar"), "m", "1.0", made_by_lexport=True, workers=100_000, most_workers=100_000)
    device = workers.partition(":")[0]
    said = ("m.mar", 100_000, planned, f"--workers {workers}.", f"{device}:100000")
    with refused(InputError, "LX-SERVE-015", *said):
        plan([greedy], workers, cores=8, gpus=1)
    within = Archive(Path("m.mar"), "m", "1.0", made_by_lexport=True, workers=1, most_workers=planned)
    assert plan([within], workers, cores=8, gpus=1).workers == {"m": 1}
    # TorchServe could grow to maxWorkers when somebody scales.
    growing = Archive(Path("m.mar"), "m", "1.0", made_by_lexport=True, workers=1, most_workers=planned + 1)
    with refused(InputError, "LX-SERVE-015", "m.mar", planned + 1, planned):
        plan([growing], workers, cores=8, gpus=1)


@given(st.integers(1, 20), st.integers(1, 256))
def test_without_a_number_workers_stay_within_the_cores_when_they_can(models: int, cores: int) -> None:
    worker_plan = plan(archives(*[None] * models), "cpu", cores=cores, gpus=0)
    assert max(worker_plan.workers.values()) <= MAX_BY_DEFAULT
    assert worker_plan.total <= max(cores, models)


def test_gpu_workers_are_spread_over_the_gpus() -> None:
    worker_plan = plan(archives(None), "gpu", cores=16, gpus=2)
    assert (worker_plan.device, worker_plan.gpus, worker_plan.workers, worker_plan.threads) == (
        "gpu",
        2,
        {"m0": 2},
        8,
    )
    assert plan(archives(None), "cpu:1", cores=16, gpus=2).gpus == 0


def test_an_archive_that_no_gpu_runs_is_refused_gpu_workers_unless_it_may_use_the_cpu() -> None:
    free = Archive(Path("a.mar"), "a", "1.0", made_by_lexport=True)
    bound = Archive(
        Path("b.mar"), "b", "2.0", made_by_lexport=True, cpu_alone="onnx-int8 runs only on the CPU: so it is"
    )
    assert check_devices([free, bound], "cpu:2", allow_cpu=False) == []
    assert check_devices([free], "gpu:1", allow_cpu=False) == []
    assert check_devices([free, bound], "gpu:1", allow_cpu=True) == [bound]
    with refused(InputError, "LX-SERVE-016", "b 2.0: onnx-int8 runs only on the CPU: so it is."):
        check_devices([free, bound], "gpu", allow_cpu=False)


def fake_nvidia_smi(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command = folder / "nvidia-smi"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_gpus_are_counted_as_torchserve_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_nvidia_smi(tmp_path, "echo 'GPU 0: A (UUID: x)'; echo 'GPU 1: A (UUID: y)'", monkeypatch)
    assert find_gpus() == 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert find_gpus() == 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with refused(SystemProblem, "LX-SERVE-019", "CUDA_VISIBLE_DEVICES=", "--workers"):
        find_gpus()


def test_no_gpu_is_said_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with refused(SystemProblem, "LX-SERVE-018", "--workers"):
        find_gpus()
    fake_nvidia_smi(tmp_path, "echo 'couldn not talk to the driver' >&2; exit 9", monkeypatch)
    with refused(SystemProblem, "LX-SERVE-019", "talk to the driver", "--workers"):
        find_gpus()
