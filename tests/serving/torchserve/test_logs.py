from __future__ import annotations

from pathlib import Path

from lexport.serving.torchserve.logs import (
    died,
    failed_archive,
    java_reason,
    useful_traceback,
    worker_model,
    worker_output,
)

RUN_DIR = Path("/tmp/lexport-x")

IN_HANDLER = """Backend worker process died.
Traceback (most recent call last):
  File "/site-packages/ts/model_loader.py", line 108, in load
    module, function_name = self._load_handler_file(handler)
  File "/tmp/lexport-x/models/0a1b/handler.py", line 3, in <module>
    import absent_thing
ModuleNotFoundError: No module named 'absent_thing'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/site-packages/ts/model_service_worker.py", line 301, in <module>
    worker.run_server()
ModuleNotFoundError: No module named 'ts.torch_handler.handler'
Some later line."""


def test_the_traceback_that_ends_in_the_archive_is_the_useful_one() -> None:
    assert useful_traceback(IN_HANDLER, RUN_DIR).splitlines() == [
        "Traceback (most recent call last):",
        '  File "handler.py", line 3, in <module>',
        "    import absent_thing",
        "ModuleNotFoundError: No module named 'absent_thing'",
    ]


def test_without_the_archives_frames_the_last_one_is() -> None:
    assert useful_traceback(IN_HANDLER, Path("/elsewhere")).splitlines()[-1] == (
        "ModuleNotFoundError: No module named 'ts.torch_handler.handler'"
    )
    assert useful_traceback("nothing to see", RUN_DIR) == ""


def test_an_exception_of_several_lines_is_cut_after_its_first(tmp_path: Path) -> None:
    text = 'Traceback (most recent call last):\n  File "x.py", line 1\nValueError: one\ntwo'
    assert useful_traceback(text, RUN_DIR).splitlines()[-1] == "ValueError: one"


def log_line(worker: str, line: str, stream: str = "stdout") -> str:
    return f"2025-01-01T00:00:00,000 [INFO ] W-{worker}-my_model_1.0-{stream} MODEL_LOG - {line}\n"


def test_a_workers_first_life_is_told_from_its_later_ones(tmp_path: Path) -> None:
    log = tmp_path / "model_log.log"
    assert died(log) == []
    log.write_text(
        log_line("9000", "s_name_part0=x")
        + log_line("9001", "other")
        + log_line("9000", "from stderr", "stderr")
        + log_line("9000", "Backend worker process died.")
        + log_line("9000", "s_name_part0=x")
        + log_line("9000", "again")
    )
    assert died(log) == ["9000"]
    assert worker_output(log, "9000").splitlines() == [
        "s_name_part0=x",
        "Backend worker process died.",
        "from stderr",
    ]
    assert worker_model(log, "9000") == "my_model 1.0"
    assert worker_model(log, "9999") == ""


def test_javas_reason_is_one_line(tmp_path: Path) -> None:
    assert java_reason(tmp_path) == ""
    (tmp_path / "java.log").write_text(
        "WARNING: noise\nnvidia-smi not available\njava.io.IOException: Failed to bind to address: x\n"
        "\tat a.b(C.java:1)\nCaused by: Address already in use\n\t... 5 more\n"
    )
    assert java_reason(tmp_path) == (
        "java.io.IOException: Failed to bind to address: x; Caused by: Address already in use"
    )


def test_a_refused_archive_is_found(tmp_path: Path) -> None:
    assert failed_archive(tmp_path) == ""
    (tmp_path / "ts_log.log").write_text(
        "… Failed to load model: /s/m-1.mar\norg.X: Runtime is not defined.\n\tat y\n"
    )
    assert failed_archive(tmp_path) == "m-1.mar: org.X: Runtime is not defined."
