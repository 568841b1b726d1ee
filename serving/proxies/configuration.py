"""The configurations of haproxy and nginx that protect a server of either engine.

They are needed most by TorchServe: its version 0.12 has no timeouts for its clients, takes forms of any number of
fields and accepts requests that other programs read differently. docs/proxy.md has what was measured.
"""

from __future__ import annotations

from collections.abc import Callable

from ...errors import InputError
from . import haproxy, nginx
from .rules import Limits, Proxy, parse_address

__all__ = ["Limits", "Proxy", "parse_address", "proxy_configuration"]

_WRITERS: dict[str, Callable[[Proxy], str]] = {"haproxy": haproxy.configuration, "nginx": nginx.configuration}


def proxy_configuration(kind: str, proxy: Proxy) -> str:
    """Return the whole configuration file of a proxy, `kind` haproxy or nginx, each part explained by a comment.

    Raises InputError for another kind, and for limits, paths or a key that cannot be used.
    """
    if kind not in _WRITERS:
        raise InputError(
            f"{kind!r} is not a proxy that lexport knows. Expected {' or '.join(_WRITERS)}.", code="LX-PROXY-001"
        )
    proxy.check()
    return _WRITERS[kind](proxy)
