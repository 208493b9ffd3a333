"""The verdict where both sides close: neither side's sockets are hidden behind the other's."""

from __future__ import annotations

from typing import Any, cast

from summaries import pair, summary

from pcapwatch.summary import Summary

from . import scenarios as s
from .test_verdict import of


def beside(server_closes: int) -> Summary:
    """A client that closes 20,000 and holds as many ports, beside others whose connections the server closes."""
    (pressed,) = s.pressed(20_000, number=20_000)["pairs"]
    others = pair("10.1.0.1", str(pressed["server"]), 80, server_closes)
    return summary([cast(dict[str, Any], pressed), others])


def test_a_client_without_ports_is_named_where_the_server_closes_most() -> None:
    """PW108 is no code of the server's harmless closes alone: the client, its closes and ports are said with it."""
    said = of(beside(25_000))
    assert "10.0.0.9:80 closes first on 25,000 of 45,000 connections" in said
    assert "But 10.0.0.1 closes first on 20,000. It holds the TIME_WAITs and, with what is open, at most 20,000" in said
    assert said.endswith("[PW108]")
    assert "See also PW108" not in said


def test_halves_are_no_pattern() -> None:
    """Exactly as many closed by each side is mixed, one more is not; an abort's closer is no other half."""
    halves = of(beside(20_000))
    assert halves.startswith("No single pattern explains 10.0.0.9:80: of 40,000 connections, 20,000 closed first")
    assert "But 10.0.0.1 closes first on 20,000." in halves
    assert "closes first on 20,001 of 40,001" in of(beside(20_001))
    ends = {"close": {"reset": 5, "open": 3, "fin": 2}, "active_closer": {"client": 5, "server": 2}}
    assert "5 of 10 connections (50.0 %) ended by a reset" in of(
        summary([pair("10.0.0.1", "10.0.0.9", 80, 10, **ends)])
    )
    open_half = {"close": {"open": 5, "fin": 5}, "active_closer": {"server": 5}}
    assert "closes first on 5 of 10" in of(summary([pair("10.0.0.1", "10.0.0.9", 80, 10, **open_half)]))
