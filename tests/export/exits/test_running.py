"""Servers that are started for a proof: asked once they answer, ended with all they started, shown if they fail."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil
import pytest

from lexport.errors import SystemProblem
from lexport.export.exits.running import Environment, ask, free_ports, run, served

from ...refusals import refused

# A server with a child that would outlive it, whose number it answers.
_SERVER = """
import http.server, json, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(child.pid).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
HERE = dict(os.environ)


def test_a_server_is_asked_and_ended_with_what_it_started() -> None:
    [port] = free_ports(1)
    with served([sys.executable, "-c", _SERVER, str(port)], port, "/", variables=HERE, what="it"):
        status, child = ask(port, "/")
        assert status == 200
        assert psutil.pid_exists(child)
    _, alive = psutil.wait_procs([psutil.Process(child)] if psutil.pid_exists(child) else [], 10)
    assert [one for one in alive if one.status() != psutil.STATUS_ZOMBIE] == []


def test_a_server_that_ends_is_shown_with_its_last_words() -> None:
    [port] = free_ports(1)
    program = "import sys; print('no model'); sys.exit(4)"
    with refused(SystemProblem, "LX-EXPORT-104", "it", "4", "no model"):  # noqa: SIM117
        with served([sys.executable, "-c", program], port, "/", variables=HERE, what="it"):
            pytest.fail("it never answered")


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    [port] = free_ports(1)
    with refused(SystemProblem, "LX-EXPORT-103", "it", "missing"):  # noqa: SIM117
        with served([tmp_path / "missing"], port, "/", variables=HERE, what="it"):
            pytest.fail("it never answered")


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    with refused(SystemProblem, "LX-EXPORT-101", "it", "missing"):
        run([tmp_path / "missing"], cwd=tmp_path, variables=HERE, what="it")


def test_an_environment_tells_versions_and_gives_programs_little_of_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "x")
    found = Environment(Path(sys.executable))
    assert found.version("psutil") == psutil.__version__
    assert found.version("no-such-package") is None
    assert Environment(tmp_path / "missing").version("psutil") is None
    assert not found.variables(tmp_path).keys() & {"PYTHONPATH", "SECRET_TOKEN"}
    assert found.variables(tmp_path)["PATH"].startswith(f"{Path(sys.executable).parent}{os.pathsep}")


def test_what_programs_do_not_find_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    about = tmp_path / "only_here-1.0.dist-info" / "METADATA"
    about.parent.mkdir()
    about.write_text("Metadata-Version: 2.1\nName: only-here\nVersion: 1.0\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert Environment(Path(sys.executable)).version("only-here") is None
