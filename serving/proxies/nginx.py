"""nginx's configuration: see `rules`."""

from __future__ import annotations

from .rules import FORM_TYPES, HEALTH_PATHS, MAX_HEADERS, METHODS, UPSTREAM_CONNECTIONS, Proxy, refusals

# nginx's own numbers: of a header that is too long; of a server that is down, has no free place or answers nonsense.
_OWN_CODES = {431: "494 =431", 503: "502 503 =503"}


def configuration(proxy: Proxy) -> str:
    """Return the text of nginx.conf, for nginx 1.22 and newer."""
    limits, bodies = proxy.limits, refusals(proxy)
    del bodies[502]
    own = "\n".join(
        f"        error_page {_OWN_CODES.get(status, status)} /refused/{status};\n"
        f"        location = /refused/{status} {{ internal; return {status} '{text}'; }}"
        for status, text in bodies.items()
    )
    return f"""\
# nginx before a model server, made by: lexport generate nginx
# Check it with: nginx -t -p FOLDER -c FILE     Run it with: nginx -p FOLDER -c FILE
# FOLDER is an empty one that nginx may write: the relative paths below are inside it.

daemon off;
pid nginx.pid;
# One process passes some 25,000 requests a second, and counts all connections.
worker_processes 1;
# Each client connection may have one to the server.
worker_rlimit_nofile {4 * limits.connections + 64};
# Errors name an address and a path, never a text.
error_log stderr error;

events {{
    # Clients that have not sent a request yet count only here; idle ones are closed early when places are short.
    worker_connections {4 * limits.connections};
}}

http {{
    # No request is logged; clients learn no version.
    access_log off;
    server_tokens off;
    default_type application/json;

    # Bodies and answers are kept in memory: no text is written to a disk. These folders stay empty.
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path unused;
    uwsgi_temp_path unused;
    scgi_temp_path unused;
    client_body_buffer_size {limits.body};
    proxy_max_temp_file_size 0;
    proxy_buffers 16 64k;
    proxy_buffer_size 16k;

    # A whole header must arrive within this time; each part of a body within the next.
    client_header_timeout {limits.header_time}s;
    client_body_timeout {limits.body_time}s;
    # Idle connections are closed, and clients that do not read their answer.
    keepalive_timeout {limits.idle_time}s;
    send_timeout {limits.idle_time}s;
    large_client_header_buffers 1 {MAX_HEADERS};
    client_max_body_size {limits.body};

    # Requests in progress by client address, and of all.
    limit_conn_zone $binary_remote_addr zone=address:10m;
    limit_conn_zone all zone=all:64k;
    limit_conn address {limits.per_address};
    limit_conn all {limits.connections};
    limit_conn_status 429;
    limit_conn_log_level info;

    # TorchServe reads each field of a form slowly, so forms are short.
    map $content_type $form {{
        default 0;
        "~*({"|".join(FORM_TYPES)})" 1;
    }}
    # Clients learn when to come back.
    map $status $retry_after {{
        429 1;
        503 1;
    }}

    upstream models {{
        # As many requests at once; further ones are answered 503.
        server {proxy.upstream.host}:{proxy.upstream.port} max_conns={UPSTREAM_CONNECTIONS};
        # Connections to the server are kept and used again.
        keepalive {UPSTREAM_CONNECTIONS // 4};
    }}
{_upstreams(proxy)}
    server {{
        listen {proxy.listen.host}:{proxy.listen.port}{_tls(proxy)}
        add_header Retry-After $retry_after always;

        # The server gets a rewritten request, once the whole body is here, with the path as the client sent it.
        # nginx itself refuses two lengths, a length that is not a number, a length beside chunks, other encodings.
        proxy_http_version 1.1;
        proxy_request_buffering on;
        proxy_set_header Connection "";
        proxy_set_header Content-Type $content_type;
        proxy_connect_timeout 3s;
        proxy_read_timeout {limits.answer_time}s;
        proxy_next_upstream off;

        location / {{
            # Only inference is reachable, never management. The server takes any method for POST.
            if ($request_uri !~ "^{proxy.paths}(\\?[!-~]*)?$") {{ return 404; }}
            if ($request_method !~ "^({"|".join(METHODS)})$") {{ return 405; }}
            if ($server_protocol !~ "^HTTP/1") {{ return 400; }}
            if ($form) {{ rewrite ^ /form last; }}
            proxy_pass http://models$request_uri;
        }}
        location = /form {{
            internal;
            client_max_body_size {limits.form};
            proxy_pass http://models$request_uri;
        }}
{_metrics(proxy)}{_health(proxy)}
        # nginx's own refusals are JSON, as the model's are.
{own}
    }}
}}
"""


def _tls(proxy: Proxy) -> str:
    if proxy.certificate is None:
        return ";"
    return f""" ssl;
        ssl_certificate '{proxy.certificate}';
        ssl_certificate_key '{proxy.key or proxy.certificate}';
        # Browsers and clients of the last ten years speak TLS 1.2.
        ssl_protocols TLSv1.2 TLSv1.3;"""


def _upstreams(proxy: Proxy) -> str:
    """Return the upstream blocks of the metrics and health addresses."""
    named = {"metrics": proxy.metrics, "health": proxy.health}
    return "".join(
        f"    upstream {name} {{ server {address.host}:{address.port}; }}\n"
        for name, address in named.items()
        if address
    )


def _metrics(proxy: Proxy) -> str:
    if proxy.metrics is None:
        return ""
    return """\
        # Counters for Prometheus; no token is asked for here.
        location = /metrics { proxy_pass http://metrics; }
"""


def _health(proxy: Proxy) -> str:
    if proxy.health is None:
        return ""
    locations = "".join(f"        location = {path} {{ proxy_pass http://health; }}\n" for path in HEALTH_PATHS)
    return f"        # Probes, answered without a token by: lexport serve --health\n{locations}"
