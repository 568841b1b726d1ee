"""What a cluster of one's own leaves behind is ended and removed with its folder."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import psutil

from lexport.serving.ray.environment import discard, free_ports, of_one_machine

from .conftest import until


def test_proxies_of_a_folder_are_ended_and_others_are_not(tmp_path: Path) -> None:
    ours, programs = tmp_path / "ours", tmp_path / "programs"
    ours.mkdir()
    programs.mkdir()
    program = shutil.copy(shutil.which("tail") or "/usr/bin/tail", programs / "haproxy")
    (ours / "haproxy.cfg").touch()
    (programs / "other.cfg").touch()
    own, other = (
        subprocess.Popen([program, "-f", str(path)]) for path in (ours / "haproxy.cfg", programs / "other.cfg")
    )
    ended = subprocess.Popen([program, "--version"], stdout=subprocess.DEVNULL)  # a zombie, which has no command
    try:
        until(lambda: psutil.Process(ended.pid).status() == psutil.STATUS_ZOMBIE)
        discard(ours)
        assert own.wait(10) < 0
        assert other.poll() is None
        assert not ours.exists()
    finally:
        for process in (own, other, ended):
            process.kill()
            process.wait()


def test_a_cluster_of_this_machine_has_files_and_ports_of_its_own(tmp_path: Path) -> None:
    first, second = of_one_machine(tmp_path / "a"), of_one_machine(tmp_path / "b")
    assert first.keys() == second.keys()
    assert all(str(tmp_path / "a") in value for name, value in first.items() if name.endswith(("_LOC", "_PATH")))
    assert len(set(free_ports(5))) == 5
