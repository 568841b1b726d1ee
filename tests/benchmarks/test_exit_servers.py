"""The servers of exits that are measured: each exit that is a server, started as its README says."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from lexport.api.archive import EXITS as KINDS
from lexport.benchmarks.exit_servers import EXITS
from lexport.benchmarks.rival_programs import RIVALS


def test_every_exit_but_the_folder_is_a_server() -> None:
    assert {one.kind for one in EXITS.values()} == {*KINDS} - {"folder"}
    assert EXITS.keys() & RIVALS.keys() == set()


def test_each_is_started_at_its_port_and_asked_in_json(tmp_path: Path) -> None:
    for name, own in EXITS.items():
        if own.kind == "triton":  # its server must be there
            continue
        command, variables = own.command(Path(sys.executable), tmp_path / "exit", 12345)
        assert "12345" in [*command, *variables.values()], name
        assert isinstance(json.loads(own.body.replace("TEXT", '"a text"')), dict)
