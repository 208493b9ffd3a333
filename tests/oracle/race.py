"""Connections lost in the gap between a close and its being noticed (D4)."""

from .closing import first_fin
from .incarnations import Incarnation
from .segments import ACK, RST, Endpoint


def read_race(c: Incarnation, client: Endpoint, server: Endpoint, requests: int, responses: int) -> str | None:
    """`keepalive_race` where the last request crossed the server's FIN, `stale_reuse` where the client knew of it."""
    fin = first_fin(c, server)
    if fin is None or requests <= responses:
        return None
    for reset in c.packets:
        if reset.src == server and reset.has(RST) and not reset.has(ACK) and not reset.stale:
            asked = [p for p in c.sent(client) if p.payload_len and p.ack == reset.seq]
            if asked:
                return "stale_reuse" if asked[-1].ack_offset >= fin.end_offset else "keepalive_race"
    return None
