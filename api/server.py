"""`lexport.Server`: a running TorchServe, started here or at an address."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..client import Client
from ..client.questions import served_model
from ..errors import InputError, SystemProblem
from ..reports import notebook
from ..storage.progress import Say, silent
from .model import Model
from .paths import StrPath, with_paths

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..serving.canary.run import Result as CanaryResult
    from ..serving.monitoring.drift import Drift
    from ..serving.monitoring.entries import Entry
    from ..serving.monitoring.words import Sampled
    from ..serving.operations import Change, Rotated
    from ..serving.state import Server as Started
    from .archive import Archive


class Server(Model):
    """A running server, asked over HTTP.

    with lexport.serve(archive) as server:
        server.predict(["would buy again"])[0].label

    Leaving `with` stops a server that `lexport.serve` started, and closes the connections to any other.
    """

    def __init__(
        self,
        client: Client,
        *,
        model: str | None = None,
        version: str | None = None,
        started: Started | None = None,
        own: bool = False,
    ) -> None:
        """Ask `model` through `client`; `started` is a server of this machine, to be stopped if it is our `own`."""
        self._client = client
        self._model = model
        self._version = version
        self._started = started
        self._own = own

    @property
    def name(self) -> str:
        """The model that is asked."""
        return self._model or self._only()

    @property
    def url(self) -> str:
        """The inference address."""
        return self._client.url

    @property
    def models(self) -> dict[str, str]:
        """Version by model name, of a server of this machine. Raises SystemProblem for another one."""
        if self._started is None:
            raise SystemProblem(
                f"{self.url} is not a server of this machine; its models are not known here.", code="LX-API-010"
            )
        return dict(self._started.models)

    def model(self, name: str, version: str | None = None) -> Server:
        """Return the same server, asked about another of its models or one version of it."""
        return Server(self._client, model=name, version=version, started=self._started)

    def ask(self, body: dict[str, Any] | str, *, explain: bool = False) -> Any:
        """Answer one JSON request as docs/http.md has it, or explain it. Raises a ClientError."""
        return self._client.ask(self.name, body, version=self._version, explain=explain)

    def status(self) -> dict[str, Any]:
        """Return the models, their figures and the workers as they are now. Raises SystemProblem if it has ended."""
        from ..serving import status

        return status(self._local("status").state_dir)

    def logs(self, *, everything: bool = False, last: int | None = None, follow: bool = False) -> Iterator[Entry]:
        """Return the lines of the server's logs by time, newest last, each with its time, file, kind and line.

        Useful lines only, or `everything`; the `last` ones, None for all. With `follow` the iterator goes on until
        the server has ended. Raises SystemProblem if it has no logs.
        """
        from ..serving import logs

        return logs(self._local("logs").state_dir, everything=everything, last=last, follow=follow)

    def drift(self, *, seconds: float | None = None, **limits: Any) -> Drift:
        """Compare what this model was asked with the texts that it was measured on, as `lexport drift` does.

        Requests count since the engine was started, or those of the next `seconds`. The limits are those of
        `serving.monitoring.drift.Limits`: `unknown=0.1`, `labels=0.25`, `least=500`. Its method `require` raises
        RefusedError if something has drifted. Raises InputError for evidence without a reference.
        """
        from ..evaluation.drift import Limits
        from ..serving.monitoring.drift import drift

        local = self._local("drift")
        return drift(self.name, self._version, state_dir=local.state_dir, limits=Limits(**limits), seconds=seconds)

    def sample(self, words: int) -> None:
        """Have this model's workers collect at most so many unknown words from now on; 0 stops that."""
        from ..serving.monitoring.words import sample

        sample(words, self.name, self._version, state_dir=self._local("words").state_dir)

    def words(self) -> list[Sampled]:
        """Return the unknown words that were collected of this model, those of most requests first."""
        from ..serving.monitoring.words import words

        return words(self.name, self._version, state_dir=self._local("words").state_dir)[0]

    def forget(self) -> None:
        """Delete the words that were collected of this model."""
        from ..serving.monitoring.words import forget

        forget(self.name, self._version, state_dir=self._local("words").state_dir)

    def deploy(self, source: Archive | StrPath, *, say: Say = silent, **options: Any) -> list[Change]:
        """Serve an archive beside what this machine's server serves, and return what was done.

        `source` is an archive, its path, or NAME:VERSION of the model store; the options are those of `lexport
        deploy`: `workers=2`, `promoted=True`, `dry_run=True`, `store="model_store"`. Raises InputError, RefusedError
        for an archive that fails verification, SystemProblem; then the server is as before.
        """
        from ..serving import operations
        from .archive import Archive

        path = source.path if isinstance(source, Archive) else source
        state_dir = self._local("deploy").state_dir
        done = operations.deploy(path, state_dir=state_dir, say=say, **with_paths(options))
        self._refresh()
        return done

    def promote(self, version: str, *, say: Say = silent) -> None:
        """Send requests that name no version of this model to `version`. Raises as `lexport promote`."""
        from ..serving import operations

        operations.promote(self.name, version, state_dir=self._local("promote").state_dir, say=say)
        self._refresh()

    def rollback(self, *, say: Say = silent) -> str:
        """Send them to the version that was the default before, and return it. Raises as `lexport rollback`."""
        from ..serving import operations

        done = operations.rollback(self.name, state_dir=self._local("rollback").state_dir, say=say)
        self._refresh()
        return done.version

    def scale(self, workers: int, *, version: str | None = None, say: Say = silent) -> None:
        """Have so many workers answer a version of this model, None: its default. Raises as `lexport scale`."""
        from ..serving import operations

        state_dir = self._local("scale").state_dir
        operations.scale(self.name, workers, version=version, state_dir=state_dir, say=say)

    def canary(
        self, version: str, share: float = 0.1, *, promoted: bool = False, say: Say = silent, **options: Any
    ) -> CanaryResult:
        """Try a version on a share of this model's requests, 0 to 1, and return the verdict.

        `promoted`: make it the default if it passes. The options are `header="x-request-id"`, `mirror=True`,
        `seconds` and `limits`, a `serving.canary.verdict.Limits`. Raises as `lexport canary`, but not for a version
        that does not pass.
        """
        from ..serving.canary.rule import Rule
        from ..serving.canary.run import canary

        named = {key: options.pop(key) for key in ("header", "mirror") if key in options}
        rule = Rule(self.name, version, share, **named)
        state_dir = self._local("canary").state_dir
        done = canary(rule, promoted=promoted, state_dir=state_dir, say=say, **options)
        self._refresh()
        return done

    def rotate_tokens(
        self, kind: str = "all", *, grace: float = 300.0, token_file: StrPath | None = None, say: Say = silent
    ) -> Rotated:
        """Give this machine's server new tokens, of `kind` `inference`, `management` or `all`, while it answers.

        The former ones are taken for `grace` seconds more; the new ones are in the key file. Raises as
        `lexport tokens rotate`.
        """
        from ..serving import operations

        path = None if token_file is None else Path(token_file)
        state_dir = self._local("key file").state_dir
        return operations.rotate(kind, grace=grace, token_file=path, state_dir=state_dir, say=say)

    def undeploy(self, version: str | None = None, *, dry_run: bool = False, say: Say = silent) -> list[Change]:
        """Take a version of this model out of the server, None: all of them. Raises as `lexport undeploy`."""
        from ..serving import operations

        state_dir = self._local("undeploy").state_dir
        done = operations.undeploy(self.name, version, dry_run=dry_run, state_dir=state_dir, say=say)
        self._refresh()
        return done

    def _refresh(self) -> None:
        """Read again which models the server has."""
        from ..serving import running

        self._started = running(self._local("models").state_dir)

    def stop(self, *, say: Say = silent) -> None:
        """Stop a server of this machine, each of its requests answered first."""
        from ..serving import stop

        state_dir = self._local("stop").state_dir
        self._client.close()
        stop(state_dir, say=say)

    def wait(self) -> None:
        """Block until the server is stopped from elsewhere; Ctrl-C stops it."""
        from ..serving import wait

        wait(self._local("wait"))

    def close(self) -> None:
        """Stop a server that `lexport.serve` started; close the connections to any other."""
        if self._own:
            self.stop()
        else:
            self._client.close()

    def __repr__(self) -> str:
        return f"Server({self.url!r})"

    def _repr_html_(self) -> str:
        models = self._started.models if self._started else {self._model or "?": self._version or "default"}
        return notebook.facts(f"Server {self.url}", dict(models))

    def _only(self) -> str:
        names = list(self._started.models) if self._started else []
        if len(names) != 1:
            what = (
                f"The server at {self.url} serves {len(names)} models" if names else f"{self.url} is another server"
            )
            known = f": {', '.join(names)}" if names else ""
            raise InputError(
                f"{what}{known}. Name the one to ask: {self.url}/predictions/NAME, or server.model(NAME).predict(…)",
                code="LX-API-011",
            )
        return names[0]

    def _local(self, what: str) -> Started:
        if self._started is None:
            raise SystemProblem(
                f"{self.url} is not a server of this machine, so it has no {what} here.", code="LX-API-012"
            )
        return self._started


def of_started(started: Started, *, own: bool = False) -> Server:
    """Return a server of this machine to ask."""
    return Server(Client(state_dir=started.state_dir), started=started, own=own)


def of_address(
    address: str, *, model: str | None, token_file: str | Path | None = None, timeout: float = 60.0
) -> Server:
    """Return the server at `address` with the token of `token_file`.

    The address is HOST:PORT or http://HOST:PORT, or that of one of its models,
    http://HOST:PORT/predictions/NAME[/VERSION].
    """
    host, named, version = served_model(address) or (address, model, None)
    return Server(Client(host, token_file=token_file, timeout=timeout), model=model or named, version=version)
