"""Usable cores: the affinity of the process, at most the quota of any control group around it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lexport.storage.cores import cores


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="ascii")
    return folder


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/\n", {}, 8),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 8),
        ("0::/\n", {"cpu.max": "300000 100000\n"}, 3),
        ("0::/\n", {"cpu.max": "250000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "6400000 100000\n"}, 8),
        ("0::/\n", {"cpu.max": "damaged"}, 8),
        ("0::/pod/box\n", {"pod/box/cpu.max": "max 100000\n", "pod/cpu.max": "400000 100000\n"}, 4),
        ("0::/pod/box\n", {"pod/box/cpu.max": "200000 100000\n", "pod/cpu.max": "400000 100000\n"}, 2),
        ("0::/host/path\n", {"cpu.max": "500000 100000\n"}, 5),
        (
            "7:memory:/x\n4:cpu,cpuacct:/box\n0::/\n",
            {
                "cpu,cpuacct/box/cpu.cfs_quota_us": "300000\n",
                "cpu,cpuacct/box/cpu.cfs_period_us": "100000\n",
                "cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
                "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            3,
        ),
        ("", {"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2),
    ],
)
def test_quotas_of_both_versions_limit_the_cores(
    own: str, files: dict[str, str], expected: int, tmp_path: Path
) -> None:
    groups = written(tmp_path / "groups", files)
    (tmp_path / "own").write_text(own)
    assert cores(groups, tmp_path / "own") == expected


def test_without_control_groups_the_affinity_counts(tmp_path: Path) -> None:
    assert cores(tmp_path / "none", tmp_path / "missing") == 8


def test_without_affinity_the_machine_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert cores(tmp_path, tmp_path / "missing") == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores(tmp_path, tmp_path / "missing") == 1


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "290000 100000\n"}, 2),
        ({"cpu.max": "0 100000\n"}, 8),
        ({"cpu.max": "300000 0\n"}, 8),
        ({"cpu.max": "1 1\n"}, 1),
        ({"cpu.max": "2 1\n"}, 2),
        ({"cpu.max": "300000\n"}, 8),
        ({"cpu.max": "300000 100000 100000\n"}, 8),
        # A group of version 2 without a quota may stand beside one of version 1 with one.
        (
            {
                "cpu.max": "max 100000\n",
                "cpu.cfs_quota_us": "200000\n",
                "cpu.cfs_period_us": "100000\n",
            },
            2,
        ),
        ({"cpu.cfs_quota_us": "200000\n"}, 8),
        ({"cpu/cpu.max": "400000 100000\n", "cpu.max": "300000 100000\n"}, 3),
        ({"cpu/cpu.max": "300000 100000\n", "cpu.max": "400000 100000\n"}, 3),
    ],
)
def test_a_quota_counts_where_both_its_numbers_do(files: dict[str, str], expected: int, tmp_path: Path) -> None:
    groups = written(tmp_path / "groups", files)
    (tmp_path / "own").write_text("0::/\n")
    assert cores(groups, tmp_path / "own") == expected


@pytest.mark.parametrize("controllers", ["cpu", "cpuacct,cpu", "cpu,cpuacct"])
def test_a_group_of_the_controller_cpu_counts(controllers: str, tmp_path: Path) -> None:
    files = {f"{controllers}/box/cpu.cfs_quota_us": "200000", f"{controllers}/box/cpu.cfs_period_us": "100000"}
    groups = written(tmp_path / "groups", files)
    (tmp_path / "own").write_text(f"4:{controllers}:/box\n")
    assert cores(groups, tmp_path / "own") == 2


@pytest.mark.parametrize("controllers", ["memory", "cpuset", "cpuacct", "name=systemd"])
def test_a_group_of_another_controller_does_not(controllers: str, tmp_path: Path) -> None:
    files = {f"{controllers}/box/cpu.cfs_quota_us": "200000", f"{controllers}/box/cpu.cfs_period_us": "100000"}
    groups = written(tmp_path / "groups", files)
    (tmp_path / "own").write_text(f"4:{controllers}:/box\n")
    assert cores(groups, tmp_path / "own") == 8


def test_a_group_whose_name_has_a_colon_is_read_whole(tmp_path: Path) -> None:
    groups = written(tmp_path / "groups", {"box:a/cpu.max": "300000 100000"})
    (tmp_path / "own").write_text("0::/box:a\n")
    assert cores(groups, tmp_path / "own") == 3


def test_a_quota_of_the_mount_counts_where_the_process_names_no_group(tmp_path: Path) -> None:
    assert cores(written(tmp_path, {"cpu.max": "300000 100000"}), tmp_path / "missing") == 3
