"""What a server's processes get of the user's environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from lexport.errors import InputError
from lexport.serving.plan import Plan
from lexport.serving.settings.environment import allowed, server_environment

from ...refusals import refused

PLAN = Plan(device="cpu", gpus=0, workers={"m": 1}, threads=2, cores=4)

LIMITS = {"max_request_size": "70000", "max_response_size": " 90000 "}

KEPT = {
    "PATH": "/bin",
    "HOME": "/home/a",
    "USER": "a",
    "LOGNAME": "a",
    "LANG": "de",
    "LANGUAGE": "de",
    "TZ": "UTC",
    "LC_CTYPE": "de",
    "CUDA_VISIBLE_DEVICES": "0",
    "NVIDIA_DRIVER": "x",
    "LD_LIBRARY_PATH": "/cuda",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "KMP_AFFINITY": "none",
    "GOMP_CPU_AFFINITY": "0",
    "OMP_DYNAMIC": "true",
    "MALLOC_ARENA_MAX": "2",
    "ORT_DISABLE_TELEMETRY": "1",
}
LEFT_OUT = (
    *("PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "PYTHONUSERBASE", "LD_PRELOAD", "LD_AUDIT"),
    *("CUDA_INJECTION32_PATH", "CUDA_INJECTION64_PATH", "OMP_TOOL_LIBRARIES"),
    *("_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH"),
    *("TS_CONFIG_FILE", "TS_ALLOWED_URLS", "LOG_LOCATION", "METRICS_LOCATION", "SM_TELEMETRY_LOG"),
    *("AWS_SECRET_ACCESS_KEY", "LEXPORT_KEYS", "LEXPORT_KEY_PASSPHRASE", "OMP", "PATHS"),
)


def test_what_is_needed_is_kept_and_nothing_else() -> None:
    assert allowed(KEPT | dict.fromkeys(LEFT_OUT, "x")) == KEPT


def test_one_more_can_be_named() -> None:
    outer = KEPT | {"PYTHONPATH": "/own", "LD_PRELOAD": "x"}
    assert allowed(outer, ["PYTHONPATH"]) == KEPT | {"PYTHONPATH": "/own"}
    with refused(InputError, "LX-SERVE-038", "HTTP_PROXY"):
        allowed(outer, ["HTTP_PROXY"])


def test_a_server_gets_its_own_folder_and_threads(tmp_path: Path) -> None:
    own = server_environment({"TMPDIR": "/elsewhere", "OMP_NUM_THREADS": "64"}, (), tmp_path, "0" * 32, PLAN, LIMITS)
    assert {own[name] for name in ("TMPDIR", "TEMP", "TMP")} == {str(tmp_path / "run")}
    assert (own["OMP_NUM_THREADS"], own["LEXPORT_THREADS"], own["LEXPORT_CORES"]) == ("2", "2", "4")
    assert own["LEXPORT_REPORT_DIR"] == str(tmp_path / "run" / "reports")
    assert (own["LEXPORT_MAX_REQUEST_SIZE"], own["LEXPORT_MAX_RESPONSE_SIZE"]) == ("70000", "90000")
    with refused(InputError, "LX-SERVE-040", "TMPDIR"):
        server_environment({"TMPDIR": "/elsewhere"}, ["TMPDIR"], tmp_path, "0" * 32, PLAN, LIMITS)


@pytest.mark.parametrize("value", ["plenty", "-1", "0", "1.5", "", "٣"])
def test_a_limit_that_is_no_number_is_an_error(tmp_path: Path, value: str) -> None:
    with refused(InputError, "LX-SERVE-039", "max_request_size="):
        server_environment({}, (), tmp_path, "0" * 32, PLAN, LIMITS | {"max_request_size": value})
