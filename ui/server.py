"""The HTTP server of `lexport ui`, on this machine alone."""

from __future__ import annotations

import errno
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any

from ..errors import SystemProblem
from .site import LONGEST_BODY, Reply, Site

HOST = "127.0.0.1"
_PATIENCE = 30.0  # seconds for a request to arrive


class Server(ThreadingHTTPServer):
    """Serves one folder's pages until `shutdown`; each connection in a thread of its own."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, folder: Path, port: int) -> None:
        """Listen at `port`, 0 for any that is free. Raises SystemProblem for one in use."""
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            taken = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
            raise SystemProblem(
                f"Port {port} of {HOST} {taken}. Give another one with --port, or --port 0 for any that is free.",
                code="LX-UI-005",
            ) from None
        self.site = Site(folder, f"{HOST}:{self.server_address[1]}")

    def server_bind(self) -> None:
        """Take the address, without the look-up of this machine's name that `HTTPServer` makes."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.server_address[1]

    @property
    def address(self) -> str:
        """The first page, with its token."""
        return f"http://{HOST}:{self.server_address[1]}/{self.site.token}/"

    def server_close(self) -> None:
        """Stop listening and close the models."""
        super().server_close()
        if hasattr(self, "site"):  # not where the port was in use
            self.site.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that ended early."""


class _Handler(BaseHTTPRequestHandler):
    """Reads a request and writes the site's answer."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = _PATIENCE

    def _answer(self) -> None:
        length = self.headers.get("Content-Length", "0")
        known = length.isascii() and length.isdigit() and len(length) < 10 and "Transfer-Encoding" not in self.headers
        if not known or int(length) > LONGEST_BODY:
            self.close_connection = True
            self._send(Reply(413, b"The request is too long.", "text/plain; charset=utf-8"))
            return
        body = self.rfile.read(int(length))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._send(self.server.site.respond(self.command, self.path, headers, body))

    do_GET = do_POST = do_HEAD = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = _answer  # noqa: N815

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        script = "" if reply.script is None else f"; script-src '{reply.script}'; connect-src 'self'"
        policy = f"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'{script}"
        for name, value in (
            ("Content-Type", reply.kind),
            ("Content-Length", str(len(reply.content))),
            ("Content-Security-Policy", policy),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cache-Control", "no-store"),
        ):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.content)

    def log_message(self, *_: Any) -> None:
        """Write no access log: the addresses have the token."""
