from __future__ import annotations

import json
import socket
from itertools import pairwise
from pathlib import Path

import pytest

from lexport.errors import InputError, RefusedError, SystemProblem
from lexport.export.archive.trust.keys import PublicKey
from lexport.export.archive.trust.rule import Trust
from lexport.serving.plan import Plan
from lexport.serving.settings.addresses import Address, addresses, warn_if_open
from lexport.serving.settings.files import PACKAGED, read_settings
from lexport.serving.settings.ports import check_free, pick_free
from lexport.serving.store import Archive
from lexport.serving.torchserve.settings import check_model_api, derive

from ...refusals import refused


def test_every_packaged_setting_is_explained() -> None:
    lines = PACKAGED.read_text(encoding="utf-8").splitlines()
    for before, line in pairwise(lines):
        if line and not line.startswith("#"):
            assert before.startswith("# "), line
            assert before.endswith((".", ")")), before


def test_the_packaged_settings_are_closed() -> None:
    settings = read_settings()
    endpoints = addresses(settings, None)
    assert [endpoint.port for endpoint in endpoints.values()] == [8080, 8081, 8082, 0, 0]
    assert all(endpoint.is_local for endpoint in endpoints.values())
    assert settings["disable_token_authorization"] == "false"
    assert settings["enable_envvars_config"] == "false"
    assert settings["install_py_dep_per_model"] == "false"
    assert settings["allowed_urls"] == "(?!)"
    said: list[str] = []
    warn_if_open(settings, endpoints, said.append)
    assert said == []


def test_the_users_file_goes_over_the_packaged_one(tmp_path: Path) -> None:
    own = tmp_path / "my.properties"
    own.write_text("inference_address=http://0.0.0.0:9000\ndisable_token_authorization=true\nmetrics_config=m.yaml\n")
    settings = read_settings(own)
    assert settings["allowed_urls"] == "(?!)"
    assert settings["metrics_config"] == str(tmp_path / "m.yaml")
    endpoints = addresses(settings, None)
    assert endpoints["inference"] == Address("0.0.0.0", 9000)
    assert endpoints["inference"].url == "http://127.0.0.1:9000"
    said: list[str] = []
    warn_if_open(settings, endpoints, said.append)
    assert "inference on 0.0.0.0:9000" in said[0]
    assert "authorization is off" in said[1]


def test_ports_follow_the_option() -> None:
    ports = {purpose: endpoint.port for purpose, endpoint in addresses(read_settings(), 9000).items()}
    assert ports == {
        "inference": 9000,
        "management": 9001,
        "metrics": 9002,
        "gRPC inference": 0,
        "gRPC management": 0,
    }
    assert [endpoint.port for endpoint in addresses(read_settings(), 0).values()] == [0] * 5


@pytest.mark.parametrize("port", [-1, 65533, 65535, 10**6])
def test_impossible_ports_are_refused(port: int) -> None:
    with refused(InputError, "LX-SERVE-059", "--port"):
        addresses(read_settings(), port)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("inference_address=https://127.0.0.1:8443", ("LX-SERVE-060", "https://127.0.0.1:8443", "http://HOST:PORT")),
        ("inference_address=unix:/tmp/x", ("LX-SERVE-060", "unix:/tmp/x", "http://HOST:PORT")),
        ("management_address=http://127.0.0.1:70000", ("LX-SERVE-060", "http://127.0.0.1:70000", "http://HOST:PORT")),
        ("grpc_inference_port=x", ("LX-SERVE-061", "grpc_inference_port=x", "65534")),
        ("plugins_path=/x", ("LX-SERVE-058", "my.properties", "plugins_path")),
    ],
)
def test_settings_that_cannot_be_served_are_refused(tmp_path: Path, line: str, error: tuple[str, ...]) -> None:
    own = tmp_path / "my.properties"
    own.write_text(line)
    with refused(InputError, *error):
        addresses(read_settings(own), None)


def test_an_unreadable_file_is_said(tmp_path: Path) -> None:
    with refused(InputError, "LX-SERVE-057", "absent"):
        read_settings(tmp_path / "absent")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with refused(InputError, "LX-SERVE-057"):
        read_settings(tmp_path / "binary")


def test_derive_names_every_model_version_and_worker(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "x.mar", "m", "1.0", made_by_lexport=True)
    worker_plan = Plan(device="cpu", gpus=0, workers={"m": 3}, threads=1, cores=3)
    endpoints = addresses(read_settings(), 9000)
    derived = derive(read_settings(), endpoints, worker_plan, [archive], ["m-1.0.mar"], tmp_path)
    assert json.loads(derived["models"])["m"]["1.0"]["minWorkers"] == 3
    assert derived["load_models"] == "m-1.0.mar"
    assert derived["management_address"] == "http://127.0.0.1:9001"
    assert derived["number_of_gpu"] == "0"
    assert "vmargs" not in derived


def test_a_port_in_use_is_named_with_its_holder_and_the_way_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with refused(SystemProblem, "LX-SERVE-048", port, "metrics", "pid", "--port"):
            check_free({"metrics": Address("127.0.0.1", port)})
        with refused(SystemProblem, "LX-SERVE-048", port, "gRPC inference", "grpc_inference_port"):
            check_free({"gRPC inference": Address("127.0.0.1", port)})
    check_free({"metrics": Address("127.0.0.1", port)})


def test_doors_need_ports_of_their_own_and_addresses_of_this_machine() -> None:
    with refused(InputError, "LX-SERVE-047", 18099, "inference", "metrics"):
        check_free({"inference": Address("127.0.0.1", 18099), "metrics": Address("127.0.0.1", 18099)})
    with refused(SystemProblem, "LX-SERVE-048", "192.0.2.1", "inference"):
        check_free({"inference": Address("192.0.2.1", 18099)})


def test_free_ports_differ_and_given_ones_stay() -> None:
    picked = pick_free(addresses(read_settings(), 0))
    ports = [picked[purpose].port for purpose in ("inference", "management", "metrics")]
    assert len(set(ports)) == 3
    assert 0 not in ports
    assert picked["gRPC inference"].port == 0
    assert pick_free(addresses(read_settings(), 9000)) == addresses(read_settings(), 9000)


@pytest.mark.parametrize("value", ["true", "TRUE", " true "])
def test_the_model_api_needs_insisting_and_goes_with_no_key(value: str) -> None:
    settings = {"enable_model_api": value}
    with refused(RefusedError, "LX-SERVE-063", "POST /models?url=FOLDER", "--trust-code"):
        check_model_api(settings, Trust())
    check_model_api(settings, Trust(insist=True))
    for insist in (False, True):
        with refused(RefusedError, "LX-SERVE-063", "Leave the setting out"):
            check_model_api(settings, Trust([PublicKey(bytes(32), "k")], insist))


@pytest.mark.parametrize(
    "line", ["allowed_urls=file://.*", "allowed_urls=", "allowed_urls=(?!),https://.*", "use_env_allowed_urls=TRUE"]
)
def test_so_do_urls_because_workflows_are_loaded_from_them_without_the_model_api(tmp_path: Path, line: str) -> None:
    own = tmp_path / "own.properties"
    own.write_text(line + "\n")
    settings = read_settings(own)
    with refused(RefusedError, "LX-SERVE-064", "urls=", "POST /workflows?url=URL", "--trust-code"):
        check_model_api(settings, Trust())
    check_model_api(settings, Trust(insist=True))
    for insist in (False, True):
        with refused(RefusedError, "LX-SERVE-064", "Leave the setting out"):
            check_model_api(settings, Trust([PublicKey(bytes(32), "k")], insist))


def test_without_the_model_api_nothing_is_asked() -> None:
    check_model_api(read_settings(), Trust([PublicKey(bytes(32), "k")]))
    check_model_api({}, Trust())
