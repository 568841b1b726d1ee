"""A config.properties that was written for TorchServe: what is kept, dropped with a reason, or named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lexport.errors import InputError
from lexport.serving import serve, stop
from lexport.serving.plan import plan
from lexport.serving.settings.files import own_settings, read_settings
from lexport.serving.settings.user_settings import read_user_settings
from lexport.serving.store import Archive
from lexport.serving.torchserve.http import describe

from ...refusals import refused
from ...stranger_cases import stock_archive

MakeArchive = Callable[..., Path]

MINE = Archive(Path("my_tc.mar"), "my_tc", "1.0", made_by_lexport=False)
MODEL = {"minWorkers": 2, "maxWorkers": 2, "batchSize": 6, "maxBatchDelay": 33, "responseTimeout": 44}


def models(settings: object, name: str = "my_tc", version: str = "1.0") -> dict[str, str]:
    return {"models": json.dumps({name: {version: settings}})}


def test_a_models_batches_delays_timeouts_and_workers_are_kept() -> None:
    found = read_user_settings(
        models({"marName": "my_tc.mar", "defaultVersion": True, "startupTimeout": 9} | MODEL), [MINE], count=None
    )
    assert found.limits == {
        "my_tc": {"batchSize": 6, "maxBatchDelay": 33, "responseTimeout": 44, "startupTimeout": 9}
    }
    assert (found.workers, found.lines) == ({"my_tc": 2}, ())
    assert plan([MINE], "cpu", cores=8, gpus=0, configured=found.workers).workers == {"my_tc": 2}


def test_so_are_those_of_the_snapshot_that_torchserve_writes() -> None:
    snapshot = {"name": "startup.cfg", "modelCount": 1, "models": {"my_tc": {"1.0": MODEL}}}
    assert (
        read_user_settings({"model_snapshot": json.dumps(snapshot)}, [MINE], count=None).limits["my_tc"]["batchSize"]
        == 6
    )


def test_the_default_number_of_workers_is_for_models_without_one() -> None:
    other = Archive(Path("b.mar"), "b", "1.0", made_by_lexport=False)
    found = read_user_settings(models(MODEL) | {"default_workers_per_model": "3"}, [MINE, other], count=None)
    assert found.workers == {"my_tc": 2, "b": 3}


def test_workers_of_the_command_line_go_first_and_that_is_said() -> None:
    found = read_user_settings(models(MODEL), [MINE], count=4)
    assert found.workers == {}
    assert found.lines == ("my_tc 1.0: 2 workers in the settings are not used: --workers says 4.",)
    assert read_user_settings(models(MODEL), [MINE], count=2).lines == ()


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"model_store": "/models"}, "model_store of the settings is not used: a server has a private store"),
        ({"load_models": "all"}, "load_models of the settings is not used: the command line"),
        (models({"minWorkers": 1, "maxWorkers": 4}), "maxWorkers 4 in the settings is not used: minWorkers run, 1"),
        (models({"minWorkers": 0}), "minWorkers 0 in the settings is not used"),
        (models(MODEL, "gone"), "models gone are not used"),
        (models({"parallelLevel": 2}), "parallelLevel in the settings' models is not used"),
        ({"allowed_urls": "https://x/.*"}, "allowed_urls=https://x/.* is kept: anyone with the management token"),
        ({"use_env_allowed_urls": "TRUE"}, "use_env_allowed_urls=TRUE is kept"),
        ({"enable_model_api": "true"}, "enable_model_api=true is kept"),
        ({"install_py_dep_per_model": "true"}, "install_py_dep_per_model=true is kept: pip installs"),
        ({"enable_envvars_config": "true"}, "enable_envvars_config=true is kept"),
        ({"cors_allowed_origin": "*"}, "cors_allowed_origin=* is kept"),
        ({"enable_grpc_ssl": "true"}, "enable_grpc_ssl=true is kept: only gRPC is encrypted"),
    ],
)
def test_what_is_dropped_or_opens_something_is_said(own: dict[str, str], words: str) -> None:
    [line] = read_user_settings(own, [MINE], count=None).lines
    assert words in line


def test_settings_that_close_are_not_worth_a_line() -> None:
    closed = {"allowed_urls": "(?!)", "install_py_dep_per_model": "false", "enable_model_api": " False "}
    assert read_user_settings(closed, [MINE], count=None).lines == ()
    assert read_user_settings(read_settings(), [MINE], count=1).workers == {"my_tc": 1}
    assert own_settings(None) == {}


@pytest.mark.parametrize(
    ("own", "error"),
    [
        ({"models": "{"}, ("LX-SERVE-044", "models", "'{'")),
        ({"models": "[]"}, ("LX-SERVE-044", "models", "'[]'")),
        (
            {"model_snapshot": '{"models": {"a": 3}}'},
            ("LX-SERVE-044", "model_snapshot", """'{"models": {"a": 3}}'"""),
        ),
        (models({"batchSize": 0}), ("LX-SERVE-045", "batchSize", "'0'", "from 1")),
        (models({"maxBatchDelay": "fast"}), ("LX-SERVE-045", "maxBatchDelay", "'fast'", "from 0")),
        (models({"minWorkers": 10**6}), ("LX-SERVE-045", "minWorkers", "'1000000'", "from 0")),
        ({"default_workers_per_model": "many"}, ("LX-SERVE-045", "default_workers_per_model", "'many'")),
    ],
)
def test_what_torchserve_could_not_use_is_refused(own: dict[str, str], error: tuple[str, ...]) -> None:
    with refused(InputError, *error):
        read_user_settings(own, [MINE], count=None)


def test_the_archives_own_settings_go_first_as_torchserve_obeys_them() -> None:
    own = Archive(
        Path("b.mar"), "my_tc", "1.0", made_by_lexport=True, workers=1, setting_names=("batchSize", "minWorkers")
    )
    found = read_user_settings(models(MODEL), [own], count=None)
    assert found.limits == {"my_tc": {"maxBatchDelay": 33}}
    assert found.workers == {}
    told = " ".join(found.lines)
    for words in ("batchSize 6 in", "responseTimeout 44 in", "the archive fixes 1"):
        assert words in told


@pytest.mark.long
@pytest.mark.usefixtures("java")
def test_torchserve_runs_with_them(make_archive: MakeArchive, tmp_path: Path) -> None:
    plain = stock_archive(tmp_path / "stock", "plain")
    settled = make_archive(tmp_path, "settled", config="batchSize: 4\n")
    config = tmp_path / "my.properties"
    entries = {"plain": {"1.0": MODEL}, "settled": {"1.0": MODEL}}
    config.write_text(f"models={json.dumps(entries)}\ndefault_startup_timeout=99\nmodel_store=/models\n")
    said: list[str] = []
    server = serve(
        [plain, settled], state_dir=tmp_path / "state", port=0, config=config, trust_code=True, say=said.append
    )
    try:
        found = {one["modelName"]: one for one in describe(server.management_url, server.token("management"))}
    finally:
        stop(server.state_dir)
    assert {name: found["plain"][name] for name in MODEL} == MODEL
    assert found["plain"]["startupTimeout"] == 99
    told = {name: found["settled"][name] for name in (*MODEL, "startupTimeout")}
    assert told == MODEL | {"batchSize": 4, "responseTimeout": 120, "startupTimeout": 120}
    for words in (
        "model_store of the settings is not used",
        "settled 1.0: batchSize 6 in the settings is not used: the archive's own settings file has batchSize",
        "settled 1.0: responseTimeout 44 in the settings is not used",
        "default_startup_timeout=99 does not reach settled 1.0",
    ):
        assert any(words in line for line in said)
