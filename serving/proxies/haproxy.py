"""haproxy's configuration: see `rules`."""

from __future__ import annotations

from pathlib import Path

from ...errors import InputError
from .rules import FORM_TYPES, HEALTH_PATHS, MAX_HEADERS, METHODS, UPSTREAM_CONNECTIONS, Proxy, full_queue, refusals

# haproxy's own refusals whose text can be set; its parser answers a request that is not HTTP with a fixed page.
_BUILT_IN = (408, 502, 503, 504)
_CONTROL = r"[^\x09\x0a\x0d\x20-\x7e\x80-\xff]"


def configuration(proxy: Proxy) -> str:
    """Return the text of haproxy.cfg, for haproxy 2.6 and newer.

    Raises InputError for a key where haproxy finds none.
    """
    limits, bodies = proxy.limits, refusals(proxy)

    def refuse(status: int, condition: str) -> str:
        answer = f"status {status} content-type application/json string '{bodies[status]}'"
        return f"http-request return {answer} if {condition}"

    own = "\n".join(
        f"    http-error status {status} content-type application/json string '{bodies[status]}'"
        for status in _BUILT_IN
    )
    forms = " ".join(FORM_TYPES)
    rules = "    use_backend metrics if { path /metrics }\n" if proxy.metrics else ""
    rules += f"    use_backend health if {{ path {' '.join(HEALTH_PATHS)} }}\n" if proxy.health else ""
    return f"""\
# haproxy before a model server, made by: lexport generate haproxy
# Check it with: haproxy -c -f FILE     Run it with: haproxy -Ws -f FILE

global
    # Connections of all clients; further ones wait until one of them ends.
    maxconn {limits.connections}
    # Two threads pass some 50,000 requests a second.
    nbthread 2
    # A buffer takes a whole request, so that the server gets it at once, however slowly it came.
    tune.bufsize {_buffer(limits.body)}
    # Only the server's failures and returns are logged: no request, no text.
    log stderr format raw local0 notice

defaults
    mode http
    # A whole header must arrive within this time; also the first one of a connection.
    timeout http-request {limits.header_time}s
    # Idle connections are closed, and clients that do not read their answer.
    timeout http-keep-alive {limits.idle_time}s
    timeout client {limits.idle_time}s
    # The server: to accept a connection, to have a free place, to answer.
    timeout connect 3s
    timeout queue 10s
    timeout server {limits.answer_time}s
    timeout check 5s
    # Refusals are JSON, as the model's are, but for what is no HTTP at all.
{own}

frontend clients
    # Only HTTP/1, as the server reads it.
    bind {proxy.listen.host}:{proxy.listen.port}{_tls(proxy)} proto h1
    # Connections by client address. Above the limit requests are refused; above twice the limit connections.
    stick-table type ipv6 size 100k expire 1m store conn_cur
    tcp-request connection track-sc0 src
    tcp-request connection reject if {{ sc0_conn_cur gt {2 * limits.per_address} }}
    {refuse(429, f"{{ sc0_conn_cur gt {limits.per_address} }}")}

    # Only inference is reachable, never management. The server takes any method for POST.
    {refuse(404, f"!{{ path -m reg '^{proxy.paths}$' }}")}
    {refuse(405, f"!{{ method {' '.join(METHODS)} }}")}

    # Strict HTTP. haproxy itself refuses two different lengths, a length that is not a number and broken chunks.
    {refuse(400, "{ req.ver 1.1 } !{ req.hdr_cnt(host) eq 1 }")}
    {refuse(400, f"{{ req.hdrs -m reg '{_CONTROL}' }}")}
    acl encoded req.hdr_cnt(transfer-encoding) gt 0
    {refuse(400, "encoded { req.ver 1.0 }")}
    {refuse(501, "encoded !{ req.fhdr(transfer-encoding) -i chunked }")}
    {refuse(431, f"{{ req.hdrs,length gt {MAX_HEADERS} }}")}

    # Sizes, first as the client declares them. TorchServe reads each field of a form slowly, so forms are short.
    acl form req.fhdr(content-type) -i -m sub {forms}
    {refuse(413, f"{{ req.body_size gt {limits.body} }}")}
    {refuse(413, f"form {{ req.body_size gt {limits.form} }}")}
    # Wait for the whole body, then look at its real size: a chunked one declares none.
    http-request wait-for-body time {limits.body_time}s
    {refuse(413, f"{{ req.body_len gt {limits.body} }}")}
    {refuse(413, f"form {{ req.body_len gt {limits.form} }}")}

    # The server gets a rewritten request: the path without a host, no upgrade, no expectation (answered by now).
    http-request set-uri %[pathq]
    http-request del-header Connection
    http-request del-header Upgrade
    http-request del-header HTTP2-Settings
    http-request del-header Expect
    # Clients learn when to come back, and not what serves them.
    http-after-response set-header Retry-After 1 if {{ status 429 503 }}
    http-after-response del-header Server
{rules}    default_backend models

backend models
    log global
    # Any answer to /ping, without a token 400, says that the server is alive; what each model is, it answers itself.
    option httpchk
    http-check send meth GET uri /ping ver HTTP/1.1 hdr Host models
    http-check expect rstatus ^[245]
    # Connections to the server are kept and used again; requests beyond their number wait here.
    server models {proxy.upstream.host}:{proxy.upstream.port} maxconn {UPSTREAM_CONNECTIONS} check inter 2s
{_full_queue(proxy)}{_metrics(proxy)}{_health(proxy)}"""


def _buffer(body: int) -> int:
    """Return bytes of a buffer that takes a body and more than the longest header, so that a longer body is seen as
    such.
    """
    return body + 4 * MAX_HEADERS


def _tls(proxy: Proxy) -> str:
    if proxy.certificate is None:
        return ""
    beside = Path(f"{proxy.certificate}.key")
    if proxy.key not in (None, proxy.certificate, beside):
        raise InputError(
            f"haproxy does not take the key {proxy.key} by name. Expected it in {proxy.certificate} itself or at "
            f"{beside}: put it there, or write both into one file and leave --tls-key out.",
            code="LX-PROXY-002",
        )
    return f" ssl crt '{proxy.certificate}' ssl-min-ver TLSv1.2 alpn http/1.1"


def _metrics(proxy: Proxy) -> str:
    if proxy.metrics is None:
        return ""
    return f"""
backend metrics
    # Counters for Prometheus; no token is asked for here.
    server metrics {proxy.metrics.host}:{proxy.metrics.port} maxconn 4
"""


def _full_queue(proxy: Proxy) -> str:
    if proxy.health is None:
        return ""
    answer = f"status 429 content-type application/json string '{full_queue()}'"
    return f"""\
    # TorchServe's 503 without Retry-After is of a full queue, as long as each model has workers: the client's rate.
    http-response return {answer} if {{ status 503 }} !{{ res.hdr(Retry-After) -m found }} {{ nbsrv(ready) gt 0 }}
"""


def _health(proxy: Proxy) -> str:
    if proxy.health is None:
        return ""
    address = f"{proxy.health.host}:{proxy.health.port}"
    return f"""
backend health
    # Probes, answered without a token by: lexport serve --health
    server health {address} maxconn 16

backend ready
    # Gets no request; its check says if each model has a worker that is ready.
    option httpchk
    http-check send meth GET uri /readyz
    http-check expect status 200
    server ready {address} check inter 1s fall 1 rise 1
"""
