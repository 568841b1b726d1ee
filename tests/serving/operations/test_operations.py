"""What a running server serves is changed, on both engines, without a lost request."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lexport.errors import InputError, RefusedError, SystemProblem
from lexport.export.archive.pack import archive
from lexport.serving import check_ready, running, status
from lexport.serving import record as records
from lexport.serving.folders import locked
from lexport.serving.operations import deploy, promote, rollback, scale, undeploy
from lexport.serving.torchserve.http import request

from ...refusals import refused
from ...trust_cases import repacked
from ..conftest import MakeArchive
from .conftest import Load, answered_by, outcome

Pack = Callable[[str], Path]


def served(folder: Path) -> dict[str, tuple[int, bool]]:
    """Return workers and whether it is the default, by version, as the server describes them."""
    return {one["version"]: (len(one["workers"]), one["default"]) for one in status(folder)["models"]}


def problems(folder: Path) -> object:
    """Return what keeps any version from answering."""
    return status(folder)["problems"]


def test_a_version_is_deployed_beside_the_default_promoted_and_rolled_back(folder: Path, version_of: Pack) -> None:
    deploy(version_of("2.0"), state_dir=folder)
    assert served(folder) == {"1.0": (1, True), "2.0": (1, False)}
    assert answered_by(folder) == "1.0"
    promote("topics", "2.0", state_dir=folder)
    assert served(folder) == {"1.0": (1, False), "2.0": (1, True)}
    assert answered_by(folder) == "2.0"
    assert running(folder).models == {"topics": "2.0"}
    assert rollback("topics", state_dir=folder).version == "1.0"
    assert answered_by(folder) == "1.0"
    with refused(InputError, "LX-SERVE-175", "topics 1.0", "lexport promote topics VERSION"):
        rollback("topics", state_dir=folder)


def test_deploying_promotes_at_once_if_asked_and_says_what_would_change(folder: Path, version_of: Pack) -> None:
    before = served(folder)
    planned = deploy(version_of("2.0"), workers=1, promoted=True, dry_run=True, state_dir=folder)
    assert [(one.action, one.version, one.workers) for one in planned] == [
        ("deploy", "2.0", 1),
        ("promote", "2.0", 1),
    ]
    assert served(folder) == before
    assert deploy(version_of("2.0"), workers=1, promoted=True, state_dir=folder) == planned
    assert served(folder) == {"1.0": (1, False), "2.0": (1, True)}
    assert deploy(version_of("2.0"), promoted=True, state_dir=folder) == []


def test_no_request_is_lost_while_versions_come_change_and_go(folder: Path, version_of: Pack) -> None:
    with Load(running(folder), 8, "/predictions/topics") as load:
        deploy(version_of("2.0"), state_dir=folder)
        promote("topics", "2.0", state_dir=folder)
        undeploy("topics", "1.0", state_dir=folder)
        deploy(version_of("1.0"), state_dir=folder)
        promote("topics", "1.0", state_dir=folder)
        scale("topics", 3, state_dir=folder)
        scale("topics", 1, state_dir=folder)
    assert set(load.statuses) == {200}
    assert set(load.versions) == {"1.0", "2.0"}


def test_what_others_have_changed_at_the_management_address_is_kept(folder: Path, version_of: Pack) -> None:
    deploy(version_of("2.0"), state_dir=folder)
    server = running(folder)
    for path in ("/models/topics/2.0/set-default", "/models/topics/1.0?min_worker=2&max_worker=2&synchronous=true"):
        answer = request("PUT", server.management_url, path, token=server.token("management"), timeout=60)
        assert answer[0] == 200, answer
    scale("topics", 1, state_dir=folder)
    # In the embedded engine each process has every version.
    assert served(folder) == {"1.0": (2, False), "2.0": (1 if server.engine == "torchserve" else 2, True)}
    assert rollback("topics", state_dir=folder).version == "1.0"


def test_workers_are_as_many_as_asked_for(folder: Path) -> None:
    assert scale("topics", 2, state_dir=folder).workers == 2
    assert served(folder) == {"1.0": (2, True)}
    with refused(InputError, "LX-SERVE-178", "0"):
        scale("topics", 0, state_dir=folder)


def test_what_is_not_served_is_named_with_what_is(folder: Path) -> None:
    for operation in (
        lambda: promote("news", "1.0", state_dir=folder),
        lambda: rollback("news", state_dir=folder),
        lambda: scale("news", 1, state_dir=folder),
        lambda: undeploy("news", state_dir=folder),
    ):
        with refused(InputError, "LX-SERVE-173", "'news'", "topics"):
            operation()
    with refused(InputError, "LX-SERVE-174", "'9'", "1.0"):
        promote("topics", "9", state_dir=folder)


def test_the_default_of_several_versions_and_the_last_model_stay(folder: Path, version_of: Pack) -> None:
    with refused(RefusedError, "LX-SERVE-184", "topics", "lexport stop"):
        undeploy("topics", state_dir=folder)
    deploy(version_of("2.0"), state_dir=folder)
    with refused(RefusedError, "LX-SERVE-183", "topics 1.0", "2.0"):
        undeploy("topics", "1.0", state_dir=folder)
    assert served(folder) == {"1.0": (1, True), "2.0": (1, False)}


def test_another_archive_of_a_served_version_is_refused(folder: Path, archive_of: Callable[[str], Path]) -> None:
    with refused(RefusedError, "LX-SERVE-181", "topics 1.0", "--version 1.0"):
        deploy(archive_of("onnx-int8"), state_dir=folder)


def test_a_corrupt_archive_changes_nothing(folder: Path, version_of: Pack, tmp_path: Path) -> None:
    content = bytearray(version_of("2.0").read_bytes())
    place = len(content) // 2
    content[place] ^= 0xFF
    broken = tmp_path / "topics-2.0.mar"
    broken.write_bytes(content)
    before = served(folder), records.load(folder), sorted((folder / "store").iterdir())
    with (
        Load(running(folder), 4, "/predictions/topics") as load,
        refused(RefusedError, "LX-ARCHIVE-038", str(broken)),
    ):
        deploy(broken, state_dir=folder)
    assert (served(folder), records.load(folder), sorted((folder / "store").iterdir())) == before
    assert set(load.statuses) == {200}


def test_a_version_whose_goldens_fail_is_taken_out_again(folder: Path, version_of: Pack, tmp_path: Path) -> None:
    changes = {"labels.json": b'["kitchen", "weather", "sport"]'}
    wrong = repacked(version_of("2.0"), changes, tmp_path / "topics-2.0.mar")
    before = served(folder), records.load(folder), sorted((folder / "store").iterdir())
    code = "LX-SERVE-180" if running(folder).engine == "torchserve" else "LX-SERVE-172"
    with refused(SystemProblem, code, "golden"):
        deploy(wrong, trust_code=True, state_dir=folder)
    assert (served(folder), records.load(folder), sorted((folder / "store").iterdir())) == before
    deploy(version_of("2.0"), state_dir=folder)  # what the other one reported says nothing of it
    assert served(folder) == {"1.0": (1, True), "2.0": (1, False)}


def test_a_version_that_no_worker_answers_is_not_promoted(folder: Path, version_of: Pack) -> None:
    deploy(version_of("2.0"), state_dir=folder)
    server = running(folder)
    path = "/models/topics/2.0?min_worker=0&max_worker=0&synchronous=true"
    assert request("PUT", server.management_url, path, token=server.token("management"), timeout=60)[0] == 200
    with refused(RefusedError, "LX-SERVE-176", "topics 2.0", "--version 2.0"):
        promote("topics", "2.0", state_dir=folder)
    assert answered_by(folder) == "1.0"


def test_an_archive_that_lexport_did_not_make_is_for_torchserve_alone(
    folder: Path, make_archive: MakeArchive, tmp_path: Path
) -> None:
    foreign = make_archive(tmp_path, "echo", made_by_lexport=False)
    if running(folder).engine == "embedded":
        with refused(InputError, "LX-SERVE-182", str(foreign)):
            deploy(foreign, trust_code=True, state_dir=folder)
        return
    deploy(foreign, trust_code=True, state_dir=folder)
    assert running(folder).models == {"echo": "1.0", "topics": "1.0"}
    undeploy("echo", state_dir=folder)


def test_of_two_operations_at_once_one_says_that_the_other_runs(folder: Path, version_of: Pack) -> None:
    outcomes: list[str] = []
    both = threading.Barrier(2)

    def try_to_deploy() -> None:
        both.wait()
        outcomes.append(outcome(lambda: deploy(version_of("2.0"), state_dir=folder)))

    threads = [threading.Thread(target=try_to_deploy) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) in (["LX-SERVE-013", "done"], ["done", "done"])
    assert served(folder) == {"1.0": (1, True), "2.0": (1, False)}


def test_each_operation_waits_for_no_other_one(folder: Path, version_of: Pack) -> None:
    with locked(folder):
        for operation in (
            lambda: deploy(version_of("2.0"), state_dir=folder),
            lambda: promote("topics", "1.0", state_dir=folder),
            lambda: rollback("topics", state_dir=folder),
            lambda: scale("topics", 2, state_dir=folder),
            lambda: undeploy("topics", state_dir=folder),
        ):
            assert outcome(operation) == "LX-SERVE-013"


def test_versions_and_defaults_are_the_same_after_the_engine_was_killed(folder: Path, version_of: Pack) -> None:
    server = running(folder)
    if server.engine == "embedded":
        pytest.skip("its supervisor keeps the versions; test_server kills its processes")
    deploy(version_of("2.0"), promoted=True, state_dir=folder)
    os.kill(server.pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while running(folder).pid == server.pid or outcome(lambda: check_ready(folder)) != "done" or problems(folder):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert served(folder) == {"1.0": (1, False), "2.0": (1, True)}
    assert answered_by(folder) == "2.0"


def test_a_further_model_is_served_beside_the_first(folder: Path, run_folder: Path, tmp_path: Path) -> None:
    deploy(archive(run_folder, version="1.0", variant="onnx-int8", name="more", out=tmp_path), state_dir=folder)
    assert running(folder).models == {"more": "1.0", "topics": "1.0"}
    undeploy("more", state_dir=folder)
    assert running(folder).models == {"topics": "1.0"}
