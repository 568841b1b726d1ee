from __future__ import annotations

from pathlib import Path

import pytest

from lexport.serving.torchserve.health.logs import (
    died,
    failed_archive,
    first_traceback,
    java_reason,
    useful_traceback,
    why_down,
    worker_lives,
    worker_model,
)
from lexport.serving.torchserve.health.missing import missing_package

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


STOCK_HANDLER = """Backend worker process died.
Traceback (most recent call last):
  File "/env/lib/python3.11/site-packages/ts/model_service_worker.py", line 301, in <module>
    worker.run_server()
  File "/env/lib/python3.11/site-packages/ts/model_loader.py", line 159, in _load_default_handler
    module = importlib.import_module(module_name, "ts.torch_handler")
             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3.11/importlib/__init__.py", line 126, in import_module
    return _bootstrap._gcd_import(name[level:], package, level)
  File "<frozen importlib._bootstrap>", line 1204, in _gcd_import
  File "/env/lib/python3.11/site-packages/ts/torch_handler/text_classifier.py", line 11, in <module>
    from captum.attr import TokenReferenceBase
ModuleNotFoundError: No module named 'captum'"""


def test_torchserves_frames_are_left_out_and_its_handlers_are_not() -> None:
    assert useful_traceback(STOCK_HANDLER, RUN_DIR).splitlines() == [
        "Traceback (most recent call last):",
        '  File "ts/torch_handler/text_classifier.py", line 11, in <module>',
        "    from captum.attr import TokenReferenceBase",
        "ModuleNotFoundError: No module named 'captum'",
    ]


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("captum", "pip install captum"),
        ("cv2", "pip install opencv-python-headless"),
        ("transformers.models.bert", "pip install transformers"),
        ("utils", "If it is a file of the model, pack it into the archive"),
    ],
)
def test_a_missing_package_comes_with_its_pip_line_where_pips_name_is_known(module: str, words: str) -> None:
    """A file of the model that was not packed has a name that pip may know as somebody else's package."""
    trace = f"Traceback (most recent call last):\nModuleNotFoundError: No module named '{module}'"
    assert words in missing_package(trace)
    assert ("pip install" in missing_package(trace)) == ("pip install" in words)


def test_what_is_no_missing_module_has_no_pip_line() -> None:
    assert missing_package("") == ""
    assert missing_package("Traceback (most recent call last):\nValueError: No module named 'captum'") == ""
    assert "TorchServe's own handler text_classifier needs it. Install it" in missing_package(
        useful_traceback(STOCK_HANDLER, RUN_DIR)
    )


def test_why_a_models_workers_are_down_is_told_from_their_last_life(tmp_path: Path) -> None:
    log = tmp_path / "model_log.log"
    assert why_down(log, "my_model 1.0", RUN_DIR) == ""
    first = "Traceback (most recent call last):\nValueError: the first time"
    log.write_text(
        "".join(log_line("9000", line) for line in ["s_name_part0=x", *first.splitlines(), "s_name_part0=x"])
        + "".join(log_line("9000", line) for line in STOCK_HANDLER.splitlines())
    )
    assert why_down(log, "my_model 1.0", RUN_DIR) == (
        "ModuleNotFoundError: No module named 'captum'. TorchServe's own handler text_classifier needs it. Install "
        "it where TorchServe runs: pip install captum"
    )
    assert why_down(log, "other 1.0", RUN_DIR) == ""
    log.write_text(log.read_text() + log_line("9000", "s_name_part0=x"))
    assert "captum" in why_down(log, "my_model 1.0", RUN_DIR)


def test_an_exception_of_several_lines_is_cut_after_its_first(tmp_path: Path) -> None:
    text = 'Traceback (most recent call last):\n  File "x.py", line 1\nValueError: one\ntwo'
    assert useful_traceback(text, RUN_DIR).splitlines()[-1] == "ValueError: one"


def log_line(worker: str, line: str, stream: str = "stdout") -> str:
    return f"2025-01-01T00:00:00,000 [INFO ] W-{worker}-my_model_1.0-{stream} MODEL_LOG - {line}\n"


def test_the_lives_of_a_worker_are_told_apart(tmp_path: Path) -> None:
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
    assert worker_lives(log, "9000") == [
        "s_name_part0=x\nBackend worker process died.\nfrom stderr",
        "s_name_part0=x\nagain",
    ]
    assert worker_lives(log, "9999") == []
    assert worker_model(log, "9000") == "my_model 1.0"
    assert worker_model(log, "9999") == ""


def test_the_traceback_of_a_life_whose_log_was_cut_short_is_the_next_ones() -> None:
    whole = 's_name_part0=x\nTraceback (most recent call last):\n  File "x.py", line 1\nValueError: one'
    cut = [whole[:length] for length in (20, whole.index("\n  File"), whole.index("\nValueError"))]
    for life in cut:
        assert first_traceback([life], RUN_DIR) == ""
        assert first_traceback([life, whole, "other"], RUN_DIR).splitlines()[-1] == "ValueError: one"
    assert first_traceback([], RUN_DIR) == ""


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
