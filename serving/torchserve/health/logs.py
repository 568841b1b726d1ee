"""Find the useful lines in the logs of a server that does not start."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from .missing import missing_package

JAVA = "java.log"
"""What Java itself prints."""
JAVA_BEFORE = "java.before.log"
"""What the Java before that printed, where TorchServe was started again."""

_WORKER_LINE = re.compile(r"\S+ \[\w+ *\] (W-(\d+)-(.+)-(?:stdout|stderr))(?:_\S+)? MODEL_LOG - (.*)")
# Frames of TorchServe, but for its handlers, and of Python's import.
_NOT_THEIRS = re.compile(r'  File "(?:<frozen importlib|[^"]*/importlib/__init__\.py"|[^"]*/ts/(?!torch_handler/))')
_PLACE = re.compile(r'^  File "[^"]*/site-packages/')
_STARTS = "s_name_part0="  # the first line of every worker
_FIRST = "Traceback (most recent call last):"
_CHAINED = re.compile(
    r"\n\n(?:During handling of the above exception, another exception occurred"
    r"|The above exception was the direct cause of the following exception):\n\n"
)


def died(model_log: Path) -> list[str]:
    """Return worker ids (`9000`, …) of the workers whose log ends in TorchServe's own words for a crash."""
    return [worker for worker, _, line in _lines(model_log) if line == "Backend worker process died."]


def worker_lives(model_log: Path, worker: str) -> list[str]:
    """Return what the worker with this id printed each time it was started, the output and error streams of each
    start one after the other.
    """
    lives: list[dict[str, list[str]]] = []
    for thread, identity, line in _lines_by_stream(model_log):
        if identity == worker:
            if not lives or line.startswith(_STARTS):
                lives.append({})
            lives[-1].setdefault(thread, []).append(line)
    return ["\n".join(line for lines in life.values() for line in lines) for life in lives]


def worker_model(model_log: Path, worker: str) -> str:
    """Return the model a worker belongs to, as `NAME VERSION`; "" if it printed nothing."""
    for identity, model, _ in _lines(model_log):
        if identity == worker:
            return " ".join(model.rsplit("_", 1))
    return ""


def useful_traceback(text: str, run_dir: Path) -> str:
    """Return the one traceback in `text` that ends in the archive's code, else the last one; without TorchServe's
    frames.

    TorchServe's own handlers are left in: what they lack, the archive that names them lacks. Paths inside the archive
    are given relative to it. "" if there is no traceback.
    """
    start = text.find(_FIRST)
    if start < 0:
        return ""
    blocks = [_cut_after_error(block[block.find(_FIRST) :]) for block in _CHAINED.split(text[start:])]
    blocks = [block for block in blocks if block.startswith(_FIRST)]
    mine = [block for block in blocks if f'File "{run_dir}' in block]
    if not mine:
        return _without_torchserve(blocks[-1])
    own = mine[-1].splitlines()
    first = next(number for number, line in enumerate(own) if f'File "{run_dir}' in line)
    shortened = "\n".join([_FIRST, *own[first:]])
    return re.sub(re.escape(str(run_dir)) + r"/models/[0-9a-f]+/", "", shortened)


def first_traceback(lives: Sequence[str], run_dir: Path) -> str:
    """Return the useful traceback of the first life whose log has all of one; "" if none has."""
    traces = [useful_traceback(output, run_dir) for output in lives]
    return next((trace for trace in traces if trace and not trace.splitlines()[-1].startswith((" ", _FIRST))), "")


def why_down(model_log: Path, model: str, run_dir: Path) -> str:
    """Return why the workers of a model (`NAME VERSION`) died the last time, on one line; "" if their log does not
    say.
    """
    name = "_".join(model.rsplit(" ", 1))
    streams: dict[str, list[str]] = {}
    for thread, worker_of, line in _lines_of_models(model_log):
        if worker_of == name:
            streams.setdefault(thread, []).append(line)
    for lines in streams.values():
        starts = [number for number, line in enumerate(lines) if line.startswith(_STARTS)]
        trace = useful_traceback("\n".join(lines[starts[-1] if starts else 0 :]), run_dir)
        if not trace:  # the worker was started again and has printed nothing yet
            trace = useful_traceback("\n".join(lines[starts[-2] :]), run_dir) if len(starts) > 1 else ""
        if trace:
            return " ".join([f"{trace.splitlines()[-1]}.", missing_package(trace)]).strip()
    return ""


def java_reason(logs: Path) -> str:
    """Return why Java ended, on one line: the last error that it printed, with its root cause; "" if none."""
    lines = _read(logs / JAVA).splitlines()
    errors = [
        line.strip()
        for line in lines
        if line.strip() and not line.startswith(("WARNING:", "\tat ", "\t...", "Model server started"))
    ]
    for number, line in enumerate(errors):
        if "Exception" in line or "Error" in line or line.startswith("Invalid configuration"):
            causes = [other for other in errors[number:] if other.startswith("Caused by:")]
            return f"{line}; {causes[-1]}" if causes else line
    return errors[-1] if errors else ""


def lost_port(logs: Path) -> bool:
    """Return whether Java ended because another process listens on one of its ports."""
    return "Address already in use" in java_reason(logs)


def failed_archive(logs: Path) -> str:
    """Return TorchServe's reason for refusing an archive at start, on one line; "" if it took them all."""
    match = re.search(r"Failed to load model: (.*)\n(.*)", _read(logs / "ts_log.log"))
    return f"{Path(match[1]).name}: {match[2].strip()}" if match else ""


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _lines(model_log: Path) -> list[tuple[str, str, str]]:
    """Return (worker id, NAME_VERSION, line) of every line a worker printed."""
    matches = [_WORKER_LINE.fullmatch(line) for line in _read(model_log).splitlines()]
    return [(match[2], match[3], match[4]) for match in matches if match]


def _lines_of_models(model_log: Path) -> list[tuple[str, str, str]]:
    """Return (thread, NAME_VERSION, line) of every line a worker printed."""
    matches = [_WORKER_LINE.fullmatch(line) for line in _read(model_log).splitlines()]
    return [(match[1], match[3], match[4]) for match in matches if match]


def _lines_by_stream(model_log: Path) -> list[tuple[str, str, str]]:
    """Return (thread, worker id, line) of every line a worker printed."""
    matches = [_WORKER_LINE.fullmatch(line) for line in _read(model_log).splitlines()]
    return [(match[1], match[2], match[4]) for match in matches if match]


def _without_torchserve(block: str) -> str:
    """Return a traceback without the frames of TorchServe and of Python's import, files below site-packages cut
    short.
    """
    kept, skipping = [], False
    for line in block.splitlines():
        if line.startswith('  File "'):
            skipping = _NOT_THEIRS.match(line) is not None
        elif not line.startswith("    "):
            skipping = False
        if not skipping:
            kept.append(_PLACE.sub('  File "', line))
    return "\n".join(kept)


def _cut_after_error(block: str) -> str:
    """Keep a traceback up to its exception's line; log lines may follow."""
    kept = [_FIRST]
    for line in block.splitlines()[1:]:
        kept.append(line)
        if line and not line.startswith(" "):
            break
    return "\n".join(kept)
