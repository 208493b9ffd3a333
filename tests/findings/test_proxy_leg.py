"""Proxy legs are looked for in time that the pairs allow."""

import time

from summaries import http, pair, summary

from pcapwatch.findings.proxy_leg import LIKELY, MOST_ALIKE, leg_of


def alike(number: int) -> list[dict[str, object]]:
    """So many clients of two services, each service asked the same by the same User-Agent."""
    facts = http(connections=1, requests=20, user_agents=["curl/8"])
    return [pair(f"10.0.{n // 256}.{n % 256}", f"192.0.2.{n % 2 + 1}", http=facts) for n in range(number)]


def test_likeness_is_seen_among_few_and_not_looked_for_among_thousands() -> None:
    """Two legs alike are taken for a proxy's; of three thousand pairs alike none, and that within a second."""
    few = summary(alike(2))
    assert leg_of(few, few["pairs"][0]) == LIKELY
    many = summary(alike(10 * MOST_ALIKE))
    began = time.process_time()
    assert {leg_of(many, one) for one in many["pairs"]} == {""}
    assert time.process_time() - began < 1
