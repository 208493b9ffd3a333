"""An independent, slow and plain second reading of captures, to compare the engine with.

Written from the specification of meaning (the A–D sections of the design) and the RFCs alone, never from the engine:
its independence is its value. The whole capture is held in memory and every fact is found by looking at the whole
list of a connection's packets; nothing is incremental.
"""

from .rows import read_connections

__all__ = ["read_connections"]
