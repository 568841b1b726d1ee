"""Builds of archives side by side, and builds that are killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

ArchiveOf = Callable[[str], Path]

# Waits until the file `go` is there, so that all builds of a test write at once.
BUILD = """
import sys, time
from pathlib import Path
from lexport.export.archive.pack import archive
run, version, variant, out, go = sys.argv[1:]
print("ready", flush=True)
while not Path(go).exists():
    time.sleep(0.001)
archive(Path(run), version=version, variant=variant, out=Path(out))
"""

# Stops when half of the members are written.
STOPPED = """
import sys, time
from pathlib import Path
from lexport.export.archive import pack as packing
from lexport.export.archive.format.writer import write_zip
run, out = sys.argv[1:]
def half(handle, members):
    names = sorted(members)
    write_zip(handle, {name: members[name] for name in names[: len(names) // 2]})
    handle.flush()
    print(handle.tell(), flush=True)
    time.sleep(600)
packing.write_zip = half
packing.archive(Path(run), version="1.0", variant="onnx-int8", out=Path(out), force=True)
"""


def started(program: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_builds_side_by_side_do_not_disturb_one_another(
    run_folder: Path, archive_of: ArchiveOf, tmp_path: Path
) -> None:
    """Two of the very same archive, one of another variant, one of another version, in one folder that is new."""
    store, go = tmp_path / "new" / "store", tmp_path / "go"
    asked = [("1.0", "onnx-int8"), ("1.0", "onnx-int8"), ("2.0", "torchscript-int8"), ("3.0", "onnx-int8")]
    with ExitStack() as stack:
        children = [
            stack.enter_context(started(BUILD, run_folder, version, variant, store, go)) for version, variant in asked
        ]
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        go.touch()
        for child in children:
            _, err = child.communicate(timeout=120)
            assert child.returncode == 0, err
    assert sorted(path.name for path in store.iterdir()) == ["topics-1.0.mar", "topics-2.0.mar", "topics-3.0.mar"]
    assert (store / "topics-1.0.mar").read_bytes() == archive_of("onnx-int8").read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a hidden *.partial stays")
def test_a_build_that_is_killed_leaves_nothing_and_harms_nothing(
    run_folder: Path, archive_of: ArchiveOf, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    store.mkdir()
    before = archive_of("torchscript-int8").read_bytes()
    for there in ([], ["topics-1.0.mar"]):
        for name in there:
            (store / name).write_bytes(before)
        with started(STOPPED, run_folder, store) as child:
            assert child.stdout is not None
            assert int(child.stdout.readline()) > 10_000
            child.kill()
            child.wait()
        assert [path.name for path in store.iterdir()] == there
        assert all((store / name).read_bytes() == before for name in there)
