"""One conversation in every kind of header: each link type and each encapsulation, crafted with scapy or by hand.

A wrapping takes the bytes of an IP packet and who sent it, and gives the frames that carry it. Identifiers that a real
tunnel has for each direction (labels, endpoints) differ by direction here, too.
"""

from crafted.wrapped import air, links, pieces, tunnels  # each registers its own
from crafted.wrapped.registry import ETHERNET, WRAPPINGS, Wrapping

__all__ = ["ETHERNET", "WRAPPINGS", "Wrapping", "air", "links", "pieces", "tunnels"]
