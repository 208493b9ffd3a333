"""Each side's RFC 9293 state at the end of a capture, for connections that nothing but FINs closed (A1, A4).

Derived from four questions over the whole list of packets, without a state machine.
"""

from .closing import acknowledged_by, acks, first_fin, only_retransmitted
from .incarnations import Incarnation
from .segments import ACK, FIN, RST, Endpoint


def only_fins(c: Incarnation) -> bool:
    """Whether the handshake completed in the capture, a FIN was sent, and nothing else disturbs what must hold.

    A reset, a hole, a FIN sent again (was its ACK lost, or late?) and a FIN whose first transmission is missing do.
    """
    sides = (c.packets[0].src, c.packets[0].dst)
    fins = [fin for side in sides for fin in c.sent(side) if fin.has(FIN)]
    once = all(sum(fin.src == side for fin in fins) <= 1 for side in sides)
    opened = len(c.isn) == 2 and acknowledged_by(c, sides[0], 1) is not None
    clean = not any(p.has(RST) or p.stale for p in c.packets)
    return opened and clean and once and bool(fins) and not any(only_retransmitted(c, fin) for fin in fins)


def read_states(c: Incarnation, side: Endpoint) -> tuple[str, str]:
    """(assumed, proved) of a side: what it reached if the segments seen arrived, and what its own segments prove."""
    peer = c.peer(side)
    mine, theirs = first_fin(c, side), first_fin(c, peer)
    heard = theirs is not None and acknowledged_by(c, side, theirs.end_offset) is not None
    acknowledging = acknowledged_by(c, peer, mine.end_offset) if mine else None
    proved = False
    if acknowledging is not None:
        # It has the peer's packet once it acknowledges what that packet, or a later one, carries.
        order = {id(p): i for i, p in enumerate(c.packets)}
        carried = [p for p in c.sent(peer) if p.space and order[id(p)] >= order[id(acknowledging)]]
        proved = any(acknowledged_by(c, side, p.end_offset) is not None for p in carried)
    passive = mine is not None and theirs is not None and acks(mine, theirs.end_offset)
    return (
        name(sent=mine is not None, acked=acknowledging is not None, heard=theirs is not None, passive=passive),
        name(sent=mine is not None, acked=proved, heard=heard, passive=passive),
    )


def name(*, sent: bool, acked: bool, heard: bool, passive: bool) -> str:
    """The state of a side that sent its FIN, knows it acknowledged, received the peer's, and had it before its own."""
    if not sent:
        return "CLOSE-WAIT" if heard else "ESTABLISHED"
    if not heard:
        return "FIN-WAIT-2" if acked else "FIN-WAIT-1"
    if passive:
        return "CLOSED" if acked else "LAST-ACK"
    return "TIME-WAIT" if acked else "CLOSING"


def opened_for_certain(c: Incarnation, server: Endpoint) -> bool:
    """Whether the server's own segments prove that the handshake's last ACK reached it."""
    return any(p.has(ACK) and p.ack_offset > 1 for p in c.sent(server))
