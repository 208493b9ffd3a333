"""Differences between tool and oracle that are understood, each with its reason. Few, and never a fault of the tool."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """One column of one connection (by its first frame) of one capture."""

    capture: str
    first_frame: int
    column: str
    reason: str


# Captures that the oracle's plain decoder does not read, or not all of; the tool is held to tshark there.
UNDECODED = {
    "vxlan": "inside VXLAN",
    "vxlan-any": "inside VXLAN, and beside it",
    "vxlan-fragments": "inside VXLAN, in fragments",
    "gre": "inside GRE",
    "gre-ip": "inside GRE",
    "erspan-ii": "inside ERSPAN",
    "erspan-iii": "inside ERSPAN",
    "geneve": "inside GENEVE",
    "nflog": "link type NFLOG",
    "bug-5437-02-input.pcap": "inside ERSPAN in GRE",
}

KNOWN: tuple[Known, ...] = (
    Known(
        "split-handshake-4whs.pcap", 1, "handshake_rtt_s",
        "A split handshake has two SYNs and two SYN-ACKs; the contract does not say which pair is timed.",
    ),
    Known(
        "simultaneous-open", 1, "handshake_rtt_s",
        "Crossing SYNs: the SYN and the SYN-ACK that repeats it both begin the handshake.",
    ),
    Known(
        "tcp-fastopen-10-syn-data-ignore-input.pcap", 1, "server_retransmits",
        "The server answers with two ISNs; whether SYN-ACKs of the one not taken up are retransmissions is a word.",
    ),
    Known(
        "fin_retransmission.pcap", 1, "client_retransmits",
        "A FIN without ACK carries the SYN's own sequence number: it overlaps the SYN, but repeats nothing.",
    ),
    *(
        Known(
            "pcapng-example.pcapng", frame, column,
            "Written 505 s before 1970 as 64 unsigned bits: the year 586,524, which no table holds; the tool: 2116.",
        )
        for frame in (60, 62, 65, 67, 73, 74, 78, 79, 81, 86, 90, 94, 139, 149) for column in ("start", "end")
    ),
)  # fmt: skip
