"""Community ID, version 1: the flow hash that Zeek, Suricata, Arkime and Wireshark share.

Source: https://github.com/corelight/community-id-spec. Seed 0, base64.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import struct

_TCP = 6


def community_id(client: tuple[str, int], server: tuple[str, int], seed: int = 0) -> str:
    """``1:`` and the base64 SHA-1 of seed, the smaller endpoint, the other, protocol, ports, in network order."""
    ends = sorted((ipaddress.ip_address(address).packed, port) for address, port in (client, server))
    (low, low_port), (high, high_port) = ends
    material = struct.pack("!H", seed) + low + high + struct.pack("!BBHH", _TCP, 0, low_port, high_port)
    return "1:" + base64.b64encode(hashlib.sha1(material, usedforsecurity=False).digest()).decode()
