"""Advice that several rules give in the same words, so that the list of actions says it once.

Versions are named where they matter. Sources: semantics C, D3 and E; nginx's documentation of
ngx_http_upstream_module and ngx_http_proxy_module; the kernel's ip-sysctl.rst.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pcapwatch.findings.assumptions import KnownHost

NGINX_UPSTREAM = (
    'nginx before 1.29.7 as the proxy: proxy_http_version 1.1; proxy_set_header Connection ""; '
    "and upstream { …; keepalive 32; } (from 1.29.7 HTTP/1.1 and keepalive are the defaults: look for a "
    "setting that overrides them)"
)
OTHER_PROXY = (
    "another proxy: let it speak HTTP/1.1 without Connection: close to its upstream, and give it a "
    "pool of idle connections"
)
HAPROXY_UPSTREAM = (
    "HAProxy as the proxy: no option http-server-close or httpclose, and http-reuse safe or always, so that its "
    "connections to servers are shared"
)
IF_PROXY = (
    "if the client is a proxy, the header is its own and not its clients': HAProxy without option http-server-close or "
    'httpclose; nginx with proxy_http_version 1.1, proxy_set_header Connection "" and keepalive in upstream'
)
#: What a proxy needs to keep the connections to its upstream.
PROXY_KEEPS = [NGINX_UPSTREAM, HAPROXY_UPSTREAM, OTHER_PROXY]

CLIENT_KEEPS = (
    "client: speak HTTP/1.1 without Connection: close, share one connection pool per process, and "
    "read every response body to its end"
)

#: What each client needs to keep its connections, by the beginning of its User-Agent.
_CLIENTS: tuple[tuple[str, str], ...] = (
    ("ApacheBench/", "ab: -k asks for keep-alive; without it ab measures connections, not requests"),
    ("curl/", "curl: give several URLs to one call, or use a client that lives longer than one request"),
    ("python-requests/", "Python requests: one requests.Session for the life of the process instead of requests.get()"),
    (
        "Python-urllib/",
        "Python urllib.request always sends Connection: close: use http.client, requests or httpx with a pool",
    ),
    (
        "Go-http-client/",
        "Go: read each response body to EOF and close it, share one http.Client, raise MaxIdleConnsPerHost (default 2)",
    ),
    ("node", "Node: one http.Agent with keepAlive: true (the default since Node 19), shared by all requests"),
)

#: How each server is told to keep connections, by the beginning of its Server header.
_SERVERS: tuple[tuple[str, str], ...] = (
    ("nginx", "nginx: keepalive_timeout above 0 and no keepalive_requests 1 in the server that answers here"),
    ("Apache", "Apache httpd: KeepAlive On"),
    (
        "SimpleHTTP/",
        "Python http.server speaks HTTP/1.0 unless protocol_version is set: put a real server in its place",
    ),
    ("gunicorn", "gunicorn: sync workers close after each response: a threaded worker class, and --keep-alive above 0"),
)
SERVER_KEEPS = (
    "server: enable keep-alive, and find what adds Connection: close to its responses "
    "(configuration, middleware, a proxy)"
)

LESS_IDLE_CLIENT = (
    "client or proxy: drop idle connections sooner than the server does, by a margin of a round trip or more"
)
MORE_IDLE_SERVER = (
    "or server: a longer idle timeout than any client's (nginx keepalive_timeout, Apache KeepAliveTimeout, "
    "Node server.keepAliveTimeout, "
    "gunicorn --keep-alive)"
)
RETRY = (
    "client: retry idempotent requests once on a new connection when a reused one ends before any byte of "
    "the response (RFC 9112 §9.3.1)"
)

WIDER_RANGE = (
    'Linux client: sysctl net.ipv4.ip_local_port_range="1024 60999", with its own listening ports in '
    "net.ipv4.ip_local_reserved_ports"
)
MORE_ADDRESSES = "more source or destination addresses: the limit is per (source, destination, destination port)"
SERVER_CLOSES = "or let the server close first: its TIME_WAITs hold no ephemeral port"
TW_REUSE = "Linux client: net.ipv4.tcp_tw_reuse=1; it lets connect() take a TIME_WAIT with timestamps again after 1 s"

#: What a kernel that was read is told to change, with its value now.
_WIDEST = (1024, 65535)


def wider_range(host: KnownHost | None) -> list[str]:
    """A wider port range, with the range that the client's kernel has now where that is known."""
    if host is None or host.ports is None:
        return [WIDER_RANGE]
    now = host.sysctls.get("ip_local_port_range")
    if (host.ports.low, host.ports.high) == _WIDEST:
        return []
    reserved = f", of which {host.ports.reserved} are reserved" if host.ports.reserved else ""
    return [
        (
            f"{host.name}: net.ipv4.ip_local_port_range is {now} here ({host.ports.size:,} ports{reserved}): sysctl "
            'net.ipv4.ip_local_port_range="1024 65535", its own listening ports in net.ipv4.ip_local_reserved_ports'
        )
    ]


def tw_reuse(host: KnownHost | None) -> list[str]:
    """``tcp_tw_reuse``, unless the client's kernel says that it is on already."""
    now = host.sysctls.get("tcp_tw_reuse") if host else None
    if host is None or now is None:
        return [TW_REUSE]
    if host.reuse_ns is not None:
        return []
    if host.sysctls.get("tcp_timestamps") == "0":
        return [
            (
                f"{host.name}: net.ipv4.tcp_timestamps is 0 here, without which tcp_tw_reuse ({now} here) does "
                "nothing: net.ipv4.tcp_timestamps=1 net.ipv4.tcp_tw_reuse=1"
            )
        ]
    meant = " (loopback only)" if now == "2" else ""
    delay = host.sysctls.get("tcp_tw_reuse_delay")
    after = f"{int(delay) / 1000:g} s" if delay and delay.isdecimal() else "1 s"
    return [
        (
            f"{host.name}: net.ipv4.tcp_tw_reuse is {now} here{meant}: with 1 connect() may take a TIME_WAIT with "
            f"timestamps again after {after}"
        )
    ]


NO_TW_REUSE = "tcp_tw_reuse: it acts on outgoing connect() only, so the server's TIME_WAITs stay"
NO_FIN_TIMEOUT = "tcp_fin_timeout: the timer of FIN-WAIT-2, another state; Linux keeps TIME_WAIT 60 s whatever it says"
NO_TW_RECYCLE = "tcp_tw_recycle: removed in Linux 4.12, and it broke clients behind NAT before"
NO_MAX_BUCKETS = (
    "a lower tcp_max_tw_buckets: at the cap the kernel skips TIME_WAIT, and a repeated FIN is answered by a reset"
)
NO_LINGER = "SO_LINGER with 0 to avoid TIME_WAIT: the close becomes a reset and unread data is lost"

#: What not to do about a server's TIME_WAITs, and about a client's.
NOT_FOR_SERVER = [NO_TW_REUSE, NO_FIN_TIMEOUT, NO_TW_RECYCLE, NO_MAX_BUCKETS]
NOT_FOR_CLIENT = [NO_FIN_TIMEOUT, NO_TW_RECYCLE, NO_MAX_BUCKETS, NO_LINGER]


def client_hints(user_agents: Iterable[str]) -> list[str]:
    """Lines for the clients recognised by their User-Agent, then the general one."""
    return [*_matching(_CLIENTS, user_agents), CLIENT_KEEPS]


def server_hints(server_software: Iterable[str]) -> list[str]:
    """Lines for the servers recognised by their Server header, then the general one."""
    return [*_matching(_SERVERS, server_software), SERVER_KEEPS]


def _matching(table: Iterable[tuple[str, str]], texts: Iterable[str]) -> list[str]:
    known = list(texts)
    return [line for prefix, line in table if any(text.startswith(prefix) for text in known)]


def less_idle_client(timeout: str | None) -> str:
    """What the client's pool must do, with the server's timeout where it is known."""
    return LESS_IDLE_CLIENT + (f" (here: below {timeout})" if timeout else "")


def again(code: str, expectation: str) -> str:
    """The check that fits every finding: capture again and look."""
    return f"pcapwatch analyze after.pcap: {expectation}, {code} is gone"


def count_time_waits(service_port: int, side: str) -> str:
    """A command for the holder's own table: ``side`` sport on the server, dport on the client."""
    return f"ss -Htan state time-wait '{side} = :{service_port}' | wc -l"
