"""Ask a running server, of any engine, to change what it serves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from ...errors import SystemProblem
from ..canary.rule import Rule
from ..state import Server
from ..torchserve import http as api


@dataclass(frozen=True)
class Control:
    """The management address of a server. Every method raises SystemProblem if it does not answer or refuses."""

    server: Server
    timeout: float
    """Seconds that an answer may take."""

    def versions(self) -> list[dict[str, Any]]:
        """Return every version of every model, as `http.describe` does."""
        return api.describe(self.server.management_url, self.server.token("management"))

    def version(self, name: str, version: str) -> dict[str, Any] | None:
        """Return one version of a model; None if it is not served."""
        found = [one for one in self.versions() if (one["modelName"], one["modelVersion"]) == (name, version)]
        return found[0] if found else None

    def register(self, file: str, workers: int) -> None:
        """Serve an archive of the server's store with so many workers; return when they have been started."""
        self._ask("POST", f"/lexport?register={_quoted(file)}&workers={workers}")

    def retire(self, name: str, version: str, workers: int) -> None:
        """Have a version's workers beyond so many end, each after the batch that it has; call this before less."""
        if not self.server.own_code:  # the other engines do so by themselves
            self._ask("POST", f"/lexport?retire={_quoted(name)}&version={_quoted(version)}&workers={workers}")

    def unregister(self, name: str, version: str) -> None:
        """Serve a version no longer."""
        self._ask("POST", f"/lexport?unregister={_quoted(name)}&version={_quoted(version)}")

    def scale(self, name: str, version: str, workers: int) -> None:
        """Have so many workers answer a version; TorchServe answers before they do.

        If it waited for them, it would do so in a thread that serves a part of all connections.
        """
        waits = "true" if self.server.own_code else "false"
        counts = f"min_worker={workers}&max_worker={workers}&synchronous={waits}"
        self._ask("PUT", f"/models/{_quoted(name)}/{_quoted(version)}?{counts}")

    def make_default(self, name: str, version: str) -> None:
        """Send requests that name no version to this one."""
        self._ask("PUT", f"/models/{_quoted(name)}/{_quoted(version)}/set-default")

    def begin_canary(self, rule: Rule) -> None:
        """Have a server without TorchServe send a share of the requests to another version."""
        values = urlencode({"canary": rule.name, **rule.to_json(), "mirror": str(rule.mirror).lower()})
        self._ask("POST", f"/lexport?{values}")

    def count_canary(self, name: str) -> dict[str, Any]:
        """Return what a server without TorchServe has counted since a canary began; this keeps the canary running."""
        found: dict[str, Any] = self._ask("POST", f"/lexport?canary={_quoted(name)}")
        return found

    def end_canary(self, name: str) -> None:
        """Have a server without TorchServe send all requests to the default again."""
        self._ask("POST", f"/lexport?canary={_quoted(name)}&end=1")

    def rotate(self) -> None:
        """Put the key file that lies beside the server's in its place, and take the tokens in it."""
        self._ask("POST", "/lexport?rotate")

    def _ask(self, method: str, path: str) -> Any:
        server = self.server
        try:
            status, answer = api.request(
                method,
                server.management_url,
                path,
                token=server.token("management"),
                timeout=self.timeout,
            )
        except OSError as error:
            raise SystemProblem(
                f"The server at {server.management_url} does not answer ({error}). Look with: lexport status",
                code="LX-SERVE-171",
            ) from None
        if status >= 300:
            raise SystemProblem(
                f"The server refused {method} {path.partition('?')[0]} with {status}: {api.message(answer)}. Look "
                f"into {server.logs}.",
                code="LX-SERVE-172",
            )
        return answer


def _quoted(part: str) -> str:
    return quote(part, safe="")
