"""A server's life: `serve`, `wait`, `status`, `stop`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from ..errors import SystemProblem
from ..export.keys import PublicKey
from ..export.trust import Trust
from ..files import write_file
from ..progress import Say, silent
from . import api, logs, properties, state
from .java import Java, find_java
from .plan import Plan, check_devices, cores, find_gpus, parse_workers, plan
from .ports import check_free, pick_free
from .process import end, is_running, new_scratch, sigterm_raises, start_java
from .ready import read_reports, wait_until_ready
from .settings import Address, addresses, check_model_api, derive, read_settings, warn_if_open
from .state import Server, default_state_dir
from .store import Archive, choose, place

_PATIENCE = 30.0  # seconds TorchServe may take to end its workers; it needs 2 to 3
_TRIES = 3  # for a port that is taken between its choice and TorchServe's start


def serve(
    archives: Sequence[Path] = (),
    *,
    model_store: Path | None = None,
    workers: str = "cpu",
    allow_cpu: bool = False,
    state_dir: Path | None = None,
    port: int | None = None,
    config: Path | None = None,
    trusted: Sequence[PublicKey] | None = None,
    trust_code: bool = False,
    timeout: float = 300.0,
    say: Say = silent,
) -> Server:
    """Start TorchServe in the background and return once every worker has proven itself.

    Serves `archives`, or the newest of each name in `model_store`. `workers` is `cpu`, `cpu:2`, `gpu:1` (workers
    per model); with `allow_cpu` archives that no GPU runs have CPU workers all the same. `port` is the
    inference port, management and metrics follow on the next two; 0 takes any free ones, None those of the settings
    (8080). `config` is a properties file over the packaged one. With `trusted` keys (None: those that LEXPORT_KEYS
    names) one of them must have signed every archive; without keys, `trust_code` lets code run that is not this
    kit's. `timeout` in seconds. On any error or interruption nothing is left behind but logs.

    Raises InputError for unusable archives or options; RefusedError for an archive that failed verification, is not
    signed as `trusted` asks, or whose code is not trusted; SystemProblem for a port in use, a server that runs
    already in `state_dir`, or a worker that cannot start, its traceback below the first line.
    """
    folder = (state_dir or default_state_dir()).absolute()
    device, _ = parse_workers(workers)
    trust = Trust.of(trusted, trust_code)
    chosen = choose(archives, model_store, say)
    for archive in check_devices(chosen, workers, allow_cpu=allow_cpu):
        say(f"{archive.cpu_alone}; so do the workers of {archive}.")
    settings = read_settings(config)
    check_model_api(settings, trust)
    doors = addresses(settings, port)
    scheme = plan(chosen, workers, cores=cores(), gpus=find_gpus() if device == "gpu" else 0)
    java = find_java()
    state.make_private(folder)
    with sigterm_raises(), state.locked(folder):
        _make_room(folder, say)
        check_free(doors)
        warn_if_open(settings, doors, say)
        for attempt in range(1, _TRIES + 1):
            try:
                return _start(folder, java, settings, pick_free(doors), scheme, chosen, trust, timeout, say)
            except _PortLost:
                if attempt == _TRIES or not any(door.port == 0 for door in doors.values()):
                    raise
    raise AssertionError("unreachable")


class _PortLost(SystemProblem):
    """Another process took a port between its check and TorchServe's start."""


def _make_room(folder: Path, say: Callable[[str], None]) -> None:
    """Refuse to start beside a running server; clear what a crashed one left."""
    before = state.load(folder)
    if before is None:
        state.clean(folder, None)
    elif is_running(before):
        raise SystemProblem(
            f"A server runs already in {folder} (pid {before.pid}, {before.inference_url}). Stop it with: lexport "
            "stop, or give another --state-dir and --port."
        )
    else:
        say(f"Clearing what a server that ended unexpectedly (pid {before.pid}) left in {folder}.")
        _remove(before, patience=3.0)


def _start(
    folder: Path,
    java: Java,
    settings: dict[str, str],
    doors: dict[str, Address],
    scheme: Plan,
    archives: Sequence[Archive],
    trust: Trust,
    timeout: float,
    say: Callable[[str], None],
) -> Server:
    began = time.monotonic()
    scratch = new_scratch()
    try:
        state.fresh_logs(folder)
        names = place(archives, folder / state.STORE, trust, say)
        derived = derive(settings, doors, scheme, archives, names, folder / state.STORE)
        text = properties.render(derived, "Made by lexport serve for one server; changes here are lost.")
        write_file(folder / state.SETTINGS, text.encode())
        say(
            f"Starting TorchServe on Java {java.version}: {', '.join(map(str, archives))}; workers on "
            f"{scheme.device}: {scheme.total}, threads of each: {scheme.threads}."
        )
        process = start_java(java, folder, scratch, scheme, settings.get("vmargs", ""))
        server = Server(
            pid=process.pid,
            started=process.create_time(),
            inference_url=doors["inference"].url,
            management_url=doors["management"].url,
            metrics_url=doors["metrics"].url,
            state_dir=folder,
            scratch=scratch,
            models={archive.name: archive.version for archive in archives},
            workers=scheme.total,
            threads=scheme.threads,
            device=scheme.device,
            authorized=settings.get("disable_token_authorization", "").lower() != "true",
        )
        state.save(server)
        wait_until_ready(server, scheme, archives, timeout=timeout, say=say)
    except BaseException as error:
        lost = "Address already in use" in logs.java_reason(folder / state.LOGS)
        end(scratch, patience=0.0)
        state.clean(folder, scratch)
        if lost and isinstance(error, SystemProblem):
            raise _PortLost(str(error)) from None
        raise
    say(f"Ready after {time.monotonic() - began:.1f} s at {server.inference_url}")
    return server


def stop(state_dir: Path | None = None, *, say: Say = silent) -> None:
    """Stop the server of a state folder; no process, socket, key or temporary folder is left, only its logs.

    What a crashed server left is cleared likewise, with a line that says so. Raises SystemProblem if there is
    none, or if a process does not end.
    """
    folder = (state_dir or default_state_dir()).absolute()
    if not (folder / state.SERVER).exists():
        raise _none_runs(folder)
    with state.locked(folder):
        server = state.load(folder)
        if server is None:
            raise _none_runs(folder)
        running = is_running(server)
        _remove(server, patience=_PATIENCE)
    if running:
        say(f"Stopped the server at {server.inference_url} (pid {server.pid}). Its logs stay in {server.logs}")
    else:
        say(f"The server (pid {server.pid}) had ended already; cleared what it left. Its logs: {server.logs}")


def wait(server: Server, tell: Callable[[], object] = lambda: None) -> None:
    """Block until the server is stopped from elsewhere; on Ctrl-C or SIGTERM stop it, then raise that on.

    `tell` is called first, so that whoever is told can stop it at once. Raises SystemProblem if the server ends by
    itself.
    """
    with sigterm_raises():
        try:
            tell()
            while is_running(server):
                time.sleep(0.2)
        except BaseException:
            if (server.state_dir / state.SERVER).exists():
                stop(server.state_dir)
            raise
    while not _settled(server):
        time.sleep(0.1)


def _settled(server: Server) -> bool:
    """After the server has ended: False while a `stop` is at work, True once it is done."""
    try:
        with state.locked(server.state_dir):
            if state.load(server.state_dir) != server:
                return True
            reason = logs.java_reason(server.logs) or "it printed nothing"
            _remove(server, patience=3.0)
    except state.Busy:
        return False
    raise SystemProblem(f"The server (pid {server.pid}) ended by itself: {reason} (log: {server.logs}).")


def running(state_dir: Path | None = None) -> Server:
    """The running server of a state folder; raises SystemProblem if there is none."""
    folder = (state_dir or default_state_dir()).absolute()
    server = state.load(folder)
    if server is None:
        raise _none_runs(folder)
    if not is_running(server):
        raise SystemProblem(
            f"The server (pid {server.pid}) has ended unexpectedly; its logs are in {server.logs}. Clear what it "
            "left with: lexport stop"
        )
    return server


def status(state_dir: Path | None = None) -> dict[str, Any]:
    """The server, its models and their workers: what `lexport status` shows and `--json` prints.

    `models` is a list of name, version, batch_size, max_batch_delay_ms, queue_free and `workers`: id, pid, device,
    threads (None where the worker does not say), state, memory_bytes (resident). Raises SystemProblem if no server
    runs or it does not answer.
    """
    server = running(state_dir)
    descriptions = api.describe(server.management_url, server.token("management"))
    threads = {report["pid"]: report.get("threads") for report in read_reports(server)}
    return {
        "healthy": api.is_healthy(server.inference_url, server.token()),
        "pid": server.pid,
        "started": server.started,
        "inference_url": server.inference_url,
        "management_url": server.management_url,
        "metrics_url": server.metrics_url,
        "state_dir": str(server.state_dir),
        "device": server.device,
        "threads": server.threads,
        "memory_bytes": _memory(server.pid),
        "models": [
            {
                "name": description["modelName"],
                "version": description["modelVersion"],
                "batch_size": description["batchSize"],
                "max_batch_delay_ms": description["maxBatchDelay"],
                "queue_free": description["jobQueueStatus"]["remainingCapacity"],
                "workers": [_worker(worker, threads.get(worker["pid"])) for worker in description["workers"]],
            }
            for description in descriptions
        ],
    }


def _worker(worker: dict[str, Any], threads: int | None) -> dict[str, Any]:
    return {
        "id": worker["id"],
        "pid": worker["pid"],
        "device": "gpu" if worker["gpu"] else "cpu",
        "threads": threads,
        "state": "ready" if worker["status"] == "READY" else "not ready",
        "memory_bytes": _memory(worker["pid"]),
    }


def _memory(pid: int) -> int:
    """Resident bytes of a process; 0 if it is gone. TorchServe's own figure is a minute old."""
    try:
        return int(psutil.Process(pid).memory_info().rss) if pid > 0 else 0
    except psutil.Error:
        return 0


def _remove(server: Server, *, patience: float) -> None:
    end(server.scratch, leader=server.pid, patience=patience)
    state.clean(server.state_dir, server.scratch)


def _none_runs(folder: Path) -> SystemProblem:
    return SystemProblem(f"No server runs (state folder {folder}). Start one with: lexport serve NAME-1.0.mar")
