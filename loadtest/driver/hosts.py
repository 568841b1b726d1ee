"""The host that is asked, its token and the headers: from options, or of what `lexport serve` started."""

from __future__ import annotations

import ipaddress
import json
import os
import sys
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit


def refuse(message: str) -> NoReturn:
    """End with one line and exit code 2."""
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()
    raise SystemExit(2)


def is_local(host: str) -> bool:
    """Return whether a URL is that of this machine, by its loopback address."""
    name = urlsplit(host).hostname or ""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def check_host(host: str, *, remote: bool) -> None:
    """Refuse any host but this machine: a load test at full speed is an attack on anyone else's server."""
    if not remote and not is_local(host):
        refuse(
            f"The host {host!r} is not this machine. Load tests go to loopback addresses "
            "(such as http://127.0.0.1:8080); give --remote if that server is yours to load."
        )


def running_server(host: str) -> tuple[str, Path | None]:
    """Return the model and key file of the server `lexport serve` started at `host`; empty where there is none."""
    try:
        folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "lexport"
        server = json.loads((folder / "server.json").read_text(encoding="utf-8"))
        if is_local(host) and urlsplit(server["inference_url"]).port == urlsplit(host).port:
            return next(iter(server["models"]), ""), folder / "key_file.json"
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):  # RuntimeError: there is no home folder
        pass
    return "", None


def read_token(path: Path) -> str:
    """Return the inference token in `path`: the text itself, or the field of TorchServe's key_file.json."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        refuse(f"Cannot read the token file {path}: {error}. Give --token-file FILE or set LEXPORT_TOKEN.")
    try:
        return str(json.loads(text)["inference"]["key"])
    except (ValueError, KeyError, TypeError):
        return text


def headers_of(kind: str, token: str, lines: list[str]) -> dict[str, str]:
    """Return the headers of a request, those of the command line in the place of our own."""
    given = dict(parsed_header(line) for line in lines)
    own = {"Content-Type": kind} | ({"Authorization": f"Bearer {token}"} if token else {})
    named = {name.lower() for name in given}
    return {name: value for name, value in own.items() if name.lower() not in named} | given


def parsed_header(line: str) -> tuple[str, str]:
    """Return the name and value of a header. Raises ValueError for a line that is not one."""
    name, colon, value = line.partition(":")
    if not colon or not name.strip() or "\n" in line or "\r" in line:
        raise ValueError(f"--header {line!r} is not a header; expected such as 'X-Key: abc'.")
    return name.strip(), value.strip()
