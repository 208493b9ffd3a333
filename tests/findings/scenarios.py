"""Situations as summaries: one builder each, varied by keyword for near misses."""

from __future__ import annotations

from typing import Any

from summaries import SECOND, START, capture, distribution, exemplar, host, http, pair, ports, proxy_and_origin, summary

from pcapwatch.summary import Summary

CLIENT, SERVER = "10.0.0.1", "10.0.0.9"


def message(side: str, version: str, option: str, count: int, persistent: int = 0) -> dict[str, Any]:
    """Messages alike."""
    return {"side": side, "version": version, "option": option, "count": count, "persistent": persistent}


def closed(announced_by: str, active_closer: str, count: int) -> dict[str, Any]:
    """Connections by announcement and deed."""
    return {"announced_by": announced_by, "active_closer": active_closer, "count": count}


def ending(request: str, response: str, active_closer: str, count: int, requests: int | None = None) -> dict[str, Any]:
    """Connections by what their last messages said, and deed; one request each unless told."""
    each = count if requests is None else requests
    return {
        "request": request,
        "response": response,
        "active_closer": active_closer,
        "count": count,
        "requests": each,
    }


def closes(who: str, number: int) -> dict[str, Any]:
    """The count tables of connections that one side closed by FIN."""
    return {"close": {"fin": number}, "active_closer": {who: number}, "time_wait_holder": {who: number}}


def shown(kind: str) -> dict[str, Any]:
    """An exemplar of a kind."""
    return {"exemplars": {kind: [exemplar(4, (CLIENT, 40010), (SERVER, 80), 31, 42)]}}


def server_announces(number: int = 200, span_s: int = 15, announced: int | None = None, by: str = "server") -> Summary:
    """The server closes each connection; ``announced`` of them were announced by ``by``."""
    said = number if announced is None else announced
    facts = http(
        connections=number,
        requests=number,
        responses=number,
        requests_per_connection={"1": number},
        messages=[
            message(
                "request", "HTTP/1.1", "close" if by == "client" else "none", number, 0 if by == "client" else number
            ),
            message(
                "response", "HTTP/1.1", "none" if by == "client" else "close", number, number if by == "client" else 0
            ),
        ],
        closed_after=[closed(by, "server", said), closed("none", "server", number - said)],
        endings=[
            ending("close", "persists", "server", said)
            if by == "client"
            else ending("persists", "close", "server", said),
            ending("persists", "persists", "server", number - said),
        ],
        server_software=["nginx/1.28.0"],
    )
    made = pair(
        CLIENT,
        SERVER,
        80,
        number,
        http=facts,
        last_ns=START + span_s * SECOND,
        **closes("server", number),
        **shown("announced_close"),
    )
    return summary([made], [host(SERVER, number), host(CLIENT)])


def http10(option: str = "close", asked: int = 50, others: int = 0, agent: str = "Mozilla/5.0") -> Summary:
    """Requests in HTTP/1.0 with a Connection option, beside others in HTTP/1.1."""
    number = asked + others
    facts = http(
        connections=number,
        requests=number,
        responses=number,
        messages=[
            message("request", "HTTP/1.0", option, asked),
            message("request", "HTTP/1.1", "none", others, others),
        ],
        closed_after=[closed("client", "server", asked), closed("none", "client", others)],
        endings=[
            ending("close" if option == "close" else "http/1.0", "close", "server", asked),
            ending("persists", "persists", "client", others),
        ],
        user_agents=[agent],
    )
    return summary([pair(CLIENT, SERVER, 80, number, http=facts, **closes("server", number))], [host(SERVER, number)])


def one_shot(number: int = 40, once: int | None = None, span_s: int = 15, clients: int = 1, **facts: Any) -> Summary:
    """Clients that close after one request though both sides allowed more."""
    single = number if once is None else once
    made = http(
        connections=number,
        requests=number,
        responses=number,
        messages=[message("request", "HTTP/1.1", "none", number, number)],
        closed_after=[closed("none", "client", number)],
        endings=[ending("persists", "persists", "client", number)],
        single_request_client_close=single,
        reusable_closed_by_client=number,
        user_agents=["curl/8.5.0"],
        **facts,
    )
    end = {
        "last_ns": START + span_s * SECOND,
        "ports": ports(distinct=number, held_peak_min=number, held_peak_max=number),
    }
    pairs = [
        pair(
            f"10.0.0.{i + 1}",
            SERVER,
            80,
            number,
            http=made,
            **end,
            **closes("client", number),
            **shown("single_request_client_close"),
        )
        for i in range(clients)
    ]
    return summary(pairs, [host(f"10.0.0.{i + 1}", number) for i in range(clients)])


def pooled(number: int = 8, requests: int = 8000) -> Summary:
    """``ab -k``: many requests on each connection, then the client closes."""
    facts = http(
        connections=number,
        requests=requests,
        responses=requests,
        messages=[message("request", "HTTP/1.0", "keep-alive", requests, requests)],
        closed_after=[closed("none", "client", number)],
        reusable_closed_by_client=number,
        user_agents=["ApacheBench/2.3"],
    )
    held = ports(distinct=number, held_peak_min=number, held_peak_max=number)
    return summary(
        [pair(CLIENT, SERVER, 80, number, http=facts, ports=held, **closes("client", number))], [host(CLIENT, number)]
    )


def idle(number: int = 30, held: int = 5, cluster: int = 30, timeout_s: float = 5.0, **facts: Any) -> Summary:
    """The server closes idle connections after a constant time; ``held`` is the most that were open at once."""
    made = http(
        connections=number,
        requests=3 * number,
        responses=3 * number,
        messages=[message("request", "HTTP/1.1", "none", 3 * number, 3 * number)],
        closed_after=[closed("none", "server", number)],
        reusable_closed_by_server=number,
        **facts,
    )
    if cluster:
        made["idle_timeout"] = {
            "timeout_ns": round(timeout_s * SECOND),
            "spread_ns": 3_000_000,
            "count": cluster,
            "of": number,
        }
    use = ports(distinct=number, held_peak_min=held, held_peak_max=held)
    return summary(
        [
            pair(
                CLIENT, SERVER, 80, number, http=made, ports=use, **closes("server", number), **shown("announced_close")
            )
        ],
        [host(SERVER, number)],
    )


def limited(requests: int = 100, connections: int = 12, span_s: int = 15) -> Summary:
    """Connections that end at the server's maximum of requests."""
    facts = http(
        connections=connections,
        requests=requests * connections,
        responses=requests * connections,
        messages=[message("request", "HTTP/1.1", "none", requests * connections, requests * connections)],
        closed_after=[closed("server", "server", connections)],
        endings=[ending("persists", "close", "server", connections, requests * connections)],
        max_requests={"requests": requests, "connections": connections, "closed_by_server": connections},
    )
    made = pair(
        CLIENT, SERVER, 80, connections, http=facts, last_ns=START + span_s * SECOND, **closes("server", connections)
    )
    return summary([made], [host(SERVER, connections)])


def lost(races: int = 0, stale: int = 0) -> Summary:
    """An idle-timeout server that lost requests."""
    return idle(keepalive_races=races, stale_reuses=stale)


def outlived(
    number: int = 12, median_s: float = 5.0, spread_s: float = 0.02, wait_s: float = 8.0, stale: int = 12
) -> Summary:
    """Each connection's reuse comes after the server's close and is lost, so the engine sees no timeout that stands."""
    made = http(
        connections=number,
        requests=2 * number,
        responses=number,
        messages=[message("request", "HTTP/1.1", "none", 2 * number, 2 * number)],
        closed_after=[closed("none", "server", number)],
        idle_before_close=distribution(median_s - spread_s / 2, median_s, median_s + spread_s / 2, number),
        reuse_wait=distribution(wait_s, wait_s, wait_s, number),
        longest_reuse_gap_ns=round(wait_s * SECOND),
        stale_reuses=stale,
    )
    ends = {"close": {"reset_after_fin": number}, "active_closer": {"server": number}}
    return summary([pair(CLIENT, SERVER, 80, number, http=made, **ends, **shown("stale_reuse"))])


def block(low: int, high: int, used: int | None = None) -> dict[str, int]:
    """A run of ports, used without a gap unless told."""
    return {"low": low, "high": high, "used": high - low + 1 if used is None else used}


def pressed(
    held: int = 20_000,
    span_s: int = 100,
    number: int = 50_000,
    waiting: int | None = None,
    stack: str = "linux",
    **use: Any,
) -> Summary:
    """A client that closes ``number`` connections and held ``held`` ports at once."""
    count = number if waiting is None else waiting
    facts = {
        "distinct": held,
        "even": held,
        "low": 32768,
        "high": 60998,
        "held_peak_min": held // 2,
        "held_peak_max": held,
    }
    made = pair(
        CLIENT,
        SERVER,
        80,
        number,
        close={"fin": number},
        active_closer={"client": count, "server": number - count},
        time_wait_holder={"client": count, "server": number - count},
        ports=ports(**facts | use),
        last_ns=START + span_s * SECOND,
        protocol={"other": number},
    )
    client = host(CLIENT, count)
    if client["time_wait"]:
        client["time_wait"]["length"]["stack"] = stack
    return summary([made], [client, host(SERVER)])


def pool_less(forwarded: int = 0, front_agents: tuple[str, ...] = ("Mozilla/5.0",), **front: Any) -> Summary:
    """A proxy at 10.0.0.1 that opens a connection to its upstream for each of 40 requests, and what is asked of it."""
    (back,) = one_shot(40)["pairs"]
    back["http"]["user_agents"] = ["Mozilla/5.0"]
    back["http"]["forwarded"] = forwarded
    asked = http(connections=2, requests=40, responses=40, user_agents=list(front_agents))
    made: dict[str, Any] = {"client": "192.0.2.7", "server": CLIENT, "server_port": 80, "connections": 2, "http": asked}
    return summary([back, pair(**{**made, **front})], [host(CLIENT, 40)])  # type: ignore[list-item]


def mixed_clients(asking: int = 100, limit: int = 1000, limited: int = 17, first_fins: int = 3) -> Summary:
    """ab without keep-alive beside a keep-alive client at one address; ``first_fins`` at the limit are the client's."""
    by_server = limited - first_fins
    facts = http(
        connections=asking + limited,
        requests=asking + limit * limited,
        responses=asking + limit * limited,
        messages=[
            message("request", "HTTP/1.0", "none", asking),
            message("request", "HTTP/1.1", "none", limit * limited, limit * limited),
            message("response", "HTTP/1.1", "close", asking + limited),
        ],
        closed_after=[closed("server", "server", asking + by_server), closed("server", "client", first_fins)],
        endings=[
            ending("http/1.0", "close", "server", asking),
            ending("persists", "close", "server", by_server, limit * by_server),
            ending("persists", "close", "client", first_fins, limit * first_fins),
        ],
        max_requests={"requests": limit, "connections": limited, "closed_by_server": by_server},
        server_software=["nginx/1.22.1"],
        user_agents=["ApacheBench/2.3"],
    )
    ends = {
        "close": {"fin": asking + limited},
        "active_closer": {"server": asking + by_server, "client": first_fins},
        "time_wait_holder": {"server": asking + by_server, "client": first_fins},
    }
    return summary([pair(CLIENT, SERVER, 80, asking + limited, http=facts, **ends)], [host(SERVER, asking + by_server)])


def reset(before: int = 30, after: int = 0, clean: int = 70, resets: dict[str, int] | None = None) -> Summary:
    """Resets before and after a FIN, by sender and kind, beside clean closes."""
    number = before + after + clean
    made = pair(
        CLIENT,
        SERVER,
        80,
        number,
        close={"fin": clean, "reset": before, "reset_after_fin": after},
        active_closer={"client": number},
        time_wait_holder={"client": clean},
        resets={"client abort": before + after} if resets is None else resets,
        **shown("abort"),
    )
    return summary([made])


def failed(refused: int = 0, unanswered: int = 0, half_open: int = 0, good: int = 0, one_sided: int = 0) -> Summary:
    """Connection attempts that came to nothing, beside good ones."""
    number = refused + unanswered + half_open + good
    ends = {"refused": refused, "unanswered": unanswered, "half_open": half_open, "fin": good}
    made = pair(
        CLIENT,
        SERVER,
        81,
        number,
        close={word: count for word, count in ends.items() if count},
        active_closer={"none": number - good, "client": good},
        time_wait_holder={"none": number - good, "client": good},
        protocol={"empty": number},
    )
    return summary([made], capture=capture(connection_quality={"one_sided": one_sided}))


def dwelling(number: int = 20, median_s: float = 30.0) -> Summary:
    """A side that closes long after the other."""
    dwell = distribution(median_s / 2, median_s, median_s * 2, number)
    return summary([pair(CLIENT, SERVER, 80, number, half_close=dwell, **closes("client", number))])


def leaking(number: int = 12, silent_s: float = 52.0, closer: str = "client", closed: int = 0, **facts: Any) -> Summary:
    """One side closes, the other never does: three of them known to be so long half-closed; ``closed`` were closed."""
    end = START + 100 * SECOND
    known = [{**exemplar(4 + i, (CLIENT, 40_010 + i), (SERVER, 80), 31 + i, 42 + i)} for i in range(min(number, 3))]
    for one in known:
        one["end_ns"] = end - round(silent_s * SECOND)
    made: dict[str, Any] = {
        "close": {"half_closed": number, "fin": closed},
        "active_closer": {closer: number + closed},
        "time_wait_holder": {"none": number, closer: closed},
        "exemplars": {"half_closed": known},
        "last_ns": end,
    }
    quality = {key: facts.pop(key) for key in ("connection_quality", "evicted_connections") if key in facts}
    return summary([pair(CLIENT, SERVER, 80, number + closed, **made | facts)], capture=capture(last_ns=end, **quality))


def checked(checks: int = 101, asked: int = 150, aborted: int = 0) -> Summary:
    """HAProxy's TCP checks beside requests, of which the client aborts some without their responses."""
    number = checks + asked
    facts = http(
        connections=asked,
        requests=asked,
        responses=asked - aborted,
        closed_after=[closed("none", "server", asked - aborted), closed("none", "client", aborted)],
    )
    made = pair(
        CLIENT,
        SERVER,
        3000,
        number,
        close={"fin": asked - aborted, "reset": checks + aborted},
        active_closer={"client": checks + aborted, "server": asked - aborted},
        time_wait_holder={"none": checks + aborted, "server": asked - aborted},
        resets={"client abort": checks + aborted},
        empty_resets=checks,
        protocol={"empty": checks, "http/1.1": asked},
        http=facts,
        **shown("abort"),
    )
    return summary([made])


def tls(number: int = 20) -> Summary:
    """The server closes; the payload is TLS."""
    return summary(
        [pair(CLIENT, SERVER, 443, number, protocol={"tls": number}, **closes("server", number))],
        [host(SERVER, number)],
    )


def still_open(number: int = 12) -> Summary:
    """No close at all."""
    none = {"close": {"open": number}, "active_closer": {"none": number}, "time_wait_holder": {"none": number}}
    return summary([pair(CLIENT, SERVER, 80, number, **none)])


def mixed() -> Summary:
    """No kind of end has half of the connections."""
    ends = {
        "close": {"fin": 70, "reset": 10, "open": 20},
        "active_closer": {"client": 36, "server": 34, "none": 20, "both": 10},
    }
    return summary(
        [
            pair(
                CLIENT,
                SERVER,
                80,
                100,
                time_wait_holder={"client": 30, "server": 30},
                resets={"client abort": 10},
                **ends,
            )
        ]
    )


def nothing_matched(packets: int = 1234) -> Summary:
    """A capture none of whose packets the filter let through."""
    facts = capture(packets=0, first_ns=None, last_ns=None)
    facts["files"][0]["packets"] = packets
    return summary([], capture=facts)


#: Every situation once, for what must hold of all of them.
ALL: dict[str, Summary] = {
    "proxy_and_origin": proxy_and_origin(),
    "server_announces": server_announces(),
    "client_announces": server_announces(by="client"),
    "http10_close": http10(),
    "http10_bare": http10("none"),
    "ab": http10("none", agent="ApacheBench/2.3"),
    "one_shot": one_shot(),
    "one_shot_single": one_shot(1),
    "one_shot_clients": one_shot(clients=3),
    "pooled": pooled(),
    "idle": idle(),
    "idle_announced_longer": idle(announced_timeout_s=[7]),
    "limited": limited(),
    "limited_low": limited(5, 4000),
    "race": lost(races=2),
    "stale": lost(stale=3),
    "outlived": outlived(),
    "pressed": pressed(),
    "pressed_block": pressed(500, low=40_000, high=40_499, number=900, block=block(40_000, 40_499)),
    "pressed_holes": pressed(1998, low=1025, high=50_001, number=2100, block=block(40_000, 41_999, 1995)),
    "pool_less": pool_less(),
    "pool_less_forwarded": pool_less(forwarded=40),
    "mixed_clients": mixed_clients(),
    "pressed_full": pressed(27_500, held_peak_min=27_500),
    "pressed_recycling": pressed(27_500, reuses=100, client_recycled=90),
    "reset": reset(),
    "reset_injected": reset(resets={"middlebox injected": 30}),
    "refused": failed(refused=12),
    "unanswered": failed(unanswered=12),
    "half_open": failed(half_open=12),
    "checked": checked(),
    "checked_only": checked(asked=0),
    "checked_aborted": checked(aborted=40),
    "dwelling": dwelling(),
    "leaking": leaking(),
    "leaking_client": leaking(closer="server"),
    "leaking_some": leaking(closed=20),
    "tls": tls(),
    "still_open": still_open(),
    "mixed": mixed(),
    "empty": summary([], capture=capture(packets=0)),
    "filtered_out": nothing_matched(),
    "no_tcp": summary([], capture=capture(not_analysed={"udp": 1000})),
}
