"""What a client may send, and how long it may take."""

from __future__ import annotations

from dataclasses import dataclass

from ....errors import InputError


@dataclass(frozen=True)
class Limits:
    """Limits for the clients of a server. Sizes in bytes, times in seconds.

    A connection holds at most one head, one body, what one read gave (256 KiB), and `pipelined` requests with their
    answers.
    """

    connections: int = 900
    """Open at once; a further one is answered 503. They fit into the usual 1,024 open files of a process.

    A process that answers for models raises that limit, and this one to 4,096 where the system lets it."""
    pipelined: int = 16
    """Requests of one connection that wait for their answers; beyond them nothing more of it is read."""
    target: int = 8_192
    """Of path and query; longer ones are answered 414."""
    head: int = 16_384
    """Of the first line and all header lines; longer ones are answered 431. Also of a chunked body's trailers."""
    fields: int = 100
    """Header lines of a request; more are answered 431."""
    body: int = 6_553_500
    """Of a body; longer ones are answered 413. TorchServe's `max_request_size`."""
    chunks: int = 16_384
    """Chunks of one body; more are answered 413, since each of them costs time however short it is."""
    bodies: int = 1 << 28
    """Of all long bodies together, over HTTP and gRPC, that arrive or wait for their answers; one more is refused.

    A body is long that does not come with one read."""
    answers: int = 1 << 28
    """Of all answers together that clients have not read; with more, the connection with most of them is cut."""
    head_seconds: float = 10.0
    """From the first byte of a head to its last, and from a new connection to its first byte; else 408."""
    body_seconds: float = 10.0
    """For a body, besides the time that `least_rate` gives it; else 408."""
    least_rate: float = 1_000.0
    """Bytes a second at which a client must send a body and read its answers."""
    idle_seconds: float = 75.0
    """Between two requests of a connection; longer than the usual 60 of proxies, so that they close first."""
    short_idle_seconds: float = 5.0
    """The same while more than seven eighths of the connections are open."""
    write_seconds: float = 30.0
    """For a client that does not read, besides the time that `least_rate` gives it; then its connection is cut."""
    linger_seconds: float = 2.0
    """For a refused client to read why, while what it still sends is thrown away."""

    def __post_init__(self) -> None:
        """Raise InputError if a limit is zero or negative."""
        for name, value in vars(self).items():
            if not value > 0:
                raise InputError(
                    f"The limit {name} of the HTTP server is {value}; expected more than 0.", code="LX-SERVE-101"
                )
