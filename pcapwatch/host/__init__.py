"""What a host's own kernel says of its sockets: read once (a snapshot), or again and again while packets are captured.

Only ``reader``, ``sock_diag``, ``namespace`` and ``watch`` touch the kernel; the rest is data about what it said.
"""
