"""`lexport store`: what its commands print, their exit codes, and what is left when they end early."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from lexport.export.archive.pack import archive
from lexport.serving.stores.history import FILE, record

from ..hostile import EVIL, check
from ..serving.stores.oci.registries import registry, scripted
from ..serving.stores.oci.test_registry import offered
from ..trust_cases import key_pair
from .conftest import CONSOLE, Place, Result, wait_for

Command = Callable[..., Result]


@pytest.fixture
def packed(place: Place, run_folder: Path) -> Place:
    """A folder with topics-1.0.mar and topics-1.1.mar, and changed/topics-1.0.mar with other bytes."""
    for version in ("1.0", "1.1"):
        archive(run_folder, version=version, variant="onnx-int8", out=place.cwd)
    archive(run_folder, version="1.0", variant="onnx-int8", out=place.cwd / "changed", profile="latency")
    return place


def parsed(result: Result) -> Any:
    assert result.code == 0, result.err
    return json.loads(result.out)


def test_the_life_of_a_store(lexport: Command, packed: Place) -> None:
    added = lexport("store", "add", "topics-1.0.mar", "topics-1.1.mar")
    assert (added.code, added.err) == (0, "")
    assert [line.partition(":")[0] for line in added.out.splitlines()] == [
        "model_store/topics-1.0.mar",
        "model_store/topics-1.1.mar",
    ]
    again = lexport("store", "add", "topics-1.0.mar")
    assert (again.code, "already with the same bytes" in again.out) == (0, True)
    refused = lexport("store", "add", "changed/topics-1.0.mar")
    assert (refused.code, refused.error[0]) == (1, "LX-SERVE-151")
    shown = lexport("store", "list").out.splitlines()
    assert shown[0] == "model_store: 2 archives"
    rows = [line.split() for line in shown if line.lstrip().startswith("topics")]
    assert [row[1] for row in rows] == ["1.1", "1.0"]
    assert "unsigned" in rows[0]
    assert "accuracy" in rows[0]
    collected = lexport("store", "gc", "--keep", "1", "--dry-run")
    assert collected.out.startswith("Would remove model_store/topics-1.0.mar")
    assert collected.out.splitlines()[-1].startswith("Would free")
    removed = lexport("store", "remove", "topics:1.0")
    assert (removed.code, removed.out.partition(":")[0]) == (0, "model_store/topics-1.0.mar")
    gone = lexport("store", "remove", "topics:1.0")
    assert (gone.code, gone.error[0]) == (2, "LX-SERVE-154")
    told = lexport("store", "history").out
    actions = [line.split()[1] for line in told.splitlines() if "topics" in line]
    assert actions == ["add", "add", "remove"]
    assert lexport("store", "history", "films").out == "The store model_store has no history of films.\n"
    assert sorted(path.name for path in (packed.cwd / "model_store").iterdir()) == [FILE, "topics-1.1.mar"]


def test_with_json_stdout_has_one_value_alone(lexport: Command, packed: Place) -> None:
    where = ("--store", "store", "--json")
    [added] = parsed(lexport("store", "add", "topics-1.0.mar", *where))
    assert (added["name"], added["version"], added["new"]) == ("topics", "1.0", True)
    [listed] = parsed(lexport("store", "list", *where))
    assert listed["digest"] == added["digest"]
    assert set(listed["measured"]) == {"metric", "value", "gates", "p95_ms"}
    assert parsed(lexport("store", "gc", *where)) == {
        "removed": [],
        "leftovers": [],
        "freed": 0,
        "kept": {},
        "dry_run": False,
    }
    [event] = parsed(lexport("store", "history", *where))
    assert event["digest"] == added["digest"]
    [removed] = parsed(lexport("store", "remove", "topics:1.0", *where))
    assert removed["size"] == added["size"]
    assert parsed(lexport("store", "list", *where)) == []
    assert len(parsed(lexport("store", "history", *where))) == 2


def test_push_and_pull(lexport: Command, packed: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(packed.cwd / "none"))
    assert lexport("store", "add", "topics-1.0.mar").code == 0
    with registry(packed.temporary / "registry") as hub:
        pushed = lexport("store", "push", "topics:1.0", hub.named("a/topics:1.0"))
        assert pushed.code == 0, pushed.err
        assert pushed.out.splitlines()[-1].startswith(
            f"model_store/topics-1.0.mar is now {hub.named('a/topics:1.0')}"
        )
        again = parsed(lexport("store", "push", "topics:1.0", hub.named("a/topics:1.0"), "--json"))
        assert not again["new"]
        pulled = parsed(lexport("store", "pull", hub.named(f"a/topics@{again['digest']}"), "--store", "b", "--json"))
        assert pulled["path"] == "b/topics-1.0.mar"
        absent = lexport("store", "pull", hub.named("a/topics:2"), "--store", "b")
        assert (absent.code, absent.error[0]) == (2, "LX-SERVE-168")
    down = lexport("store", "pull", hub.named("a/topics:1.0"), "--store", "b")
    assert (down.code, down.error[0]) == (3, "LX-SERVE-167")


def test_wrong_usage_is_one_line(lexport: Command, packed: Place) -> None:
    for arguments in (
        ("add",),
        ("add", "absent.mar"),
        ("remove", "topics"),
        ("gc", "--keep", "0"),
        ("list",),
        ("push", "topics:1.0", "registry.example/topics:1.0"),
        ("pull", "oci://registry.example/topics"),
        ("pull", "oci://127.0.0.1:1/topics:1", "--credentials", "NOT_SET", "--nothing"),
    ):
        result = lexport("store", *arguments)
        assert result.code == 2, (arguments, result)
        assert result.error


def test_signers_are_named(lexport: Command, packed: Place, run_folder: Path) -> None:
    private, public = key_pair(packed.cwd, "ours", 1)
    archive(run_folder, version="2.0", variant="onnx-int8", out=packed.cwd, sign=private)
    refused = lexport("store", "add", "topics-1.0.mar", "--key", str(public))
    assert (refused.code, refused.error[0]) == (1, "LX-TRUST-010")
    assert lexport("store", "add", "topics-2.0.mar", "--key", str(public)).code == 0
    assert lexport("store", "add", "topics-1.0.mar").code == 0
    shown = lexport("store", "list", "--key", str(public)).out
    assert "ours.pub" in shown
    assert "is not signed" in shown


def test_what_somebody_else_wrote_forges_nothing(lexport: Command, packed: Place) -> None:
    store = packed.cwd / "st\x1b[2Jore"
    assert lexport("store", "add", "topics-1.0.mar", "--store", str(store)).code == 0
    (store / f"{EVIL.replace('/', '')[:60]}.mar").write_bytes(b"no zip")
    with (store / FILE).open("a") as handle:
        handle.write(json.dumps({"time": EVIL, "action": "add"}) + "\n" + EVIL + "\n")
    record(store, "add", name="topics", version="3.0", command="lexport store add")
    for command in ("list", "history", "gc"):
        result = lexport("store", command, "--store", str(store))
        assert result.code == 0
        check(result.out)
        check(result.err)
    assert r"\x1b[2J" in lexport("store", "list", "--store", str(store)).out


# Runs a command line, and stops at a step of adding an archive: says so and waits.
WAITING = """
import sys, time
from lexport import __main__
from lexport.serving.stores import adding
step = sys.argv.pop(1)
real = getattr(adding, step)
def waiting(*arguments, **options):
    if step != "publish" or real(*arguments, **options):
        print("waiting", flush=True)
        time.sleep(60)
setattr(adding, step, waiting)
__main__.main()
"""


def ended(child: subprocess.Popen[str], number: int) -> Result:
    os.killpg(child.pid, number)
    out, err = child.communicate(timeout=60)
    return Result(child.returncode, out, err)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("step", ["verify", "publish", "record"])
def test_an_interrupted_add_leaves_nothing(packed: Place, step: str, number: int, code: int) -> None:
    before = packed.files()
    command = [sys.executable, "-c", WAITING, step, "store", "add", "topics-1.0.mar", "--store", "new/store"]
    with packed.start(*command, console=False) as child:
        assert child.stdout
        assert child.stdout.readline() == "waiting\n"
        assert len(packed.files()) > len(before)
        result = ended(child, number)
    assert result.code == code, result.err
    assert packed.files() == before


def test_a_killed_add_leaves_what_gc_removes(packed: Place) -> None:
    command = [sys.executable, "-c", WAITING, "verify", "store", "add", "topics-1.0.mar", "--store", "store"]
    with packed.start(*command, console=False) as child:
        assert child.stdout
        assert child.stdout.readline() == "waiting\n"
        assert ended(child, signal.SIGKILL).code == -signal.SIGKILL
    [left] = (packed.cwd / "store").iterdir()
    assert left.name.endswith(".partial")
    os.utime(left, (0, 0))
    result = packed.console("store", "gc", "--store", "store")
    assert result.code == 0, result.err
    assert "half-written files: 1." in result.out
    assert list((packed.cwd / "store").iterdir()) == []


def test_an_interrupted_pull_leaves_nothing(packed: Place) -> None:
    content = (packed.cwd / "topics-1.0.mar").read_bytes()
    half, ending = threading.Event(), threading.Event()

    def slowly(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[: len(content) // 2])
        handler.wfile.flush()
        half.set()
        ending.wait(60)

    before = packed.files()
    with scripted() as script:
        script.answers["GET", offered(script, content)] = slowly
        with packed.start("store", "pull", script.named("a/topics:1"), "--store", "new/store") as child:
            wait_for(half.is_set, child)
            assert (packed.cwd / "new" / "store").is_dir()
            result = ended(child, signal.SIGINT)
        ending.set()
    assert result.code == 130, result.err
    assert packed.files() == before


def limited(place: Place, room: int, *arguments: str) -> Result:
    """The console command, where no file may have more than so many bytes."""
    done = subprocess.run(
        [CONSOLE, *arguments],
        cwd=place.cwd,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def test_without_room_for_the_archive_nothing_is_left(packed: Place) -> None:
    before = packed.files()
    result = limited(packed, 50_000, "store", "add", "topics-1.0.mar", "--store", "new/store")
    assert (result.code, result.error[0]) == (3, "LX-SYSTEM-001")
    assert packed.files() == before
    with scripted() as script:
        offered(script, (packed.cwd / "topics-1.0.mar").read_bytes())
        result = limited(packed, 50_000, "store", "pull", script.named("a/topics:1"), "--store", "new/store")
    assert (result.code, result.error[0]) == (3, "LX-SYSTEM-001")
    assert packed.files() == before


def test_without_room_for_the_history_nothing_is_added(packed: Place) -> None:
    size = (packed.cwd / "topics-1.0.mar").stat().st_size
    store = packed.cwd / "store"
    record(store, "add", name="other", version="1", command="lexport store add")
    line = (store / FILE).read_bytes()
    (store / FILE).write_bytes(line * (size // len(line) + 1))
    full = (store / FILE).stat().st_size
    before = packed.files()
    result = limited(packed, full + 20, "store", "add", "topics-1.0.mar", "--store", "store")
    assert (result.code, result.error[0]) == (3, "LX-SYSTEM-001")
    assert packed.files() == before
    assert (store / FILE).stat().st_size == full


FULL = """
set -e
mount -t tmpfs -o size={size}k none store
"$@" || echo "exit code $?"
ls -A store
"""


def test_on_a_full_file_system(packed: Place) -> None:
    """A file system of its own, in memory, which this test alone sees."""
    unshare = shutil.which("unshare")
    tried = [unshare or "", "-rm", "sh", "-c", "mount -t tmpfs -o size=10k none /tmp"]
    if unshare is None or subprocess.run(tried, capture_output=True, check=False).returncode:
        pytest.skip("file systems cannot be mounted here")
    (packed.cwd / "store").mkdir()
    kilobytes = (packed.cwd / "topics-1.0.mar").stat().st_size // 1024
    outcomes = {}
    for size in (kilobytes // 2, kilobytes + 100):
        script = FULL.format(size=size)
        command = [unshare, "-rm", "sh", "-c", script, "sh", CONSOLE, "store", "add", "topics-1.0.mar"]
        command += ["topics-1.1.mar", "--store", "store"]
        done = subprocess.run(command, cwd=packed.cwd, capture_output=True, text=True, timeout=120, check=False)
        assert "No space left on device" in done.stderr
        assert "Traceback" not in done.stderr
        outcomes[size] = done.stdout.splitlines()
    assert outcomes[kilobytes // 2] == ["exit code 3"]
    assert outcomes[kilobytes + 100][1:] == ["exit code 3", FILE, "topics-1.0.mar"]
