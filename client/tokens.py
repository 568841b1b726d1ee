"""The token of a client: given, or read from a file and read again when the file changes."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from ..errors import InputError, SystemProblem
from ..serving import folders, state
from ..serving.server import running
from ..serving.torchserve import http as api
from .errors import Unauthorised


class Keys:
    """The token of a server's inference API, as it is now."""

    def __init__(self, *, token: str | None = None, file: Path | None = None) -> None:
        """Keep a fixed `token`, or its file (a key file, or one line); with neither, requests carry no token."""
        self._token = token
        self._file = None if token is not None else file
        self._seen: tuple[int, int, int] | None = None

    def token(self) -> str | None:
        """Return the token; the key file is read again if it has changed.

        Raises Unauthorised if a key file cannot be read and never was. If the file has disappeared since, the last
        token is returned: its server was stopped, and the connection will fail.
        """
        if self._file is None:
            return self._token
        try:
            found = self._file.stat()
            seen = (found.st_mtime_ns, found.st_size, found.st_ino)
            if seen != self._seen:
                self._token, self._seen = state.read_token(self._file, "inference"), seen
        except (OSError, SystemProblem) as error:
            if self._token is None:
                reason = error.strerror if isinstance(error, OSError) else "it has no inference key"
                raise Unauthorised(
                    f"The key file {self._file} cannot be read: {reason}.",
                    "Expected the key_file.json of a running server, or a file with only the inference token: "
                    "token_file=… or --token-file FILE.",
                ) from None
        return self._token


def find(host: str | None, token: str | None, token_file: Path | None, state_dir: Path | None) -> tuple[str, Keys]:
    """Return the inference address to ask, and the keys to ask with.

    Without a `host` it is the server of the state folder. With one, and neither token nor key file, the state
    folder's keys are taken if they are those of the server at that address. Raises InputError for a bad host,
    SystemProblem where no server runs.
    """
    if host is None:
        server = running(state_dir)
        file = server.state_dir / folders.KEYS if server.authorized else None
        return server.inference_url, Keys(token=token, file=token_file or file)
    url = api.base_url(host)
    if token is None and token_file is None:
        try:
            own = state.load(folders.locate(state_dir))
        except InputError:
            if state_dir is not None:
                raise
            own = None  # without a home folder there is no server of this user's own
        if own is not None and own.authorized and _same(own.inference_url, url):
            token_file = own.state_dir / folders.KEYS
    return url, Keys(token=token, file=token_file)


def _same(one: str, other: str) -> bool:
    first, second = (urlsplit(url) for url in (one, other))
    local = {"localhost", "127.0.0.1", "::1"}
    hosts = {first.hostname, second.hostname}
    return first.port == second.port and (len(hosts) == 1 or hosts <= local)
