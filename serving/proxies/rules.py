"""The rules that every proxy before a server must follow."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import InputError
from ..settings.addresses import Address

LISTEN = Address("127.0.0.1", 8443)
UPSTREAM = Address("127.0.0.1", 8080)
FORM_TYPES = ("x-www-form-urlencoded", "multipart")
METHODS = ("GET", "HEAD", "POST", "OPTIONS")
# A name or a version in a path: no dots first, so that no segment is `..`; no quotes, which configurations need.
_NAME = "[A-Za-z0-9_%~+:@,=-][A-Za-z0-9_%~+:@,=.-]*"
PATHS = (
    f"/(predictions|explanations)/{_NAME}(/{_NAME})?",
    # TorchServe has `infer` and `explain` without a version alone, and answers the others with 404 or 405.
    f"/v2(/health/(live|ready)|/models/{_NAME}(/versions/{_NAME})?(/(infer|explain|ready))?)?",
    "/ping",
    "/api-description",
)
HEALTH_PATHS = ("/livez", "/readyz")
MAX_HEADERS = 8192  # bytes; TorchServe refuses more
LARGEST_BODY = 1 << 26  # bytes; haproxy has several buffers of this size from the start
UPSTREAM_CONNECTIONS = 256  # TorchServe's own limit of open files may be 1,024

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")
_UNSAFE = re.compile(r"""[\x00-\x1f\x7f'"\\$#{};]""")


@dataclass(frozen=True)
class Limits:
    """Limits for the proxy's clients. Sizes in bytes, times in seconds."""

    body: int = 1 << 20
    """Of a request; also the memory that one waiting request may take."""
    form: int = 1 << 16
    """Of a form: TorchServe reads 64 KiB of the smallest fields in 0.1 to 0.2 s, and twice as many in twice that."""
    connections: int = 1024
    """Of all clients together."""
    per_address: int = 64
    """Of one client address."""
    header_time: int = 10
    """For the whole header of a request."""
    body_time: int = 30
    """For a body: haproxy gives it to the whole, nginx to each part that arrives."""
    idle_time: int = 30
    """Between two requests of a connection, and for a client that does not read its answer."""
    answer_time: int = 130
    """For the server's answer; TorchServe's own limit for a batch is 120 s."""

    def check(self) -> None:
        """Raise InputError if a limit is too low to serve anything or contradicts another."""
        for name, value in vars(self).items():
            if value < 1:
                raise InputError(
                    f"The limit {name.replace('_', ' ')} is {value}; expected 1 or more.", code="LX-PROXY-003"
                )
        if self.form > self.body:
            raise InputError(
                f"Forms may have {self.form:,} bytes and bodies {self.body:,}; expected the first up to the second.",
                code="LX-PROXY-004",
            )
        if self.per_address > self.connections:
            raise InputError(
                f"One address may have {self.per_address:,} connections and all together {self.connections:,}; "
                "expected the first up to the second.",
                code="LX-PROXY-005",
            )
        if self.body > LARGEST_BODY:
            raise InputError(
                f"A body may have {self.body:,} bytes; expected up to {LARGEST_BODY:,}, which are kept in memory.",
                code="LX-PROXY-006",
            )


@dataclass(frozen=True)
class Proxy:
    """One proxy: where clients find it, where the server is, with which certificate and limits."""

    listen: Address = LISTEN
    upstream: Address = UPSTREAM
    """The server's inference address."""
    metrics: Address | None = None
    """The server's metrics address, if `/metrics` is to be answered: it asks for no token."""
    health: Address | None = None
    """Where `lexport serve --health` answers, if `/livez` and `/readyz` are to be answered."""
    certificate: Path | None = None
    """PEM file with the server's certificate and those that lead to it."""
    key: Path | None = None
    """PEM file with its key, if it is not in `certificate`."""
    limits: Limits = field(default_factory=Limits)

    def check(self) -> None:
        """Raise InputError for what cannot be written into a configuration."""
        self.limits.check()
        if self.key is not None and self.certificate is None:
            raise InputError(
                f"The key {self.key} was given without a certificate. Give --tls-certificate too.",
                code="LX-PROXY-007",
            )
        for path in (self.certificate, self.key):
            if path is not None and _UNSAFE.search(str(path)):
                raise InputError(
                    f"The path {str(path)!r} has characters that mean something in the proxy's configuration. "
                    "Expected letters, digits, spaces and . _ - / + @ : ,",
                    code="LX-PROXY-008",
                )

    @property
    def paths(self) -> str:
        """One regular expression for the paths that are passed on, without its anchors."""
        more = [*(["/metrics"] if self.metrics else []), *(HEALTH_PATHS if self.health else [])]
        return "({})".format("|".join([*PATHS, *more]))


def parse_address(text: str) -> Address:
    """Parse `127.0.0.1:8443`, `localhost:8443` or `[::1]:8443`. Raises InputError for anything else."""
    host, _, port = text.strip().rpartition(":")
    if not _HOST.fullmatch(host) or not re.fullmatch("[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise InputError(
            f"{text!r} is not an address. Expected ADDRESS:PORT, for example 127.0.0.1:8443 or [::1]:8443.",
            code="LX-PROXY-009",
        )
    return Address(host, int(port))


def full_queue() -> str:
    """Return the JSON body that a proxy gives in place of TorchServe's, which speaks of scaling workers."""
    return json.dumps(
        {"error": "The queue of this model is full.", "expected": "fewer requests; try again in a second"}
    )


def refusals(proxy: Proxy) -> dict[int, str]:
    """Return the JSON body of each status that the proxy answers by itself, in the form of lexport's refusals."""
    limits = proxy.limits
    texts = {
        400: ("This is not a valid HTTP request.", "HTTP/1.1 with one Host and one length"),
        404: (
            "There is nothing at this path.",
            "/predictions/NAME, /explanations/NAME, /v2/models/NAME/infer or /ping",
        ),
        405: ("This method is not allowed.", ", ".join(METHODS)),
        408: (
            "The request took too long to arrive.",
            f"its header within {limits.header_time} s, its body within {limits.body_time} s",
        ),
        413: (
            "The request is too long.",
            f"at most {limits.body} bytes, of a form {limits.form}; longer texts as JSON",
        ),
        429: ("Too many connections from this address.", f"at most {limits.per_address}; try again in a second"),
        431: ("The header is too long.", f"at most {MAX_HEADERS} bytes"),
        501: ("This transfer encoding is not supported.", "chunked, or a Content-Length"),
        502: ("The answer of the model server could not be read.", "try again"),
        503: ("The model server is overloaded or not running.", "try again in a second"),
        504: ("The model server did not answer in time.", f"an answer within {limits.answer_time} s"),
    }
    return {status: json.dumps({"error": error, "expected": expected}) for status, (error, expected) in texts.items()}
