"""What a plan makes of a container's cores, of the user's settings, and of machines smaller than what is asked."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from lexport.errors import InputError, SystemProblem
from lexport.serving.plan import MAX_BY_DEFAULT, check_devices, find_gpus, parse_workers, plan
from lexport.serving.store import Archive
from lexport.storage.cores import cores

from ..refusals import refused


def archive(name: str = "m", workers: int | None = None, most: int = 0, cpu_alone: str | None = None) -> Archive:
    path = Path(f"{name}.mar")
    return Archive(path, name, "1.0", made_by_lexport=True, workers=workers, most_workers=most, cpu_alone=cpu_alone)


@pytest.mark.parametrize(
    ("quota", "models", "workers", "threads"),
    [
        ("max 100000", 1, 4, 4),  # 16 cores
        ("800000 100000", 1, 4, 2),
        ("700000 100000", 1, 4, 1),
        ("800000 100000", 2, 4, 1),
        ("500000 100000", 2, 2, 1),
        ("300000 100000", 1, 3, 1),
        ("250000 100000", 1, 2, 1),
        ("50000 100000", 1, 1, 1),
        ("200000 100000", 3, 1, 1),
    ],
)
def test_a_containers_quota_is_divided_over_workers_and_threads(
    quota: str, models: int, workers: int, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    (tmp_path / "cpu.max").write_text(quota, encoding="ascii")
    (tmp_path / "own").write_text("0::/\n", encoding="ascii")
    usable = cores(tmp_path, tmp_path / "own")
    names = [f"m{number}" for number in range(models)]
    found = plan([archive(name) for name in names], "cpu", cores=usable, gpus=0)
    assert found.workers == dict.fromkeys(names, workers)
    assert (found.threads, found.cores, found.total) == (threads, usable, workers * models)


def test_no_more_than_four_workers_are_planned_unasked_and_as_many_as_asked() -> None:
    assert MAX_BY_DEFAULT == 4
    assert plan([archive()], "cpu", cores=5, gpus=0).workers == {"m": 4}
    assert plan([archive()], "cpu:9", cores=2, gpus=0).workers == {"m": 9}
    assert plan([archive()], "gpu", cores=2, gpus=5).workers == {"m": 4}


def test_on_gpus_every_model_has_a_worker_for_each_whatever_the_cores() -> None:
    found = plan([archive("a"), archive("b")], "gpu", cores=8, gpus=2)
    assert (found.device, found.gpus, found.workers, found.threads) == ("gpu", 2, {"a": 2, "b": 2}, 2)
    assert plan([archive()], "cpu", cores=8, gpus=2).workers == {"m": 4}


def test_settings_that_name_a_models_workers_count_before_the_share_and_for_that_model_alone() -> None:
    found = plan([archive("a"), archive("b")], "cpu:2", cores=12, gpus=0, configured={"a": 4})
    assert (found.workers, found.threads) == ({"a": 4, "b": 2}, 2)
    # What an archive may ask for is bound by them too.
    assert plan([archive("a", 4, 4)], "cpu:2", cores=8, gpus=0, configured={"a": 4}).workers == {"a": 4}
    with refused(InputError, "LX-SERVE-015", "a.mar", "2 workers", "1 are planned"):
        plan([archive("a", 1, 2)], "cpu:2", cores=8, gpus=0, configured={"a": 1})


def test_a_plan_of_no_archives_leaves_all_cores_to_a_worker_to_come() -> None:
    found = plan([], "cpu", cores=6, gpus=0)
    assert (found.workers, found.total, found.threads) == ({}, 0, 6)


def test_an_archive_is_refused_at_one_worker_too_many_and_the_numbers_are_named() -> None:
    assert plan([archive(workers=3, most=3)], "cpu:3", cores=4, gpus=0).workers == {"m": 3}
    with refused(InputError, "LX-SERVE-015", "n.mar", "4 workers", "3 are planned", "gpu:3", "--workers gpu:4"):
        plan([archive(), archive("n", workers=2, most=4)], "gpu:3", cores=4, gpus=1)


@pytest.mark.parametrize(("text", "expected"), [("cpu:9999", ("cpu", 9999)), ("\tcpu\n", ("cpu", None))])
def test_the_largest_number_of_workers_has_four_digits(text: str, expected: tuple[str, int | None]) -> None:
    assert parse_workers(text) == expected


def test_five_digits_of_workers_are_refused() -> None:
    with refused(InputError, "LX-SERVE-014", "'cpu:10000'"):
        parse_workers("cpu:10000")


def test_each_archive_that_no_gpu_runs_is_named_with_its_own_reason_and_the_others_are_not() -> None:
    bound = [archive("a", cpu_alone="a is int8"), archive("b", cpu_alone="b is int4")]
    with refused(InputError, "LX-SERVE-016", "a 1.0: a is int8; b 1.0: b is int4.") as caught:
        check_devices([bound[0], archive("free"), bound[1]], "gpu:2", allow_cpu=False)
    assert "free" not in str(caught.value)
    assert check_devices([bound[0], archive("free"), bound[1]], "gpu", allow_cpu=True) == bound
    assert check_devices(bound, "cpu", allow_cpu=True) == []


class TestCountingGPUs:
    """`nvidia-smi -L` prints a line for each device; CUDA_VISIBLE_DEVICES leaves some out."""

    @pytest.fixture(autouse=True)
    def no_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def command(self, folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
        file = folder / "nvidia-smi"
        file.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        file.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))

    @pytest.mark.parametrize(
        ("visible", "count"), [("0", 1), ("0,1", 2), ("0, 1,2,3", 2), ("0,-1", 1), ("1,", 1), (" ,1", 1)]
    )
    def test_the_variable_can_only_take_devices_away(
        self, visible: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lines = "echo 'GPU 0: A'; echo '  MIG 1g: x'; echo 'GPU 1: A'"
        self.command(tmp_path, f'[ "$1" = -L ] && {{ {lines}; }}', monkeypatch)
        assert find_gpus() == 2
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert find_gpus() == count

    @pytest.mark.parametrize("visible", ["", "-1", " , -1 "])
    def test_a_variable_that_leaves_none_is_the_reason_that_is_given(
        self, visible: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.command(tmp_path, "echo 'GPU 0: A'", monkeypatch)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        with refused(SystemProblem, "LX-SERVE-019", f"(CUDA_VISIBLE_DEVICES={visible})", "--workers cpu"):
            find_gpus()

    @pytest.mark.parametrize(
        ("script", "reason"),
        [
            ("echo 'the driver is not loaded'; echo 'see dmesg'; exit 9", "(the driver is not loaded)"),
            ("echo 'from stdout'; echo 'from stderr' >&2", "(from stderr)"),
            ("true", "(nvidia-smi lists none)"),
        ],
    )
    def test_what_the_command_says_first_is_the_reason_that_is_given(
        self, script: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.command(tmp_path, script, monkeypatch)
        with refused(SystemProblem, "LX-SERVE-019", reason, "--workers cpu"):
            find_gpus()

    @pytest.mark.parametrize(
        "failure", [PermissionError("not for you"), subprocess.TimeoutExpired("nvidia-smi", 30)], ids=["os", "slow"]
    )
    def test_a_command_that_cannot_be_run_or_hangs_lists_none(
        self, failure: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(command: list[str], *, timeout: float, **_: object) -> None:
            assert command == [str(tmp_path / "nvidia-smi"), "-L"]
            assert timeout == 30
            raise failure

        self.command(tmp_path, "true", monkeypatch)
        monkeypatch.setattr(subprocess, "run", fails)
        with refused(SystemProblem, "LX-SERVE-019", f"({failure})", "--workers cpu"):
            find_gpus()

    @pytest.mark.parametrize(("driver", "code"), [(False, "LX-SERVE-018"), (True, "LX-SERVE-017")])
    def test_without_the_command_a_driver_makes_the_difference(
        self, driver: bool, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        there = Path.exists
        monkeypatch.setattr(
            Path, "exists", lambda path: driver if str(path) == "/proc/driver/nvidia/gpus" else there(path)
        )
        with refused(SystemProblem, code, "--workers cpu"):
            find_gpus()
