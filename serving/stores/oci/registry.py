"""A registry, asked over HTTP as the OCI Distribution Specification 1.1 says.

Every body is read up to a limit and as it was sent, so that a compressed one cannot grow. Redirects are followed for
blobs alone; the registry's credentials go to no other host but the token service that it names.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlencode, urljoin

import httpx

from ....errors import InputError, LexportError, RefusedError, SystemProblem
from ....storage.strict_json import parse_json
from .credentials import find_credentials
from .reference import Reference, address, is_loopback

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_MOST_MANIFEST = 4 << 20  # what the specification says that a registry takes
_MOST_TOLD = 1 << 16
_BLOCK = 1 << 20
_HOPS = 5
_TIMEOUT = httpx.Timeout(60.0, connect=10.0)
_TOKEN = re.compile(r"[!-~]{1,65536}")
_PARAMETER = re.compile(r'([a-z]+)="([^"]*)"')


class Registry:
    """One repository of a registry; a context manager, since it keeps a connection."""

    def __init__(self, reference: Reference, *, plain_http: bool | None, credentials: str | None) -> None:
        """Name the repository of `reference`; nothing is asked yet.

        `plain_http`: None means over http on the loopback interface and over https elsewhere. `credentials` as in
        `find_credentials`.
        """
        self._reference = reference
        local = is_loopback(httpx.URL(f"https://{reference.registry}").host)
        self._plain = local if plain_http is None else plain_http
        self._anywhere = bool(plain_http)
        self._base = f"{'http' if self._plain else 'https'}://{reference.registry}/v2/{reference.repository}"
        self._origin = _origin(httpx.URL(self._base))
        self._variable = credentials
        self._authorization = ""
        # A proxy of the environment does not reach this machine's loopback interface; its certificates count there.
        transport = httpx.HTTPTransport(trust_env=True) if local else None
        self._http = httpx.Client(timeout=_TIMEOUT, transport=transport, headers={"Accept-Encoding": "identity"})

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def manifest(self) -> bytes:
        """Return the bytes of the manifest. Raises RefusedError if they are not those of the digest."""
        content = self._manifest()
        if content is None:
            raise InputError(
                f"The registry has no {self._reference}. Check the repository and the tag; a private repository may "
                "want credentials: docker login, or --credentials VARIABLE.",
                code="LX-SERVE-168",
            )
        return content

    def tagged(self) -> str:
        """Return the digest, `sha256:…`, of the manifest that the tag names; "" if there is none."""
        content = self._manifest()
        return "" if content is None else f"sha256:{hashlib.sha256(content).hexdigest()}"

    def _manifest(self) -> bytes | None:
        reference = self._reference
        url = f"{self._base}/manifests/{reference.tag or reference.digest}"
        with self._asked("GET", url, {200, 404}, headers={"Accept": MANIFEST_TYPE}) as answer:
            if answer.status_code == 404:
                return None
            content = self._read(answer, _MOST_MANIFEST)
        found = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if reference.digest not in ("", found):
            raise self.altered("the manifest", reference.digest, found)
        return content

    def download(self, digest: str, size: int, target: BinaryIO) -> None:
        """Write the blob of a digest, of `size` bytes, to an open file. Raises RefusedError if it is another."""
        done, found = 0, hashlib.sha256()
        with self._asked("GET", f"{self._base}/blobs/{digest}", {200}, follow=True) as answer, self._exchanging():
            for block in answer.iter_raw(_BLOCK):
                done += len(block)
                if done > size:
                    break
                found.update(block)
                target.write(block)
        if (done, f"sha256:{found.hexdigest()}") != (size, digest):
            told = f"more than {size:,} bytes" if done > size else f"sha256:{found.hexdigest()}, {done:,} bytes"
            raise self.altered("the archive", f"{digest}, {size:,} bytes", told)

    def upload(self, content: bytes | Path, digest: str, size: int) -> None:
        """Send a blob, unless the repository has it."""
        with self._asked("HEAD", f"{self._base}/blobs/{digest}", {200, 404}, follow=True) as answer:
            if answer.status_code == 200:
                return
        with self._asked("POST", f"{self._base}/blobs/uploads/", {202}, headers={"Content-Length": "0"}) as answer:
            where = answer.headers.get("Location", "")
        url = _with(self._leads(where, f"{self._base}/"), {"digest": digest})
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        with self._asked("PUT", url, {201}, headers=headers, body=content):
            pass

    def tag(self, manifest: bytes) -> None:
        """Give a manifest, whose blobs the repository has, the tag of the reference."""
        url = f"{self._base}/manifests/{self._reference.tag}"
        with self._asked("PUT", url, {201}, headers={"Content-Type": MANIFEST_TYPE}, body=manifest):
            pass

    def altered(self, what: str, expected: str, found: str) -> RefusedError:
        """Return the error for content that is not what a digest says."""
        return RefusedError(
            f"{self._reference}: {what} that the registry sent is not the one of its digest: {found}, expected "
            f"{expected}. Nothing was kept; ask again, and if it stays so, do not use that registry.",
            code="LX-SERVE-157",
        )

    @contextmanager
    def _asked(
        self,
        method: str,
        url: str,
        expected: set[int],
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | Path | None = None,
        follow: bool = False,
    ) -> Iterator[httpx.Response]:
        """Yield the answer with one of the expected statuses, after the request for a token and redirects, if any."""
        asked_again, hops = False, 0
        while True:
            own = _origin(httpx.URL(url)) == self._origin
            sent = dict(headers or {})
            if own and self._authorization:
                sent["Authorization"] = self._authorization
            with ExitStack() as stack:
                content = stack.enter_context(body.open("rb")) if isinstance(body, Path) else body
                with self._exchanging():
                    request = self._http.build_request(method, url, headers=sent, content=content)
                    answer = self._http.send(request, stream=True)
                stack.callback(answer.close)
                if answer.status_code in expected:
                    yield answer
                    return
                if answer.status_code == 401 and own and not asked_again:
                    asked_again = True
                    self._authenticate(answer)
                elif follow and answer.has_redirect_location and hops < _HOPS:
                    hops += 1
                    url = self._leads(answer.headers["Location"], url)
                else:
                    raise self._unexpected(method, answer)

    def _leads(self, where: str, base: str) -> str:
        """Return the URL that an answer names, absolute or from `base`.

        Raises InputError for plain http but where it was asked for; no answer of an https registry leads to it.
        """
        try:
            url = address(urljoin(base, where))
        except ValueError:
            url = None
        if url is not None:
            plain = url.scheme == "http" and self._plain and (self._anywhere or is_loopback(url.host))
            if plain or url.scheme == "https":
                return str(url)
        raise InputError(
            f"{self._reference}: the registry leads to {where.partition('?')[0][:200]!r}, which is not encrypted; "
            "nothing was sent there. Expected https; give --plain-http if the network between is yours.",
            code="LX-SERVE-162",
        )

    def _authenticate(self, answer: httpx.Response) -> None:
        """Keep what the next requests are sent with, as the challenge of an answer asks."""
        challenge = answer.headers.get("WWW-Authenticate", "")
        kind, _, rest = challenge.partition(" ")
        found = find_credentials(self._reference.registry, self._variable)
        basic = "" if found is None else "Basic " + b64encode(f"{found.user}:{found.password}".encode()).decode()
        if kind.lower() == "basic":
            self._authorization = basic
        elif kind.lower() == "bearer":
            self._authorization = f"Bearer {self._token(dict(_PARAMETER.findall(rest)), basic)}"

    def _token(self, challenge: Mapping[str, str], basic: str) -> str:
        """Return the token of the service that a challenge names."""
        realm = self._leads(challenge.get("realm", ""), "")
        service = httpx.URL(realm).netloc.decode()
        url = _with(realm, {key: challenge[key] for key in ("service", "scope") if key in challenge})
        with self._exchanging():
            request = self._http.build_request("GET", url, headers={"Authorization": basic} if basic else None)
            answer = self._http.send(request, stream=True)
        try:
            content = self._read(answer, _MOST_MANIFEST)
        finally:
            answer.close()
        if answer.status_code != 200:
            raise self._problem(f"its token service {service} answered {answer.status_code} ({_told(content)})")
        try:
            values: Any = parse_json(content)
            token = values.get("token") or values.get("access_token")
        except (ValueError, AttributeError):
            token = None
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise self._problem(f"its token service {service} sent no token")
        return token

    def _read(self, answer: httpx.Response, limit: int) -> bytes:
        content = b""
        with self._exchanging():
            for block in answer.iter_raw(_BLOCK):
                content += block
                if len(content) > limit:
                    raise self._problem(f"it sent more than {limit:,} bytes where few are expected")
        return content

    def _unexpected(self, method: str, answer: httpx.Response) -> LexportError:
        try:
            told = _told(self._read(answer, _MOST_TOLD))
        except SystemProblem:
            told = "an endless answer"
        return self._problem(f"it answered {method} with {answer.status_code} ({told})")

    @contextmanager
    def _exchanging(self) -> Iterator[None]:
        """Turn the errors of the connection into a SystemProblem."""
        try:
            yield
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise self._problem(f"{type(error).__name__}: {error}") from None

    def _problem(self, reason: str) -> SystemProblem:
        return SystemProblem(
            f"The registry of {self._reference} cannot be used: {reason}. Check its address, that it speaks "
            f"{'http' if self._plain else 'https'}, and the credentials: docker login, or --credentials VARIABLE.",
            code="LX-SERVE-167",
        )


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    """Return what decides whether an address is the registry's own."""
    return url.scheme, url.host, url.port


def _with(url: str, parameters: Mapping[str, str]) -> str:
    """Return a URL with more parameters in its query."""
    more = urlencode(parameters)
    return f"{url}{'&' if '?' in url else '?'}{more}" if more else url


def _told(content: bytes) -> str:
    """Return the first message in a registry's error answer, or the beginning of the answer."""
    try:
        values: Any = parse_json(content)
        first = values["errors"][0]
        return f"{first.get('code', '')}: {first.get('message', '')}"[:200]
    except (ValueError, LookupError, TypeError, AttributeError):
        return content[:200].decode("utf-8", "replace") or "no reason"
