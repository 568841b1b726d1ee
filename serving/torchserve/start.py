"""Start a server: `serve`."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import SystemProblem
from ...export.archive.trust.keys import PublicKey
from ...export.archive.trust.rule import Trust
from ...storage.atomic import write_file
from ...storage.cores import cores
from ...storage.progress import Say, silent
from .. import folders, properties, state, tokens
from ..plan import Plan, check_devices, find_gpus, parse_workers, plan
from ..state import Server
from ..store import Archive, choose, place
from . import launch, temporary
from .environment import server_environment
from .health import logs
from .health.ready import wait_until_ready
from .java import Java, find_java
from .ports import check_free, explain_lost, pick_free
from .process import end, is_running, sigterm_raises
from .server import remove
from .settings import (
    Address,
    addresses,
    check_model_api,
    derive,
    health_address,
    own_settings,
    read_settings,
    warn_if_open,
)
from .user_settings import read_user_settings

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
    env: Sequence[str] = (),
    token_file: Path | None = None,
    health_at: str | None = None,
    drain: float = 10.0,
    bound: bool = False,
    timeout: float = 300.0,
    say: Say = silent,
) -> Server:
    """Start TorchServe in the background and return when every worker is ready.

    Serves `archives`, or the newest of each name in `model_store`. `workers` is `cpu`, `cpu:2`, `gpu:1` (workers
    per model); with `allow_cpu` archives that no GPU runs have CPU workers all the same. `port` is the inference
    port, management and metrics follow on the next two; 0 takes any free ones, None those of the settings (8080).
    `config` is a properties file over the packaged one; its batch sizes, delays, timeouts and workers of models are
    kept (`user_settings.read_user_settings`), and a line is printed for each setting that is dropped or opens
    something. With `trusted` keys (None: those that LEXPORT_KEYS names) one of them must have signed every archive;
    without keys, `trust_code` lets code run that is not this kit's. The server's processes get the environment
    variables they need, and those that `env` names. `token_file` holds the tokens that requests must carry, else
    new ones are made. At `health_at`, PORT or ADDRESS:PORT, `/livez` and `/readyz` are answered without a token.
    When the server is stopped, requests in flight have `drain` seconds to be answered. With `bound` the server ends
    when this process does, even if it is killed. `timeout` in seconds. On any error or interruption nothing is left
    behind but logs.

    Raises InputError for unusable archives or options; RefusedError for an archive that failed verification, is not
    signed as `trusted` asks, or whose code is not trusted; SystemProblem for a port in use, a server that runs
    already in `state_dir`, or a worker that cannot start, its traceback below the first line.
    """
    folder = folders.locate(state_dir)
    device, count = parse_workers(workers)
    trust = Trust.of(trusted, trust_code)
    chosen = choose(archives, model_store, say)
    for archive in check_devices(chosen, workers, allow_cpu=allow_cpu):
        say(f"{archive.cpu_alone}; so do the workers of {archive}.")
    settings = read_settings(config)
    check_model_api(settings, trust)
    given = tokens.generate() if token_file is None else tokens.read_token_file(token_file)
    endpoints = addresses(settings, port)
    if health_at is not None:
        endpoints["health"] = health_address(health_at)
    kept = read_user_settings(own_settings(config), chosen, count=count)
    gpus = find_gpus() if device == "gpu" else 0
    worker_plan = plan(chosen, workers, cores=cores(), gpus=gpus, configured=kept.workers)
    identity, java = secrets.token_hex(16), find_java()
    start = _Start(
        folder=folder,
        identity=identity,
        java=java,
        command=launch.java_command(java, folder, settings.get("vmargs", "")),
        environment=server_environment(os.environ, env, folder, identity, worker_plan, settings),
        settings=settings,
        limits=kept.limits,
        worker_plan=worker_plan,
        archives=chosen,
        trust=trust,
        tokens=given,
        drain=drain,
        bound=bound,
        timeout=timeout,
        say=say,
    )
    temporary.sweep()
    folders.make_private(folder)
    with sigterm_raises(), folders.locked(folder):
        _clear_stale_server(folder, say)
        check_free(endpoints)
        warn_if_open(settings, endpoints, say)
        for line in kept.lines:
            say(line)
        for attempt in range(1, _TRIES + 1):
            try:
                return start.on(pick_free(endpoints))
            except _PortLost:
                if attempt == _TRIES or not any(endpoint.port == 0 for endpoint in endpoints.values()):
                    raise
    raise AssertionError("unreachable")


class _PortLost(SystemProblem):
    """Another process took a port between its check and TorchServe's start."""


def _clear_stale_server(folder: Path, say: Callable[[str], None]) -> None:
    """Refuse to start beside a running server; remove what a crashed server left."""
    before = state.load(folder)
    if before is None:
        folders.clean(folder)
    elif is_running(before):
        raise SystemProblem(
            f"A server runs already in {folder} (pid {before.supervisor}, {before.inference_url}). Stop it with: "
            "lexport stop, or give another --state-dir and --port.",
            code="LX-SERVE-051",
        )
    else:
        say(f"Clearing what a server that ended unexpectedly (pid {before.supervisor}) left in {folder}.")
        remove(before, patience=3.0)


@dataclass(frozen=True)
class _Start:
    """Everything that a start needs, except its ports."""

    folder: Path
    identity: str
    java: Java
    command: list[str]
    environment: dict[str, str]
    settings: dict[str, str]
    limits: dict[str, dict[str, int]]
    worker_plan: Plan
    archives: Sequence[Archive]
    trust: Trust
    tokens: tokens.Tokens
    drain: float
    bound: bool
    timeout: float
    say: Callable[[str], None]

    def on(self, endpoints: dict[str, Address]) -> Server:
        """Start TorchServe on these ports and wait until it is ready."""
        began = time.monotonic()
        try:
            folders.fresh_logs(self.folder)
            self._write_settings(endpoints)
            self.say(
                f"Starting TorchServe on Java {self.java.version}: {', '.join(map(str, self.archives))}; workers on "
                f"{self.worker_plan.device}: {self.worker_plan.total}, threads of each: {self.worker_plan.threads}."
            )
            server = launch.start(
                self._described(endpoints),
                self.command,
                self.environment,
                self.tokens,
                bound=self.bound,
                health=endpoints.get("health"),
            )
            wait_until_ready(server, self.worker_plan, self.archives, timeout=self.timeout, say=self.say)
            launch.keep(server, bound=self.bound)
        except BaseException as error:
            lost = logs.lost_port(self.folder / folders.LOGS)
            end(self.identity, patience=0.0)
            launch.release(self.identity)
            folders.clean(self.folder)
            if lost and isinstance(error, SystemProblem):
                raise _PortLost(explain_lost(endpoints), code="LX-SERVE-052") from None
            raise
        self.say(f"Ready after {time.monotonic() - began:.1f} s at {server.inference_url}")
        return server

    def _write_settings(self, endpoints: dict[str, Address]) -> None:
        store = self.folder / folders.STORE
        names = place(self.archives, store, self.trust, self.say)
        derived = derive(self.settings, endpoints, self.worker_plan, self.archives, names, store, self.limits)
        text = properties.render(derived, "Made by lexport serve for one server; changes here are lost.")
        write_file(self.folder / folders.SETTINGS, text.encode())

    def _described(self, endpoints: dict[str, Address]) -> Server:
        return Server(
            id=self.identity,
            supervisor=0,
            pid=0,
            started=0.0,
            inference_url=endpoints["inference"].url,
            management_url=endpoints["management"].url,
            metrics_url=endpoints["metrics"].url,
            state_dir=self.folder,
            models={archive.name: archive.version for archive in self.archives},
            workers=self.worker_plan.total,
            threads=self.worker_plan.threads,
            device=self.worker_plan.device,
            authorized=self.settings.get("disable_token_authorization", "").lower() != "true",
            drain=self.drain,
            health_url=endpoints["health"].url if "health" in endpoints else "",
        )
