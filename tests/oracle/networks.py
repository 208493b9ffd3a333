"""Whose packets are whose where only identifiers of one direction tell equal addresses apart, on the whole list.

Two packets are of one connection if the numbers of one continue those of the other, or answer it, however long the
chain. A connection is of the network of one that was over before it began, if both went the same way (the same label,
endpoint or call in the same direction): the most of their ways, where several were. Connections at one time with one
4-tuple are of different networks. Where no packet has such an identifier there is one network.
"""

from .segments import ACK, RST, SYN, Segment

#: Half a window as wide as most.
NEAR = 2**23


def networks(flow: list[Segment]) -> list[list[Segment]]:
    """The packets of one 4-tuple by network, each in capture order."""
    if not any(p.way for p in flow):
        return [flow]
    found: list[list[int]] = []
    for chain in chains(flow):
        over = [network for network in found if max(network) < chain[0]]
        best = max(over, key=lambda network: shared_ways(flow, network, chain), default=[])
        if best and shared_ways(flow, best, chain):
            best += chain
        else:
            found.append(chain)
    return [[flow[at] for at in network] for network in found]


def chains(flow: list[Segment]) -> list[list[int]]:
    """Places of packets that hang together by their numbers, in order of the first of each."""
    found: list[list[int]] = []
    for at, p in enumerate(flow):
        before = next((b for b in reversed(range(at)) if are_of_one(flow[b], p)), None)
        for chain in found:
            if before in chain:
                chain.append(at)
                break
        else:
            found.append([at])
    return found


def shared_ways(flow: list[Segment], one: list[int], other: list[int]) -> int:
    """How many directions' ways two lists have in common; having none counts only beside one that both have."""
    mine, theirs = ({(flow[at].src, flow[at].way) for at in places} for places in (one, other))
    shared = mine & theirs
    is_bare = all(way is None for _, way in mine | theirs)
    return len(shared) if is_bare or any(way for _, way in shared) else 0


def are_of_one(first: Segment, second: Segment) -> bool:
    """Whether the numbers of the second continue those of the first, as far as both have them."""
    if second.has(SYN) and not second.has(RST):
        if first.src == second.src:
            return first.has(SYN) and first.seq == second.seq
        return first.pure_syn and second.syn_ack and 1 <= (second.ack - first.seq) % 2**32 <= first.space
    pairs = numbers(first, second)
    return bool(pairs) and all(distance(a, b) <= NEAR for a, b in pairs)


def numbers(first: Segment, second: Segment) -> list[tuple[int, int]]:
    """What is comparable of two packets: where both are in the one direction, and where they are in the other."""
    end = (first.seq + first.space) % 2**32
    acks = [p.ack if p.has(ACK) else None for p in (first, second)]
    same_way = [(end, second.seq), (acks[0], acks[1])]
    pairs = same_way if first.src == second.src else [(end, acks[1]), (acks[0], second.seq)]
    return [(a, b) for a, b in pairs if a is not None and b is not None]


def distance(one: int, other: int) -> int:
    """How far two sequence numbers are apart, the shorter way round."""
    return min((one - other) % 2**32, (other - one) % 2**32)
