"""Start a server: `serve`."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import InputError, SystemProblem
from ..export.archive.trust.keys import PublicKey
from ..export.archive.trust.rule import Trust
from ..storage.cores import cores
from ..storage.progress import Say, silent
from . import folders, launch, record, state, temporary
from .engines import Engine, Given, engine_of
from .plan import Plan, check_devices, find_gpus, parse_workers, plan
from .process import end, is_running, sigterm_raises
from .ray.replicas import is_rays, worker_set
from .server import remove
from .settings.addresses import Address, addresses, option_address, warn_if_open
from .settings.environment import server_environment
from .settings.files import own_settings, read_settings
from .settings.ports import check_free, explain_lost, pick_free
from .state import Server
from .store import Archive, choose, file_names
from .stores.contents import digest_of
from .tokens import Tokens, generate, read_token_file

_TRIES = 3  # for a port that is taken between its choice and the server's start


def serve(
    archives: Sequence[Path] = (),
    *,
    engine: str = "torchserve",
    model_store: Path | None = None,
    workers: str = "cpu",
    address: str = "",
    replicas: str | None = None,
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
    """Start a server in the background and return when every worker is ready.

    `engine` is `torchserve`, `embedded` or `ray`. Serves `archives`, or the newest of each name in `model_store`.
    `workers` is `cpu`, `cpu:2`, `gpu:1` (workers per model). On Ray, `address` is the cluster's, HOST:PORT or `auto`
    ("": one is started on this machine), and `replicas`, `1-4`, are those of each model at least and at most. With
    `allow_cpu` archives that no GPU runs have CPU workers all the same. `port` is the inference port, management and
    metrics follow on the next two; 0 takes any free ones, None those of the settings (8080). `config` is a properties
    file over the packaged one; what the engine keeps of it is in its settings' page, and a line is printed for each
    setting that is dropped or opens something. With `trusted` keys (None: those that LEXPORT_KEYS names) one of them
    must have signed every archive; without keys, `trust_code` lets code run that is not this kit's. The server's
    processes get the environment variables they need, and those that `env` names. `token_file` holds the tokens that
    requests must carry, else new ones are made. At `health_at`, PORT or ADDRESS:PORT, `/livez` and `/readyz` are
    answered without a token. When the server is stopped, requests in flight have `drain` seconds to be answered. With
    `bound` the server ends when this process does, even if it is killed. `timeout` in seconds. On any error or
    interruption nothing is left behind but logs.

    Raises InputError for unusable archives or options; RefusedError for an archive that failed verification, is not
    signed as `trusted` asks, or whose code is not trusted; SystemProblem for a port in use, a server that runs
    already in `state_dir`, or a worker that cannot start, its traceback below the first line.
    """
    folder = folders.locate(state_dir)
    most_replicas = 0
    if engine == "ray":
        workers, most_replicas = worker_set(workers, replicas)
        env = (*env, *(name for name in os.environ if is_rays(name) and name not in env))
    elif address or replicas is not None:
        raise InputError(
            f"{'--address' if address else '--replicas'} is for a Ray cluster, and the engine is {engine}. Leave it "
            "out, or give --engine ray.",
            code="LX-RAY-156",
        )
    device, count = parse_workers(workers)
    trust = Trust.of(trusted, trust_code)
    chosen = choose(archives, model_store, say)
    for archive in check_devices(chosen, workers, allow_cpu=allow_cpu):
        say(f"{archive.cpu_alone}; so do the workers of {archive}.")
    server_engine = engine_of(engine)
    settings = read_settings(config)
    kept = server_engine.read_settings(Given(chosen, own_settings(config), settings, trust, count, env))
    given = generate() if token_file is None else read_token_file(token_file)
    authorized = settings.get("disable_token_authorization", "").strip().lower() != "true"
    endpoints = addresses(settings, port)
    if health_at is not None:
        endpoints["health"] = option_address(health_at, "--health")
    # Ray Serve may listen there already.
    own = {purpose: one for purpose, one in endpoints.items() if purpose != "inference" or not address}
    gpus = find_gpus() if device == "gpu" else 0
    worker_plan = plan(chosen, workers, cores=cores(), gpus=gpus, configured=kept.workers)
    identity = secrets.token_hex(16)
    start = Start(
        engine=server_engine,
        folder=folder,
        identity=identity,
        environment=server_environment(os.environ, env, folder, identity, worker_plan, settings),
        settings=settings,
        limits=kept.limits,
        plan=worker_plan,
        archives=chosen,
        trust=trust,
        tokens=given if authorized else None,
        drain=drain,
        bound=bound,
        timeout=timeout,
        say=say,
        cluster=address,
        most_replicas=most_replicas,
    )
    temporary.sweep()
    folders.make_private(folder)
    with sigterm_raises(), folders.locked(folder):
        start = replace(start, former=_clear_stale_server(folder, say))
        check_free(own)
        warn_if_open(settings, endpoints, say)
        for line in kept.lines:
            say(line)
        for attempt in range(1, _TRIES + 1):
            try:
                server = start.on(pick_free(endpoints))
                _record(server, chosen, worker_plan, model_store)
                return server
            except _PortLost:
                if attempt == _TRIES or not any(endpoint.port == 0 for endpoint in endpoints.values()):
                    raise
    raise AssertionError("unreachable")


def _record(server: Server, archives: Sequence[Archive], worker_plan: Plan, model_store: Path | None) -> None:
    """Keep what the server was given, for later commands and its next start."""
    versions = tuple(
        record.Deployed(
            archive.name,
            archive.version,
            str(archive.path.resolve()),
            digest_of(archive.path),
            file,
            worker_plan.workers[archive.name],
            default=True,
            store="" if model_store is None else str(model_store.resolve()),
        )
        for archive, file in zip(archives, file_names(archives), strict=True)
    )
    record.save(server.state_dir, record.Record(versions, engine=server.engine, address=server.cluster))


class _PortLost(SystemProblem):
    """Another process took a port between its check and the server's start."""


def _clear_stale_server(folder: Path, say: Callable[[str], None]) -> Server | None:
    """Refuse to start beside a running server; remove what a crashed server left, and return that."""
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
    return before


@dataclass(frozen=True)
class Start:
    """Everything that a start needs, except its ports."""

    engine: Engine
    folder: Path
    """The state folder."""
    identity: str
    """The server's id."""
    environment: dict[str, str]
    """The environment of the server's processes."""
    settings: dict[str, str]
    """Settings as in config.properties."""
    limits: dict[str, dict[str, int]]
    """Limits of each model, by TorchServe's names."""
    plan: Plan
    archives: Sequence[Archive]
    trust: Trust
    tokens: Tokens | None
    """The tokens that requests must carry; None if none are needed."""
    drain: float
    """Seconds that requests in flight have when the server is stopped."""
    bound: bool
    """Whether the server ends when this process does."""
    timeout: float
    """Seconds to become ready."""
    say: Callable[[str], None]
    cluster: str = ""
    """The address of the Ray cluster; "" for none, or for one that is started."""
    most_replicas: int = 0
    """Replicas of a model on it at most, where their number changes with the load; 0 where it does not."""
    former: Server | None = None
    """A server that ended unexpectedly, whose place this one takes."""

    def on(self, endpoints: dict[str, Address]) -> Server:
        """Start the server on these ports and wait until it is ready."""
        began = time.monotonic()
        try:
            folders.fresh_logs(self.folder)
            server = self.engine.start(self, endpoints)
            launch.keep(server, bound=self.bound)
        except BaseException as error:
            lost = self.engine.lost_port(self.folder / folders.LOGS)
            end(self.identity, patience=0.0)
            launch.release(self.identity)
            folders.clean(self.folder)
            if lost and isinstance(error, SystemProblem):
                raise _PortLost(explain_lost(endpoints), code="LX-SERVE-052") from None
            raise
        self.say(f"Ready after {time.monotonic() - began:.1f} s at {server.inference_url}")
        return server

    def described(self, endpoints: dict[str, Address]) -> Server:
        """Return the server as its supervisor finds it, without process numbers."""
        return Server(
            id=self.identity,
            engine=self.engine.name,
            supervisor=0,
            pid=0,
            started=0.0,
            inference_url=endpoints["inference"].url,
            management_url=endpoints["management"].url,
            metrics_url=endpoints["metrics"].url,
            state_dir=self.folder,
            models={archive.name: archive.version for archive in self.archives},
            workers=self.plan.total,
            threads=self.plan.threads,
            device=self.plan.device,
            authorized=self.tokens is not None,
            drain=self.drain,
            health_url=endpoints["health"].url if "health" in endpoints else "",
        )
